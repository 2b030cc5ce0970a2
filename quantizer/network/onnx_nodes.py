"""Translation of single ONNX nodes to layers, with the attribute rules of the standard."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto

from quantizer.errors import InputError
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clamp,
    Clip,
    Concat,
    Conv,
    Dense,
    Layer,
    MaxPool,
    Reshape,
    Shape,
)
from quantizer.network.original_names import OriginalNames

Pads = tuple[int, int, int, int]
Pair = tuple[int, int]


@dataclass(kw_only=True)
class NodeReader:
    """The graph around the node that is being read.

    Attributes
    ----------
    constants
        Values of all initializers of the optimised model.
    shapes
        Of feature maps, batch included.
    readers
        The nodes that read each tensor.
    output
        The network's output.
    names
        The way back to the user's names.
    kept_constants
        Filled on the way: the constants that layers refer to, by the user's names.
    merged
        Filled on the way: outputs of nodes that joined the layer before them.
    """

    path: Path
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, Shape]
    readers: Mapping[str, Sequence[NodeProto]]
    output: str
    names: OriginalNames
    kept_constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)

    def label(self, node: NodeProto) -> str:
        """Name of a node; one without a name is called by its output."""
        return self.names.node(node).name or node.name or node.output[0]

    def refuse(self, node: NodeProto, problem: str) -> InputError:
        """Build the error for something that this node has and that is not supported."""
        op_type = self.names.node(node).op_type
        return InputError(f"{self.path}: node {self.label(node)!r} ({op_type})", problem)

    def shape(self, node: NodeProto, tensor: str) -> Shape:
        """Shape of a feature map, batch included."""
        if tensor not in self.shapes:
            raise self.refuse(node, f"the shape of {tensor!r} is not known before running")
        return self.shapes[tensor]

    def feature_map(self, node: NodeProto, tensor: str) -> str:
        """Name of an input that must be a feature map."""
        if tensor in self.constants:
            raise self.refuse(node, f"input {tensor!r} is a constant; expected a feature map")
        self.shape(node, tensor)
        return tensor

    def constant(self, node: NodeProto, tensor: str, what: str) -> NDArray[Any]:
        """Value of an input that must be constant."""
        if tensor not in self.constants:
            raise self.refuse(node, f"{what} {tensor!r} is not a constant; expected one")
        return self.constants[tensor]

    def keep(self, node: NodeProto, name: str, value: NDArray[Any]) -> str:
        """Store a constant for the layers and give its name.

        One constant used in two forms (transposed in one layer, say) is two constants
        here; the second is called after its layer.
        """
        value = np.ascontiguousarray(value, np.float32)
        while name in self.kept_constants and not np.array_equal(self.kept_constants[name], value):
            name = f"{self.label(node)}.{name}"
        self.kept_constants[name] = value
        return name

    def take_clamp(self, node: NodeProto) -> tuple[str, Clamp | None]:
        """Merge a Relu or Clip that alone reads this node's output.

        Returns
        -------
        tuple
            The name behind the clamp, and its bounds; the output itself and None where
            nothing can be merged.
        """
        ofm = node.output[0]
        readers = self.readers.get(ofm, ())
        if ofm == self.output or len(readers) != 1 or readers[0].op_type not in ("Relu", "Clip"):
            return ofm, None
        (reader,) = readers
        self.merged.add(reader.output[0])
        return reader.output[0], _clamp(self, reader)


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _clamp(reader: NodeReader, node: NodeProto) -> Clamp:
    if node.op_type == "Relu":
        return Clamp(low=0.0, high=np.inf)
    attributes = _attributes(node)
    bounds = [attributes.get("min", -np.inf), attributes.get("max", np.inf)]
    for index, name in enumerate(node.input[1:3]):
        if name:
            value = reader.constant(node, name, "bound")
            bounds[index] = float(np.asarray(value).reshape(-1)[0])
    low, high = (float(bound) for bound in bounds)
    if not low <= high:
        raise reader.refuse(node, f"has bounds {low:g} to {high:g}; expected min <= max")
    return Clamp(low=low, high=high)


def _pads(reader: NodeReader, node: NodeProto, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Resolve auto_pad; (top, left, bottom, right)."""
    attributes = _attributes(node)
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    if auto_pad == "VALID":
        return (0, 0, 0, 0)
    if auto_pad == "NOTSET":
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        if min(top, left, bottom, right) < 0:
            raise reader.refuse(node, "has negative pads; expected zero or more")
        return (int(top), int(left), int(bottom), int(right))
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise reader.refuse(
            node, f"has auto_pad {auto_pad!r}, which the ONNX standard does not know"
        )
    before, after = [], []
    sizes = reader.shape(node, node.input[0])[2:]
    for size, window, step, spread in zip(sizes, kernel, stride, dilation, strict=True):
        reach = (window - 1) * spread + 1
        total = max(0, (-(-size // step) - 1) * step + reach - size)
        small, large = total // 2, total - total // 2
        before.append(small if auto_pad == "SAME_UPPER" else large)
        after.append(large if auto_pad == "SAME_UPPER" else small)
    return (before[0], before[1], after[0], after[1])


def _pair(attributes: Mapping[str, Any], name: str) -> Pair:
    first, second = attributes.get(name, (1, 1))
    return int(first), int(second)


def _bounded(reader: NodeReader, node: NodeProto, stride: Pair, pads: Pads) -> Pair:
    """Bound a stride by the padded input; beyond it, there is one output whatever it is."""
    height, width = reader.shape(node, node.input[0])[2:]
    top, left, bottom, right = pads
    return min(stride[0], top + height + bottom), min(stride[1], left + width + right)


def _require_2d(reader: NodeReader, node: NodeProto) -> None:
    rank = len(reader.shape(node, node.input[0]))
    if rank != 4:
        raise reader.refuse(
            node, f"has a {rank}-dimensional input; expected 4 dimensions (batch, C, H, W)"
        )


def _window(reader: NodeReader, node: NodeProto) -> tuple[Pair, Pair, Pads]:
    """Kernel, stride and pads of a pool; checks that the standard's size is the plain one."""
    _require_2d(reader, node)
    attributes = _attributes(node)
    dilation = _pair(attributes, "dilations")
    if dilation != (1, 1):
        raise reader.refuse(node, f"has dilations {list(dilation)}; expected 1, 1")
    kernel, stride = _pair(attributes, "kernel_shape"), _pair(attributes, "strides")
    pads = _pads(reader, node, kernel, stride, dilation)
    sizes = reader.shape(node, node.input[0])[2:]
    found = reader.shape(node, node.output[0])[2:]
    for axis in (0, 1):
        padded = sizes[axis] + pads[axis] + pads[axis + 2]
        if (padded - kernel[axis]) // stride[axis] + 1 != found[axis]:
            raise reader.refuse(
                node,
                "has ceil_mode=1 and a last window that reaches past the padding; "
                "expected windows that end inside it",
            )
        if max(pads[axis], pads[axis + 2]) >= kernel[axis]:
            raise reader.refuse(node, "has pads as large as its window; expected smaller ones")
    return kernel, _bounded(reader, node, stride, pads), pads


def _read_conv(reader: NodeReader, node: NodeProto) -> Layer:
    _require_2d(reader, node)
    attributes = _attributes(node)
    weights = reader.constant(node, node.input[1], "the filter")
    stride, dilation = _pair(attributes, "strides"), _pair(attributes, "dilations")
    kernel = (weights.shape[2], weights.shape[3])
    ifm = reader.feature_map(node, node.input[0])
    name = reader.keep(node, reader.names.weights(node), weights)
    bias = None
    if len(node.input) > 2 and node.input[2]:
        value = reader.constant(node, node.input[2], "the bias")
        bias = reader.keep(node, reader.names.bias(node), value)
    ofm, clamp = reader.take_clamp(node)
    pads = _pads(reader, node, kernel, stride, dilation)
    return Conv(
        name=reader.label(node),
        ifm=ifm,
        ofm=ofm,
        weights=name,
        bias=bias,
        stride=_bounded(reader, node, stride, pads),
        pads=pads,
        dilation=dilation,
        groups=int(attributes.get("group", 1)),
        clamp=clamp,
    )


def _read_gemm(reader: NodeReader, node: NodeProto) -> Layer:
    attributes = _attributes(node)
    if attributes.get("transA", 0):
        raise reader.refuse(node, "has transA=1; expected 0 (the batch comes first)")
    weights = reader.constant(node, node.input[1], "the matrix")
    weights = weights if attributes.get("transB", 0) else weights.T
    weights = np.float32(attributes.get("alpha", 1.0)) * weights
    bias = None
    if len(node.input) > 2 and node.input[2]:
        value = np.float32(attributes.get("beta", 1.0)) * reader.constant(
            node, node.input[2], "the bias"
        )
        bias = reader.keep(
            node, reader.names.bias(node), np.broadcast_to(value, (1, len(weights)))[0]
        )
    return _dense(reader, node, weights, bias)


def _read_matmul(reader: NodeReader, node: NodeProto) -> Layer:
    weights = reader.constant(node, node.input[1], "the second operand")
    if weights.ndim != 2:
        raise reader.refuse(
            node, f"multiplies by a constant of {weights.ndim} dimensions; expected a matrix"
        )
    return _dense(reader, node, weights.T, None)


def _dense(
    reader: NodeReader, node: NodeProto, weights: NDArray[np.float32], bias: str | None
) -> Layer:
    ifm = reader.feature_map(node, node.input[0])
    name = reader.keep(node, reader.names.weights(node), weights)
    ofm, clamp = reader.take_clamp(node)
    return Dense(name=reader.label(node), ifm=ifm, ofm=ofm, weights=name, bias=bias, clamp=clamp)


def _read_add(reader: NodeReader, node: NodeProto) -> Layer:
    shape = reader.shape(node, node.output[0])
    maps = tuple(name for name in node.input if name not in reader.constants)
    for name in maps:
        if reader.shape(node, name) != shape:
            raise reader.refuse(
                node,
                f"adds maps of different shapes {list(reader.shape(node, name))} and "
                f"{list(shape)}; expected equal ones",
            )
    constant = None
    for name in node.input:
        if name in reader.constants:
            value = np.broadcast_to(reader.constants[name], shape)[0]
            constant = reader.keep(node, name, value)
    ofm, clamp = reader.take_clamp(node)
    return Add(
        name=reader.label(node), inputs=maps, constant=constant, signs=(1, 1), ofm=ofm, clamp=clamp
    )


def _read_max_pool(reader: NodeReader, node: NodeProto) -> Layer:
    if len(node.output) > 1 and node.output[1]:
        raise reader.refuse(node, "gives the positions of the maxima; expected the maxima alone")
    kernel, stride, pads = _window(reader, node)
    return MaxPool(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=node.output[0],
        kernel=kernel,
        stride=stride,
        pads=pads,
        dilation=(1, 1),
    )


def _read_average_pool(reader: NodeReader, node: NodeProto) -> Layer:
    if node.op_type == "GlobalAveragePool":
        _require_2d(reader, node)
        height, width = reader.shape(node, node.input[0])[2:]
        kernel, stride, pads = (height, width), (1, 1), (0, 0, 0, 0)
    else:
        kernel, stride, pads = _window(reader, node)
    ifm = reader.feature_map(node, node.input[0])
    ofm, clamp = reader.take_clamp(node)
    return AveragePool(
        name=reader.label(node),
        ifm=ifm,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        pads=pads,
        dilation=(1, 1),
        counts_padding=bool(_attributes(node).get("count_include_pad", 0)),
        clamp=clamp,
    )


def _read_concat(reader: NodeReader, node: NodeProto) -> Layer:
    axis = _attributes(node)["axis"]
    rank = len(reader.shape(node, node.output[0]))
    if axis % rank != 1:
        raise reader.refuse(node, f"joins along axis {axis}; expected axis 1 (channels)")
    inputs = tuple(reader.feature_map(node, name) for name in node.input)
    return Concat(name=reader.label(node), inputs=inputs, axis=0, ofm=node.output[0])


def _read_reshape(reader: NodeReader, node: NodeProto) -> Layer:
    ifm = reader.feature_map(node, node.input[0])
    shape = reader.shape(node, node.output[0])
    mixes_batch = node.op_type == "Flatten" and _attributes(node).get("axis", 1) == 0
    if mixes_batch or not shape or shape[0] != 1:
        raise reader.refuse(
            node, "moves values between the batch and other dimensions; expected it left alone"
        )
    return Reshape(name=reader.label(node), ifm=ifm, ofm=node.output[0])


def _read_clip(reader: NodeReader, node: NodeProto) -> Layer:
    return Clip(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=node.output[0],
        clamp=_clamp(reader, node),
    )


_READERS: Mapping[str, Callable[[NodeReader, NodeProto], Layer]] = {
    "Conv": _read_conv,
    "Gemm": _read_gemm,
    "MatMul": _read_matmul,
    "Relu": _read_clip,
    "Clip": _read_clip,
    "Add": _read_add,
    "Concat": _read_concat,
    "MaxPool": _read_max_pool,
    "AveragePool": _read_average_pool,
    "GlobalAveragePool": _read_average_pool,
    "Flatten": _read_reshape,
    "Reshape": _read_reshape,
    "Identity": _read_reshape,
    "Dropout": _read_reshape,
}

SUPPORTED_OPERATORS: Mapping[str, str] = {
    "Conv": "2-D; groups, strides, dilations, asymmetric pads, auto_pad",
    "Gemm": "constant matrix; transB, alpha, beta",
    "MatMul": "by a constant matrix on the right",
    "Relu": "part of the layer before it where it is its only reader",
    "Clip": "constant bounds; part of the layer before it where it is its only reader",
    "Add": "of two maps of one shape, or of a map and a constant",
    "MaxPool": "2-D; pads, strides, auto_pad",
    "AveragePool": "2-D; pads, strides, auto_pad, count_include_pad",
    "GlobalAveragePool": "2-D",
    "Concat": "along channels",
    "Flatten": "layout only",
    "Reshape": "layout only, batch kept",
    "Identity": "layout only",
    "Dropout": "as in inference: layout only",
    "BatchNormalization": "alone after a Conv (folded into it)",
    "Softmax": "last (left out: the outputs are logits)",
}
"""What `accel-sim list operators` prints: ONNX operator, and what of it is supported."""


def read_node(reader: NodeReader, node: NodeProto) -> Layer:
    """Translate one node of the optimised model.

    Raises
    ------
    InputError
        The operator, or this use of it, is not supported.
    """
    is_standard = node.domain in ("", "ai.onnx")
    if is_standard and (read := _READERS.get(node.op_type)):
        return read(reader, node)
    if is_standard and (place := SUPPORTED_OPERATORS.get(node.op_type)):
        raise reader.refuse(node, f"cannot be here; it is supported {place}")
    raise reader.refuse(
        node,
        f"operator {node.op_type!r} is not supported here; "
        "`accel-sim list operators` shows those that are",
    )
