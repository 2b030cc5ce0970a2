"""Is a node that is not supported refused in one line that names it?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from quantizer.errors import InputError
from quantizer.network.onnx_import import load_onnx
from quantizer.network.onnx_nodes import read_node
from quantizer.network.onnx_reader import NodeReader
from quantizer.network.original_names import OriginalNames
from tests.network.onnx_models import model, node, save

Case = tuple[Sequence[NodeProto], Mapping[str, Any], Mapping[str, Any], str]
BAD = "bad"


def bad(op: str, *inputs: str, **attributes: Any) -> list[NodeProto]:
    return [node(op, ["x", *inputs], "y", BAD, **attributes)]


def resize(**attributes: Any) -> list[NodeProto]:
    return bad("Resize", "", "f", **attributes)


BATCH = "expected the batch of 1 first, then channels"
MOVED = "moves values between the batch and other dimensions; expected it left alone"
REFUSED: dict[str, Case] = {
    "an operator that nobody reads": (
        bad("Sin"), {}, {},
        "operator 'Sin' is not supported here; `accel-sim list operators` shows those that are",
    ),
    "an operator that others define": (
        [node("Relu", ["x"], "r"),
         node("GroupNormalization", ["r", "s", "s"], "y", BAD, num_groups=1)],
        {"s": np.ones(3)}, {"opset": 21},
        "operator 'GroupNormalization' is not supported here; `accel-sim list operators` "
        "shows those that are",
    ),
    "an operator that is younger": (
        bad("Gelu"), {}, {}, "operator 'Gelu' is not one of opset 17 of the standard",
    ),
    "an operator that is gone": (
        bad("Upsample", "f"), {"f": np.ones(4)}, {},
        "operator 'Upsample' is not one of opset 17 of the standard",
    ),
    "an operator that never was": (
        bad("Frobnicate"), {}, {}, "operator 'Frobnicate' is not one of opset 17 of the standard",
    ),
    "an input that is nowhere": (
        bad("Add", "z"), {}, {}, "reads 'z', which nothing writes",
    ),
    "a tensor that is there already": (
        [node("Relu", ["x"], "y"), *bad("Tanh")], {}, {}, "writes 'y', which is there already",
    ),
    "a conv in space": (
        bad("Conv", "w"), {"w": np.ones((2, 3, 1, 1, 1))}, {"input_dims": ("N", 3, 4, 4, 4)},
        "has a 5-dimensional input; expected 4 dimensions (batch, C, H, W), or 3 (batch, C, W)",
    ),
    "a pool of vectors": (
        bad("GlobalAveragePool"), {}, {"input_dims": ("N", 3, 4, 4, 4)},
        "has a 5-dimensional input; expected 4 dimensions (batch, C, H, W), or 3 (batch, C, W)",
    ),
    "filters that are computed": (
        [node("Relu", ["x"], "w"), *bad("Conv", "w")], {}, {"input_dims": (1, 1, 4, 4)},
        "the filter 'w' is not a constant; expected one",
    ),
    "a window of padding": (
        bad("MaxPool", kernel_shape=[2, 2], dilations=[9, 1], pads=[1, 0, 1, 0]), {}, {},
        "has windows that hold padding alone; expected a position of the map in each",
    ),
    "a mean over channels": (
        bad("ReduceMean", axes=[1]), {}, {},
        "reduces axes [1]; expected axes of space alone, from 2 on",
    ),
    "a mean over everything": (
        bad("ReduceMean"), {}, {},
        "reduces axes [0, 1, 2, 3]; expected axes of space alone, from 2 on",
    ),
    "a mean over an axis twice": (
        bad("ReduceMean", axes=[2, -2]), {}, {},
        "has axes [2, -2]; expected different ones from -4 to 3",
    ),
    "maps of different ranks": (
        [node("Flatten", ["x"], "f"), node("Add", ["x", "f"], "y", BAD)], {},
        {"input_dims": ("N", 4, 1, 1)},
        "broadcasts a map [1, 4] to [1, 4, 1, 4]; expected as many axes in both",
    ),
    "a constant for each of a batch": (
        bad("Add", "k"), {"k": np.ones((2, 3, 8, 8))}, {},
        "has a constant [2, 3, 8, 8], which differs over the batch; expected 1 there",
    ),
    "a map as divisor": (
        [node("Relu", ["x"], "r"), *bad("Div", "r")], {}, {},
        "the divisor 'r' is not a constant; expected one",
    ),
    "a constant over a map": (
        [node("Div", ["k", "x"], "y", BAD)], {"k": np.ones(1)}, {},
        "input 'k' is a constant; expected a feature map",
    ),
    "zero as divisor": (
        bad("Div", "k"), {"k": np.array([[[1.0]], [[0.0]], [[2.0]]])}, {},
        "divides by zero; expected a divisor that is not",
    ),
    "the larger of two maps": (
        [node("Tanh", ["x"], "r"), *bad("Max", "r")], {}, {},
        "compares maps; expected one map and one number",
    ),
    "infinite alpha": (
        bad("Elu", alpha=float("inf")), {}, {},
        "has a parameter that is not finite; expected a number",
    ),
    "alpha zero as divisor": (
        bad("Celu", alpha=0.0), {}, {}, "has alpha 0, by which it divides; expected another",
    ),
    "a variance below zero": (
        bad("BatchNormalization", "s", "s", "s", "v"), {"s": np.ones(3), "v": -np.ones(3)}, {},
        "has a variance that is not positive; expected one that is",
    ),
    "a join of images": (
        bad("Concat", "x", axis=0), {}, {}, "joins along the batch; expected another axis",
    ),
    "a turned batch": (
        bad("Transpose", perm=[1, 0, 2, 3]), {}, {},
        "moves the batch, its perm is [1, 0, 2, 3]; expected it to start with 0",
    ),
    "the batch squeezed": (bad("Squeeze"), {}, {"input_dims": (1, 3, 8, 1)}, MOVED),
    "the batch unsqueezed": (bad("Unsqueeze", "a"), {"a": np.array([0])}, {}, MOVED),
    "rows as images": (bad("Reshape", "s"), {"s": np.array([-1, 8])}, {}, MOVED),
    "a part of the batch": (
        bad("Slice", "s", "e"), {"s": np.array([-1]), "e": np.array([9])}, {"input_dims": (4, 3)},
        "takes a part of the batch; expected the whole",
    ),
    "the batch split": (
        [helper.make_node("Split", ["x"], ["y"], BAD, axis=0)], {}, {},
        "splits the batch; expected another axis",
    ),
    "pads of images": (
        bad("Pad", "p"), {"p": np.array([0, 0, 0, 0, 1, 0, 0, 0])}, {},
        "pads the batch; expected other axes",
    ),
    "pads of what is next to them": (
        bad("Pad", "p", mode="edge"), {"p": np.array([0, 0, 1, 0, 0, 0, 0, 0])}, {},
        "has mode 'edge'; expected 'constant'",
    ),
    "pads of NaN": (
        bad("Pad", "p", "v"), {"p": np.array([0, 0, 1, 0, 0, 0, 0, 0]), "v": np.float32("nan")},
        {}, "pads with NaN; expected a number",
    ),
    "a resize in between": (
        resize(mode="linear"), {"f": np.array([1, 1, 2.0, 2])}, {},
        "has mode 'linear'; expected 'nearest'",
    ),
    "a resize by a fraction": (
        resize(mode="nearest"), {"f": np.array([1, 1, 1.5, 2])}, {},
        "makes [1, 3, 12, 16] of [1, 3, 8, 8] in another way than by repeating every value; "
        "expected integer factors, and coordinates and rounding that repeat",
    ),
    "a resize that takes the corners apart": (
        resize(mode="nearest", coordinate_transformation_mode="align_corners"),
        {"f": np.array([1, 1, 3.0, 1])}, {},
        "makes [1, 3, 24, 8] of [1, 3, 8, 8] in another way than by repeating every value; "
        "expected integer factors, and coordinates and rounding that repeat",
    ),
    "training": (
        [helper.make_node("BatchNormalization", ["x", *"ssss"], ["y", "m", "v"], BAD,
                          training_mode=1)],
        {"s": np.ones(3)}, {},
        "is in training mode; export the network for inference",
    ),
    "a softmax in the middle": (
        [node("Softmax", ["x"], "s", BAD), node("Relu", ["s"], "y")], {}, {},
        "cannot be here; it is supported last (left out: the outputs are logits)",
    ),
}  # fmt: skip


def refused(folder: Path, made: ModelProto) -> str:
    with pytest.raises(InputError) as error:
        load_onnx(save(folder, made))
    return str(error.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("name", REFUSED)
def test_a_node_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    nodes, constants, others, problem = REFUSED[name]
    (op,) = {one.op_type for one in nodes if one.name == BAD}
    sentence = refused(tmp_path, model(nodes, constants, **others))
    assert sentence == f"net.onnx: node 'bad' ({op}): {problem}"


def test_a_branch_at_run_time_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("t", TensorProto.FLOAT, None)
    branch = helper.make_graph([node("Relu", ["x"], "t")], "branch", [], [value])
    nodes = [
        node("ReduceSum", ["x"], "sum", keepdims=0),
        node("Cast", ["sum"], "condition", to=TensorProto.BOOL),
        node("If", ["condition"], "y", BAD, then_branch=branch, else_branch=branch),
    ]
    assert refused(tmp_path, model(nodes, {})).startswith("net.onnx: node 'sum' (ReduceSum): ")


def test_text_is_refused(tmp_path: Path) -> None:
    made = model(bad("Add", "k"), {})
    made.graph.initializer.append(numpy_helper.from_array(np.array(["a", "b"]), "k"))
    assert refused(tmp_path, made) == (
        "net.onnx: onnxruntime cannot load this model (This is an invalid model. Type Error: "
        "Type 'tensor(string)' of input parameter (k) of operator (Add) in node (bad) is invalid)"
    )


def test_a_branch_that_is_decided_is_read(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("t", TensorProto.FLOAT, None)
    yes = helper.make_graph([node("Relu", ["a"], "t")], "yes", [], [value])
    no = helper.make_graph([node("Tanh", ["a"], "t")], "no", [], [value])
    nodes = [
        node("Sigmoid", ["x"], "a"),
        node("If", ["condition"], "y", then_branch=yes, else_branch=no),
    ]
    made = model(nodes, {})
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "condition"))
    network = load_onnx(save(tmp_path, made))
    assert [layer.op for layer in network.layers] == ["Lookup"]


def test_a_sequence_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("SplitToSequence", ["x"], "s", BAD, axis=1),
        node("ConcatFromSequence", ["s"], "y", axis=1),
    ]
    assert refused(tmp_path, model(nodes, {})) == (
        "net.onnx: node 'bad' (SplitToSequence): operator 'SplitToSequence' is not supported "
        "here; `accel-sim list operators` shows those that are"
    )


def test_an_input_that_is_a_sequence_is_refused(tmp_path: Path) -> None:
    made = model([node("SequenceAt", ["x", "i"], "y")], {"i": np.array(0)})
    made.graph.input[0].CopyFrom(
        helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    )
    assert refused(tmp_path, made) == (
        "net.onnx: input 'x': is of sequence_type; expected a tensor of float (32 bits)"
    )


def test_an_output_that_nothing_writes_is_refused(tmp_path: Path) -> None:
    made = model([node("Relu", ["x"], "y")], {}, output="z")
    assert refused(tmp_path, made) == "net.onnx: output 'z': is written by no node; remove it"


def test_an_output_that_is_constant_is_refused(tmp_path: Path) -> None:
    made = model(
        [node("Relu", ["x"], "y"), node("Relu", ["k"], "z")], {"k": np.ones(3)}, outputs=["y", "z"]
    )
    assert refused(tmp_path, made) == (
        "net.onnx: output 'z': does not depend on the input; remove it"
    )


def test_an_opset_of_the_future_is_refused(tmp_path: Path) -> None:
    made = model([node("Relu", ["x"], "y")], {}, opset=999)
    assert refused(tmp_path, made).startswith("net.onnx: has opset 999; expected one from 7 to ")


def test_positions_of_maxima_are_refused(tmp_path: Path) -> None:
    pool = helper.make_node("MaxPool", ["x"], ["y", "z"], "bad", kernel_shape=[2, 2])
    made = model([pool], {}, outputs=["y", "z"])
    made.graph.output[1].type.tensor_type.elem_type = TensorProto.INT64
    assert refused(tmp_path, made) == (
        "net.onnx: node 'bad' (MaxPool): gives the positions of the maxima; "
        "expected the maxima alone"
    )


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool"])
def test_negative_pads_are_refused(op: str) -> None:
    # The newest onnxruntime refuses such a file itself; others need not.
    (one,) = bad(op, "w", pads=[0, -1, 0, 0], kernel_shape=[1, 1])
    made = model([one], {"w": np.ones((3, 3, 1, 1))})
    reader = NodeReader(
        path=Path("net.onnx"),
        constants={"w": np.ones((3, 3, 1, 1))},
        shapes={"x": (1, 3, 8, 8), "y": (1, 3, 8, 7)},
        readers={},
        outputs=["y"],
        stored=(),
        names=OriginalNames(made.graph),
        opset=17,
    )
    with pytest.raises(InputError) as error:
        read_node(reader, one)
    assert str(error.value) == (
        f"net.onnx: node 'bad' ({op}): has negative pads; expected zero or more"
    )
