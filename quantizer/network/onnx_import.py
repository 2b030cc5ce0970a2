"""From an ONNX file to a `Network`.

onnxruntime's offline basic optimisation folds constants and batch-norm, and removes
Identity and Dropout. What it leaves is translated node by node (`onnx_nodes`). It renames
what it folds; every name that a user sees is put back to the one in the file.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.network.layers import Layer, Shape
from quantizer.network.onnx_binding import bind_input_shape
from quantizer.network.onnx_file import read_model
from quantizer.network.onnx_inlining import hide_functions, restore_functions
from quantizer.network.onnx_nodes import is_read, read_node, why_not_read
from quantizer.network.onnx_reader import NodeReader
from quantizer.network.onnx_runtime import reason, start_session
from quantizer.network.onnx_shapes import find_shapes
from quantizer.network.onnx_structure import keep_needed_nodes, opset_of, refuse
from quantizer.network.original_names import OriginalNames

_LAYOUT_ONLY = {"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout"}


def load_onnx(path: Path | str, input_shape: Shape | None = None) -> Network:
    """Read an ONNX file as a float network.

    Parameters
    ----------
    path
        The .onnx file.
    input_shape
        Shape of the network input without the batch dimension, for files that leave it
        open.

    Raises
    ------
    InputError
        The file cannot be read or parsed; has more than one input, open dimensions other
        than the batch, an operator or attribute that is not supported, or weights that
        are not finite.
    """
    path = Path(path)
    return import_model(path, *read_model(path), input_shape)


def import_model(
    path: Path,
    model: ModelProto,
    digest: str,
    input_shape: Shape | None = None,
    *,
    stored: Collection[str] | None = None,
) -> Network:
    """Make a float network of a model that was read from a file; the model is changed.

    Parameters
    ----------
    path
        Of the file, for its name and for messages.
    digest
        Of the file.
    stored
        Feature maps that have a format, of a graph that is to stay as it is: none of them
        is merged away, and no node is folded into the constants of another. None for a
        float graph.

    Raises
    ------
    InputError
        As `load_onnx`.
    """
    keep_needed_nodes(path, model)
    bind_input_shape(path, model, input_shape)
    names = OriginalNames(model.graph)
    hidden = hide_functions(path, model)
    optimised = _optimise(path, model, fuse=stored is None)
    graph = optimised.graph
    outputs, notes = _without_softmax(graph)
    nodes = _reachable(graph, outputs)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (input_name,) = (value.name for value in graph.input)
    for output in outputs:
        if output in constants:
            raise InputError(
                f"{path}: output {output!r}", "does not depend on the input; remove it"
            )
    if not nodes:
        raise InputError(str(path), "no supported operator lies between its input and its output")
    if input_name in outputs:
        raise InputError(f"{path}: output {input_name!r}", "is the input itself; remove it")
    for node in nodes:
        if not is_read(node):
            raise refuse(path, node, why_not_read(node))
    shapes = find_shapes(path, optimised, nodes)
    restore_functions(graph, hidden)
    reader = NodeReader(
        path=path,
        constants=constants,
        shapes=shapes,
        readers=_readers(nodes),
        outputs=outputs,
        stored=stored or (),
        names=names,
        opset=opset_of(optimised),
    )
    layers: list[Layer] = []
    # What is worked out of constants may leave the range of float32; `_finite` says so.
    with np.errstate(over="ignore", invalid="ignore"):
        for node in nodes:
            if node.output[0] not in reader.merged:
                layers.extend(read_node(reader, node))
    used = {input_name, *(layer.ofm for layer in layers)}
    return Network(
        name=path.stem,
        digest=digest,
        input=input_name,
        outputs=outputs,
        layers=_with_unique_names(layers),
        shapes={name: shape[1:] for name, shape in reader.shapes.items() if name in used},
        constants={
            name: _finite(path, name, value) for name, value in reader.kept_constants.items()
        },
        notes=notes,
    )


def _optimise(path: Path, model: ModelProto, *, fuse: bool) -> ModelProto:
    """Run onnxruntime's basic (level 1) graph optimisation and read its result back."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        try:
            start_session(model, optimise=True, fuse=fuse, save_to=target)
            return onnx.load(target)
        except Exception as error:  # onnxruntime raises several unrelated types
            raise InputError(
                str(path), f"onnxruntime cannot load this model ({reason(error)})"
            ) from None


def _without_softmax(graph: GraphProto) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the outputs, each that of what enters a final Softmax where it has one.

    Layout changes behind the Softmax are left out with it.
    """
    producers = {name: node for node in graph.node for name in node.output}
    outputs: list[str] = []
    notes: list[str] = []
    for value in graph.output:
        tensor = value.name
        while (node := producers.get(tensor)) is not None and node.op_type in _LAYOUT_ONLY:
            tensor = node.input[0]
        if node is not None and node.op_type in ("Softmax", "LogSoftmax"):
            name = node.name or node.output[0]
            notes.append(f"final {node.op_type} {name!r} left out: outputs are logits")
            outputs.append(node.input[0])
        else:
            outputs.append(value.name)
    return tuple(dict.fromkeys(outputs)), tuple(dict.fromkeys(notes))


def _reachable(graph: GraphProto, outputs: Sequence[str]) -> list[NodeProto]:
    """Nodes that the outputs depend on, in the file's (topological) order."""
    needed = set(outputs)
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(name for name in node.input if name)
    return kept[::-1]


def _readers(nodes: Sequence[NodeProto]) -> dict[str, list[NodeProto]]:
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def _finite(path: Path, name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    bad = int(value.size - np.isfinite(value).sum())
    if bad:
        raise InputError(
            f"{path}: constant {name!r}", f"holds {bad} NaN or infinite values; expected finite"
        )
    value.setflags(write=False)
    return value


def _with_unique_names(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Call layers by their output where their own name is not theirs alone."""
    names = Counter(layer.name for layer in layers)
    ofms = {layer.ofm for layer in layers}
    return tuple(
        replace(layer, name=layer.ofm) if names[layer.name] > 1 or layer.name in ofms else layer
        for layer in layers
    )
