"""Is an ONNX file that nobody should write refused in one line, or read for what it means?"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from quantizer.errors import InputError
from quantizer.network.layers import Conv, Dense, MaxPool
from quantizer.network.onnx_import import load_onnx
from quantizer.network.onnx_runtime import start_session
from tests.network.onnx_models import model, node, save

RNG = np.random.default_rng(3)
FILTER = RNG.normal(size=(4, 3, 3, 3))
SQUARE = RNG.normal(size=(4, 4, 3, 3))
MATRIX = RNG.normal(size=(6, 6))


def conv(ifm: str, ofm: str, weights: str = "w", name: str = "", **attributes: Any) -> Any:
    return node("Conv", [ifm, weights], ofm, name, **{"pads": [1, 1, 1, 1], **attributes})


def refused(folder: Path, made: ModelProto) -> str:
    with pytest.raises(InputError) as error:
        load_onnx(save(folder, made))
    return str(error.value).replace(f"{folder}/", "")


Case = tuple[Sequence[NodeProto], Mapping[str, Any], Mapping[str, Any], str]
REFUSED: dict[str, Case] = {
    "a name with NUL": (
        [conv("x", "a\0b"), node("Relu", ["a\0b"], "y")], {"w": FILTER}, {},
        "not a valid ONNX model ('a\\x00b' is no text)",
    ),
    "a cycle": (
        [node("Add", ["x", "z"], "a"), node("Relu", ["a"], "z"), conv("z", "y")], {"w": FILTER}, {},
        "node 'z' (Relu): depends on its own output; expected a graph without cycles",
    ),
    "an unknown type": (
        [conv("x", "y")], {"w": FILTER}, {"dtype": 77},
        "input 'x': has type 77; expected float (32 bits)",
    ),
    "no filters": (
        [conv("x", "y")], {"w": np.zeros((0, 3, 3, 3))}, {},
        "feature map 'y': has no values, its shape is [1, 0, 8, 8]; expected one or more",
    ),
    "a matrix of no columns": (
        [node("MatMul", ["x", "m"], "y")], {"m": np.zeros((6, 0))}, {"input_dims": ("N", 6)},
        "feature map 'y': has no values, its shape is [1, 0]; expected one or more",
    ),
    "an input that fills the memory": (
        [conv("x", "y")], {"w": FILTER}, {"input_dims": ("N", 3, 100000, 100000)},
        "its feature maps hold 70,000,000,000 values per image; expected at most 268,435,456",
    ),
    "pads that fill the memory": (
        [conv("x", "y", pads=[1 << 20] * 4)], {"w": FILTER}, {},
        "its feature maps hold 17,592,286,708,048 values per image; expected at most 268,435,456",
    ),
    "a softmax in the middle": (
        [node("Softmax", ["x"], "s", "soft"), conv("s", "y")], {"w": FILTER}, {},
        "node 'soft' (Softmax): cannot be here; it is supported last "
        "(left out: the outputs are logits)",
    ),
    "an addition that is kept apart": (
        [conv("x", "c", name="before"), node("Add", ["c", "k"], "y", "sum")],
        {"w": FILTER, "k": np.ones((2, 4, 8, 8))}, {},
        "node 'sum' (Add): has a constant [2, 4, 8, 8], which differs over the batch; "
        "expected 1 there",
    ),
    "a window beyond its map": (
        [conv("x", "y", name="far", dilations=[1 << 30, 1 << 30])], {"w": FILTER}, {},
        "onnxruntime cannot run this model "
        "(Conv node. Name:'far' Invalid input shape: {8,8})",
    ),
    "padding that is no padding": (
        [node("MaxPool", ["x"], "y", "p", kernel_shape=[3, 3], auto_pad="SAME")], {}, {},
        "onnxruntime cannot load this model (Unknown AutoPadType String)",
    ),
    "an input that is an output": (
        [conv("x", "y")], {"w": FILTER}, {"outputs": ["y", "x"]},
        "output 'x': is the input itself; remove it",
    ),
    "no output": (
        [conv("x", "y")], {"w": FILTER}, {"outputs": []}, "has no outputs; expected one or more",
    ),
    "an input of one dimension": (
        [node("Relu", ["x"], "y")], {}, {"input_dims": (8,)},
        "input 'x': has shape (8); expected (batch, channels, ...)",
    ),
    "a constant of nothing in a batch of four": (
        [node("Constant", [], "k", "none"), node("Add", ["x", "k"], "y")], {},
        {"input_dims": (4, 3, 8, 8)},
        "onnxruntime cannot load this model (Constant node: none has no data attributes)",
    ),
    "a shape of two dimensions in a batch of four": (
        [node("Reshape", ["x", "s"], "y", "flat")], {"s": np.array([[4, 192]])},
        {"input_dims": (4, 3, 8, 8)},
        "onnxruntime cannot run this model (Reshape node. Name:'flat' "
        "shapeTensor->Shape().NumDimensions() == 1 was false. A shape tensor must be a vector "
        "tensor)",
    ),
    "a part without a name": (
        [helper.make_node("Split", ["x"], ["y", ""], "cut", axis=3)], {}, {},
        "node 'cut' (Split): has outputs without a name; expected one for each",
    ),
    "an operand without a name": (
        [node("Max", ["x", ""], "y")], {}, {},
        "node 'y' (Max): has inputs without a name; expected one for each",
    ),
    "a word that is no text": (
        [node("Conv", ["x", "w"], "y", auto_pad=b"SAME\xff")], {"w": FILTER}, {},
        "not a valid ONNX model (b'SAME\\xff' is no text)",
    ),
    "a matrix that alpha makes infinite": (
        [node("Gemm", ["x", "m"], "y", alpha=1e38)], {"m": 1e5 * MATRIX}, {"input_dims": ("N", 6)},
        "constant 'm': holds 36 NaN or infinite values; expected finite",
    ),
    "a divisor without a reciprocal": (
        [node("Div", ["x", "k"], "y")], {"k": np.float32(1e-45)}, {},
        "constant 'k': holds 1 NaN or infinite values; expected finite",
    ),
    "a scale that is infinite": (
        [node("Relu", ["x"], "r"), node("BatchNormalization", ["r", "s", "o", "o", "v"], "y")],
        {"s": np.full(3, 3e38), "o": np.ones(3), "v": np.full(3, 1e-38)}, {},
        "constant 's': holds 3 NaN or infinite values; expected finite",
    ),
    "a bound that is a vector": (
        [node("Clip", ["x", "k"], "y", "held")], {"k": np.ones(3)}, {},
        "onnxruntime cannot run this model (Clip node. Name:'held' min->Shape().IsScalar() was "
        "false. min should be a scalar)",
    ),
    "an operator of others": (
        [helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")], {}, {},
        "node 'y' (Gelu): operator 'Gelu' is not supported here; `accel-sim list operators` "
        "shows those that are",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    nodes, constants, others, problem = REFUSED[case]
    sentence = refused(tmp_path, model(nodes, constants, **others))
    assert sentence.removeprefix("net.onnx: ") == problem
    assert capfd.readouterr() == ("", "")


def test_onnxruntime_prints_nothing_where_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    """Its fallback would, at an error that Python raises: here, of a message that is no text."""
    made = model([node("Resize", ["x", "", "f"], "y", mode=b"\xff")], {"f": np.ones(4)})
    with pytest.raises(ValueError, match="invalid start byte"):
        start_session(made, optimise=False)
    assert capfd.readouterr() == ("", "")


def test_an_attribute_that_a_function_should_give_is_refused(tmp_path: Path) -> None:
    elu = node("Elu", ["x"], "y")
    elu.attribute.add(name="alpha", ref_attr_name="slope", type=AttributeProto.FLOAT)
    assert refused(tmp_path, model([elu], {})) == (
        "net.onnx: node 'y' (Elu): takes attribute 'alpha' from a function around it; "
        "expected a value of its own"
    )


def test_constants_of_one_name_are_refused(tmp_path: Path) -> None:
    made = model([conv("x", "y")], {"w": FILTER})
    made.graph.initializer.append(numpy_helper.from_array(-FILTER.astype(np.float32), "w"))
    assert refused(tmp_path, made) == "net.onnx: constant 'w': is there 2 times; expected one"


@pytest.mark.parametrize("opsets", [[6], [17, 13]])
def test_opsets_that_nothing_runs_are_refused(tmp_path: Path, opsets: list[int]) -> None:
    made = model([conv("x", "y")], {"w": FILTER})
    del made.opset_import[:]
    made.opset_import.extend(helper.make_opsetid("", opset) for opset in opsets)
    found = " and ".join(map(str, sorted(opsets)))
    newest = onnx.defs.onnx_opset_version()
    assert refused(tmp_path, made) == (
        f"net.onnx: has opset {found}; expected one from 7 to {newest}"
    )


@pytest.mark.parametrize(("dtype", "problem"), [
    (TensorProto.INT64, "Initializer 's': raw_data size (4 bytes) does not match"),
    (77, "Tensor 's' does not have valid data type"),
])  # fmt: skip
def test_a_malformed_shape_in_a_batch_of_four_is_refused(
    tmp_path: Path, dtype: int, problem: str
) -> None:
    made = model([node("Reshape", ["x", "s"], "y")], {}, input_dims=(4, 3, 8, 8))
    made.graph.initializer.append(
        TensorProto(name="s", dims=[2], data_type=dtype, raw_data=b"four")
    )
    sentence = refused(tmp_path, made)
    assert sentence.startswith("net.onnx: onnxruntime cannot load this model (")
    assert problem in sentence


def test_a_window_of_much_padding_costs_no_memory(tmp_path: Path) -> None:
    wide = 1 << 40
    pool = node("MaxPool", ["x"], "y", kernel_shape=[wide, 3], pads=[wide - 1, 0, 0, 0])
    (layer,) = load_onnx(save(tmp_path, model([pool], {}))).layers
    assert isinstance(layer, MaxPool)
    assert layer.kernel == (wide, 3)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, model([conv("x", "qqqq"), node("Relu", ["qqqq"], "y")], {"w": FILTER}))
    path.write_bytes(path.read_bytes().replace(b"qqqq", b"q\xffqq"))
    with pytest.raises(InputError) as error:
        load_onnx(path)
    assert str(error.value) == f"{path}: not a valid ONNX model (b'q\\xffqq' is no text)"


def test_a_stride_beyond_the_input_costs_no_memory(tmp_path: Path) -> None:
    made = model([conv("x", "y", strides=[1 << 40, 2])], {"w": FILTER})
    (layer,) = load_onnx(save(tmp_path, made)).layers
    assert isinstance(layer, Conv)
    assert layer.stride == (10, 2)


def test_layers_have_names_of_their_own(tmp_path: Path) -> None:
    nodes = [
        conv("x", "t"),
        conv("t", "u", "s", "t"),
        conv("u", "v", "s", "u"),
        conv("v", "y", "s"),
    ]
    network = load_onnx(save(tmp_path, model(nodes, {"w": FILTER, "s": SQUARE})))
    assert [layer.name for layer in network.layers] == ["t", "u", "v", "y"]


def test_a_constant_that_is_used_in_two_forms_hides_no_other(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", ["x", "m"], "a", "first"),
        node("Gemm", ["a", "n.m"], "b", "second"),
        node("Gemm", ["b", "m"], "y", "n", transB=1),
    ]
    constants = {"m": MATRIX, "n.m": 2 * MATRIX}
    network = load_onnx(save(tmp_path, model(nodes, constants, input_dims=("N", 6))))
    used = []
    for layer in network.layers:
        assert isinstance(layer, Dense)
        used.append(network.constants[layer.weights])
    for found, expected in zip(used, (MATRIX.T, 2 * MATRIX.T, MATRIX), strict=True):
        np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_a_bias_from_a_computed_constant_is_called_after_its_layer(tmp_path: Path) -> None:
    nodes = [
        conv("x", "c", name="first"),
        node("Transpose", ["k"], "turned", perm=[2, 0, 1]),
        node("Add", ["c", "turned"], "y"),
    ]
    constants = {"w": FILTER, "k": np.arange(4.0).reshape(1, 1, 4)}
    network = load_onnx(save(tmp_path, model(nodes, constants)))
    (layer,) = network.layers
    assert isinstance(layer, Conv)
    assert layer.bias == "first.bias"
    assert network.constants["first.bias"].tolist() == [0, 1, 2, 3]


def test_no_model_is_reported_to_anybody(tmp_path: Path) -> None:
    path = save(tmp_path, model([conv("x", "y")], {"w": FILTER}))
    script = f"from quantizer.network.onnx_import import load_onnx; load_onnx({str(path)!r})"
    home = tmp_path / "home"
    home.mkdir()
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env={"HOME": str(home), "XDG_CACHE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (finished.stdout, finished.stderr) == ("", "")
    # onnxruntime's telemetry would keep an identifier and a queue of events here.
    assert [found for found in home.rglob("*") if "onnxruntime" in found.name] == []
