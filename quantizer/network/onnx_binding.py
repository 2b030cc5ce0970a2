"""One image at a time: the batch of an ONNX model bound to 1, its other dimensions to numbers."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper

from quantizer.errors import InputError
from quantizer.network.layers import Shape

_SIZES = {"Reshape": 1, "Resize": 3}
"""Operators with an input that spells a shape out, batch included, and its place."""


def bind_input_shape(path: Path, model: ModelProto, input_shape: Shape | None) -> None:
    """Fix the batch to 1 and every other dimension to a number, in place.

    Initializers are no inputs afterwards, also where the file says that they may be
    replaced; a batch that the file fixes is taken out of the shapes that it spells out.

    Raises
    ------
    InputError
        If there is not exactly one input, of float32, with dimensions that are known.
    """
    graph = model.graph
    constants = {initializer.name for initializer in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    if len(inputs) != 1:
        found = ", ".join(repr(value.name) for value in inputs) or "none"
        raise InputError(str(path), f"has {len(inputs)} inputs ({found}); expected exactly one")
    source = graph.input[0]
    tensor = source.type.tensor_type
    where = f"{path}: input {source.name!r}"
    if not source.type.HasField("tensor_type"):
        kind = source.type.WhichOneof("value") or "no type"
        raise InputError(where, f"is of {kind}; expected a tensor of float (32 bits)")
    if tensor.elem_type != TensorProto.FLOAT:
        known = {number: name.lower() for name, number in TensorProto.DataType.items()}
        dtype = known.get(tensor.elem_type, str(tensor.elem_type))
        raise InputError(where, f"has type {dtype}; expected float (32 bits)")
    dims = tensor.shape.dim
    if len(dims) < 2:
        found = f"shape {_spell_dims(dims)}" if tensor.HasField("shape") else "no shape"
        raise InputError(where, f"has {found}; expected (batch, channels, ...)")
    if input_shape is not None:
        _bind_dims(source.name, list(dims), input_shape)
    if any(dim.dim_value <= 0 for dim in list(dims)[1:]):
        raise InputError(
            where,
            f"has open dimensions {_spell_dims(dims)}; "
            "give its shape without the batch, such as --input-shape 3,224,224",
        )
    batch = dims[0].dim_value
    dims[0].dim_value = 1
    if batch > 1:
        _take_out_batch(graph, batch)
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")


def _bind_dims(name: str, dims: list[onnx.TensorShapeProto.Dimension], input_shape: Shape) -> None:
    if len(input_shape) != len(dims) - 1:
        raise InputError(
            "--input-shape",
            f"has {len(input_shape)} numbers; input {name!r} has "
            f"{len(dims) - 1} dimensions besides the batch",
        )
    for dim, size in zip(dims[1:], input_shape, strict=True):
        if dim.dim_value not in (0, size):
            raise InputError(
                "--input-shape",
                f"{'x'.join(map(str, input_shape))} contradicts the file, which fixes "
                f"input {name!r} to {_spell_dims(dims)}",
            )
        dim.dim_value = size


def _spell_dims(dims: Iterable[onnx.TensorShapeProto.Dimension]) -> str:
    return "(" + ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in dims) + ")"


def _take_out_batch(graph: GraphProto, batch: int) -> None:
    """Make shapes that start with the batch of the file start with 1."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    constants[node.output[0]] = attribute.t
                elif attribute.name == "value_ints":
                    listed = np.array(attribute.ints, np.int64)
                    constants[node.output[0]] = numpy_helper.from_array(listed)
    for node in graph.node:
        place = _SIZES.get(node.op_type, len(node.input))
        if place >= len(node.input) or node.input[place] not in constants:
            continue
        sizes = _sizes(constants[node.input[place]])
        if len(sizes) > 1 and sizes[0] == batch:
            # '\0' cannot occur in a name that came from a file.
            name = f"{node.input[place]}\0of one image"
            if name not in constants:
                one = numpy_helper.from_array(np.array([1, *sizes[1:]], np.int64), name)
                graph.initializer.append(one)
                constants[name] = one
            node.input[place] = name


def _sizes(tensor: TensorProto) -> list[int]:
    """Sizes that a constant spells out; none where it is malformed, as onnxruntime will say."""
    if tensor.data_type != TensorProto.INT64 or len(tensor.dims) != 1:
        return []
    try:
        return [int(size) for size in numpy_helper.to_array(tensor)]
    except ValueError:
        return []
