"""A QONNX graph taken apart: the float graph without Quant nodes, and what they said.

A tensor that passes a Quant node is one tensor afterwards, with the name behind the node;
the network input and constants keep theirs. An Add of half a step before a floor belongs to
the node.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.onnx_structure import refuse
from quantizer.qonnx.quant_node import QuantNode, is_from_qonnx, read_quant_node


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedConstantUse:
    """A constant behind a Quant node.

    Attributes
    ----------
    values
        Float, as the file has them.
    readers
        Nodes that read what is behind the node, each with the place among its inputs.
    """

    quant: QuantNode
    values: NDArray[Any]
    readers: tuple[tuple[NodeProto, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantNodes:
    """What the Quant nodes of a file said, by the name of the tensor in the float graph."""

    maps: Mapping[str, QuantNode]
    constants: Mapping[str, QuantizedConstantUse]


def has_quant_nodes(model: ModelProto) -> bool:
    """Whether a model is QONNX."""
    return any(is_from_qonnx(node) for node in model.graph.node)


def bypass_quant_nodes(path: Path, model: ModelProto) -> QuantNodes:
    """Take all Quant nodes out of a model, in place.

    Raises
    ------
    InputError
        A node is not supported, a tensor is read both with and without its Quant node, or
        is quantized in two ways.
    """
    graph = model.graph
    constants = dict(_constants(graph))
    readers: dict[str, list[tuple[NodeProto, int]]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, place))
    bypass = _Bypass(path=path, graph=graph, constants=constants, readers=readers)
    for node in graph.node:
        if is_from_qonnx(node):
            bypass.add(read_quant_node(path, node, constants))
    return bypass.finish()


def _constants(graph: GraphProto) -> Iterator[tuple[str, NDArray[Any]]]:
    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            yield node.output[0], numpy_helper.to_array(node.attribute[0].t)


class _Bypass:
    """Collects Quant nodes, then changes the graph."""

    def __init__(
        self,
        *,
        path: Path,
        graph: GraphProto,
        constants: Mapping[str, NDArray[Any]],
        readers: Mapping[str, list[tuple[NodeProto, int]]],
    ) -> None:
        self._path = path
        self._graph = graph
        self._constants = constants
        self._readers = readers
        self._producers = {name: node for node in graph.node for name in node.output}
        self._quants: dict[str, QuantNode] = {}
        # For every tensor that goes, the one before it.
        self._before: dict[str, str] = {}

    def add(self, quant: QuantNode) -> None:
        """Take note of a node; what it reads may come from nodes still to come."""
        source = quant.source
        if (raised := self._half_step(quant)) is not None:
            quant = replace(quant, rounding=Rounding.TIES_POS)
            self._before[source] = raised
        self._before[quant.target] = source
        self._quants[quant.target] = quant

    def _half_step(self, quant: QuantNode) -> str | None:
        """Give what half a step is added to, if this is what feeds a floor."""
        node = self._producers.get(quant.source)
        fmt = quant.format
        if node is None or node.op_type != "Add" or node.domain or fmt is None:
            return None
        numbers = [name for name in node.input if name in self._constants]
        others = [name for name in node.input if name not in self._constants]
        is_half = (
            quant.rounding is Rounding.TO_NEG
            and len(numbers) == len(others) == 1
            and self._constants[numbers[0]].size == 1
            and float(self._constants[numbers[0]].item()) == fmt.step / 2
            and len(self._readers[quant.source]) == 1
            and quant.source not in {value.name for value in self._graph.output}
        )
        return others[0] if is_half else None

    def finish(self) -> QuantNodes:
        """Rename what is read, and drop the nodes."""
        quants: dict[str, list[QuantNode]] = {}
        for target, quant in self._quants.items():
            quants.setdefault(self._root(target), []).append(quant)
        names: dict[str, str] = {}
        for root, found in quants.items():
            self._check(root, found)
            names[root] = self._name(root, found)
            for tensor in self._before:
                if self._root(tensor) == root:
                    names[tensor] = names[root]
        constants = {}
        for root, found in quants.items():
            if root in self._constants:
                constants[root] = QuantizedConstantUse(
                    quant=found[0],
                    values=self._constants[root],
                    readers=tuple(
                        reader for quant in found for reader in self._readers.get(quant.target, ())
                    ),
                )
        self._rename(names)
        return QuantNodes(
            maps={
                names[root]: found[0]
                for root, found in quants.items()
                if root not in self._constants
            },
            constants=constants,
        )

    def _root(self, tensor: str) -> str:
        seen = set()
        while tensor in self._before:
            if tensor in seen:
                node = self._producers[tensor]
                raise refuse(
                    self._path, node, "depends on its own output; expected a graph without cycles"
                )
            seen.add(tensor)
            tensor = self._before[tensor]
        return tensor

    def _check(self, root: str, found: list[QuantNode]) -> None:
        first, *others = found
        for other in others:
            if _meaning(other) != _meaning(first):
                raise InputError(
                    other.where,
                    f"quantizes {root!r} in another way than {first.where.partition(': ')[2]}; "
                    "expected one format for a tensor",
                )
        for node, _ in self._readers.get(root, ()):
            if not is_from_qonnx(node) and node.output[0] not in self._before:
                raise InputError(
                    first.where,
                    f"quantizes {root!r}, which {node.op_type} {node.name or node.output[0]!r} "
                    "reads without it; expected all readers behind it",
                )

    def _name(self, root: str, found: list[QuantNode]) -> str:
        if root in self._constants or root in {value.name for value in self._graph.input}:
            return root
        outputs = {value.name for value in self._graph.output}
        visible = [quant for quant in found if quant.target in outputs]
        if len(visible) > 1 or (visible and root in outputs):
            raise InputError(
                visible[-1].where,
                f"makes a second output of {root!r}; expected each map as one output at most",
            )
        if root in outputs:
            raise InputError(
                found[0].where,
                f"quantizes {root!r}, which is also an output; expected one of the two as output",
            )
        return (visible or found)[0].target

    def _rename(self, names: Mapping[str, str]) -> None:
        graph = self._graph
        kept = [
            node
            for node in graph.node
            if not is_from_qonnx(node) and node.output[0] not in self._before
        ]
        for node in kept:
            for place, name in enumerate(node.input):
                node.input[place] = names.get(name, name)
            for place, name in enumerate(node.output):
                node.output[place] = names.get(name, name)
        for value in graph.output:
            value.name = names.get(value.name, value.name)
        del graph.node[:]
        graph.node.extend(kept)


def _meaning(quant: QuantNode) -> tuple[object, ...]:
    lengths = quant.frac_bits.shape, quant.frac_bits.tobytes()
    return quant.bits, quant.signed, quant.rounding, quant.is_narrow, lengths
