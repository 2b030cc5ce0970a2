"""Reading an ONNX file into the few things an interpreter needs.

Besides reading, three rewrites that both network oracles want and that involve no fixed-point
arithmetic: a final Softmax is dropped, BatchNormalization after Conv is folded into it, and a
constant added straight after a product becomes its bias where the caller asks for that.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

T = TypeVar("T", bound=np.generic)
PRODUCTS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator; an optional input left out is the empty string."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]

    def input_or_none(self, index: int) -> str | None:
        """Name of an optional input, or None where it is not given."""
        return self.inputs[index] or None if index < len(self.inputs) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductConstants:
    """What a Conv, Gemm or MatMul multiplies by and adds, in one layout for all three.

    ``weights`` is float64 ``[K, C, R, S]`` or ``[K, C]``, ``bias`` float64 ``[K]``; the factors
    ``alpha`` and ``beta`` of Gemm are multiplied in.
    """

    weights_name: str
    weights: NDArray[np.float64]
    bias_name: str | None
    bias: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes in the file's (topological) order, and the values that do not depend on the input."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    input_name: str
    output_names: tuple[str, ...]

    def sole_consumer(self, name: str) -> Node | None:
        """The one node that reads a tensor which nothing else sees; None if there are others."""
        readers = [node for node in self.nodes for read in node.inputs if read == name]
        return readers[0] if len(readers) == 1 and name not in self.output_names else None

    def product_constants(self, node: Node) -> ProductConstants:
        """Weights and bias of a Conv, Gemm or MatMul."""
        weights_name, bias_name = node.inputs[1], node.input_or_none(2)
        weights = self.constants[weights_name].astype(np.float64)
        if node.operator != "Conv":
            if node.attributes.get("transA", 0):
                raise ValueError(f"{node.output}: Gemm with transA is not supported")
            weights = weights if node.attributes.get("transB", 0) else weights.T
            weights = weights * node.attributes.get("alpha", 1.0)
        bias = None
        if bias_name:
            added = self.constants[bias_name].astype(np.float64).reshape(-1)
            bias = np.broadcast_to(added * node.attributes.get("beta", 1.0), len(weights))
        return ProductConstants(
            weights_name=weights_name, weights=weights, bias_name=bias_name, bias=bias
        )

    def activation_bounds(self, node: Node) -> tuple[float | None, float | None]:
        """Lower and upper bound of a Relu or Clip, real; None where it has none."""
        if node.operator == "Relu":
            return 0.0, None
        bounds = []
        for index, key in ((1, "min"), (2, "max")):
            name = node.input_or_none(index)
            given = self.constants[name] if name else node.attributes.get(key)
            bounds.append(None if given is None else float(given))
        return bounds[0], bounds[1]

    def reshaped(self, node: Node, array: NDArray[T]) -> NDArray[T]:
        """Do a Flatten or Reshape to each image by itself, as the file does for a batch of one."""
        one = array[:1]
        if node.operator == "Flatten":
            axis = node.attributes.get("axis", 1)
            shape: tuple[int, ...] = (math.prod(one.shape[:axis]), math.prod(one.shape[axis:]))
        else:
            lengths = self.constants[node.inputs[1]]
            kept = [
                one.shape[axis] if length == 0 else int(length)
                for axis, length in enumerate(lengths)
            ]
            shape = one.reshape(kept).shape
        if shape[0] != 1:
            raise ValueError(f"{node.output}: {node.operator} must keep the batch axis first")
        return array.reshape(len(array), *shape[1:])


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
        Values that replace what the file and the folding give, by name. A folded
        BatchNormalization leaves the weights under their own name and the bias under the
        Conv's bias name, or under the name of the normalization's ``B`` if the Conv has none.
    named_tensors
        Tensors that have a format of their own. A product whose output is not among them, and
        is read only by an Add with a constant, takes that constant as bias.
    """
    model = onnx.load(str(model_path))
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = []
    for proto in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        if proto.op_type == "Constant":
            known[proto.output[0]] = numpy_helper.to_array(attributes["value"])
            continue
        node = Node(
            operator="Identity" if proto.op_type == "Dropout" else proto.op_type,
            inputs=tuple(proto.input[:1] if proto.op_type == "Dropout" else proto.input),
            output=proto.output[0],
            attributes=attributes,
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
    graph = _with_batch_normalization_folded(graph)
    graph = _with_added_constants_as_bias(graph, named_tensors)
    return replace(graph, constants={**graph.constants, **constants})


def _without_final_softmax(graph: Graph) -> Graph:
    dropped = [
        node
        for node in graph.nodes
        if node.operator == "Softmax" and node.output in graph.output_names
    ]
    logits = {node.output: node.inputs[0] for node in dropped}
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node not in dropped),
        output_names=tuple(logits.get(name, name) for name in graph.output_names),
    )


