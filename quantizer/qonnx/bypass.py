"""A QONNX graph taken apart: the float graph without its Quant nodes, and what they said.

A tensor and what a Quant node makes of it are one tensor afterwards. It has the name behind
the node; the network input and constants keep theirs. An Add of half a step before a floor is
part of the node.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.onnx_reader import QONNX_DOMAINS, STANDARD_DOMAINS
from quantizer.qonnx.quant_node import QuantNode, is_from_qonnx, read_quant_node

_SIZES = ("Shape", "Size")
"""What these give of a map does not depend on its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedConstant:
    """An initializer behind a Quant node, and its float values."""

    quant: QuantNode
    values: NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantNodes:
    """What the Quant nodes of a file said, by the name of the tensor in the float graph."""

    maps: Mapping[str, QuantNode]
    constants: Mapping[str, QuantizedConstant]


def has_quant_nodes(model: ModelProto) -> bool:
    """Whether a model is QONNX."""
    return any(is_from_qonnx(node) for node in model.graph.node)


def take_out_quant_nodes(path: Path, model: ModelProto) -> QuantNodes:
    """Take all Quant nodes out of a model, in place.

    Parameters
    ----------
    model
        Its nodes are in an order in which they can run.

    Raises
    ------
    InputError
        A node of QONNX is not supported; a tensor is quantized in two ways, or is read, or
        is an output, both with and without its Quant node.
    """
    bypass = _Bypass(path, model.graph)
    for node in model.graph.node:
        bypass.visit(node)
    found = bypass.finish()
    # Exporters may ship what stands for a Quant node where nobody knows it.
    functions = [function for function in model.functions if function.domain not in QONNX_DOMAINS]
    del model.functions[:]
    model.functions.extend(functions)
    return found


class _Constants:
    """Initializers and Constant nodes of a graph, decoded when they are asked for."""

    def __init__(self, path: Path, graph: GraphProto) -> None:
        self._path = path
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._tensors |= {
            node.output[0]: tensor
            for node in graph.node
            if node.op_type == "Constant" and (tensor := _tensor_of(node)) is not None
        }

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def find(self, name: str) -> NDArray[Any] | None:
        """Give the values of a constant, None if the tensor is none."""
        tensor = self._tensors.get(name)
        try:
            return None if tensor is None else numpy_helper.to_array(tensor)
        except (KeyError, TypeError, ValueError):  # onnx raises any of them
            raise InputError(
                f"{self._path}: constant {name!r}", "holds other values than its shape and type say"
            ) from None


def _tensor_of(node: NodeProto) -> TensorProto | None:
    """Value of a Constant node, if it is one tensor of numbers."""
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        match attribute.name:
            case "value":
                return value if isinstance(value, TensorProto) else None
            case "value_float" | "value_floats":
                return numpy_helper.from_array(np.array(value, np.float32))
            case "value_int" | "value_ints":
                return numpy_helper.from_array(np.array(value, np.int64))
    return None


