"""Operators that move values and compute nothing, on arrays of any type.

Every image is moved by itself, as the file does for a batch of one: that is what a Reshape to
``[-1, 8]`` or a fixed batch means to a network whose batch is free.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tests.oracles.onnx_graph import Graph, Node

T = TypeVar("T", bound=np.generic)
MOVES = (
    "Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "DepthToSpace",
    "SpaceToDepth", "Slice", "Split", "Resize", "Upsample",
)  # fmt: skip


def move(graph: Graph, node: Node, array: NDArray[T]) -> list[NDArray[T]]:
    """Outputs of one of `MOVES`.

    Raises
    ------
    ValueError
        If the batch axis would not stay first and whole, or the operator does more than move.
    """
    match node.operator:
        case "Identity":
            return [array]
        case "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze":
            shape = _new_shape(graph, node, array.shape)
            if shape[0] != 1:
                raise ValueError(f"{node.output}: {node.operator} must keep the batch axis first")
            return [array.reshape(len(array), *shape[1:])]
        case "Transpose":
            order = node.attributes.get("perm", list(range(array.ndim))[::-1])
            _require_batch_kept(node, order[0] == 0)
            return [array.transpose(order)]
        case "DepthToSpace":
            return [_depth_to_space(node, array)]
        case "SpaceToDepth":
            return [_space_to_depth(node, array)]
        case "Slice":
            return [_slice(graph, node, array)]
        case "Split":
            return _split(graph, node, array)
        case "Resize":
            return [_resize(graph, node, array)]
        case "Upsample":
            return [_upsample(graph, node, array)]
    raise ValueError(f"{node.output}: {node.operator} does not only move values")


def _require_batch_kept(node: Node, is_kept: bool) -> None:
    if not is_kept:
        raise ValueError(f"{node.output}: {node.operator} must keep the batch axis first")


def _new_shape(graph: Graph, node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the output for a batch of one image."""
    one = (1, *shape[1:])
    if node.operator == "Flatten":
        axis = node.attributes.get("axis", 1)
        return math.prod(one[:axis]), math.prod(one[axis:])
    if node.operator == "Reshape":
        lengths = graph.integers(node, "shape", 1) or []
        keeps_at_zero = not node.attributes.get("allowzero", 0)
        kept = [
            one[axis] if length == 0 and keeps_at_zero else length
            for axis, length in enumerate(lengths)
        ]
        return np.empty(one, np.bool_).reshape(kept).shape
    axes = graph.integers(node, "axes", 1)
    if axes is None:
        raise ValueError(f"{node.output}: {node.operator} must name its axes")
    if node.operator == "Squeeze":
        removed = {axis % len(one) for axis in axes}
        _require_batch_kept(node, 0 not in removed)
        if any(one[axis] != 1 for axis in removed):
            raise ValueError(f"{node.output}: Squeeze removes axes of length 1 only")
        return tuple(length for axis, length in enumerate(one) if axis not in removed)
    rank = len(one) + len(axes)
    added = {axis % rank for axis in axes}
    _require_batch_kept(node, 0 not in added)
    lengths_left = iter(one)
    return tuple(1 if axis in added else next(lengths_left) for axis in range(rank))


def _depth_to_space(node: Node, array: NDArray[T]) -> NDArray[T]:
    size = node.attributes["blocksize"]
    is_column_row_depth = node.attributes.get("mode", b"DCR") == b"CRD"
    n_images, n_channels, height, width = array.shape
    n_filters = n_channels // size**2
    ofm = np.empty((n_images, n_filters, height * size, width * size), array.dtype)
    for row, col, k in np.ndindex(size, size, n_filters):
        block = row * size + col
        channel = k * size**2 + block if is_column_row_depth else block * n_filters + k
        ofm[:, k, row::size, col::size] = array[:, channel]
    return ofm


def _space_to_depth(node: Node, array: NDArray[T]) -> NDArray[T]:
    size = node.attributes["blocksize"]
    blocks = [array[:, :, row::size, col::size] for row, col in np.ndindex(size, size)]
    return np.concatenate(blocks, axis=1)


