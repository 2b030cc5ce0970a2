"""Reading an ONNX file, with the rewrites that all network oracles want.

None involves fixed-point arithmetic:

* Dropout is an Identity; a node of which all inputs are constants is evaluated (by onnx's own
  reference evaluator), so shapes that a file computes from constants are constants;
* a final Softmax or LogSoftmax is dropped;
* Max and Min of a map and one number are Clips; Div by a constant is Mul by its reciprocal in
  float32, which takes the constant's name;
* BatchNormalization, and Mul or Add with one constant per channel, are folded into a Conv, Gemm
  or MatMul that only they read, if the caller names no format for what is between;
* a Concat that no format is named for has the name of an Identity that alone reads it, if that
  has a format or is an output;
* a BatchNormalization that stands alone gets the two constants that it multiplies by and adds.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.oracles.onnx_graph import Graph, Node

Constants = dict[str, NDArray[Any]]


def read_graph(
    model_path: str | Path,
    *,
    constants: Mapping[str, NDArray[Any]],
    named_tensors: Collection[str],
) -> Graph:
    """Read a file and rewrite it as the module says.

    Parameters
    ----------
    constants
        Values that replace what the file and the folding give, by name. What is folded leaves
        the weights under their own name and the bias under the product's bias name, or under
        the name of what was added (of a normalization ``B``) if the product has none. Of a
        BatchNormalization that stands alone, ``scale`` and ``B`` name what is multiplied by
        and added; the name of a divisor is that of its reciprocal.
    named_tensors
        Tensors that have a format of their own. Nothing is folded over one of them.
    """
    model = onnx.load(str(model_path))
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = []
    for proto in model.graph.node:
        if all(name in known for name in proto.input if name):
            known.update(_evaluated(proto, known, model.opset_import))
            continue
        is_dropout = proto.op_type == "Dropout"
        node = Node(
            operator="Identity" if is_dropout else proto.op_type,
            inputs=tuple(proto.input[:1] if is_dropout else proto.input),
            outputs=tuple(proto.output[:1] if is_dropout else proto.output),
            attributes={a.name: helper.get_attribute_value(a) for a in proto.attribute},
        )
        nodes.append(node)
    (input_name,) = (value.name for value in model.graph.input if value.name not in known)
    graph = Graph(
        nodes=tuple(nodes),
        constants=known,
        input_name=input_name,
        output_names=tuple(value.name for value in model.graph.output),
    )
    graph = _without_final_softmax(graph)
    graph = _with_maxima_and_minima_as_clips(graph)
    graph = _with_divisions_as_products(graph)
    graph = _with_constants_folded_into_products(graph, named_tensors)
    graph = _with_copied_concats_renamed(graph, named_tensors)
    graph = _with_standing_normalizations(graph)
    # A caller may give weights of one dimension the row that maps of two dimensions have.
    replaced = {
        name: value.reshape(graph.constants[name].shape) if name in graph.constants else value
        for name, value in constants.items()
    }
    return replace(graph, constants={**graph.constants, **replaced})


def _evaluated(
    proto: onnx.NodeProto, known: Constants, opsets: Collection[onnx.OperatorSetIdProto]
) -> Constants:
    """What a node that reads constants only writes."""
    feed = {name: known[name] for name in proto.input if name}
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in feed.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output]
    graph = helper.make_graph([proto], "constant", values, outputs)
    evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=list(opsets)))
    results = evaluator.run(None, feed)
    assert isinstance(results, list)
    return {name: np.asarray(result) for name, result in zip(proto.output, results, strict=True)}


def _without_final_softmax(graph: Graph) -> Graph:
    dropped = [
        node
        for node in graph.nodes
        if node.operator in ("Softmax", "LogSoftmax") and node.output in graph.output_names
    ]
    logits = {node.output: node.inputs[0] for node in dropped}
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node not in dropped),
        output_names=tuple(logits.get(name, name) for name in graph.output_names),
    )


def _with_maxima_and_minima_as_clips(graph: Graph) -> Graph:
    """Make Max of a map and a number a Clip from it up, Min one from it down."""
    nodes = []
    for node in graph.nodes:
        numbers = [name for name in node.inputs if _is_one_number(graph, name)]
        maps = [name for name in node.inputs if name not in graph.constants]
        if node.operator in ("Max", "Min") and len(numbers) == len(maps) == 1:
            bounds = numbers if node.operator == "Max" else ["", *numbers]
            node = replace(node, operator="Clip", inputs=(*maps, *bounds))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _is_one_number(graph: Graph, name: str) -> bool:
    return name in graph.constants and graph.constants[name].size == 1


def _with_divisions_as_products(graph: Graph) -> Graph:
    """Make Div by a constant Mul by its reciprocal, under the constant's name."""
    divisors = {node.inputs[1] for node in graph.nodes if node.operator == "Div"}
    nodes = []
    for node in graph.nodes:
        divides = node.operator == "Div"
        if divides and node.inputs[1] not in graph.constants:
            raise ValueError(f"{node.output}: Div must be by a constant")
        if divisors.intersection(node.inputs[:1] if divides else node.inputs):
            raise ValueError(f"{node.output}: a constant it reads is a divisor, too")
        nodes.append(replace(node, operator="Mul") if divides else node)
    reciprocals = {
        name: np.float32(1) / graph.constants[name].astype(np.float32) for name in divisors
    }
    return replace(graph, nodes=tuple(nodes), constants={**graph.constants, **reciprocals})


