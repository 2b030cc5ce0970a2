"""Layers written back as ONNX nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from quantizer.network.graph import as_image
from quantizer.network.layers import (
    Add,
    ArithmeticLayer,
    AveragePool,
    BatchNorm,
    Clamp,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Function,
    FunctionKind,
    Layer,
    LocalResponseNorm,
    Lookup,
    MaxPool,
    Mul,
    Pad,
    PRelu,
    Reshape,
    Shape,
    Slice,
    Transpose,
    Upsample,
)

_INT64 = np.iinfo(np.int64)
_ALPHA = (
    FunctionKind.CELU,
    FunctionKind.ELU,
    FunctionKind.HARD_SIGMOID,
    FunctionKind.SELU,
    FunctionKind.THRESHOLDED_RELU,
)


@dataclass(kw_only=True)
class NodeWriter:
    """The ONNX graph that is being written.

    Attributes
    ----------
    shapes
        Of the network's feature maps, without the batch.
    nodes, initializers
        Filled on the way.
    invented
        How many tensors have names that were made up.
    """

    shapes: Mapping[str, Shape]
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    invented: int = 0

    def write(self, op: str, inputs: Sequence[str], ofm: str, attributes: Any = None) -> str:
        """Add a node and give the name of its output."""
        self.nodes.append(helper.make_node(op, inputs, [ofm], **(attributes or {})))
        return ofm

    def invent(self) -> str:
        """Give a tensor a name that none from a file can have: those hold no NUL."""
        self.invented += 1
        return f"{self.invented}\0"

    def constant(self, value: NDArray[Any]) -> str:
        """Add an initializer of which nobody knows."""
        name = self.invent()
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Add a vector of integers."""
        return self.constant(np.array(values, np.int64))

    def reshape(self, ifm: str, shape: Sequence[int], ofm: str) -> str:
        """Add a Reshape to a shape without batch."""
        return self.write("Reshape", [ifm, self.integers((1, *shape))], ofm)

    def clip(self, ifm: str, clamp: Clamp, ofm: str) -> str:
        """Add a Clip; an infinite bound is left out."""
        bounds = [
            self.constant(np.array(bound, np.float32)) if np.isfinite(bound) else ""
            for bound in (clamp.low, clamp.high)
        ]
        return self.write("Clip", [ifm, *bounds], ofm)


def write_layer(writer: NodeWriter, layer: Layer) -> None:
    """Add the nodes of one layer, its clamp included."""
    match layer:
        case Clip():
            writer.clip(layer.ifm, layer.clamp, layer.ofm)
        case MaxPool() | Concat() | Reshape() | Transpose() | Slice() | Pad() | Upsample():
            _write_move(writer, layer)
        case _ if layer.clamp is None:
            _write_arithmetic(writer, layer, layer.ofm)
        case _:
            inner = writer.invent()
            _write_arithmetic(writer, layer, inner)
            writer.clip(inner, layer.clamp, layer.ofm)


def _write_move(
    writer: NodeWriter,
    layer: MaxPool | Concat | Reshape | Transpose | Slice | Pad | Upsample,
) -> None:
    shape = writer.shapes[layer.ofm]
    axes = range(1, len(shape) + 1)
    match layer:
        case MaxPool():
            _write_window(writer, layer, "MaxPool", layer.ofm, _pool_attributes(writer, layer))
        case Concat():
            writer.write("Concat", layer.inputs, layer.ofm, {"axis": layer.axis + 1})
        case Reshape():
            writer.reshape(layer.ifm, shape, layer.ofm)
        case Transpose():
            view = writer.reshape(layer.ifm, layer.view, writer.invent())
            order = (0, *(axis + 1 for axis in layer.permutation))
            turned = writer.write("Transpose", [view], writer.invent(), {"perm": order})
            writer.reshape(turned, shape, layer.ofm)
        case Slice():
            ends = [
                start + count * step
                for start, count, step in zip(layer.starts, shape, layer.steps, strict=True)
            ]
            # A negative end would be counted from behind; so low it is the very first.
            ends = [end if end >= 0 else _INT64.min for end in ends]
            bounds = [writer.integers(v) for v in (layer.starts, ends, axes, layer.steps)]
            writer.write("Slice", [layer.ifm, *bounds], layer.ofm)
        case Pad():
            pads = writer.integers((0, *layer.before, 0, *layer.after))
            value = writer.constant(np.array(layer.value, np.float32))
            writer.write("Pad", [layer.ifm, pads, value], layer.ofm)
        case Upsample():
            _write_upsample(writer, layer)


