"""What of an ONNX graph its outputs need, in an order in which it can run."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from quantizer.errors import InputError
from quantizer.network.onnx_nodes import why_not_read
from quantizer.network.onnx_reader import STANDARD_DOMAINS

_OLDEST_OPSET = 7
"""The first that onnxruntime has kernels for."""


def keep_needed_nodes(path: Path, model: ModelProto, extensions: Collection[str] = ()) -> None:
    """Drop the nodes that no output needs, and put the others in order, in place.

    Parameters
    ----------
    extensions
        Domains beside the standard's whose nodes may stay.

    Raises
    ------
    InputError
        If a tensor is written twice or by nobody, depends on itself, if there is no output,
        or if the opset or an operator is not one of the standard's.
    """
    graph = model.graph
    _check_opset(path, model)
    if not graph.output:
        raise InputError(str(path), "has no outputs; expected one or more")
    writers = _writers(path, graph)
    known = {value.name for value in (*graph.input, *graph.initializer)}
    known.update(tensor.values.name for tensor in graph.sparse_initializer)
    readable = known | writers.keys()
    needed: dict[int, NodeProto] = {}
    sources: dict[int, set[int]] = {}
    pending = [value.name for value in graph.output]
    for name in pending:
        if name not in readable:
            raise InputError(f"{path}: output {name!r}", "is written by no node; remove it")
    while pending:
        index, node = writers.get(pending.pop(), (-1, None))
        if node is None or index in needed:
            continue
        needed[index] = node
        reads = [name for name in _reads(node) if name]
        for name in reads:
            if name not in readable:
                raise refuse(path, node, f"reads {name!r}, which nothing writes")
        sources[index] = {writers[name][0] for name in reads if name in writers}
        pending += reads
    try:
        order = list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        node = needed[error.args[1][0]]
        raise refuse(
            path, node, "depends on its own output; expected a graph without cycles"
        ) from None
    if all(max(before, default=-1) < index for index, before in sources.items()):
        order.sort()  # the file's own order is one, as the standard asks
    nodes = [needed[index] for index in order]
    _check_operators(path, model, [node for node in nodes if node.domain not in extensions])
    del graph.node[:]
    graph.node.extend(nodes)


def opset_of(model: ModelProto) -> int:
    """Version of the standard's operators that a model uses."""
    versions = [e.version for e in model.opset_import if e.domain in STANDARD_DOMAINS]
    return int(versions[0]) if versions else 1


def refuse(path: Path, node: NodeProto, problem: str) -> InputError:
    """Build the error for a node of the user's file."""
    return InputError(f"{path}: node {node.name or node.output[0]!r} ({node.op_type})", problem)


def _writers(path: Path, graph: GraphProto) -> Mapping[str, tuple[int, NodeProto]]:
    """Which node writes a tensor, and its place in the file."""
    writers: dict[str, tuple[int, NodeProto]] = {}
    for name, times in Counter(tensor.name for tensor in graph.initializer).items():
        if times > 1:
            raise InputError(f"{path}: constant {name!r}", f"is there {times} times; expected one")
    given = {value.name for value in (*graph.input, *graph.initializer)}
    for index, node in enumerate(graph.node):
        for name in node.output:
            if name in writers or name in given:
                raise refuse(path, node, f"writes {name!r}, which is there already")
            if name:
                writers[name] = (index, node)
    return writers


def _reads(node: NodeProto) -> Iterator[str]:
    """Name the inputs of a node, and what its own graphs take from around it."""
    yield from node.input
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
        for graph in graphs:
            inner = {value.name for value in (*graph.input, *graph.initializer)}
            inner.update(name for one in graph.node for name in one.output)
            read = [name for one in graph.node for name in _reads(one)]
            read += [value.name for value in graph.output]
            yield from (name for name in read if name not in inner)


def _check_opset(path: Path, model: ModelProto) -> None:
    # A graph of nothing but functions needs none; theirs come from their own imports.
    versions = sorted({e.version for e in model.opset_import if e.domain in STANDARD_DOMAINS})
    newest = onnx.defs.onnx_opset_version()
    if len(versions) > 1 or not all(_OLDEST_OPSET <= one <= newest for one in versions):
        found = " and ".join(map(str, versions))
        raise InputError(
            str(path), f"has opset {found}; expected one from {_OLDEST_OPSET} to {newest}"
        )


def _check_operators(path: Path, model: ModelProto, nodes: list[NodeProto]) -> None:
    opset = opset_of(model)
    functions = {(function.domain, function.name) for function in model.functions}
    for node in nodes:
        if (node.domain, node.op_type) in functions:
            continue
        if node.domain not in STANDARD_DOMAINS:
            raise refuse(path, node, why_not_read(node))
        try:
            is_there = not onnx.defs.get_schema(node.op_type, opset, "").deprecated
        except onnx.defs.SchemaError:
            is_there = False
        if not is_there:
            raise refuse(
                path, node, f"operator {node.op_type!r} is not one of opset {opset} of the standard"
            )
