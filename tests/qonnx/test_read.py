"""What does a file say: layers, formats, widths, and what it leaves to be chosen?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import BatchNorm, Conv
from quantizer.qonnx.read import load_qonnx
from quantizer.quantized import BitWidths
from tests.qonnx.cases import CASES, CHANNEL_SCALES, FILTERS, INPUT, RNG
from tests.qonnx.files import DOMAIN, load, model, node, quant, save


def test_nothing_is_taken_in_across_a_format(tmp_path: Path) -> None:
    nodes, constants = CASES["maps that nothing may take out"]
    network = load(tmp_path, model(nodes, constants)).network
    assert [layer.op for layer in network.layers] == [
        "Pad", "Reshape", "Conv", "Add", "Clip", "Clip", "Reshape", "Reshape",
    ]  # fmt: skip
    assert all(getattr(layer, "clamp", None) is None for layer in network.layers[:4])


def test_a_relu_before_the_quant_is_part_of_its_layer(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES["Brevitas, dynamo"])).network
    assert [layer.op for layer in network.layers] == ["Conv", "MaxPool", "Reshape", "Dense"]
    assert [layer.name for layer in network.layers][::3] == ["conv1", "fc"]
    assert network.layers[0].ofm == "a1"


def test_what_nobody_noted_is_the_widest_of_each_kind(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES["Brevitas, dynamo"]))
    assert (network.method, network.tuning) == ("file", None)
    assert network.bits == BitWidths(weights=5, activations=8, inputs=8, biases=12)


def test_attributes_have_the_defaults_of_the_standard(tmp_path: Path) -> None:
    left_out = {"signed": None, "narrow": None, "rounding_mode": None}
    nodes = [
        quant("x", "xq", 2**-1, 4.0, **left_out),
        node("Add", ["xq", "xq"], "s"),
        quant("s", "y", 2**0, 4.0, **left_out),
    ]
    network = load(tmp_path, model(nodes, {}))
    assert network.formats["x"] == QFormat(bits=4, frac_bits=1, signed=True)
    assert network.rules.requantize_rounding is Rounding.TIES_EVEN


@pytest.mark.parametrize("kind", ["value", "value_float", "value_floats"])
def test_constants_may_be_nodes(kind: str, tmp_path: Path) -> None:
    nodes, constants = CASES["Brevitas, TorchScript"]
    made = model(nodes, constants)
    expected = load(tmp_path, made)
    moved = []
    for tensor in list(made.graph.initializer):
        value = numpy_helper.to_array(tensor)
        if kind == "value" and value.dtype == np.float32:
            given: dict[str, Any] = {"value": tensor}
        elif kind == "value_float" and value.dtype == np.float32 and value.ndim == 0:
            given = {"value_float": float(value)}
        elif kind == "value_floats" and value.dtype == np.float32 and value.ndim == 1:
            given = {"value_floats": value.tolist()}
        else:
            continue
        moved.append(node("Constant", [], tensor.name, **given))
        made.graph.initializer.remove(tensor)
    nodes_before = list(made.graph.node)
    del made.graph.node[:]
    made.graph.node.extend([*moved, *nodes_before])
    found = load(tmp_path, made)
    assert len(moved) >= 2
    assert found.formats == expected.formats
    for name, constant in found.weights.items():
        np.testing.assert_array_equal(constant.raw, expected.weights[name].raw)


def test_the_shape_of_a_quantized_map_may_be_asked_for(tmp_path: Path) -> None:
    """Of the map before its Quant node, where no value is read without it."""
    nodes = [
        INPUT, node("Shape", ["x"], "sizes"), node("Gather", ["sizes", "first"], "batch"),
        node("Concat", ["batch", "rest"], "shape", axis=0), node("Reshape", ["xq", "shape"], "y"),
    ]  # fmt: skip
    network = load(tmp_path, model(nodes, {"first": np.array([0]), "rest": np.array([-1])}))
    assert network.network.shapes == {"x": (2, 6, 6), "y": (72,)}


def test_nodes_may_stand_in_any_order_and_some_be_useless(tmp_path: Path) -> None:
    nodes, constants = CASES["Brevitas, dynamo"]
    expected = load(tmp_path, model(nodes, constants))
    useless = [
        quant("x", "nobody", 2**-9),
        node("BipolarQuant", ["x", "x"], "reads", domain=DOMAIN),
    ]
    found = load(tmp_path, model([*useless, *nodes[::-1]], constants))
    assert found.formats == expected.formats


def open_network() -> tuple[list[Any], dict[str, Any]]:
    """Weights are quantized, but a normalization stands between them and the next format."""
    statistics = {name: RNG.uniform(0.5, 1.5, 4) for name in ("scale", "bias", "mean", "variance")}
    nodes = [
        INPUT, quant("w", "wq", CHANNEL_SCALES, 4.0), node("Conv", ["xq", "wq"], "c", "conv"),
        node("BatchNormalization", ["c", *statistics], "n", "norm"), node("Relu", ["n"], "r"),
        quant("r", "y", 2**-4, signed=0),
    ]  # fmt: skip
    return nodes, {"w": FILTERS, **statistics}


def test_what_has_no_format_gets_one_from_calibration_images(tmp_path: Path) -> None:
    path = save(tmp_path, model(*open_network()))
    rng = np.random.default_rng(8)
    images = ImageSet(
        images=rng.normal(size=(3, 2, 6, 6)).astype(np.float32),
        labels=None,
        preprocessing=Preprocessing(),
        source="random images",
    )
    network = load_qonnx(path, images, BitWidths(weights=7, activations=9))
    conv, norm = network.network.layers
    assert isinstance(conv, Conv)
    assert isinstance(norm, BatchNorm)
    assert norm.clamp is not None
    # Those of the file, of which nothing was folded away.
    np.testing.assert_array_equal(network.weights["w"].decode(), FILTERS)
    assert network.formats["y"] == QFormat(bits=8, frac_bits=4, signed=False)
    # Those that were chosen.
    assert network.formats["c"].bits == 9
    assert network.weights["scale"].bits == 7
    assert (network.method, network.bits) == ("ggd", BitWidths(weights=7, activations=9))
