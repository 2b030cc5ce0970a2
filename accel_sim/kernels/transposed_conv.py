"""Transposed convolution as convolutions of stride 1, one per phase of the output.

Output rows that are equal modulo the stride read the same filter taps, and neighbours
among them read neighbouring input rows; columns likewise. So each such phase is a
convolution of the unstretched map with a part of the taps, and nothing is multiplied
with the zeros between stretched pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPhase:
    """Outputs ``first + stride * m``, and the taps that reach them.

    Attributes
    ----------
    first
        (row, col) of the first output.
    shape
        Number of rows and cols; either may be 0.
    taps
        int64[n]: indices into the flat filter; none where only the bias arrives.
    offsets
        int64[n]: the pixel of the padded flat map that the first output reads.
    places
        int64[n]: where each tap stands in the window of the sub-pixel form, flat. Taps
        stand in the order of the pixels that they read; those that a phase lacks come first.
    """

    first: Pair
    shape: Pair
    taps: NDArray[np.int64]
    offsets: NDArray[np.int64]
    places: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedGeometry:
    """The padded map, and the phases that read it.

    Attributes
    ----------
    before
        Rows above and columns left of the map.
    window
        Rows and columns of the filters of the sub-pixel form, which hold any phase's taps.
    padded_shape
        Rows and cols; one row more than is read, so that whole rows can be computed.
    """

    before: Pair
    window: Pair
    padded_shape: Pair
    phases: tuple[OutputPhase, ...]

    @property
    def padded_cols(self) -> int:
        """Length of a row of accumulators; what lies behind a phase's cols means nothing."""
        return self.padded_shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _AxisPhase:
    """One axis of a phase: its outputs, its taps, and the input that the first one reads."""

    first: int
    count: int
    taps: list[int]
    inputs: list[int]


def _split_axis(out: int, taps: int, stride: int, before: int, dilation: int) -> list[_AxisPhase]:
    phases = []
    for first in range(min(stride, out)):
        # Input i lands on this output by tap r where i * stride = first + before - r * dilation.
        landing = [
            (tap, (first + before - tap * dilation) // stride)
            for tap in range(taps)
            if (first + before - tap * dilation) % stride == 0
        ]
        phases.append(
            _AxisPhase(
                first=first,
                count=-(-(out - first) // stride),
                taps=[tap for tap, _ in landing],
                inputs=[start for _, start in landing],
            )
        )
    return phases


def plan_transposed_conv(
    in_shape: Pair, out_shape: Pair, kernel: Pair, stride: Pair, pads: Pair, dilation: Pair
) -> TransposedGeometry:
    """Work out the geometry of one layer; all arguments are (rows, cols).

    Parameters
    ----------
    pads
        Taken off the full output at the top and at the left.
    """
    axes = [
        _split_axis(*axis) for axis in zip(out_shape, kernel, stride, pads, dilation, strict=True)
    ]
    before, after = [], []
    for size, axis in zip(in_shape, axes, strict=True):
        ends = [(min(p.inputs), max(p.inputs) + p.count) for p in axis if p.inputs]
        before.append(max(0, -min((start for start, _ in ends), default=0)))
        after.append(max(0, max((end for _, end in ends), default=0) - size))
    padded_shape = (
        before[0] + in_shape[0] + after[0] + 1,
        before[1] + in_shape[1] + after[1],
    )
    window_rows, window_cols = (
        max(-(-taps // step), *(len(phase.taps) for phase in axis))
        for taps, step, axis in zip(kernel, stride, axes, strict=True)
    )
    phases = tuple(
        OutputPhase(
            first=(row.first, col.first),
            shape=(row.count, col.count),
            taps=np.array([r * kernel[1] + s for r in row.taps for s in col.taps], np.int64),
            offsets=np.array(
                [
                    (before[0] + i) * padded_shape[1] + before[1] + j
                    for i in row.inputs
                    for j in col.inputs
                ],
                np.int64,
            ),
            places=np.array(
                [
                    (window_rows - 1 - i) * window_cols + window_cols - 1 - j
                    for i in range(len(row.taps))
                    for j in range(len(col.taps))
                ],
                np.int64,
            ),
        )
        for row in axes[0]
        for col in axes[1]
    )
    return TransposedGeometry(
        before=(before[0], before[1]),
        window=(window_rows, window_cols),
        padded_shape=padded_shape,
        phases=phases,
    )


def pad_map(ifm: NDArray[np.int32], geometry: TransposedGeometry) -> NDArray[np.int32]:
    """Surround a map with the zeros that its phases read.

    Parameters
    ----------
    ifm : int32[C, H, W]

    Returns
    -------
    int32[C, 1, rows*cols]
        As `conv.accumulate` takes it.
    """
    channels, height, width = ifm.shape
    top, left = geometry.before
    padded = np.zeros((channels, *geometry.padded_shape), np.int32)
    padded[:, top : top + height, left : left + width] = ifm
    return padded.reshape(channels, 1, -1)