class _Bypass:
    """Walks through a graph in order and collects its Quant nodes, then changes it."""

    def __init__(self, path: Path, graph: GraphProto) -> None:
        self._path = path
        self._graph = graph
        self._constants = _Constants(path, graph)
        self._inputs = {value.name for value in graph.input} - {
            tensor.name for tensor in graph.initializer
        }
        self._outputs = {value.name for value in graph.output}
        self._producers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        # Tensors that depend on the network input.
        self._live = set(self._inputs)
        # For every tensor that goes, the one that it was made of.
        self._roots: dict[str, str] = {}
        # By the tensor that they quantize.
        self._quants: dict[str, list[QuantNode]] = {}

    def visit(self, node: NodeProto) -> None:
        """Take note of a node; those before it are known."""
        if not is_from_qonnx(node):
            if self._live.intersection(node.input) and node.op_type not in _SIZES:
                self._live.update(node.output)
            return
        quant = read_quant_node(self._path, node, self._constants.find)
        raised = self._take_half_step(quant)
        if raised is not None:
            self._roots[quant.source] = self._root(raised)
            quant = replace(quant, rounding=Rounding.TIES_POS)
        root = self._root(quant.source)
        if root in self._live:
            self._live.add(quant.target)
        elif root not in self._constants:
            raise InputError(
                quant.where,
                f"quantizes {root!r}, which is computed from constants; "
                "expected a constant (qonnx-cleanup makes one)",
            )
        self._roots[quant.target] = root
        known = self._quants.setdefault(root, [])
        if known and not quant.says_the_same(known[0]):
            raise InputError(
                quant.where,
                f"quantizes {root!r} in another way than {known[0].target!r} is; "
                "expected one format for a tensor",
            )
        known.append(quant)

    def _root(self, tensor: str) -> str:
        return self._roots.get(tensor, tensor)

    def _take_half_step(self, quant: QuantNode) -> str | None:
        """Name what half a step is added to, if such a sum is what a floor is taken of."""
        node = self._producers.get(quant.source)
        length = quant.uniform_frac_bits
        if (
            quant.rounding is not Rounding.TO_NEG
            or length is None
            or node is None
            or node.op_type != "Add"
            or node.domain not in STANDARD_DOMAINS
            or len(self._readers[quant.source]) > 1
            or quant.source in self._outputs
        ):
            return None
        numbers = [name for name in node.input if name in self._constants]
        others = [name for name in node.input if name not in self._constants]
        if len(numbers) != 1 or len(others) != 1:
            return None
        value = self._constants.find(numbers[0])
        is_half = value is not None and value.size == 1 and value.item() == 2.0 ** -(length + 1)
        return others[0] if is_half else None

    def finish(self) -> QuantNodes:
        """Name every quantized tensor, rename what reads it, and drop the nodes."""
        names = {root: self._name(root, quants) for root, quants in self._quants.items()}
        names |= {gone: names[root] for gone, root in self._roots.items()}
        maps: dict[str, QuantNode] = {}
        constants: dict[str, QuantizedConstant] = {}
        for root, quants in self._quants.items():
            values = self._constants.find(root)
            if values is None:
                maps[names[root]] = quants[0]
            else:
                constants[root] = QuantizedConstant(quant=quants[0], values=values)
        self._rename(names, constants)
        return QuantNodes(maps=maps, constants=constants)

    def _name(self, root: str, quants: Sequence[QuantNode]) -> str:
        """Name a tensor and its quantized values as one, if nothing tells the two apart."""
        first = quants[0]
        for node in self._readers.get(root, ()):
            is_taken_out = is_from_qonnx(node) or node.output[0] in self._roots
            if not is_taken_out and node.op_type not in _SIZES:
                raise InputError(
                    first.where,
                    f"quantizes {root!r}, which {node.op_type} {node.name or node.output[0]!r} "
                    "reads without it; expected all readers behind it",
                )
        visible = [quant.target for quant in quants if quant.target in self._outputs]
        if root in self._outputs or len(set(visible)) > 1:
            raise InputError(
                first.where,
                f"quantizes {root!r}, which is an output with and without it, or twice; "
                "expected one output of a tensor",
            )
        if root in self._constants or root in self._inputs:
            return root
        return visible[0] if visible else first.target

    def _rename(self, names: Mapping[str, str], constants: Mapping[str, QuantizedConstant]) -> None:
        graph = self._graph
        made = {tensor.name for tensor in graph.initializer}
        # Quantized constants are initializers from now on.
        for name, constant in constants.items():
            if name not in made:
                graph.initializer.append(numpy_helper.from_array(constant.values, name))
        kept = list(self._kept_nodes(constants))
        for node in kept:
            for place, name in enumerate(node.input):
                node.input[place] = names.get(name, name)
            for place, name in enumerate(node.output):
                node.output[place] = names.get(name, name)
        for value in graph.output:
            value.name = names.get(value.name, value.name)
        del graph.node[:]
        graph.node.extend(kept)

    def _kept_nodes(self, constants: Mapping[str, QuantizedConstant]) -> Iterator[NodeProto]:
        for node in self._graph.node:
            is_constant = node.op_type == "Constant" and node.output[0] in constants
            if not is_from_qonnx(node) and not is_constant and node.output[0] not in self._roots:
                yield node
