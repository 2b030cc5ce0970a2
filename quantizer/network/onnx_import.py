"""From an ONNX file to a `Network`.

onnxruntime's offline basic optimisation folds constants and batch-norm, removes Identity
and Dropout, and merges MatMul with Add. What it leaves is translated node by node
(`onnx_nodes`). It renames what it folds; every name that a user sees is put back to the
one in the file.
"""

import hashlib
import math
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from quantizer.errors import InputError
from quantizer.input_file import read_input
from quantizer.network.graph import Network
from quantizer.network.layers import Layer, Shape
from quantizer.network.onnx_nodes import NodeReader, read_node
from quantizer.network.onnx_runtime import reason, start_session
from quantizer.network.original_names import OriginalNames

_LAYOUT_ONLY = {"Flatten", "Reshape", "Identity", "Dropout"}
_MAX_FILE_BYTES = 1 << 31
"""Limit of the format itself; larger models keep their weights in files of their own."""

_MAX_VALUES = 1 << 28
"""Values of all feature maps of one image, 1 GiB as float32. Four copies are kept at times."""


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
        The file cannot be read or parsed; has more than one input or output, open
        dimensions other than the batch, an operator or attribute that is not
        supported, or weights that are not finite.
    """
    path = Path(path)
    content = read_input(path, "an .onnx file", limit_bytes=_MAX_FILE_BYTES)
    model = _parse(path, content)
    _bind_input_shape(path, model, input_shape)
    optimised = _optimise(path, model)
    names = OriginalNames(model.graph)
    return _translate(path, hashlib.sha256(content).hexdigest(), optimised, names)


def _parse(path: Path, content: bytes) -> ModelProto:
    try:
        model = onnx.load_model_from_string(content)
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # protobuf and I/O errors share no base class
        raise InputError(str(path), f"not a valid ONNX model ({reason(error)})") from None
    if not model.graph.node:
        raise InputError(str(path), "not a valid ONNX model (it has no graph)")
    for text in _texts(model):
        # protobuf gives text that is not UTF-8 as bytes; NUL ends a name in an .npz file.
        if isinstance(text, bytes) or "\0" in text:
            raise InputError(str(path), f"not a valid ONNX model ({text!r} is no name)")
    return model


def _texts(message: Any) -> Iterator[str | bytes]:
    """Every text of a protobuf message and of those within it, but for documentation."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING and field.name != "doc_string":
            yield from [value] if isinstance(value, str | bytes) else value
        elif field.type == field.TYPE_MESSAGE:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _texts(part)


def _bind_input_shape(path: Path, model: ModelProto, input_shape: Shape | None) -> None:
    """Fix the batch to 1 and every other dimension to a number, in place."""
    graph = model.graph
    constants = {initializer.name for initializer in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    for kind, values in (("inputs", inputs), ("outputs", list(graph.output))):
        if len(values) != 1:
            found = ", ".join(repr(value.name) for value in values) or "none"
            raise InputError(str(path), f"has {len(values)} {kind} ({found}); expected exactly one")
    tensor = inputs[0].type.tensor_type
    where = f"{path}: input {inputs[0].name!r}"
    if tensor.elem_type != TensorProto.FLOAT:
        known = {number: name.lower() for name, number in TensorProto.DataType.items()}
        dtype = known.get(tensor.elem_type, str(tensor.elem_type))
        raise InputError(where, f"has type {dtype}; expected float (32 bits)")
    if not tensor.HasField("shape") or len(tensor.shape.dim) < 2:
        raise InputError(where, "has no shape; expected (batch, channels, ...)")
    dims = tensor.shape.dim
    if input_shape is not None:
        if len(input_shape) != len(dims) - 1:
            raise InputError(
                "--input-shape",
                f"has {len(input_shape)} numbers; input {inputs[0].name!r} has "
                f"{len(dims) - 1} dimensions besides the batch",
            )
        for dim, size in zip(list(dims)[1:], input_shape, strict=True):
            if dim.dim_value not in (0, size):
                raise InputError(
                    "--input-shape",
                    f"{'x'.join(map(str, input_shape))} contradicts the file, which fixes "
                    f"input {inputs[0].name!r} to {_spell_dims(dims)}",
                )
            dim.dim_value = size
    if any(dim.dim_value <= 0 for dim in list(dims)[1:]):
        raise InputError(
            where,
            f"has open dimensions {_spell_dims(dims)}; "
            "give its shape without the batch, such as --input-shape 3,224,224",
        )
    dims[0].dim_value = 1
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")


def _spell_dims(dims: Iterable[onnx.TensorShapeProto.Dimension]) -> str:
    return "(" + ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in dims) + ")"


