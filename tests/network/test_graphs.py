"""Are graphs with several outputs, a fixed batch or another odd structure what the file says?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from quantizer.errors import InputError
from quantizer.network.layers import Clamp, Conv, Lookup
from quantizer.network.onnx_import import load_onnx
from tests.network.onnx_models import assert_equals_onnxruntime, model, node, save

RNG = np.random.default_rng(5)
FILTER = RNG.normal(size=(4, 3, 3, 3))
SQUARE = RNG.normal(size=(4, 4, 1, 1))
CONSTANTS = {"w": FILTER, "s": SQUARE}
HEAD = node("Conv", ["x", "w"], "a", pads=[1, 1, 1, 1])


def constants_of(nodes: Sequence[NodeProto]) -> dict[str, np.ndarray]:
    read = {name for one in nodes for name in one.input}
    return {name: value for name, value in CONSTANTS.items() if name in read}


def test_outputs_have_the_order_of_the_file(tmp_path: Path) -> None:
    nodes = [
        HEAD,
        node("Relu", ["a"], "r"),
        node("Conv", ["r", "s"], "c"),
        node("Tanh", ["c"], "t"),
    ]
    path = save(tmp_path, model(nodes, CONSTANTS, outputs=["t", "a", "c"]))
    network = load_onnx(path)
    assert network.outputs == ("t", "a", "c")
    assert network.output == "t"
    # What is an output keeps its values: the Relu behind it cannot join.
    assert [layer.op for layer in network.layers] == ["Conv", "Clip", "Conv", "Lookup"]
    assert_equals_onnxruntime(path, network)


def test_a_relu_joins_where_its_own_output_is_one(tmp_path: Path) -> None:
    nodes = [HEAD, node("Relu", ["a"], "r"), node("Conv", ["r", "s"], "c")]
    path = save(tmp_path, model(nodes, CONSTANTS, outputs=["r", "c"]))
    network = load_onnx(path)
    first, _ = network.layers
    assert isinstance(first, Conv)
    assert (first.ofm, first.clamp) == ("r", Clamp(low=0.0, high=np.inf))
    assert_equals_onnxruntime(path, network)


def test_each_output_is_cut_before_its_softmax(tmp_path: Path) -> None:
    nodes = [
        node("GlobalAveragePool", ["x"], "g"),
        node("Flatten", ["g"], "f"),
        node("Softmax", ["f"], "p", "first", axis=-1),
        node("Tanh", ["f"], "t"),
        node("LogSoftmax", ["t"], "q", "second", axis=-1),
        node("Identity", ["q"], "i"),
    ]
    network = load_onnx(save(tmp_path, model(nodes, {}, outputs=["p", "i"])))
    assert network.outputs == ("f", "t")
    assert network.notes == (
        "final Softmax 'first' left out: outputs are logits",
        "final LogSoftmax 'second' left out: outputs are logits",
    )


def test_logits_and_their_softmax_are_one_output(tmp_path: Path) -> None:
    nodes = [node("Flatten", ["x"], "f"), node("Tanh", ["f"], "t"), node("Softmax", ["t"], "p")]
    network = load_onnx(save(tmp_path, model(nodes, {}, outputs=["p", "t"])))
    assert network.outputs == ("t",)


def test_a_softmax_that_is_read_again_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("Abs", ["x"], "a"),
        node("Softmax", ["a"], "p", "soft"),
        node("Tanh", ["p"], "t"),
    ]
    path = save(tmp_path, model(nodes, {}, outputs=["p", "t"]))
    with pytest.raises(InputError) as error:
        load_onnx(path)
    assert str(error.value) == (
        f"{path}: node 'soft' (Softmax): cannot be here; it is supported last "
        "(left out: the outputs are logits)"
    )


def test_initializers_that_are_inputs_are_constants(tmp_path: Path) -> None:
    nodes = [HEAD, node("BatchNormalization", ["a", *"kkkk"], "y")]
    made = model(nodes, {"w": FILTER, "k": RNG.uniform(0.5, 2, 4)})
    for tensor in made.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims)
        made.graph.input.insert(0, value)
    network = load_onnx(save(tmp_path, made))
    # A constant that may be replaced would not be folded.
    assert [layer.op for layer in network.layers] == ["Conv"]
    assert network.input == "x"


def test_a_dead_branch_may_hold_anything(tmp_path: Path) -> None:
    nodes = [HEAD, helper.make_node("Odd", ["a", "nowhere"], ["b"], domain="my.own")]
    path = save(tmp_path, model(nodes, {"w": FILTER}, output="a"))
    assert [layer.ofm for layer in load_onnx(path).layers] == ["a"]


def test_nodes_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    nodes = [node("Relu", ["c"], "y"), node("Conv", ["a", "s"], "c"), HEAD]
    network = load_onnx(save(tmp_path, model(nodes, CONSTANTS)))
    assert [layer.ofm for layer in network.layers] == ["a", "y"]


def test_functions_without_a_name_lead_back(tmp_path: Path) -> None:
    nodes = [
        node("Identity", ["x"], "i"),
        node("HardSwish", ["i"], "h"),
        node("Mish", ["h"], "m", "named"),
        node("Identity", ["m"], "y"),
    ]
    path = save(tmp_path, model(nodes, {}, opset=18))
    network = load_onnx(path)
    assert [(layer.name, layer.ofm) for layer in network.layers] == [("h", "h"), ("named", "y")]
    assert all(isinstance(layer, Lookup) for layer in network.layers)
    assert_equals_onnxruntime(path, network)


def test_a_function_of_the_file_is_inlined(tmp_path: Path) -> None:
    made = model([helper.make_node("Gate", ["x"], ["y"], domain="my.own")], {})
    opsets = [helper.make_opsetid("", 17)]
    body = [node("Sigmoid", ["p"], "q"), node("Mul", ["p", "q"], "r")]
    made.functions.append(helper.make_function("my.own", "Gate", ["p"], ["r"], body, opsets))
    made.opset_import.append(helper.make_opsetid("my.own", 1))
    path = save(tmp_path, made)
    network = load_onnx(path)
    assert [layer.op for layer in network.layers] == ["Lookup", "Mul"]
    assert_equals_onnxruntime(path, network)


@pytest.mark.parametrize("as_node", [False, True])
def test_a_batch_that_is_fixed_becomes_one(tmp_path: Path, as_node: bool) -> None:
    nodes = [
        HEAD,
        node("Reshape", ["a", "groups"], "b"),
        node("Transpose", ["b"], "c", perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["c", "joined"], "d"),
        node("Resize", ["d", "", "", "sizes"], "e", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric"),
        node("Reshape", ["e", "flat"], "y"),
    ]  # fmt: skip
    shapes = {
        "groups": np.array([4, 2, 2, 8, 8]),
        "joined": np.array([4, 4, 8, 8]),
        "sizes": np.array([4, 4, 16, 8]),
        "flat": np.array([4, 512]),
    }
    if as_node:
        for name, value in shapes.items():
            tensor = numpy_helper.from_array(value)
            nodes.insert(0, helper.make_node("Constant", [], [name], value=tensor))
    constants = {"w": FILTER, **({} if as_node else shapes)}
    path = save(tmp_path, model(nodes, constants, input_dims=(4, 3, 8, 8)))
    assert_equals_onnxruntime(path, load_onnx(path), batch=4)


def test_a_fixed_batch_that_cannot_become_one_is_refused(tmp_path: Path) -> None:
    nodes = [node("Expand", ["x", "sizes"], "y", "spread")]
    constants = {"sizes": np.array([4, 3, 8, 8])}
    path = save(tmp_path, model(nodes, constants, input_dims=(4, 3, 8, 8)))
    with pytest.raises(InputError) as error:
        load_onnx(path)
    assert str(error.value) == (
        f"{path}: node 'spread' (Expand): operator 'Expand' is not supported here; "
        "`accel-sim list operators` shows those that are"
    )