def _with_constants_folded_into_products(graph: Graph, named_tensors: Collection[str]) -> Graph:
    """Fold until nothing is left to fold: a Conv may have several such followers."""
    while True:
        for product in graph.nodes:
            follower = graph.sole_consumer(product.output)
            if (
                product.operator in ("Conv", "Gemm", "MatMul")
                and product.output not in named_tensors
                and follower is not None
            ):
                folded = _folded(graph, product, follower)
                if folded is not None:
                    graph = folded
                    break
        else:
            return graph


def _folded(graph: Graph, product: Node, follower: Node) -> Graph | None:
    """Fold one follower into a product; None if it does not multiply or add by the channel."""
    constants = graph.constants
    if product.attributes.get("beta", 1.0) != 1.0:
        return None
    added_name: str | None = None
    scale, added = np.ones(1), np.zeros(1)
    if follower.operator == "BatchNormalization":
        scale, added = normalization_constants(follower, constants)
        added_name = follower.inputs[2]
    elif follower.operator in ("Add", "Mul"):
        (name,) = (name for name in follower.inputs if name != product.output)
        if name not in constants or not _is_per_channel(product, constants, name):
            return None
        operand = constants[name].astype(np.float64).reshape(-1)
        if follower.operator == "Add":
            added, added_name = operand, name
        else:
            scale = operand
    else:
        return None

    weights_name, bias_name = product.inputs[1], product.input_or_none(2)
    weights = constants[weights_name].astype(np.float64)
    channel_axis = _channel_axis(product)
    per_channel = [1] * weights.ndim
    per_channel[channel_axis] = -1
    rewritten = {**constants}
    rewritten[weights_name] = (weights * scale.reshape(per_channel)).astype(np.float32)
    inputs = product.inputs[:2]
    if bias_name or added_name:
        bias = constants[bias_name].astype(np.float64).reshape(-1) if bias_name else np.zeros(1)
        total = np.broadcast_to(bias * scale + added, weights.shape[channel_axis])
        rewritten[bias_name or added_name or ""] = total.astype(np.float32)
        inputs = (*inputs, bias_name or added_name or "")
    merged = replace(product, inputs=inputs, outputs=follower.outputs)
    nodes = [merged if node is product else node for node in graph.nodes if node is not follower]
    return replace(graph, nodes=tuple(nodes), constants=rewritten)


def _channel_axis(product: Node) -> int:
    """Axis of the weights, as the file has them, that counts output channels."""
    return 0 if product.operator == "Conv" or product.attributes.get("transB", 0) else 1


def _is_per_channel(product: Node, constants: Mapping[str, NDArray[Any]], name: str) -> bool:
    """Whether a constant that meets the output of a product has one value per channel, or one."""
    shape = constants[name].shape
    weights = constants[product.inputs[1]]
    space = [1] * (weights.ndim - 2)
    channel_shape = (weights.shape[_channel_axis(product)], *space)
    is_aligned = shape[-len(channel_shape) :] == channel_shape
    return math.prod(shape) == 1 or (is_aligned and math.prod(shape) == math.prod(channel_shape))


def _with_copied_concats_renamed(graph: Graph, named_tensors: Collection[str]) -> Graph:
    """Let a Concat write what the last of copies writes that has a format or is an output."""
    nodes = {node.output: node for node in graph.nodes}
    ends = {*named_tensors, *graph.output_names}
    for concat in graph.nodes:
        names = [concat.output]
        while concat.operator == "Concat" and names[-1] not in ends:
            follower = graph.sole_consumer(names[-1])
            if follower is None or follower.operator != "Identity":
                break
            names.append(follower.output)
        if len(names) > 1 and names[-1] in ends:
            nodes[concat.output] = replace(concat, outputs=(names[-1],))
            for copy in names[1:]:
                del nodes[copy]
    return replace(graph, nodes=tuple(nodes.values()))


def _with_standing_normalizations(graph: Graph) -> Graph:
    """Store under ``scale`` and ``B`` what each BatchNormalization multiplies by and adds."""
    rewritten: Constants = {}
    for node in graph.nodes:
        if node.operator != "BatchNormalization":
            continue
        for name, real in zip(
            node.inputs[1:3], normalization_constants(node, graph.constants), strict=True
        ):
            value = real.astype(np.float32)
            if name in rewritten and not np.array_equal(rewritten[name], value):
                raise ValueError(f"{name}: two normalizations give it two values")
            rewritten[name] = value
    return replace(graph, constants={**graph.constants, **rewritten})


def normalization_constants(
    node: Node, constants: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a BatchNormalization multiplies by and adds, ``[C]`` each (rule 6)."""
    scale, added, mean, variance = (constants[name].astype(np.float64) for name in node.inputs[1:5])
    epsilon = float(np.float32(node.attributes.get("epsilon", 1e-5)))
    factor = scale / np.sqrt(variance + epsilon)
    return factor, added - mean * factor
