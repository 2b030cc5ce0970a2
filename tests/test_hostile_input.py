"""Does the command survive whatever it is given: done, or one line and nothing written?

Never a traceback, a hang, or a result that is none.
"""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from accel_sim.builtin import find_builtin
from accel_sim.cli.main import main
from quantizer.errors import InputError
from quantizer.network.onnx_import import load_onnx
from tests.network.onnx_models import model
from tests.seeds import seeds

EDGE = "edge_16x16"
RUN = ["simulate", EDGE, "--network", "net.onnx", "--calibration", "images.npz"]
RNG = np.random.default_rng(5)
FILTER = 0.3 * RNG.normal(size=(4, 3, 3, 3))
SQUARE = 0.2 * RNG.normal(size=(4, 4, 3, 3))


@pytest.fixture
def give(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty folder and check what holds for every command."""
    monkeypatch.chdir(tmp_path)

    def give_command(*arguments: object) -> tuple[int, str, str]:
        before = sorted(tmp_path.rglob("*"))
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert status in (0, 2)
        for text in (out, err):
            assert all(character.isprintable() for character in text.replace("\n", ""))
        if status == 2:
            assert out == ""
            assert err.count("\n") == 1
            assert err.endswith("\n")
            assert sorted(tmp_path.rglob("*")) == before
        else:
            assert err == ""
        return status, out, err

    return give_command


def save_images(folder: Path, count: int = 2, shape: Sequence[int] = (3, 8, 8)) -> None:
    images = np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)
    np.savez(folder / "images.npz", images=images)


def save_network(
    folder: Path, nodes: Sequence[NodeProto], constants: dict[str, Any], **others: Any
) -> None:
    onnx.save(model(nodes, constants, **others), folder / "net.onnx")


def node(op: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], name=name, **attributes)


def conv(ifm: str, ofm: str, weights: str = "w", name: str = "", bias: str = "") -> NodeProto:
    inputs = [ifm, weights, *([bias] if bias else [])]
    return node("Conv", inputs, ofm, name, pads=[1, 1, 1, 1])


def read_strictly(path: Path) -> Any:
    """Parse JSON as its standard has it, which knows no NaN and no infinity."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


# Damaged files


def damage(content: bytes, seed: int, structure: NDArray[np.int64]) -> bytes:
    """Cut a file off, or flip one to three bits, mostly where it is not weights."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        return content[: int(rng.choice(structure))]
    flipped = bytearray(content)
    where = structure if seed % 3 == 1 else np.arange(len(content))
    for place in rng.choice(where, int(rng.integers(1, 4))):
        flipped[place] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


def bytes_beside_weights(content: bytes) -> NDArray[np.int64]:
    is_structure = np.ones(len(content), bool)
    for tensor in onnx.load_model_from_string(content).graph.initializer:
        start = content.find(tensor.raw_data) if len(tensor.raw_data) > 16 else -1
        if start >= 0:
            is_structure[start : start + len(tensor.raw_data)] = False
    return np.flatnonzero(is_structure)


@pytest.mark.parametrize("block", seeds(1, 4))
def test_a_damaged_network_is_refused_or_runs(tmp_path, give, block):
    builtin = find_builtin("digits")
    with np.load(builtin.test_path) as archive:
        np.savez(tmp_path / "images.npz", images=archive["images"][:1])
    content = builtin.onnx_path.read_bytes()
    structure = bytes_beside_weights(content)
    for seed in range(30 * block, 30 * (block + 1)):
        (tmp_path / "net.onnx").write_bytes(damage(content, seed, structure))
        try:
            load_onnx(tmp_path / "net.onnx")
        except InputError:
            if seed % 5:
                continue  # the command would say the same, only slower
        status, _, _ = give(*RUN, "--scale", "1/16", "--json", "report.json")
        if status == 0:
            read_strictly(tmp_path / "report.json")
            (tmp_path / "report.json").unlink()


@pytest.mark.parametrize("seed", range(40))
def test_damaged_images_are_refused_or_run(tmp_path, give, seed):
    save_network(tmp_path, [conv("x", "y")], {"w": FILTER})
    save_images(tmp_path)
    path = tmp_path / "images.npz"
    if seed % 2:
        with np.load(path) as archive:
            images = archive["images"]
        np.savez_compressed(path, images=images)
    content = path.read_bytes()
    path.write_bytes(damage(content, seed, np.arange(len(content))))
    give(*RUN)


# Degenerate networks and images

DEGENERATE: dict[str, tuple[list[NodeProto], dict[str, Any]]] = {
    "no weights": ([conv("x", "y")], {"w": 0 * FILTER}),
    "a relu that passes nothing": (
        [conv("x", "a", bias="b"), node("Relu", ["a"], "r"), conv("r", "y", "s")],
        {"w": FILTER, "b": np.full(4, -1000.0), "s": SQUARE},
    ),
    "a constant map": ([conv("x", "y", bias="b")], {"w": 0 * FILTER, "b": np.ones(4)}),
    "one class": (
        [node("Flatten", ["x"], "f"), node("MatMul", ["f", "m"], "y")],
        {"m": RNG.normal(size=(192, 1))},
    ),
    "no arithmetic": ([node("Add", ["x", "x"], "y")], {}),
    "one denormal weight": (
        [conv("x", "y")], {"w": np.where(np.arange(3) == 0, 1e-40, FILTER)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("batch", ["drawn", "zeros", "alike"])
@pytest.mark.parametrize("network", DEGENERATE)
def test_a_degenerate_network_has_a_report_without_nan(tmp_path, give, network, batch):
    save_network(tmp_path, *DEGENERATE[network])
    images = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    if batch == "zeros":
        images = np.zeros((1, 3, 8, 8), np.float32)
    elif batch == "alike":
        images[:] = images[0]
    np.savez(tmp_path / "images.npz", images=images)
    outputs = ("--json", "report.json", "--csv", "layers.csv", "--save-tensors", "tensors.npz")
    status, out, _ = give(*RUN, *outputs)
    assert status == 0
    assert not {"nan", "inf"}.intersection(out.split())
    totals = read_strictly(tmp_path / "report.json")["totals"]
    assert totals["exact"] or totals["sqnr_dB"] is not None or network == "no weights"
    with np.load(tmp_path / "tensors.npz") as archive:
        assert archive["y"].shape[0] == len(images)


OVERFLOWING: dict[str, tuple[float, str]] = {
    "large weights": (1e30, "weights 'w': its values need a step of 2**"),
    "small weights": (1e-30, "weights 'w': its values need a step of 2**-"),
    "a map that is infinite": (1e18, "images.npz: image 0: makes feature map 'y' NaN or infinite"),
}


@pytest.mark.parametrize("case", OVERFLOWING)
def test_numbers_beyond_every_format_are_refused(tmp_path, give, case):
    factor, start = OVERFLOWING[case]
    chain = [conv("x", "a"), conv("a", "b", "s"), conv("b", "y", "s")]
    save_network(tmp_path, chain, {"w": factor * FILTER, "s": factor * SQUARE})
    save_images(tmp_path)
    status, _, err = give(*RUN)
    assert status == 2
    assert err.startswith(start)


# Names

EVIL = "\x1b[31m\n[bold]\u202e"


def test_names_from_files_cannot_move_the_cursor(tmp_path, give):
    nodes = [conv("x", EVIL, name=f"n{EVIL}"), conv(EVIL, "y", "s", "../../etc")]
    save_network(tmp_path, nodes, {"w": FILTER, "s": SQUARE})
    save_images(tmp_path)
    status, out, _ = give(*RUN, "--json", "r.json", "--csv", "c.csv", "--save-tensors", "t.npz")
    assert status == 0
    assert "…31m\\n[bold]\\u202e" in out
    assert read_strictly(tmp_path / "r.json")["layers"][0]["name"] == f"n{EVIL}"
    with np.load(tmp_path / "t.npz") as archive:
        assert archive[EVIL].shape == (2, 4, 8, 8)
    assert {path.name for path in tmp_path.iterdir()} == {
        "net.onnx", "images.npz", "r.json", "c.csv", "t.npz",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["simulate", "sweep", "compare"])
def test_names_of_files_cannot_move_the_cursor(tmp_path, give, verb):
    save_network(tmp_path, [conv("x", "y")], {"w": FILTER})
    (tmp_path / "net.onnx").rename(tmp_path / f"{EVIL}.onnx")
    machines = [EDGE, "server_32x32"] if verb == "compare" else [EDGE]
    status, out, _ = give(verb, *machines, "--network", f"{EVIL}.onnx", "--no-values")
    assert status == 0
    assert "\\x1b[31m\\n[bold]\\u202e" in out


def test_a_name_too_long_for_an_npz_file_is_refused(tmp_path, give):
    name = "n" * 70_000
    save_network(tmp_path, [conv("x", name), conv(name, "y", "s")], {"w": FILTER, "s": SQUARE})
    save_images(tmp_path)
    status, _, err = give(*RUN, "--save-tensors", "t.npz")
    assert status == 2
    assert err == (
        "--save-tensors: feature map 'nnnnnnnnnnnnnnnnnnnn'... has a name of 70,000 bytes; "
        "an .npz file holds at most 65,531\n"
    )


# Machines that take one sign

SIGNS = [
    ("unsigned", None, "layer 'a': its input 'x' is signed"),
    ("signed", False, "layer 'y': its input 'r' is unsigned"),
]


@pytest.mark.parametrize("verb", ["simulate", "sweep"])
@pytest.mark.parametrize(("takes", "given", "start"), SIGNS)
def test_a_map_of_the_wrong_sign_names_the_set_that_takes_it(
    tmp_path, give, verb, takes, given, start
):
    nodes = [conv("x", "a"), node("Relu", ["a"], "r"), conv("r", "y", "s")]
    save_network(tmp_path, nodes, {"w": FILTER, "s": SQUARE})
    save_images(tmp_path)
    formats = {} if given is None else {"r": {"bits": 8, "frac_bits": 4, "signed": given}}
    (tmp_path / "formats.json").write_text(json.dumps(formats))
    command = [verb, *RUN[1:], "--formats", "formats.json"]
    assert give(*command, "--set", f"precision.activations={takes}") == (
        2,
        "",
        f"{start}, the datapath of edge_16x16 takes {takes} operands; "
        "--set precision.activations=either builds one that takes both\n",
    )
    status, _, _ = give(*command, "--set", "precision.activations=either")
    assert status == 0


# Image files


def with_header(header: str) -> Callable[[Path], None]:
    """An .npz file whose array has a header of its own."""
    text = header.encode() + b" " * (-len(header) - 11 & 63) + b"\n"
    array = np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", array)

    return write


def encrypted(path: Path) -> None:
    save_images(path.parent)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)


def compressed_and_broken(path: Path) -> None:
    save_images(path.parent)
    with zipfile.ZipFile(path) as archive:
        array = archive.read("images.npy")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("images.npy", array)
    content = bytearray(path.read_bytes())
    content[70] ^= 255
    path.write_bytes(content)


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"
DAMAGED: dict[str, Callable[[Path], None]] = {
    "more than any memory": with_header(HEADER % "(100000000000, 3, 8, 8)"),
    "more than any number": with_header(HEADER % "(9223372036854775807, 3, 8, 8)"),
    "a negative size": with_header(HEADER % "(-1, 3, 8, 8)"),
    "a program": with_header("__import__('os').mkdir('owned')"),
    "brackets": with_header("(" * 4000),
    "a secret": encrypted,
    "another compression, broken": compressed_and_broken,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_broken_archive_is_called_damaged(tmp_path, give, case):
    save_network(tmp_path, [conv("x", "y")], {"w": FILTER})
    DAMAGED[case](tmp_path / "images.npz")
    assert give(*RUN) == (2, "", "images.npz: is a damaged .npz file; write it again\n")


@pytest.mark.parametrize("option", ["--mean", "--scale"])
def test_pixels_beyond_float32_are_refused(tmp_path, give, option):
    save_network(tmp_path, [conv("x", "y")], {"w": FILTER})
    np.savez(tmp_path / "images.npz", images=np.ones((1, 8, 8, 3), np.uint8))
    assert give(*RUN, option, "1e300") == (
        2,
        "",
        "--mean, --scale: make pixels of images.npz as large as 1e+300; expected numbers that "
        "float32 holds\n",
    )
