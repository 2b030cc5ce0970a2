"""Which input positions a run of output positions reads, along one axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Geometry of a window along rows or columns.

    Output position ``p`` reads input ``p*stride + tap*dilation - pad`` for each tap, where
    that lies in the map.
    """

    outputs: int
    inputs: int
    taps: int
    stride: int
    dilation: int
    pad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """An axis of outputs cut into pieces of one size, the last perhaps smaller.

    Attributes
    ----------
    outputs
        int64[n], positions of each piece.
    touched
        int64[n], distinct input positions that each piece reads.
    span
        int64[n], input positions from the first to the last of them.
    """

    outputs: NDArray[np.int64]
    touched: NDArray[np.int64]
    span: NDArray[np.int64]


def cut_axis(axis: Axis, size: int) -> Pieces:
    """Cut the outputs of an axis into pieces of `size`; padding is never counted."""
    starts = np.arange(0, axis.outputs, size)
    outputs = np.minimum(size, axis.outputs - starts)
    if _leaves_no_gap(axis):
        _, read = _find_extents(axis, starts, outputs)
        return Pieces(outputs=outputs, touched=read, span=read)
    position = np.arange(axis.outputs)[:, np.newaxis] * axis.stride - axis.pad
    position = position + np.arange(axis.taps) * axis.dilation
    piece = np.broadcast_to((np.arange(axis.outputs) // size)[:, np.newaxis], position.shape)
    inside = (position >= 0) & (position < axis.inputs)
    # One number per (piece, input position); a set of them counts each position once.
    pairs = np.unique(piece[inside] * axis.inputs + position[inside])
    owner, place = np.divmod(pairs, axis.inputs)
    first = np.full(len(starts), axis.inputs)
    last = np.full(len(starts), -1)
    np.minimum.at(first, owner, place)
    np.maximum.at(last, owner, place)
    return Pieces(
        outputs=outputs,
        touched=np.bincount(owner, minlength=len(starts)),
        span=np.maximum(last - first + 1, 0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Input positions that the pieces of an axis read, piece after piece.

    Attributes
    ----------
    begin
        int64[n + 1], where those of each piece begin in `place`.
    place
        int64[m], ascending within a piece.
    """

    begin: NDArray[np.int64]
    place: NDArray[np.int64]


def list_positions(axis: Axis, size: int) -> Positions:
    """List the input positions that `cut_axis` counts as touched."""
    if _leaves_no_gap(axis):
        starts = np.arange(0, axis.outputs, size)
        first, read = _find_extents(axis, starts, np.minimum(size, axis.outputs - starts))
        begin = np.concatenate(([0], np.cumsum(read)))
        return Positions(
            begin=begin, place=np.arange(begin[-1]) + np.repeat(first - begin[:-1], read)
        )
    taps = np.arange(axis.taps) * axis.dilation - axis.pad
    places = []
    for start in range(0, axis.outputs, size):
        outputs = np.arange(start, min(start + size, axis.outputs))
        read = np.unique(outputs[:, np.newaxis] * axis.stride + taps)
        places.append(read[(read >= 0) & (read < axis.inputs)])
    begin = np.cumsum([0, *(len(read) for read in places)])
    return Positions(begin=begin, place=np.concatenate(places))


def _leaves_no_gap(axis: Axis) -> bool:
    """Whether pieces read all from their first input position to their last."""
    return axis.dilation == 1 and axis.taps >= axis.stride


def _find_extents(
    axis: Axis, starts: NDArray[np.int64], outputs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the first input position of each piece, and how many there are from there."""
    first = np.maximum(starts * axis.stride - axis.pad, 0)
    end = (starts + outputs - 1) * axis.stride + axis.taps - axis.pad
    return first, np.maximum(np.minimum(end, axis.inputs) - first, 0)
