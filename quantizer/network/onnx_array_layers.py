"""ONNX nodes that become layers of weights and a bias: products, and normalization."""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from quantizer.network.layers import BatchNorm, Conv, ConvTranspose, Dense, Layer, Pads, Pair
from quantizer.network.onnx_reader import NodeReader, attributes, choice
from quantizer.network.onnx_windows import as_pads, bounded, image, pads, pair, reach

_EPSILON = float(np.float32(1e-5))


def read_conv(reader: NodeReader, node: NodeProto) -> Layer:
    """Conv over one or two dimensions."""
    image(reader, node, node.input[0])
    ifm = reader.feature_map(node, node.input[0])
    weights = _filters(reader, node)
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    padding = pads(reader, node, _kernel(weights), stride, dilation)
    name = reader.keep(node, reader.names.weights(node), weights)
    bias = _bias(reader, node)
    ofm, clamp = reader.take_clamp(node)
    return Conv(
        name=reader.label(node),
        ifm=ifm,
        ofm=ofm,
        weights=name,
        bias=bias,
        stride=bounded(reader, node, stride, padding),
        pads=padding,
        dilation=dilation,
        groups=int(attributes(node).get("group", 1)),
        clamp=clamp,
    )


def read_conv_transpose(reader: NodeReader, node: NodeProto) -> Layer:
    """ConvTranspose over one or two dimensions, its filters re-ordered to a Conv's."""
    image(reader, node, node.input[0])
    ifm = reader.feature_map(node, node.input[0])
    found = _filters(reader, node)
    groups = int(attributes(node).get("group", 1))
    channels, filters, *taps = found.shape
    grouped = found.reshape(groups, channels // groups, filters, *taps)
    weights = grouped.swapaxes(1, 2).reshape(groups * filters, channels // groups, *taps)
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    padding = _taken_off(reader, node, _kernel(weights), stride, dilation)
    name = reader.keep(node, reader.names.weights(node), weights)
    bias = _bias(reader, node)
    ofm, clamp = reader.take_clamp(node)
    return ConvTranspose(
        name=reader.label(node),
        ifm=ifm,
        ofm=ofm,
        weights=name,
        bias=bias,
        stride=stride,
        pads=padding,
        dilation=dilation,
        groups=groups,
        clamp=clamp,
    )


def _filters(reader: NodeReader, node: NodeProto) -> NDArray[np.float32]:
    """Give the filters of a Conv or ConvTranspose; over one dimension, they are one row high."""
    found = reader.constant(node, node.input[1], "the filter")
    return found[:, :, np.newaxis] if found.ndim == 3 else found


def _kernel(weights: NDArray[np.float32]) -> Pair:
    rows, cols = weights.shape[2:]
    return rows, cols


def _bias(reader: NodeReader, node: NodeProto) -> str | None:
    value = reader.optional(node, 2, "the bias")
    return None if value is None else reader.keep(node, reader.names.bias(node), value)


def _taken_off(
    reader: NodeReader, node: NodeProto, kernel: Pair, stride: Pair, dilation: Pair
) -> Pads:
    """Resolve the pads of a ConvTranspose; bottom and right are what the output's size leaves.

    Where auto_pad or output_shape ask for a size, the standard splits what there is too
    much in halves; an odd one goes to the end for SAME_UPPER, to the start otherwise.
    """
    auto_pad = choice(node, "auto_pad", "NOTSET")
    sizes = image(reader, node, node.input[0])[1:]
    wanted = image(reader, node, node.output[0])[1:]
    full = [
        (size - 1) * step + extent
        for size, step, extent in zip(sizes, stride, reach(kernel, dilation), strict=True)
    ]
    total = [whole - kept for whole, kept in zip(full, wanted, strict=True)]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER") or "output_shape" in attributes(node):
        # What output_padding adds at the end is not part of what is split.
        split = [
            max(0, much + more) for much, more in zip(total, _output_padding(node), strict=True)
        ]
        top, left = (much // 2 if auto_pad == "SAME_UPPER" else much - much // 2 for much in split)
    elif auto_pad == "VALID":
        top, left = 0, 0
    else:
        top, left, *_ = as_pads(attributes(node).get("pads", (0, 0, 0, 0)))
    if min(top, left) < 0:
        raise reader.refuse(node, "has negative pads; expected zero or more")
    return top, left, total[0] - top, total[1] - left


def _output_padding(node: NodeProto) -> Pair:
    rows, cols = (0, *attributes(node).get("output_padding", (0, 0)))[-2:]
    return int(rows), int(cols)


def read_gemm(reader: NodeReader, node: NodeProto) -> Layer:
    """Gemm; alpha and beta are multiplied into the constants."""
    given = attributes(node)
    if given.get("transA", 0):
        raise reader.refuse(node, "has transA=1; expected 0 (the batch comes first)")
    weights = reader.constant(node, node.input[1], "the matrix")
    weights = weights if given.get("transB", 0) else weights.T
    weights = np.float32(given.get("alpha", 1.0)) * weights
    value = reader.optional(node, 2, "the bias")
    bias = None
    if value is not None:
        value = np.float32(given.get("beta", 1.0)) * value
        bias = reader.keep(
            node, reader.names.bias(node), np.broadcast_to(value, (1, len(weights)))[0]
        )
    return _dense(reader, node, weights, bias, node.output[0])


def read_matmul(reader: NodeReader, node: NodeProto) -> Layer:
    """MatMul by a constant matrix; a vector that is added to nothing else is its bias."""
    weights = reader.constant(node, node.input[1], "the second operand")
    if weights.ndim != 2:
        raise reader.refuse(
            node, f"multiplies by a constant of {weights.ndim} dimensions; expected a matrix"
        )
    bias, ofm = None, node.output[0]
    addition = reader.sole_reader(ofm)
    if addition is not None and addition.op_type == "Add":
        (name,) = (one for one in addition.input if one != ofm)
        value = reader.constants.get(name)
        rank = len(reader.shape(node, ofm))
        is_vector = value is not None and value.shape[-1:] == (value.size,) and value.ndim <= rank
        if value is not None and is_vector and value.size == weights.shape[1]:
            ofm = addition.output[0]
            bias = reader.keep(node, name, value.ravel())
            reader.merged.add(ofm)
    return _dense(reader, node, weights.T, bias, ofm)


def _dense(
    reader: NodeReader,
    node: NodeProto,
    weights: NDArray[np.float32],
    bias: str | None,
    computed: str,
) -> Layer:
    ifm = reader.feature_map(node, node.input[0])
    name = reader.keep(node, reader.names.weights(node), weights)
    ofm, clamp = reader.take_clamp(node, computed)
    return Dense(name=reader.label(node), ifm=ifm, ofm=ofm, weights=name, bias=bias, clamp=clamp)


def read_batch_normalization(reader: NodeReader, node: NodeProto) -> Layer:
    """BatchNormalization that is folded into no product."""
    scale, offset, mean, variance = (
        reader.constant(node, name, what).astype(np.float64)
        for name, what in zip(
            node.input[1:5], ("the scale", "the offset", "the mean", "the variance"), strict=True
        )
    )
    if any(node.output[1:]) or attributes(node).get("training_mode", 0):
        raise reader.refuse(node, "is in training mode; export the network for inference")
    squared = variance + float(attributes(node).get("epsilon", _EPSILON))
    if not (squared > 0).all():
        raise reader.refuse(node, "has a variance that is not positive; expected one that is")
    factor = scale / np.sqrt(squared)
    ifm = reader.feature_map(node, node.input[0])
    weights = reader.keep(node, reader.names.input(node, 1), factor)
    bias = reader.keep(node, reader.names.input(node, 2), offset - mean * factor)
    ofm, clamp = reader.take_clamp(node)
    return BatchNorm(
        name=reader.label(node), ifm=ifm, ofm=ofm, weights=weights, bias=bias, clamp=clamp
    )
