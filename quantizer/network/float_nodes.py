"""Layers written back as ONNX nodes."""

import numpy as np

from quantizer.network.float_arithmetic import write_arithmetic
from quantizer.network.float_writer import NodeWriter, pool_attributes, write_window
from quantizer.network.layers import (
    Clip,
    Concat,
    Layer,
    MaxPool,
    Pad,
    Reshape,
    Slice,
    Transpose,
    Upsample,
)

_INT64 = np.iinfo(np.int64)


def write_layer(writer: NodeWriter, layer: Layer) -> None:
    """Add the nodes of one layer, its clamp included."""
    match layer:
        case Clip():
            writer.clip(layer.ifm, layer.clamp, layer.ofm)
        case MaxPool() | Concat() | Reshape() | Transpose() | Slice() | Pad() | Upsample():
            _write_move(writer, layer)
        case _ if layer.clamp is None:
            write_arithmetic(writer, layer, layer.ofm)
        case _:
            inner = writer.invent()
            write_arithmetic(writer, layer, inner)
            writer.clip(inner, layer.clamp, layer.ofm)


def _write_move(
    writer: NodeWriter,
    layer: MaxPool | Concat | Reshape | Transpose | Slice | Pad | Upsample,
) -> None:
    shape = writer.shapes[layer.ofm]
    axes = range(1, len(shape) + 1)
    match layer:
        case MaxPool():
            write_window(writer, layer, "MaxPool", layer.ofm, pool_attributes(writer.shapes, layer))
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
    """Repeat along one axis after the other: [..., W] to [..., W, 1] to [..., W, factor].

    A Resize would divide positions in float32, and could be off by one.
    """
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