def _optimise(path: Path, model: ModelProto) -> ModelProto:
    """Run onnxruntime's basic (level 1) graph optimisation and read its result back."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        try:
            start_session(model, optimise=True, save_to=target)
            return onnx.load(target)
        except Exception as error:  # onnxruntime raises several unrelated types
            raise InputError(
                str(path), f"onnxruntime cannot load this model ({reason(error)})"
            ) from None


def _translate(path: Path, digest: str, model: ModelProto, names: OriginalNames) -> Network:
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    output, notes = _without_softmax(graph, constants)
    nodes = _reachable(graph, output)
    if not nodes:
        raise InputError(str(path), "no supported operator lies between its input and its output")
    shapes = _shapes(path, model, nodes)
    reader = NodeReader(
        path=path,
        constants=constants,
        shapes=shapes,
        readers=_readers(nodes),
        output=output,
        names=names,
    )
    layers: list[Layer] = []
    for node in nodes:
        if node.output[0] not in reader.merged:
            layers.append(read_node(reader, node))
    (input_name,) = (value.name for value in graph.input if value.name not in constants)
    used = {input_name, *(layer.ofm for layer in layers)}
    kept = {name: _finite(path, name, value) for name, value in reader.kept_constants.items()}
    return Network(
        name=path.stem,
        digest=digest,
        input=input_name,
        outputs=(output,),
        layers=_with_unique_names(layers),
        shapes={name: shape[1:] for name, shape in shapes.items() if name in used},
        constants=kept,
        notes=notes,
    )


def _without_softmax(
    graph: GraphProto, constants: Mapping[str, NDArray[np.generic]]
) -> tuple[str, tuple[str, ...]]:
    """Name of the tensor before a final Softmax (layout changes behind it included)."""
    producers = {name: node for node in graph.node for name in node.output}
    output = graph.output[0].name
    tensor = output
    while (node := producers.get(tensor)) is not None and node.op_type in _LAYOUT_ONLY:
        tensor = node.input[0]
    if node is not None and node.op_type in ("Softmax", "LogSoftmax"):
        note = f"final {node.op_type} {node.name or node.output[0]!r} left out: outputs are logits"
        return node.input[0], (note,)
    return output, ()


def _reachable(graph: GraphProto, output: str) -> list[NodeProto]:
    """Nodes that the output depends on, in the file's (topological) order."""
    needed = {output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(name for name in node.input if name)
    return kept[::-1]


def _readers(nodes: list[NodeProto]) -> dict[str, list[NodeProto]]:
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def _shapes(path: Path, model: ModelProto, nodes: list[NodeProto]) -> dict[str, Shape]:
    """Shapes of all feature maps, batch included, as one run on zeros gives them.

    The standard's own shape inference has gaps (old operator sets, reshapes by computed
    sizes); what runs has a shape.
    """
    names = [name for node in nodes for name in node.output if name]
    exposed = ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    constants = {tensor.name for tensor in model.graph.initializer}
    (source,) = (value for value in model.graph.input if value.name not in constants)
    shape = tuple(dim.dim_value for dim in source.type.tensor_type.shape.dim)
    _refuse_huge(path, exposed, {source.name, *names})
    try:
        session = start_session(exposed, optimise=False)
        results = session.run(names, {source.name: np.zeros(shape, np.float32)})
    except Exception as error:  # onnxruntime raises several unrelated types
        raise InputError(
            str(path), f"onnxruntime cannot run this model ({reason(error)})"
        ) from None
    shapes = {source.name: shape, **{n: r.shape for n, r in zip(names, results, strict=True)}}
    for name, sizes in shapes.items():
        if 0 in sizes:
            raise InputError(
                f"{path}: feature map {name!r}",
                f"has no values, its shape is {list(sizes)}; expected one or more",
            )
    return shapes


def _refuse_huge(path: Path, model: ModelProto, maps: Collection[str]) -> None:
    """Refuse feature maps that would fill the memory, as far as their sizes are known."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.name in maps
    }
    values = sum(math.prod(shape) for shape in shapes.values())
    if values > _MAX_VALUES:
        raise InputError(
            str(path),
            f"its feature maps hold {values:,} values per image; expected at most {_MAX_VALUES:,}",
        )


def _finite(path: Path, name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(value).all():
        bad = int(math.prod(value.shape) - np.isfinite(value).sum())
        raise InputError(
            f"{path}: constant {name!r}", f"holds {bad} NaN or infinite values; expected finite"
        )
    value.setflags(write=False)
    return value


def _with_unique_names(layers: list[Layer]) -> tuple[Layer, ...]:
    """Call layers by their output where their own name is not theirs alone."""
    names = Counter(layer.name for layer in layers)
    ofms = {layer.ofm for layer in layers}
    return tuple(
        replace(layer, name=layer.ofm) if names[layer.name] > 1 or layer.name in ofms else layer
        for layer in layers
    )
