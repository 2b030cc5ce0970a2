"""Are weights in files of their own read from the model's folder, and from nowhere else?"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from quantizer.errors import InputError
from quantizer.network.onnx_import import load_onnx
from tests.network.onnx_models import model, node, save

FILTER = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
BYTES = FILTER.astype("<f4").tobytes()


def with_external(
    folder: Path, location: str, *, offset: str = "0", length: str = str(len(BYTES)), rows: int = 4
) -> Path:
    """Save a model whose filters are in another file, described by hand."""
    made = model([node("Conv", ["x", "w"], "y")], {"w": FILTER})
    (tensor,) = made.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.dims[0] = rows
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value:
            tensor.external_data.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    return save(folder, made)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        load_onnx(path)
    return str(error.value).removeprefix(f"{path}: ")


def test_weights_are_read_from_another_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\1" * 8 + BYTES)
    network = load_onnx(with_external(tmp_path, "w.bin", offset="8"))
    np.testing.assert_array_equal(network.constants["w"], FILTER)
    without_length = load_onnx(with_external(tmp_path, "w.bin", offset="8", length=""))
    np.testing.assert_array_equal(without_length.constants["w"], FILTER)


def test_weights_are_read_as_onnx_itself_writes_them(tmp_path: Path) -> None:
    made = model([node("Conv", ["x", "w"], "y")], {"w": FILTER})
    path = tmp_path / "net.onnx"
    onnx.save(made, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").is_file()
    np.testing.assert_array_equal(load_onnx(path).constants["w"], FILTER)


def test_the_digest_counts_weights_in_another_file(tmp_path: Path) -> None:
    path = with_external(tmp_path, "w.bin")
    (tmp_path / "w.bin").write_bytes(BYTES)
    first = load_onnx(path).digest
    (tmp_path / "w.bin").write_bytes(bytes(len(BYTES)))
    assert load_onnx(path).digest != first


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/passwd", "sub/../../w.bin", "C:\\w.bin", ""]
)
def test_a_place_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(BYTES)
    path = with_external(tmp_path / "net", location)
    assert refused(path) == (
        f"constant 'w': keeps its values in {location!r}; expected a file in the model's folder"
    )


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(BYTES)
    path = with_external(tmp_path / "net", "w.bin")
    (tmp_path / "net" / "w.bin").symlink_to(tmp_path / "w.bin")
    assert refused(path) == (
        "constant 'w': keeps its values in 'w.bin'; expected a file in the model's folder"
    )


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert refused(with_external(tmp_path, "w.bin")) == (
        "constant 'w': keeps its values in 'w.bin', which is no file; put it next to the model"
    )


@pytest.mark.parametrize(("offset", "size"), [("0", 431), ("1", 432), ("-4", 500), ("999", 432)])
def test_a_file_that_is_too_short_is_refused(tmp_path: Path, offset: str, size: int) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(size))
    assert refused(with_external(tmp_path, "w.bin", offset=offset)) == (
        f"constant 'w': needs 432 bytes from {offset} on of 'w.bin', which has {size}; "
        "copy the file that belongs to the model"
    )


def test_a_length_that_is_not_the_shapes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(BYTES)
    assert refused(with_external(tmp_path, "w.bin", length="400")).startswith(
        "constant 'w': needs 432 bytes from 0 on of 'w.bin', which has 432; "
    )


def test_a_place_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(BYTES)
    assert refused(with_external(tmp_path, "w.bin", offset="here")) == (
        "constant 'w': has no proper type, or place in 'w.bin'; export the model again"
    )


def test_more_weights_than_memory_may_hold_are_refused_unread(tmp_path: Path) -> None:
    rows = 1 << 25
    path = with_external(tmp_path, "w.bin", length="", rows=rows)
    with (tmp_path / "w.bin").open("wb") as sparse:
        sparse.truncate(rows * 27 * 4)
    assert refused(path) == "keeps 3.4 GiB of weights in other files; expected at most 2 GiB"
