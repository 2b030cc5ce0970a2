"""Do saved tensors hold every integer, in the narrowest type, under any name?"""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from accel_sim.builtin import find_builtin
from accel_sim.report.as_npz import TensorStore, smallest_type
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.images import Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths


@pytest.fixture(scope="module")
def quantized():
    builtin = find_builtin("digits")
    network = load_onnx(builtin.onnx_path)
    images = load_images(
        builtin.calibration_path,
        shape=network.shapes[network.input],
        preprocessing=Preprocessing(mean=builtin.mean, scale=builtin.scale),
        limit=4,
    )
    return quantize(network, images, BitWidths())


def with_map(quantized, name: str, fmt: QFormat):
    """The network with one feature map, of two elements."""
    graph = replace(quantized.network, shapes={name: (2,)})
    return replace(quantized, network=graph, formats={name: fmt})


def save(network, *images: list[int]) -> io.BytesIO:
    store = TensorStore(network, len(images), {"x": 1})
    (name,) = network.formats
    for index, raw in enumerate(images):
        store.save(index, {name: np.array(raw, np.int32)})
    file = io.BytesIO()
    store.write(file)
    file.seek(0)
    return file


@pytest.mark.parametrize("name", ["file", "/conv1/Conv_output_0", "a:0", "ünï", "allow_pickle"])
def test_any_tensor_name_is_kept(quantized, name):
    file = save(with_map(quantized, name, QFormat(bits=16, frac_bits=0)), [1, -32768], [2, 32767])
    with np.load(file, allow_pickle=False) as saved:
        assert set(saved) == {name, "formats"}
        assert saved[name].tolist() == [[1, -32768], [2, 32767]]
        assert json.loads(str(saved["formats"])) == {"x": 1}


@pytest.mark.parametrize(
    ("bits", "signed", "expected"),
    [
        (2, True, "int8"),
        (8, True, "int8"),
        (9, True, "int16"),
        (16, True, "int16"),
        (8, False, "uint8"),
        (9, False, "uint16"),
        (16, False, "uint16"),
    ],
)
def test_the_type_is_the_narrowest_that_holds_the_format(bits, signed, expected):
    fmt = QFormat(bits=bits, frac_bits=0, signed=signed)
    found = smallest_type(fmt)
    assert found == np.dtype(expected)
    limits = np.iinfo(found)
    assert limits.min <= fmt.raw_min
    assert fmt.raw_max <= limits.max


def test_a_map_called_formats_has_no_place_in_the_file(quantized):
    network = with_map(quantized, "formats", QFormat(bits=8, frac_bits=0))
    with pytest.raises(InputError) as error:
        TensorStore(network, 1, {})
    assert str(error.value) == (
        "--save-tensors: a feature map is called 'formats', "
        "as the formats in the file are; rename it"
    )
