"""Do graphs that are odd but legal give the integers that they should, and names that lead back?

Against the interpreter of the number contract, which works on the untouched file; and the
formats that were chosen, given back, choose the same integers again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, numpy_helper

from accel_sim.functional import ExactNetwork
from quantizer.formats_file import formats_to_json, read_formats
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import Conv
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork
from tests.network.onnx_models import assert_equals_onnxruntime, model, node, save
from tests.oracles import integer_network

RNG = np.random.default_rng(7)
CONSTANTS: dict[str, Any] = {
    "w": 0.3 * RNG.normal(size=(4, 3, 3, 3)),
    "s": 0.2 * RNG.normal(size=(4, 4, 3, 3)),
    "fine": 0.002 * RNG.normal(size=(4, 4, 3, 3)),
    "zero": np.zeros((4, 3, 3, 3)),
    "b": RNG.normal(size=4),
    "far": np.full(4, -100.0),
    "low": np.float32(-0.5),
    "high": np.float32(0.75),
    "higher": np.float32(2),
    "channel": RNG.normal(size=(4, 1, 1)),
    "plane": RNG.normal(size=(3, 8, 8)),
    "one": RNG.normal(size=(256, 1)),
    "matrix": RNG.normal(size=(8, 8)),
    "scale": RNG.uniform(0.5, 2, 4),
    "variance": RNG.uniform(0.5, 2, 4),
    "flat": np.array([0, -1]),
    "kept": np.array([0, 0, -1]),
}


def conv(ifm: str, ofm: str, weights: str = "w", bias: str = "") -> NodeProto:
    inputs = [ifm, weights, *([bias] if bias else [])]
    return node("Conv", inputs, ofm, pads=[1, 1, 1, 1])


def constant(name: str, of: str) -> NodeProto:
    value = numpy_helper.from_array(np.asarray(CONSTANTS[of], np.float32))
    return node("Constant", [], name, value=value)


HEAD = conv("x", "a")
TAIL = conv("r", "y", "s")
GRAPHS: dict[str, list[NodeProto]] = {
    "relu first": [node("Relu", ["x"], "r"), conv("r", "y")],
    "relu, relu": [HEAD, node("Relu", ["a"], "q"), node("Relu", ["q"], "r"), TAIL],
    "relu, clip": [HEAD, node("Relu", ["a"], "q"), node("Clip", ["q", "low", "high"], "r"), TAIL],
    "clip, relu": [HEAD, node("Clip", ["a", "low", "high"], "q"), node("Relu", ["q"], "r"), TAIL],
    "clip, clip": [
        HEAD,
        node("Clip", ["a", "low", "higher"], "q"),
        node("Clip", ["q", "", "high"], "r"),
        TAIL,
    ],
    "clip without bounds": [HEAD, node("Clip", ["a"], "r"), TAIL],
    "clip from below": [HEAD, node("Clip", ["a", "low"], "r"), TAIL],
    "clip from above": [HEAD, node("Clip", ["a", "", "high"], "r"), TAIL],
    "clip to one value": [HEAD, node("Clip", ["a", "high", "high"], "r"), TAIL],
    "identity chain before a relu": [
        HEAD,
        node("Identity", ["a"], "i"),
        node("Dropout", ["i"], "j"),
        node("Relu", ["j"], "k"),
        node("Identity", ["k"], "r"),
        TAIL,
    ],
    "relu and its argument both read": [
        HEAD,
        node("Relu", ["a"], "r"),
        conv("a", "c", "s"),
        TAIL,
        node("Add", ["c", "y"], "z"),
    ],
    "constants as nodes": [
        constant("filter", "w"),
        constant("bias", "b"),
        conv("x", "a", "filter", "bias"),
        node("Relu", ["a"], "y"),
    ],
    "a bias that three layers share": [
        conv("x", "a", "w", "b"),
        node("Relu", ["a"], "q"),
        conv("q", "c", "s", "b"),
        node("Relu", ["c"], "r"),
        conv("r", "y", "fine", "b"),
    ],
    "weights that two layers share": [HEAD, conv("a", "c", "s"), conv("c", "y", "s")],
    "one normalization for two": [
        HEAD,
        node("BatchNormalization", ["a", "scale", "b", "b", "variance"], "n"),
        conv("n", "c", "s"),
        node("BatchNormalization", ["c", "scale", "b", "b", "variance"], "y"),
    ],
    "a constant before a product": [node("Add", ["plane", "x"], "r"), conv("r", "y")],
    "a constant after a product": [HEAD, node("Add", ["a", "channel"], "r"), TAIL],
    "a constant that joins no product": [
        HEAD,
        node("Add", ["channel", "a"], "q"),
        node("Relu", ["q"], "r"),
        TAIL,
    ],
    "a map added to itself": [HEAD, node("Add", ["a", "a"], "r"), TAIL],
    "a map joined to itself": [
        HEAD,
        node("Concat", ["a", "a"], "q", axis=1),
        node("Concat", ["q", "a", "q"], "y", axis=1),
    ],
    "a map joined to the input": [HEAD, node("Concat", ["x", "a"], "y", axis=1)],
    "a spatial output behind layout": [HEAD, node("Reshape", ["a", "kept"], "y")],
    "one class": [
        HEAD,
        node("Reshape", ["a", "flat"], "f"),
        node("MatMul", ["f", "one"], "y"),
    ],
    "no weights": [conv("x", "r", "zero"), TAIL],
    "a relu that passes nothing": [
        conv("x", "a", "w", "far"),
        node("Relu", ["a"], "r"),
        TAIL,
    ],
    "a map that is constant": [conv("x", "r", "zero", "b"), TAIL],
    "no arithmetic": [node("MaxPool", ["x"], "m", kernel_shape=[2, 2]), node("Relu", ["m"], "y")],
}


def quantized(path: Path, bits: int, images: ImageSet, **options: Any) -> QuantizedNetwork:
    widths = BitWidths(weights=bits, activations=bits)
    return quantize(load_onnx(path), images, widths, NumericRules(accumulator_bits=48), **options)


def tensors(network: QuantizedNetwork, images: ImageSet) -> dict[str, Any]:
    exact = ExactNetwork(network)
    traces = [exact.run(images.real(index)).tensors for index in range(len(images))]
    return {name: np.stack([trace[name] for trace in traces]) for name in traces[0]}


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@pytest.mark.parametrize(
    "bits", [8, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (4, 16))]
)
@pytest.mark.parametrize("graph", GRAPHS)
def test_an_odd_graph_equals_the_oracle(tmp_path: Path, graph: str, bits: int) -> None:
    nodes = GRAPHS[graph]
    used = {name for one in nodes for name in one.input}
    constants = {name: value for name, value in CONSTANTS.items() if name in used}
    path = save(tmp_path, model(nodes, constants, output=nodes[-1].output[0]))
    images = ImageSet(
        images=np.random.default_rng(bits).normal(size=(2, 3, 8, 8)).astype(np.float32),
        labels=None,
        preprocessing=Preprocessing(),
        source="drawn",
    )
    network = quantized(path, bits, images)
    assert_equals_onnxruntime(path, network.network)
    found = tensors(network, images)
    folded = {
        name: network.network.constants[name]
        for layer in network.network.layers
        if isinstance(layer, Conv)
        for name in (layer.weights, layer.bias)
        if name is not None
    }
    formats = formats_to_json(network)
    reals = np.stack([images.real(index) for index in range(len(images))])
    expected = integer_network.run(path, formats, reals, accumulator_bits=48, constants=folded)
    assert_same(found, expected)

    (tmp_path / "formats.json").write_text(json.dumps(formats))
    again = quantized(path, bits, images, formats=read_formats(tmp_path / "formats.json"))
    assert_same(tensors(again, images), found)