def _write_upsample(writer: NodeWriter, layer: Upsample) -> None:
    """Repeat along one axis after the other: [..., W] to [..., W, 1] to [..., W, factor]."""
    shape = list(writer.shapes[layer.ifm])
    repeated = layer.ifm
    for axis, factor in enumerate(layer.factors):
        if factor == 1:
            continue
        apart = (*shape[: axis + 1], 1, *shape[axis + 1 :])
        repeated = writer.reshape(repeated, apart, writer.invent())
        size = writer.integers((1, *apart[: axis + 1], factor, *apart[axis + 2 :]))
        repeated = writer.write("Expand", [repeated, size], writer.invent())
        shape[axis] *= factor
        repeated = writer.reshape(repeated, shape, writer.invent())
    writer.write("Identity", [repeated], layer.ofm)


def _write_arithmetic(writer: NodeWriter, layer: ArithmeticLayer, ofm: str) -> None:
    match layer:
        case Conv() | ConvTranspose():
            _write_convolution(writer, layer, ofm)
        case Dense():
            _write_dense(writer, layer, ofm)
        case BatchNorm():
            scale, offset = (
                _per_channel(writer, layer.ifm, name) for name in (layer.weights, layer.bias)
            )
            scaled = writer.write("Mul", [layer.ifm, scale], writer.invent())
            writer.write("Add", [scaled, offset], ofm)
        case Add():
            first, second = _operands(writer, layer)
            match layer.signs:
                case (1, 1):
                    writer.write("Add", [first, second], ofm)
                case (1, -1):
                    writer.write("Sub", [first, second], ofm)
                case (-1, 1):
                    writer.write("Sub", [second, first], ofm)
                case _:
                    total = writer.write("Add", [first, second], writer.invent())
                    writer.write("Neg", [total], ofm)
        case Mul():
            writer.write("Mul", _operands(writer, layer), ofm)
        case AveragePool():
            attributes = _pool_attributes(writer, layer)
            attributes["count_include_pad"] = int(layer.counts_padding)
            _write_window(writer, layer, "AveragePool", ofm, attributes)
        case PRelu():
            slopes = _per_channel(writer, layer.ifm, layer.slopes)
            writer.write("PRelu", [layer.ifm, slopes], ofm)
        case Lookup():
            _write_function(writer, layer.function, layer.ifm, ofm)
        case LocalResponseNorm():
            parameters = {
                "size": layer.size,
                "alpha": layer.alpha,
                "beta": layer.beta,
                "bias": layer.bias,
            }
            _write_window(writer, layer, "LRN", ofm, parameters)


def _operands(writer: NodeWriter, layer: Add | Mul) -> tuple[str, str]:
    second = [] if layer.constant is None else [layer.constant]
    first, other = [*layer.inputs, *second]
    return first, other


def _per_channel(writer: NodeWriter, ifm: str, constant: str) -> str:
    """See a vector along the first axis of a map; a vector of one value is for all."""
    sizes = (1, -1, *(1 for _ in writer.shapes[ifm][1:]))
    return writer.write("Reshape", [constant, writer.integers(sizes)], writer.invent())


