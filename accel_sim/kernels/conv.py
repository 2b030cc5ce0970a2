"""Integer convolution, exact.

A convolution of any stride, dilation and padding becomes one of stride 1 over a flat row
of pixels: the padded map is split into its stride phases, and each filter tap reads one
phase at a fixed offset. What the flat row computes between the output columns (where a
row wraps into the next) is never read.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.jit import jit

_FILTERS = 4
_PIXELS = 512
"""Block of `accumulate`: four rows of accumulators stay in the first-level cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvGeometry:
    """Where each filter tap finds its operand in the phase-split map.

    Attributes
    ----------
    out_shape
        (P, Q).
    phase_shape
        Rows and cols of a phase. One row more than the taps touch, so that whole rows of
        accumulators can be computed, the columns behind Q included.
    tap_phase, tap_offset
        int64[R*S]: index of the phase, and of the pixel that output (0, 0) reads.
    """

    pads: tuple[int, int, int, int]
    stride: tuple[int, int]
    out_shape: tuple[int, int]
    phase_shape: tuple[int, int]
    tap_phase: NDArray[np.int64]
    tap_offset: NDArray[np.int64]

    @property
    def acc_shape(self) -> tuple[int, int]:
        """Rows and cols of the accumulators of one filter; cols from Q on mean nothing."""
        return self.out_shape[0], self.phase_shape[1]


def plan_conv(
    in_shape: tuple[int, int],
    out_shape: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> ConvGeometry:
    """Work out the geometry of one layer; all arguments are (rows, cols)."""
    # Rows and cols that the taps touch, rounded up to whole phases.
    touched_rows, touched_cols = (
        -(-max(size + low + high, (out - 1) * step + (taps - 1) * spread + 1) // step)
        for size, low, high, out, step, taps, spread in zip(
            in_shape, pads[:2], pads[2:], out_shape, stride, kernel, dilation, strict=True
        )
    )
    rows = np.repeat(np.arange(kernel[0]) * dilation[0], kernel[1])
    cols = np.tile(np.arange(kernel[1]) * dilation[1], kernel[0])
    return ConvGeometry(
        pads=pads,
        stride=stride,
        out_shape=out_shape,
        phase_shape=(touched_rows + 1, touched_cols),
        tap_phase=(rows % stride[0]) * stride[1] + cols % stride[1],
        tap_offset=(rows // stride[0]) * touched_cols + cols // stride[1],
    )


def split_phases(ifm: NDArray[np.int32], geometry: ConvGeometry) -> NDArray[np.int32]:
    """Pad with zeros and sort pixels by their position modulo the stride.

    Parameters
    ----------
    ifm : int32[C, H, W]

    Returns
    -------
    int32[C, phases, rows*cols]
        Phase ``i * stride_cols + j`` holds the pixels ``(stride_rows * y + i,
        stride_cols * x + j)`` of the padded map.
    """
    channels, height, width = ifm.shape
    top, left = geometry.pads[:2]
    (step_rows, step_cols), (rows, cols) = geometry.stride, geometry.phase_shape
    padded = np.zeros((channels, rows * step_rows, cols * step_cols), np.int32)
    padded[:, top : top + height, left : left + width] = ifm
    phases = padded.reshape(channels, rows, step_rows, cols, step_cols)
    return np.ascontiguousarray(phases.transpose(0, 2, 4, 1, 3)).reshape(
        channels, step_rows * step_cols, rows * cols
    )


@jit
def _add_to_one(x, weight, row):
    for i in range(row.size):
        row[i] += x[i] * weight


@jit
def _add_to_four(x, weights, row0, row1, row2, row3):
    w0, w1, w2, w3 = weights
    for i in range(row0.size):
        row0[i] += x[i] * w0
        row1[i] += x[i] * w1
        row2[i] += x[i] * w2
        row3[i] += x[i] * w3


@jit
def accumulate(ifm, weights, tap_phase, tap_offset, groups, acc):
    """Convolve one image into accumulators without bias.

    ``acc[k, i] = sum over c, t of weights[k, c, t] * ifm[g*C + c, tap_phase[t],
    tap_offset[t] + i]``, with g the group of k and C the channels per group. Exact as
    long as no sum leaves the type of `acc`; the order of additions cannot matter.

    Parameters
    ----------
    ifm : int32[C*groups, phases, pixels]
        From `split_phases`.
    weights : int32[K, C, taps]
        Raw filters.
    tap_phase, tap_offset : int64[taps]
        From `plan_conv`.
    groups : int
        Divides both K and the channels of `ifm`.
    acc : int32[K, L] or int64[K, L]
        Every element is overwritten. ``L`` plus the largest offset is at most `pixels`.
    """
    n_filters, n_channels, n_taps = weights.shape
    n_pixels = acc.shape[1]
    filters_per_group = n_filters // groups
    acc[:] = 0
    for group in range(groups):
        first, last = group * filters_per_group, (group + 1) * filters_per_group
        for start in range(0, n_pixels, _PIXELS):
            stop = min(start + _PIXELS, n_pixels)
            for k in range(first, last, _FILTERS):
                # Slices cost as much as a short row: those of accumulators are made once.
                if k + _FILTERS <= last:
                    row0, row1 = acc[k, start:stop], acc[k + 1, start:stop]
                    row2, row3 = acc[k + 2, start:stop], acc[k + 3, start:stop]
                    for c in range(n_channels):
                        for t in range(n_taps):
                            begin = start + tap_offset[t]
                            end = stop + tap_offset[t]
                            x = ifm[group * n_channels + c, tap_phase[t], begin:end]
                            taps = (
                                weights[k, c, t],
                                weights[k + 1, c, t],
                                weights[k + 2, c, t],
                                weights[k + 3, c, t],
                            )
                            _add_to_four(x, taps, row0, row1, row2, row3)
                else:
                    for rest in range(k, last):
                        row = acc[rest, start:stop]
                        for c in range(n_channels):
                            for t in range(n_taps):
                                begin = start + tap_offset[t]
                                end = stop + tap_offset[t]
                                x = ifm[group * n_channels + c, tap_phase[t], begin:end]
                                _add_to_one(x, weights[rest, c, t], row)
