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
from tests.oracles.moves import MOVES
from tests.oracles.network_blocks import PLAIN_BLOCKS
from tests.oracles.network_builder import NEWEST_OPSET
from tests.oracles.networks import OLDEST_OPSET, random_network
from tests.oracles.onnx_graph import ACTIVATIONS, ARITHMETIC, AVERAGES
from tests.oracles_self_tests.both_networks import BOTH, Run, assert_equal
from tests.oracles_self_tests.float_reference import WIDE, random_formats, run_float
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


def constants_of(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Initializers and what Constant nodes hold; their names are a kind and a number."""
    nodes = [node for node in model.graph.node if node.op_type == "Constant"]
    return [*model.graph.initializer, *(node.attribute[0].t for node in nodes)]


def kind_of(constant: onnx.TensorProto) -> str:
    return constant.name.rstrip("0123456789")


def with_integer_constants(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """The same graph with sparse small integers for weights: every map holds integers."""

    def integers(tensor: onnx.TensorProto) -> NDArray[np.float32]:
        real = numpy_helper.to_array(tensor)
        kind = kind_of(tensor)
        if kind == "weights":
            is_kept = rng.uniform(size=real.shape) < 2 * len(real) / real.size
            return (rng.integers(-2, 3, real.shape) * is_kept).astype(np.float32)
        if kind in ("gamma", "variance"):
            return np.ones(real.shape, np.float32)
        if kind == "divisor":
            return np.where(real < 1.5, -1, 0.5).astype(np.float32)
        return np.rint(2 * real).astype(np.float32)

    for tensor in constants_of(model):
        is_shape = tensor.data_type == onnx.TensorProto.INT64
        if not is_shape and kind_of(tensor) not in ("scales", "roi"):
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


# All that opset 11 and later ones have.
EVERY_OPERATOR = {
    *ARITHMETIC, *ACTIVATIONS, *MOVES, "MaxPool", "GlobalMaxPool", "ReduceMax", "Concat", "Pad",
    "Dropout", "Softmax", "LogSoftmax", "Constant", "Max", "Min", "Div",
} - {"Upsample"}  # fmt: skip


def test_random_networks_run_in_onnxruntime_and_cover_every_operator(tmp_path: Path) -> None:
    """200 seeds: each is a legal file, no map explodes, and hardly one is all zeros."""
    counts: Counter[str] = Counter()
    opsets = set()
    attributes: Counter[tuple[str, str, str]] = Counter()
    n_maps = n_dead = n_unnamed = n_lines = n_several_outputs = n_cropped = 0
    slope_ranks = set()
    for seed in range(200):
        model = random_network(seed)
        images = images_for(model, np.random.default_rng(seed))
        for real in run_float(save(model, tmp_path), images).values():
            root_mean_square = float(np.sqrt((real.astype(np.float64) ** 2).mean()))
            assert np.isfinite(root_mean_square)
            assert root_mean_square < 1e3
            n_maps += 1
            n_dead += root_mean_square < 1e-3
        counts.update(node.op_type for node in model.graph.node)
        opsets.add(model.opset_import[0].version)
        attributes.update(
            (node.op_type, attribute.name, str(helper.get_attribute_value(attribute)))
            for node in model.graph.node
            for attribute in node.attribute
            if node.op_type != "Constant"
        )
        for constant in constants_of(model):
            if kind_of(constant) == "pads":
                n_cropped += bool((numpy_helper.to_array(constant) < 0).any())
            elif kind_of(constant) == "slopes":
                slope_ranks.add(len(constant.dims))
        n_unnamed += not any(node.name for node in model.graph.node)
        n_lines += images.ndim == 3
        n_several_outputs += len(model.graph.output) > 1
    assert set(counts) == EVERY_OPERATOR
    assert min(counts.values()) >= 3
    assert opsets == set(range(OLDEST_OPSET, NEWEST_OPSET + 1))
    assert n_dead < n_maps / 50
    assert min(n_unnamed, n_lines, n_several_outputs, n_cropped) >= 10
    assert slope_ranks == {0, 1, 2, 3}
    for key in (
        ("Conv", "group", "2"),
        ("Conv", "dilations", "[2, 2]"),
        ("Conv", "auto_pad", "b'SAME_LOWER'"),
        ("Conv", "auto_pad", "b'VALID'"),
        ("Conv", "strides", "[2, 1]"),
        ("Conv", "pads", "[0, 0, 1, 2]"),
        ("ConvTranspose", "group", "2"),
        ("ConvTranspose", "auto_pad", "b'SAME_UPPER'"),
        ("ConvTranspose", "auto_pad", "b'SAME_LOWER'"),
        ("ConvTranspose", "output_padding", "[1, 0]"),
        ("MaxPool", "ceil_mode", "1"),
        ("MaxPool", "dilations", "[2, 2]"),
        ("MaxPool", "auto_pad", "b'SAME_UPPER'"),
        ("AveragePool", "count_include_pad", "0"),
        ("AveragePool", "count_include_pad", "1"),
        ("ReduceMean", "keepdims", "0"),
        ("Gemm", "transB", "0"),
        ("Gemm", "alpha", "0.5"),
        ("Concat", "axis", "2"),
        ("DepthToSpace", "mode", "b'CRD'"),
        ("Gelu", "approximate", "b'tanh'"),
        ("Split", "num_outputs", "2"),
    ):
        assert attributes[key] >= 1, key


def is_steep(model: onnx.ModelProto) -> bool:
    """Whether a function magnifies small errors without limit, at a threshold or near 0."""
    return any(node.op_type in ("ThresholdedRelu", "Sqrt") for node in model.graph.node)


@pytest.mark.parametrize("seed", [s for s in range(80) if not is_steep(random_network(s))])
def test_with_sixteen_bits_every_map_is_near_that_of_onnxruntime(seed: int, tmp_path: Path) -> None:
    model = random_network(seed)
    path = save(model, tmp_path)
    rng = np.random.default_rng(seed)
    images = images_for(model, rng)
    maps = run_float(path, images)
    formats = random_formats(path, images, rng, WIDE)
    got = integer_network.interpret(path, formats, images, accumulator_bits=48)
    assert len(got.tensors) > 3
    for name, raw in got.tensors.items():
        real = np.ldexp(raw.astype(np.float64), -got.formats[name].frac_bits)
        largest = max(1.0, float(abs(maps[name]).max()))
        assert abs(real - maps[name]).max() < 0.01 * largest, name


def test_the_same_seed_gives_the_same_network() -> None:
    assert random_network(7).SerializeToString() == random_network(7).SerializeToString()
