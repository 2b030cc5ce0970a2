"""ONNX nodes that put values elsewhere and compute none. Axis 0, the batch, stays first."""

import numpy as np
from onnx import NodeProto

from quantizer.network.layers import Concat, Layer, Pad, Reshape, Shape, Slice, Transpose, Upsample
from quantizer.network.onnx_reader import NodeReader, attributes, choice
from quantizer.network.onnx_resize import resize_indices


def read_concat(reader: NodeReader, node: NodeProto) -> Layer:
    """Concat along any axis but the batch."""
    rank = len(reader.shape(node, node.output[0]))
    (axis,) = reader.axes(node, [attributes(node)["axis"]], rank)
    if axis == 0:
        raise reader.refuse(node, "joins along the batch; expected another axis")
    inputs = tuple(reader.feature_map(node, name) for name in node.input)
    return Concat(name=reader.label(node), inputs=inputs, axis=axis - 1, ofm=node.output[0])


def read_reshape(reader: NodeReader, node: NodeProto) -> Layer:
    """Flatten, Reshape, Squeeze, Unsqueeze, Identity or Dropout."""
    ifm = reader.feature_map(node, node.input[0])
    shape = reader.shape(node, node.output[0])
    if _moves_batch(reader, node) or len(shape) < 2 or shape[0] != 1:
        raise reader.refuse(
            node, "moves values between the batch and other dimensions; expected it left alone"
        )
    return Reshape(name=reader.label(node), ifm=ifm, ofm=node.output[0])


def _moves_batch(reader: NodeReader, node: NodeProto) -> bool:
    """Whether a node that runs with one image would mean something else with more."""
    rank = len(reader.shape(node, node.input[0]))
    match node.op_type:
        case "Flatten":
            return int(attributes(node).get("axis", 1)) % rank == 0
        case "Squeeze":
            # Without axes it drops those of one, and so the batch of one.
            axes = reader.integers(node, "axes", 1)
            return axes is None or 0 in reader.axes(node, axes, rank)
        case "Unsqueeze":
            axes = reader.integers(node, "axes", 1) or []
            return 0 in reader.axes(node, axes, len(reader.shape(node, node.output[0])))
        case _:
            return False


def read_transpose(reader: NodeReader, node: NodeProto) -> Layer:
    """Transpose; a `Reshape` where it moves nothing but axes of one."""
    shape = reader.shape(node, node.input[0])
    order = attributes(node).get("perm", range(len(shape))[::-1])
    if order[0] != 0:
        raise reader.refuse(
            node, f"moves the batch, its perm is {list(order)}; expected it to start with 0"
        )
    permutation = [axis - 1 for axis in order[1:]]
    moved = [axis for axis in permutation if shape[axis + 1] != 1]
    if moved == sorted(moved):
        ifm = reader.feature_map(node, node.input[0])
        return Reshape(name=reader.label(node), ifm=ifm, ofm=node.output[0])
    return _transpose(reader, node, shape[1:], permutation)


def read_depth_to_space(reader: NodeReader, node: NodeProto) -> Layer:
    """DepthToSpace in either mode."""
    _, channels, height, width = reader.shape(node, node.input[0])
    block = int(attributes(node)["blocksize"])
    kept = channels // (block * block)
    if choice(node, "mode", "DCR") == "CRD":
        return _transpose(reader, node, (kept, block, block, height, width), [0, 3, 1, 4, 2])
    return _transpose(reader, node, (block, block, kept, height, width), [2, 3, 0, 4, 1])