def _slice(graph: Graph, node: Node, array: NDArray[T]) -> NDArray[T]:
    starts, ends, axes, steps = (
        graph.integers(node, key, index)
        for index, key in enumerate(("starts", "ends", "axes", "steps"), start=1)
    )
    assert starts is not None
    assert ends is not None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        is_batch = axis % array.ndim == 0
        length = 1 if is_batch else array.shape[axis]
        # ONNX counts negative positions from the end, then limits both to the axis; going
        # backwards, the end may lie before the first position.
        lowest, highest = (0, length) if step > 0 else (-1, length - 1)
        first, last = (
            min(max(position + length if position < 0 else position, lowest), highest)
            for position in (start, end)
        )
        positions = range(max(first, 0), last, step)
        if is_batch:
            _require_batch_kept(node, list(positions) == [0])
        else:
            array = array.take(positions, axis=axis)
    return array


def _split(graph: Graph, node: Node, array: NDArray[T]) -> list[NDArray[T]]:
    axis = node.attributes.get("axis", 0) % array.ndim
    _require_batch_kept(node, axis > 0)
    lengths = graph.integers(node, "split", 1)
    if lengths is None:
        # Equal parts; the last is smaller where they do not divide the axis.
        largest = -(-array.shape[axis] // len(node.outputs))
        starts = [index * largest for index in range(len(node.outputs))]
        lengths = [min(largest, array.shape[axis] - start) for start in starts]
    if sum(lengths) != array.shape[axis]:
        raise ValueError(f"{node.output}: the parts of Split do not add up to its input")
    return np.split(array, np.cumsum(lengths[:-1]), axis=axis)


def _resize(graph: Graph, node: Node, array: NDArray[T]) -> NDArray[T]:
    if node.attributes.get("mode", b"nearest") != b"nearest":
        raise ValueError(f"{node.output}: Resize must take the nearest")
    axes = node.attributes.get("axes", list(range(array.ndim)))
    scales_name, sizes = node.input_or_none(2), graph.integers(node, "sizes", 3)
    for index, axis in enumerate(axes):
        length = array.shape[axis]
        if axis % array.ndim == 0:
            continue  # a file with a fixed batch gives it as a size
        if sizes:
            scale = Fraction(sizes[index], length)
        else:
            assert scales_name is not None
            scale = Fraction(float(graph.constants[scales_name][index]))
        positions = _nearest(node, length, scale)
        if positions != [position // scale for position in range(int(length * scale))]:
            raise ValueError(f"{node.output}: Resize must repeat each value equally often")
        array = array.take(positions, axis=axis)
    return array


def _upsample(graph: Graph, node: Node, array: NDArray[T]) -> NDArray[T]:
    """Repeat each value: what the forerunner of Resize does with whole scales."""
    if node.attributes.get("mode", b"nearest") != b"nearest":
        raise ValueError(f"{node.output}: Upsample must take the nearest")
    name = node.input_or_none(1)
    scales = node.attributes["scales"] if name is None else graph.constants[name].tolist()
    if scales[0] != 1 or not all(float(scale).is_integer() for scale in scales):
        raise ValueError(f"{node.output}: Upsample must repeat each value equally often")
    for axis, scale in enumerate(scales):
        array = array.repeat(int(scale), axis=axis)
    return array


def _nearest(node: Node, length: int, scale: Fraction) -> list[int]:
    """Position that each output position reads along one axis, as the standard defines it."""
    new_length = math.floor(length * scale)
    half = Fraction(1, 2)
    coordinate: dict[bytes, Callable[[int], Fraction]] = {
        b"asymmetric": lambda x: x / scale,
        b"half_pixel": lambda x: (x + half) / scale - half,
        # What is adjusted is the difference to a length that is no integer: none, here.
        b"half_pixel_symmetric": lambda x: (x + half) / scale - half,
        b"pytorch_half_pixel": lambda x: (x + half) / scale - half if new_length > 1 else half * 0,
        b"tf_half_pixel_for_nn": lambda x: (x + half) / scale,
        b"align_corners": lambda x: (
            Fraction(x * (length - 1), new_length - 1) if new_length > 1 else half * 0
        ),
    }
    rounding: dict[bytes, Callable[[Fraction], int]] = {
        b"round_prefer_floor": lambda x: math.ceil(x - half),
        b"round_prefer_ceil": lambda x: math.floor(x + half),
        b"floor": math.floor,
        b"ceil": math.ceil,
    }
    mode = node.attributes.get("coordinate_transformation_mode", b"half_pixel")
    if mode not in coordinate:
        raise ValueError(f"{node.output}: Resize by {mode.decode()} is not supported")
    nearest = rounding[node.attributes.get("nearest_mode", b"round_prefer_floor")]
    return [
        min(max(nearest(coordinate[mode](position)), 0), length - 1)
        for position in range(new_length)
    ]
