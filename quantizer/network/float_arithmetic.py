"""Arithmetic layers written back as ONNX nodes."""

from typing import Any

import numpy as np

from quantizer.network.float_writer import NodeWriter, pool_attributes, write_window
from quantizer.network.layers import (
    Add,
    ArithmeticLayer,
    AveragePool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Function,
    FunctionKind,
    LocalResponseNorm,
    Lookup,
    Mul,
    PRelu,
)

_ALPHA = (
    FunctionKind.CELU,
    FunctionKind.ELU,
    FunctionKind.HARD_SIGMOID,
    FunctionKind.SELU,
    FunctionKind.THRESHOLDED_RELU,
)


def write_arithmetic(writer: NodeWriter, layer: ArithmeticLayer, ofm: str) -> None:
    """Add the nodes of one layer, which give `ofm`; its clamp is not among them."""
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
            first, second = _operands(layer)
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
            writer.write("Mul", _operands(layer), ofm)
        case AveragePool():
            attributes = pool_attributes(writer.shapes, layer)
            attributes["count_include_pad"] = int(layer.counts_padding)
            write_window(writer, layer, "AveragePool", ofm, attributes)
        case PRelu():
            writer.write("PRelu", [layer.ifm, layer.slopes], ofm)
        case Lookup():
            _write_function(writer, layer.function, layer.ifm, ofm)
        case LocalResponseNorm():
            parameters = {
                "size": layer.size,
                "alpha": layer.alpha,
                "beta": layer.beta,
                "bias": layer.bias,
            }
            write_window(writer, layer, "LRN", ofm, parameters)


def _operands(layer: Add | Mul) -> tuple[str, str]:
    second = [] if layer.constant is None else [layer.constant]
    first, other = [*layer.inputs, *second]
    return first, other


def _per_channel(writer: NodeWriter, ifm: str, constant: str) -> str:
    """See a vector along the first axis of a map."""
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
        write_window(writer, layer, "Conv", ofm, attributes, (layer.weights, *bias))
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
    write_window(writer, layer, "ConvTranspose", ofm, attributes, (weights, *bias))


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