def _write_convolution(writer: NodeWriter, layer: Conv | ConvTranspose, ofm: str) -> None:
    attributes: dict[str, Any] = {
        "strides": layer.stride,
        "pads": layer.pads,
        "dilations": layer.dilation,
        "group": layer.groups,
    }
    bias = [] if layer.bias is None else [layer.bias]
    if isinstance(layer, Conv):
        _write_window(writer, layer, "Conv", ofm, attributes, (layer.weights, *bias))
        return
    top, left, bottom, right = layer.pads
    attributes["pads"] = (top, left, max(bottom, 0), max(right, 0))
    attributes["output_padding"] = (max(-bottom, 0), max(-right, 0))
    # [K, C/groups, R, S] to ONNX's [C, K/groups, R, S], whose C counts through the groups.
    found = next(tensor for tensor in writer.initializers if tensor.name == layer.weights)
    filters, channels, *taps = found.dims
    grouped = (layer.groups, filters // layer.groups, channels, *taps)
    view = writer.write("Reshape", [layer.weights, writer.integers(grouped)], writer.invent())
    turned = writer.write("Transpose", [view], writer.invent(), {"perm": (0, 2, 1, 3, 4)})
    sizes = writer.integers((layer.groups * channels, filters // layer.groups, *taps))
    weights = writer.write("Reshape", [turned, sizes], writer.invent())
    _write_window(writer, layer, "ConvTranspose", ofm, attributes, (weights, *bias))


def _write_dense(writer: NodeWriter, layer: Dense, ofm: str) -> None:
    """Gemm for vectors; for more dimensions Transpose, MatMul and Add."""
    bias = [] if layer.bias is None else [layer.bias]
    if len(writer.shapes[layer.ifm]) == 1:
        writer.write("Gemm", [layer.ifm, layer.weights, *bias], ofm, {"transB": 1})
        return
    turned = writer.write("Transpose", [layer.weights], writer.invent(), {"perm": (1, 0)})
    product = writer.write("MatMul", [layer.ifm, turned], writer.invent() if bias else ofm)
    if bias:
        writer.write("Add", [product, *bias], ofm)


def _pool_attributes(writer: NodeWriter, layer: MaxPool | AveragePool) -> dict[str, Any]:
    return {
        "kernel_shape": layer.kernel,
        "strides": layer.stride,
        "pads": layer.pads,
        "dilations": layer.dilation,
        "ceil_mode": int(_rounds_up(writer, layer)),
    }


def _rounds_up(writer: NodeWriter, layer: MaxPool | AveragePool) -> bool:
    """Whether there are more windows than fit into the padded map."""
    _, *sizes = as_image(writer.shapes[layer.ifm])
    count = 1
    for axis, size in enumerate(sizes):
        extent = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
        padded = size + layer.pads[axis] + layer.pads[axis + 2]
        count *= (padded - extent) // layer.stride[axis] + 1
    _, *found = as_image(writer.shapes[layer.ofm])
    return bool(count != np.prod(found))


def _write_window(
    writer: NodeWriter,
    layer: Conv | ConvTranspose | MaxPool | AveragePool | LocalResponseNorm,
    op: str,
    ofm: str,
    attributes: Mapping[str, Any],
    constants: Sequence[str] = (),
) -> None:
    """Add a node that takes images; other maps are seen as images before it and behind it."""
    shapes = writer.shapes
    ifm = layer.ifm
    if len(shapes[ifm]) != 3:
        ifm = writer.reshape(ifm, as_image(shapes[ifm]), writer.invent())
    if len(shapes[layer.ofm]) == 3:
        writer.write(op, [ifm, *constants], ofm, attributes)
    else:
        image = writer.write(op, [ifm, *constants], writer.invent(), attributes)
        writer.reshape(image, shapes[layer.ofm], ofm)


def _write_function(writer: NodeWriter, function: Function, ifm: str, ofm: str) -> None:
    match function.kind:
        case FunctionKind.GELU:
            writer.write("Gelu", [ifm], ofm)
        case FunctionKind.GELU_TANH:
            writer.write("Gelu", [ifm], ofm, {"approximate": "tanh"})
        case FunctionKind.SWISH:
            # The operator itself is younger than the opset written here.
            alpha = writer.constant(np.array(function.alpha, np.float32))
            scaled = writer.write("Mul", [ifm, alpha], writer.invent())
            gate = writer.write("Sigmoid", [scaled], writer.invent())
            writer.write("Mul", [ifm, gate], ofm)
        case kind:
            attributes = {"alpha": function.alpha} if kind in _ALPHA else {}
            if kind is FunctionKind.HARD_SIGMOID:
                attributes["beta"] = function.beta
            if kind is FunctionKind.SELU:
                attributes["gamma"] = function.beta
            writer.write(kind.value, [ifm], ofm, attributes)
