"""Do both whole-network oracles agree bit for bit, and with onnxruntime on integers?"""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tests.oracles import fake_quant, integer_network
from tests.oracles.fixed_point import ROUNDINGS
from tests.oracles.network_blocks import PLAIN_BLOCKS
from tests.oracles.networks import random_network
from tests.oracles.onnx_graph import AVERAGES
from tests.oracles_self_tests.both_networks import BOTH, Run, assert_equal
from tests.oracles_self_tests.float_reference import random_formats, run_float
from tests.oracles_self_tests.small_networks import save


def images_for(model: onnx.ModelProto, rng: np.random.Generator) -> NDArray[np.float64]:
    dimensions = model.graph.input[0].type.tensor_type.shape.dim[1:]
    return rng.normal(size=(3, *(dimension.dim_value for dimension in dimensions)))


@pytest.mark.parametrize("seed", range(120))
def test_both_oracles_agree_on_random_networks(seed: int, tmp_path: Path) -> None:
    model = random_network(seed, PLAIN_BLOCKS)
    path = save(model, tmp_path)
    rng = np.random.default_rng(seed)
    images = images_for(model, rng)
    formats = random_formats(path, images, rng)
    roundings = ROUNDINGS[seed % 5], ROUNDINGS[seed // 5 % 5]
    expected = fake_quant.run(path, formats, images, *roundings, accumulator_bits=48)
    assert_equal(integer_network.run(path, formats, images, *roundings, 48), expected)


def with_integer_constants(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """The same graph with sparse small integers for weights: every map holds integers."""

    def integers(tensor: onnx.TensorProto) -> NDArray[np.float32]:
        real = numpy_helper.to_array(tensor)
        kind = tensor.name.rstrip("0123456789")
        if kind == "weights":
            is_kept = rng.uniform(size=real.shape) < 2 * len(real) / real.size
            return (rng.integers(-2, 3, real.shape) * is_kept).astype(np.float32)
        if kind in ("gamma", "variance"):
            return np.ones(real.shape, np.float32)
        return np.rint(2 * real).astype(np.float32)

    constants = [*model.graph.initializer]
    constants += [node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"]
    for tensor in constants:
        is_shape = tensor.data_type == onnx.TensorProto.INT64
        if not is_shape and tensor.name.rstrip("0123456789") not in ("scales", "roi"):
            tensor.CopyFrom(numpy_helper.from_array(integers(tensor), tensor.name))
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("epsilon", 0.0))
        if node.op_type == "LeakyRelu":
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("alpha", 2.0))
        for attribute in node.attribute:
            if attribute.name == "alpha":
                attribute.f = 2.0
    return model


def averages(model: onnx.ModelProto) -> bool:
    return any(node.op_type in AVERAGES for node in model.graph.node)


@BOTH
@pytest.mark.parametrize(
    "seed", [s for s in range(90) if not averages(random_network(s, PLAIN_BLOCKS))]
)
def test_integer_networks_equal_onnxruntime_in_float(seed: int, run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    model = with_integer_constants(random_network(seed, PLAIN_BLOCKS), rng)
    path = save(model, tmp_path)
    images = np.rint(2 * images_for(model, rng))
    maps = run_float(path, images)
    assert max(abs(real).max() for real in maps.values()) < 2**20, "float32 would not be exact"
    formats = {
        name: {**entry, "bits": 24, "frac_bits": 0, "signed": True}
        for name, entry in random_formats(path, images, rng).items()
    }
    tensors = run(path, formats, images, accumulator_bits=40)
    assert len(tensors) >= 4
    for name, raw in tensors.items():
        np.testing.assert_array_equal(raw, maps[name], err_msg=name)


def test_random_networks_cover_every_operator_and_attribute() -> None:
    models = [random_network(seed) for seed in range(120)]
    counts = Counter(node.op_type for model in models for node in model.graph.node)
    assert set(counts) == {
        "Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "Concat", "MaxPool", "AveragePool",
        "GlobalAveragePool", "Flatten", "Reshape", "Identity", "Dropout", "BatchNormalization",
        "Softmax", "Constant",
    }  # fmt: skip
    assert min(counts.values()) >= 20
    attributes = Counter(
        (node.op_type, attribute.name, str(helper.get_attribute_value(attribute)))
        for model in models
        for node in model.graph.node
        for attribute in node.attribute
    )
    for key in (
        ("Conv", "group", "2"),
        ("Conv", "dilations", "[2, 2]"),
        ("Conv", "auto_pad", "b'SAME_LOWER'"),
        ("Conv", "auto_pad", "b'VALID'"),
        ("Conv", "strides", "[2, 1]"),
        ("Conv", "pads", "[0, 0, 1, 2]"),
        ("MaxPool", "ceil_mode", "1"),
        ("MaxPool", "auto_pad", "b'SAME_UPPER'"),
        ("AveragePool", "count_include_pad", "0"),
        ("AveragePool", "count_include_pad", "1"),
        ("Gemm", "transB", "0"),
        ("Gemm", "alpha", "0.5"),
        ("Concat", "axis", "-3"),
        ("Clip", "max", "6.0"),
    ):
        assert attributes[key] >= 1, key
    parts_of_concats = [
        set(node.input) for model in models for node in model.graph.node if node.op_type == "Concat"
    ]
    assert any("input" in parts for parts in parts_of_concats)
    assert any(part.startswith("concat") for parts in parts_of_concats for part in parts)


def test_the_same_seed_gives_the_same_network() -> None:
    assert random_network(7).SerializeToString() == random_network(7).SerializeToString()
