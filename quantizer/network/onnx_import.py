"""From an ONNX file to a `Network`.

onnxruntime's offline basic optimisation folds constants and batch-norm, removes Identity
and Dropout, and merges MatMul with Add. What it leaves is translated node by node
(`onnx_nodes`). It renames what it folds; every name that a user sees is put back to the
one in the file.
"""

import hashlib
import math
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from quantizer.errors import InputError
from quantizer.network.graph import Layer, Network, Shape
from quantizer.network.onnx_nodes import NodeReader, read_node

_LAYOUT_ONLY = {"Flatten", "Reshape", "Identity", "Dropout"}
_MERGING = {"BatchNormalization", "Add", "Mul", "Sub", "Div", "Pad"}
"""Operators that the optimiser merges into the Conv, Gemm or MatMul before (or after) them."""


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
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})") from None
    model = _parse(path, content)
    _bind_input_shape(path, model, input_shape)
    optimised = _optimise(path, model)
    names = _OriginalNames(model.graph)
    return _translate(path, hashlib.sha256(content).hexdigest(), optimised, names)


def _parse(path: Path, content: bytes) -> ModelProto:
    try:
        model = onnx.load_model_from_string(content)
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # protobuf and I/O errors share no base class
        raise InputError(str(path), f"not a valid ONNX model ({_first_line(error)})") from None
    if not model.graph.node:
        raise InputError(str(path), "not a valid ONNX model (it has no graph)")
    return model


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


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
        dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
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
        options = _quiet_options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            return onnx.load(target)
        except Exception as error:  # onnxruntime raises several unrelated types
            raise InputError(
                str(path), f"onnxruntime cannot load this model ({_first_line(error)})"
            ) from None


def _quiet_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return options


class _OriginalNames:
    """Finds, for what the optimiser made, the names that the user's file has for it."""

    def __init__(self, graph: GraphProto) -> None:
        self._producers: dict[str, NodeProto] = {
            output: node for node in graph.node for output in node.output
        }
        self._nodes: dict[str, NodeProto] = {node.name: node for node in graph.node if node.name}
        self._constants: set[str] = {
            *(initializer.name for initializer in graph.initializer),
            *(node.output[0] for node in graph.node if node.op_type == "Constant"),
        }
        self._tensors: set[str] = (
            self._constants
            | {value.name for value in graph.input}
            | {name for node in graph.node for name in node.output}
        )

    def node(self, node: NodeProto) -> NodeProto:
        """Give the user's node that an optimised node stands for."""
        origin = self._nodes.get(node.name)
        if origin is not None and origin.op_type == node.op_type:
            return origin
        return self._compute_node(node.output[0]) or node

    def _compute_node(self, tensor: str) -> NodeProto | None:
        """Walk back from a tensor over merged operators to the node that computes it."""
        node = self._producers.get(tensor)
        while node is not None and node.op_type in _MERGING:
            behind = [self._producers[name] for name in node.input if name in self._producers]
            behind = [one for one in behind if one.op_type != "Constant"]
            if len(behind) != 1:
                break
            node = behind[0]
        return node

    def weights(self, node: NodeProto) -> str:
        """Give the user's name of the second input of a Conv, Gemm or MatMul."""
        return self._input(node, 1) or str(node.input[1])

    def bias(self, node: NodeProto) -> str:
        """Give the user's name of a bias; a folded one is named by what was folded in."""
        name = self._input(node, 2)
        if name is not None:
            return name
        folded = self._producers.get(node.output[0])
        if folded is not None and folded.op_type == "BatchNormalization":
            return str(folded.input[2])
        if folded is not None and folded.op_type == "Add":
            return str(next(name for name in folded.input if name in self._constants))
        return f"{self.node(node).name or node.output[0]}.bias"

    def _input(self, node: NodeProto, index: int) -> str | None:
        """Name of an input if the user's file has it, or that of the origin's input."""
        for inputs in (node.input, self.node(node).input):
            if len(inputs) > index and inputs[index] in self._tensors:
                return str(inputs[index])
        return None


def _translate(path: Path, digest: str, model: ModelProto, names: _OriginalNames) -> Network:
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
        output=output,
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
    options = _quiet_options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(
            exposed.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        results = session.run(names, {source.name: np.zeros(shape, np.float32)})
    except Exception as error:  # onnxruntime raises several unrelated types
        raise InputError(
            str(path), f"onnxruntime cannot run this model ({_first_line(error)})"
        ) from None
    return {source.name: shape, **{n: r.shape for n, r in zip(names, results, strict=True)}}


def _finite(path: Path, name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(value).all():
        bad = int(math.prod(value.shape) - np.isfinite(value).sum())
        raise InputError(
            f"{path}: constant {name!r}", f"holds {bad} NaN or infinite values; expected finite"
        )
    value.setflags(write=False)
    return value


def _with_unique_names(layers: list[Layer]) -> tuple[Layer, ...]:
    """Give layers of equal name their output's name instead."""
    seen = [layer.name for layer in layers]
    return tuple(
        replace(layer, name=layer.ofm) if seen.count(layer.name) > 1 else layer for layer in layers
    )
