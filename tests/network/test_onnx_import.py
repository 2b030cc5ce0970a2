"""Does a network mean after the import what it meant in its file?

Every form of an operator is held against onnxruntime on the untouched file; names are the
user's; what is not supported is refused in one line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clamp,
    Clip,
    Concat,
    Conv,
    Dense,
    MaxPool,
    Reshape,
)
from quantizer.network.onnx_import import load_onnx
from tests.network.onnx_models import assert_equals_onnxruntime, model, node, save
from tests.oracles.networks import random_network
from tests.seeds import seeds

RNG = np.random.default_rng(1)
FILTER = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)


def load(
    folder: Path, nodes: Sequence[NodeProto], constants: Mapping[str, Any], **kw: Any
) -> Network:
    return load_onnx(save(folder, model(nodes, constants, **kw)))


CONSTANTS: dict[str, Any] = {
    "w": FILTER,
    "b": BIAS,
    "grouped": RNG.normal(size=(6, 1, 3, 3)),
    "matrix": RNG.normal(size=(192, 5)),
    "turned": RNG.normal(size=(5, 192)),
    "five": RNG.normal(size=5),
    "one": np.float32(0.5),
    "low": np.float32(-0.5),
    "high": np.float32(0.75),
    "plane": RNG.normal(size=(3, 8, 8)),
    "channel": RNG.normal(size=(3, 1, 1)),
    "flat": np.array([0, -1]),
    "bn_scale": RNG.uniform(0.5, 2, 4),
    "bn_shift": RNG.normal(size=4),
    "bn_mean": RNG.normal(size=4),
    "bn_var": RNG.uniform(0.5, 2, 4),
}
FLATTEN = node("Flatten", ["x"], "f")
CASES = {
    "conv": [node("Conv", ["x", "w", "b"], "y")],
    "conv without bias": [node("Conv", ["x", "w"], "y")],
    "conv, strided, asymmetric pads": [
        node("Conv", ["x", "w", "b"], "y", strides=[2, 1], pads=[0, 1, 2, 0])
    ],
    "conv, dilated": [node("Conv", ["x", "w"], "y", dilations=[2, 3], pads=[1, 1, 1, 1])],
    "conv, grouped": [node("Conv", ["x", "grouped"], "y", group=3)],
    "conv, same upper": [node("Conv", ["x", "w"], "y", auto_pad="SAME_UPPER", strides=[2, 2])],
    "conv, same lower": [node("Conv", ["x", "w"], "y", auto_pad="SAME_LOWER", strides=[2, 2])],
    "conv, valid": [node("Conv", ["x", "w"], "y", auto_pad="VALID")],
    "conv and relu": [node("Conv", ["x", "w", "b"], "c"), node("Relu", ["c"], "y")],
    "conv and clip": [
        node("Conv", ["x", "w", "b"], "c"),
        node("Clip", ["c", "low", "high"], "y"),
    ],
    "conv and batch-norm and relu": [
        node("Conv", ["x", "w", "b"], "c"),
        node("BatchNormalization", ["c", "bn_scale", "bn_shift", "bn_mean", "bn_var"], "n"),
        node("Relu", ["n"], "y"),
    ],
    "relu read twice": [
        node("Conv", ["x", "w"], "c"),
        node("Relu", ["c"], "r"),
        node("Add", ["c", "r"], "y"),
    ],
    "gemm": [FLATTEN, node("Gemm", ["f", "matrix", "five"], "y", alpha=0.5, beta=2.0)],
    "gemm, turned, scalar bias": [FLATTEN, node("Gemm", ["f", "turned", "one"], "y", transB=1)],
    "gemm without bias": [FLATTEN, node("Gemm", ["f", "turned"], "y", transB=1)],
    "matmul and add": [
        FLATTEN,
        node("MatMul", ["f", "matrix"], "m"),
        node("Add", ["m", "five"], "y"),
    ],
    "matmul over rows": [node("MatMul", ["x", "eight"], "y")],
    "add": [node("Relu", ["x"], "r"), node("Add", ["x", "r"], "y")],
    "add to itself": [node("Add", ["x", "x"], "y")],
    "add a plane": [node("Add", ["plane", "x"], "y")],
    "add per channel": [node("Add", ["x", "channel"], "y")],
    "max pool": [
        node("MaxPool", ["x"], "y", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 1])
    ],
    "max pool, same": [
        node("MaxPool", ["x"], "y", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    ],
    "average pool": [node("AveragePool", ["x"], "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
    "average pool, padding counted": [
        node("AveragePool", ["x"], "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    ],
    "global average pool": [node("GlobalAveragePool", ["x"], "y")],
    "concat": [
        node("Relu", ["x"], "r"),
        node("Concat", ["x", "r", "x"], "y", axis=1),
    ],
    "concat, axis from behind": [
        node("Relu", ["x"], "r"),
        node("Concat", ["r", "x"], "y", axis=-3),
    ],
    "reshape": [node("Reshape", ["x", "flat"], "r"), node("Relu", ["r"], "y")],
    "identity and dropout": [
        node("Identity", ["x"], "i"),
        node("Relu", ["i"], "r"),
        node("Dropout", ["r"], "y"),
    ],
    "softmax": [
        FLATTEN,
        node("Gemm", ["f", "matrix", "five"], "g"),
        node("Softmax", ["g"], "y", axis=-1),
    ],
    "softmax and a reshape": [
        FLATTEN,
        node("Gemm", ["f", "matrix", "five"], "g"),
        node("Softmax", ["g"], "s", axis=-1),
        node("Identity", ["s"], "y"),
    ],
}
CONSTANTS["eight"] = RNG.normal(size=(8, 5))


@pytest.mark.parametrize("case", CASES)
def test_an_imported_network_equals_onnxruntime_on_the_untouched_file(
    tmp_path: Path, case: str
) -> None:
    nodes = CASES[case]
    used = {name for one in nodes for name in one.input}
    constants = {name: value for name, value in CONSTANTS.items() if name in used}
    path = save(tmp_path, model(nodes, constants))
    assert_equals_onnxruntime(path, load_onnx(path))


@pytest.mark.parametrize("seed", seeds(40, 160))
def test_a_random_network_equals_onnxruntime(tmp_path: Path, seed: int) -> None:
    path = save(tmp_path, random_network(seed))
    assert_equals_onnxruntime(path, load_onnx(path))


@pytest.mark.parametrize(
    "name", ["resnet8_cifar10", "cmsis_q7_cifar10", "squeezenet1_1", "ad01_autoencoder"]
)
def test_a_real_network_equals_onnxruntime(reference_data: Path, name: str) -> None:
    path = reference_data / "networks" / f"{name}.onnx"
    assert_equals_onnxruntime(path, load_onnx(path))


def test_folded_names_are_the_users(tmp_path: Path) -> None:
    network = load(
        tmp_path,
        [
            node("Conv", ["x", "w", "b"], "c", name="first", pads=[1, 1, 1, 1]),
            node("BatchNormalization", ["c", "bn_scale", "bn_shift", "bn_mean", "bn_var"], "n"),
            node("Relu", ["n"], "r", name="relu"),
            node("MaxPool", ["r"], "y", kernel_shape=[2, 2], strides=[2, 2]),
        ],
        {name: CONSTANTS[name] for name in CONSTANTS if name.startswith("bn_") or name in "wb"},
    )
    conv, pool = network.layers
    assert isinstance(conv, Conv)
    assert (conv.name, conv.weights, conv.bias, conv.ofm) == ("first", "w", "b", "r")
    assert conv.clamp == Clamp(low=0.0, high=np.inf)
    assert pool == MaxPool(
        name="y",
        ifm="r",
        ofm="y",
        kernel=(2, 2),
        stride=(2, 2),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
    )
    scale = CONSTANTS["bn_scale"] / np.sqrt(CONSTANTS["bn_var"] + 1e-5)
    np.testing.assert_allclose(
        network.constants["w"], FILTER * scale[:, None, None, None], rtol=1e-5
    )


def test_a_bias_that_only_folding_made_is_called_after_the_normalization(tmp_path: Path) -> None:
    network = load(
        tmp_path,
        [
            node("Conv", ["x", "w"], "c"),
            node("BatchNormalization", ["c", "bn_scale", "bn_shift", "bn_mean", "bn_var"], "y"),
        ],
        {name: CONSTANTS[name] for name in CONSTANTS if name.startswith("bn_") or name == "w"},
    )
    (conv,) = network.layers
    assert isinstance(conv, Conv)
    assert conv.bias == "bn_shift"


def test_a_bias_that_a_merged_addition_made_is_called_after_its_constant(tmp_path: Path) -> None:
    network = load(
        tmp_path,
        [node("Conv", ["x", "w"], "c"), node("Add", ["c", "shift"], "y")],
        {"w": FILTER, "shift": BIAS.reshape(4, 1, 1)},
    )
    (conv,) = network.layers
    assert isinstance(conv, Conv)
    assert (conv.bias, conv.ofm) == ("shift", "y")
    np.testing.assert_array_equal(network.constants["shift"], BIAS)


def test_every_kind_of_layer_is_told(tmp_path: Path) -> None:
    network = load(
        tmp_path,
        [
            node("Conv", ["x", "w", "b"], "c", pads=[1, 1, 1, 1]),
            node("Add", ["c", "c"], "a"),
            node("Clip", ["a", "low", "high"], "k"),
            node("Concat", ["c", "k"], "j", axis=1),
            node("Relu", ["j"], "r"),
            node("AveragePool", ["r"], "p", kernel_shape=[2, 2]),
            node("Flatten", ["p"], "f"),
            node("MatMul", ["f", "big"], "y"),
        ],
        {
            "w": FILTER,
            "b": BIAS,
            "low": np.float32(-1),
            "high": np.float32(6),
            "big": np.ones((392, 2)),
        },
    )
    assert [type(layer) for layer in network.layers] == [
        Conv, Add, Concat, Clip, AveragePool, Reshape, Dense,
    ]  # fmt: skip
    assert network.shapes["f"] == (392,)
    assert network.macs == 4 * 64 * 27 + 392 * 2
    assert network.parameters == FILTER.size + 4 + 784


def test_a_dead_branch_and_a_batch_that_is_fixed_do_not_matter(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], "y"), node("Relu", ["y"], "nobody")]
    network = load(tmp_path, nodes, {"w": FILTER}, input_dims=(1, 3, 8, 8))
    assert [layer.ofm for layer in network.layers] == ["y"]


def refused(
    folder: Path, nodes: Sequence[NodeProto], constants: Mapping[str, Any], **kw: Any
) -> str:
    with pytest.raises(InputError) as error:
        load(folder, nodes, constants, **kw)
    return str(error.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        (
            [node("Add", ["x", "x"], "z"), node("Flatten", ["z"], "y", "f", axis=0)],
            "net.onnx: node 'f' (Flatten): moves values between the batch and other dimensions; "
            "expected it left alone",
        ),
        (
            [FLATTEN, node("Gemm", ["f", "f"], "y", "g", transB=1)],
            "net.onnx: node 'g' (Gemm): the matrix 'f' is not a constant; expected one",
        ),
        (
            [node("Softmax", ["x"], "y")],
            "net.onnx: no supported operator lies between its input and its output",
        ),
    ],
)
def test_what_is_not_supported_is_refused_in_one_line(
    tmp_path: Path, nodes: Sequence[NodeProto], sentence: str
) -> None:
    assert refused(tmp_path, nodes, {}) == sentence


def test_clip_bounds_the_wrong_way_round_are_refused(tmp_path: Path) -> None:
    constants = {"low": np.float32(2), "high": np.float32(1), "w": FILTER}
    nodes = [node("Conv", ["x", "w"], "c"), node("Clip", ["c", "low", "high"], "y", "k")]
    assert refused(tmp_path, nodes, constants) == (
        "net.onnx: node 'k' (Clip): has bounds 2 to 1; expected min <= max"
    )


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = FILTER.copy()
    broken[0, 0, 0, :2] = np.nan, np.inf
    assert refused(tmp_path, [node("Conv", ["x", "w"], "y")], {"w": broken}) == (
        "net.onnx: constant 'w': holds 2 NaN or infinite values; expected finite"
    )


def test_open_dimensions_ask_for_an_input_shape(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], "y")]
    dims = ("N", 3, "height", "width")
    assert refused(tmp_path, nodes, {"w": FILTER}, input_dims=dims) == (
        "net.onnx: input 'x': has open dimensions (N, 3, height, width); give its shape without "
        "the batch, such as --input-shape 3,224,224"
    )
    path = save(tmp_path, model(nodes, {"w": FILTER}, input_dims=dims))
    assert load_onnx(path, (3, 10, 12)).shapes["y"] == (4, 8, 10)
    for shape, problem in (
        ((3, 10), "has 2 numbers; input 'x' has 3 dimensions besides the batch"),
        ((4, 9, 9), "4x9x9 contradicts the file, which fixes input 'x' to (N, 3, height, width)"),
    ):
        with pytest.raises(InputError) as error:
            load_onnx(path, shape)
        assert str(error.value) == f"--input-shape: {problem}"


def test_other_types_and_numbers_of_inputs_are_refused(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], "y")]
    assert refused(tmp_path, nodes, {}, dtype=TensorProto.DOUBLE) == (
        "net.onnx: input 'x': has type double; expected float (32 bits)"
    )
    made = model([node("Add", ["x", "z"], "y")], {})
    made.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ("N", 3, 8, 8)))
    with pytest.raises(InputError) as error:
        load_onnx(save(tmp_path, made))
    assert str(error.value).endswith("has 2 inputs ('x', 'z'); expected exactly one")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.onnx"
    with pytest.raises(InputError) as error:
        load_onnx(missing)
    assert str(error.value) == (
        f"{missing}: cannot be read (No such file or directory); expected an .onnx file"
    )
    for content in (b"", b"not a model", onnx.ModelProto().SerializeToString()):
        path = tmp_path / "broken.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            load_onnx(path)
        assert str(error.value).startswith(f"{path}: not a valid ONNX model (")
        assert "\n" not in str(error.value)
