"""ONNX nodes that become pools: windows, whole maps, and reductions over space."""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from quantizer.network.graph import as_image
from quantizer.network.layers import AveragePool, Clamp, Layer, MaxPool, Pads, Pair, Reshape
from quantizer.network.onnx_reader import NodeReader, attributes
from quantizer.network.onnx_windows import as_pair, bounded, image, pads, pair


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    kernel: Pair
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)


def read_max_pool(reader: NodeReader, node: NodeProto) -> Layer:
    """MaxPool; positions of the maxima are not computed."""
    if len(node.output) > 1 and node.output[1]:
        raise reader.refuse(node, "gives the positions of the maxima; expected the maxima alone")
    return _max_pool(reader, node, _window(reader, node), node.output[0])


def read_average_pool(reader: NodeReader, node: NodeProto) -> Layer:
    """AveragePool."""
    window = _window(reader, node)
    counts_padding = bool(attributes(node).get("count_include_pad", 0))
    return _average_pool(
        reader, node, window, *reader.take_clamp(node), counts_padding=counts_padding
    )


def read_global_max_pool(reader: NodeReader, node: NodeProto) -> Layer:
    """GlobalMaxPool."""
    _, *sizes = image(reader, node, node.input[0])
    return _max_pool(reader, node, _Window(kernel=as_pair(sizes)), node.output[0])


def read_global_average_pool(reader: NodeReader, node: NodeProto) -> Layer:
    """GlobalAveragePool."""
    _, *sizes = image(reader, node, node.input[0])
    return _average_pool(reader, node, _Window(kernel=as_pair(sizes)), *reader.take_clamp(node))


def read_reduction(reader: NodeReader, node: NodeProto) -> tuple[Layer, ...]:
    """ReduceMean or ReduceMax over rows, cols or both."""
    shape = reader.shape(node, node.input[0])
    found = reader.integers(node, "axes", 1)
    if not found:
        if attributes(node).get("noop_with_empty_axes", 0):
            ifm = reader.feature_map(node, node.input[0])
            return (Reshape(name=reader.label(node), ifm=ifm, ofm=node.output[0]),)
        found = list(range(len(shape)))
    axes = reader.axes(node, found, len(shape))
    if min(axes) < 2:
        raise reader.refuse(
            node, f"reduces axes {sorted(axes)}; expected axes of space alone, from 2 on"
        )
    image(reader, node, node.input[0])
    kernel = as_pair([size if axis in axes else 1 for axis, size in enumerate(shape)][2:])
    pooled = as_image(tuple(1 if axis in axes else size for axis, size in enumerate(shape))[1:])
    window = _Window(kernel=kernel)
    ofm, clamp = node.output[0], None
    if node.op_type == "ReduceMean":
        ofm, clamp = reader.take_clamp(node)
    # Cols alone leave a column; without its axis of one it would be taken for a row.
    is_column = as_image(reader.shape(node, ofm)[1:]) != pooled
    image_ofm = reader.invent(f"{ofm}.column", (1, *pooled)) if is_column else ofm
    pool: Layer
    if node.op_type == "ReduceMean":
        pool = _average_pool(reader, node, window, image_ofm, clamp)
    else:
        pool = _max_pool(reader, node, window, image_ofm)
    return (pool, Reshape(name=ofm, ifm=image_ofm, ofm=ofm)) if is_column else (pool,)


def _max_pool(reader: NodeReader, node: NodeProto, window: _Window, ofm: str) -> Layer:
    return MaxPool(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=ofm,
        kernel=window.kernel,
        stride=window.stride,
        pads=window.pads,
        dilation=window.dilation,
    )


def _average_pool(
    reader: NodeReader,
    node: NodeProto,
    window: _Window,
    ofm: str,
    clamp: Clamp | None,
    *,
    counts_padding: bool = False,
) -> Layer:
    return AveragePool(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=ofm,
        kernel=window.kernel,
        stride=window.stride,
        pads=window.pads,
        dilation=window.dilation,
        counts_padding=counts_padding,
        clamp=clamp,
    )


def _window(reader: NodeReader, node: NodeProto) -> _Window:
    """Window of a pool; checks that no output is computed from padding alone."""
    sizes = image(reader, node, node.input[0])[1:]
    counts = image(reader, node, node.output[0])[1:]
    kernel = as_pair(attributes(node)["kernel_shape"])
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    padding = pads(reader, node, kernel, stride, dilation)
    for axis, size in enumerate(sizes):
        starts = np.arange(counts[axis]) * stride[axis] - padding[axis]
        # The first tap at or behind the map's start, which a window may begin before.
        taps = np.maximum(0, -(starts // dilation[axis]))
        if not ((taps < kernel[axis]) & (starts + taps * dilation[axis] < size)).all():
            raise reader.refuse(
                node, "has windows that hold padding alone; expected a position of the map in each"
            )
    return _Window(
        kernel=kernel,
        stride=bounded(reader, node, stride, padding),
        pads=padding,
        dilation=dilation,
    )