def read_space_to_depth(reader: NodeReader, node: NodeProto) -> Layer:
    """SpaceToDepth."""
    _, channels, height, width = reader.shape(node, node.input[0])
    block = int(attributes(node)["blocksize"])
    view = (channels, height // block, block, width // block, block)
    return _transpose(reader, node, view, [2, 4, 0, 1, 3])


def _transpose(reader: NodeReader, node: NodeProto, view: Shape, permutation: list[int]) -> Layer:
    return Transpose(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=node.output[0],
        view=view,
        permutation=tuple(permutation),
    )


def read_slice(reader: NodeReader, node: NodeProto) -> Layer:
    """Slice with constant bounds."""
    shape = reader.shape(node, node.input[0])
    starts = reader.integers(node, "starts", 1) or []
    ends = reader.integers(node, "ends", 2) or []
    axes = reader.axes(
        node, reader.integers(node, "axes", 3) or list(range(len(starts))), len(shape)
    )
    strides = reader.integers(node, "steps", 4) or [1] * len(starts)
    firsts, steps = [0] * len(shape), [1] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, strides, strict=True):
        # Python clamps bounds to the axis and counts negative ones from behind, as ONNX does.
        firsts[axis], _, steps[axis] = slice(start, end, step).indices(shape[axis])
        if axis == 0 and (start, step) != (0, 1):
            raise reader.refuse(node, "takes a part of the batch; expected the whole")
    return _slice(reader, node, node.output[0], firsts[1:], steps[1:])


def read_split(reader: NodeReader, node: NodeProto) -> tuple[Layer, ...]:
    """Split: one slice for each output that anything reads."""
    shape = reader.shape(node, node.input[0])
    (axis,) = reader.axes(node, [attributes(node).get("axis", 0)], len(shape))
    if axis == 0:
        raise reader.refuse(node, "splits the batch; expected another axis")
    layers: list[Layer] = []
    first = 0
    for ofm in node.output:
        if ofm in reader.outputs or reader.readers.get(ofm):
            firsts = [first if place == axis else 0 for place in range(1, len(shape))]
            layers.append(_slice(reader, node, ofm, firsts, [1] * len(firsts)))
        first += reader.shape(node, ofm)[axis]
    return tuple(layers)


def _slice(
    reader: NodeReader, node: NodeProto, ofm: str, starts: list[int], steps: list[int]
) -> Layer:
    return Slice(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=ofm,
        starts=tuple(starts),
        steps=tuple(steps),
    )


def read_pad(reader: NodeReader, node: NodeProto) -> Layer:
    """Pad with a constant."""
    mode = choice(node, "mode", "constant")
    if mode != "constant":
        raise reader.refuse(node, f"has mode {mode!r}; expected 'constant'")
    rank = len(reader.shape(node, node.input[0]))
    found = reader.integers(node, "pads", 1) or []
    given = reader.integers(node, "axes", 3)
    axes = reader.axes(node, list(range(rank)) if given is None else given, rank)
    before, after = [0] * rank, [0] * rank
    for axis, first, last in zip(axes, found[: len(axes)], found[len(axes) :], strict=True):
        before[axis], after[axis] = first, last
    if before[0] or after[0]:
        raise reader.refuse(node, "pads the batch; expected other axes")
    constant = reader.optional(node, 2, "the value")
    number = attributes(node).get("value", 0.0) if constant is None else constant.reshape(-1)[0]
    value = float(number)
    if np.isnan(value):
        raise reader.refuse(node, "pads with NaN; expected a number")
    return Pad(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=node.output[0],
        before=tuple(before[1:]),
        after=tuple(after[1:]),
        value=value,
    )


def read_resize(reader: NodeReader, node: NodeProto) -> Layer:
    """Resize or Upsample to the nearest, where it repeats every value as often."""
    mode = choice(node, "mode", "nearest")
    if mode != "nearest":
        raise reader.refuse(node, f"has mode {mode!r}; expected 'nearest'")
    shape = reader.shape(node, node.input[0])
    found = reader.shape(node, node.output[0])
    factors = [new // old for new, old in zip(found, shape, strict=True)]
    expected = np.arange(np.prod(shape)).reshape(shape)
    for axis, factor in enumerate(factors):
        expected = expected.repeat(factor, axis=axis)
    if found[0] != 1 or not np.array_equal(resize_indices(reader, node), expected):
        raise reader.refuse(
            node,
            f"makes {list(found)} of {list(shape)} in another way than by repeating every value; "
            "expected integer factors, and coordinates and rounding that repeat",
        )
    return Upsample(
        name=reader.label(node),
        ifm=reader.feature_map(node, node.input[0]),
        ofm=node.output[0],
        factors=tuple(factors[1:]),
    )