def _with_batch_normalization_folded(graph: Graph) -> Graph:
    nodes = list(graph.nodes)
    constants = dict(graph.constants)
    for normalization in graph.nodes:
        if normalization.operator != "BatchNormalization":
            continue
        conv = next((node for node in nodes if node.output == normalization.inputs[0]), None)
        if conv is None or conv.operator != "Conv" or not graph.sole_consumer(conv.output):
            raise ValueError(f"{normalization.output}: BatchNormalization does not follow a Conv")
        gamma, beta, mean, variance = (
            constants[name].astype(np.float64) for name in normalization.inputs[1:5]
        )
        scale = gamma / np.sqrt(variance + normalization.attributes.get("epsilon", 1e-5))
        weights_name = conv.inputs[1]
        bias_name = conv.input_or_none(2)
        bias = constants[bias_name].astype(np.float64) if bias_name else np.zeros_like(mean)
        bias_name = bias_name or normalization.inputs[2]
        weights = constants[weights_name].astype(np.float64)
        constants[weights_name] = (weights * scale[:, None, None, None]).astype(np.float32)
        constants[bias_name] = ((bias - mean) * scale + beta).astype(np.float32)
        folded = replace(conv, inputs=(*conv.inputs[:2], bias_name), output=normalization.output)
        nodes[nodes.index(conv)] = folded
        nodes.remove(normalization)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _with_added_constants_as_bias(graph: Graph, named_tensors: Collection[str]) -> Graph:
    nodes = list(graph.nodes)
    constants = dict(graph.constants)
    for product in graph.nodes:
        addition = graph.sole_consumer(product.output)
        if (
            product.operator not in PRODUCTS
            or product.output in named_tensors
            or addition is None
            or addition.operator != "Add"
        ):
            continue
        (added,) = (name for name in addition.inputs if name != product.output)
        if added not in constants or not _is_per_channel(product, constants, added):
            continue
        bias_name = product.input_or_none(2)
        if bias_name:
            both = constants[bias_name].astype(np.float64) + constants[added].reshape(-1)
            constants[bias_name] = both.astype(np.float32)
        else:
            constants[added] = constants[added].reshape(-1)
        inputs = (*product.inputs[:2], bias_name or added)
        nodes[nodes.index(product)] = replace(product, inputs=inputs, output=addition.output)
        nodes.remove(addition)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _is_per_channel(product: Node, constants: Mapping[str, NDArray[Any]], added: str) -> bool:
    """Whether a constant added to a product could as well be its bias."""
    if product.attributes.get("beta", 1.0) != 1.0:
        return False
    shape = constants[added].shape
    weights = constants[product.inputs[1]]
    if product.operator == "Conv":
        channel_shape: tuple[int, ...] = (len(weights), 1, 1)
    else:
        channel_shape = (weights.shape[0 if product.attributes.get("transB", 0) else 1],)
    is_aligned = shape[-len(channel_shape) :] == channel_shape
    return math.prod(shape) == 1 or (is_aligned and math.prod(shape) == math.prod(channel_shape))
