"""Run-length codes of zeros: how feature maps lie in DRAM where a machine codes them.

A code is a row of pairs, each a run of zeros and a level, the value that comes next. A run is
as long as its field of bits allows at most, ``2**run_bits - 1``; behind a longest one, and at the
end of a map, the level may be a zero as well. So a pair stands for one element more than its run,
and a map ends where its elements do.

Source: Chen, Krishna, Emer and Sze, "Eyeriss: an energy-efficient reconfigurable accelerator for
deep convolutional neural networks", JSSC 2017, with 5 bits for a run and 16 for a level.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.jit import jit


def encode(values: NDArray[np.int32], run_bits: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give runs and levels of a map, int32[pairs] each.

    Parameters
    ----------
    values
        int32[n], a map in the order of its addresses.
    run_bits
        Of a run, 1 to 16.
    """
    runs, levels = np.empty((2, len(values)), np.int32)
    n_pairs = _encode(values, (1 << run_bits) - 1, runs, levels)
    return runs[:n_pairs], levels[:n_pairs]


def count_zero_levels(values: NDArray[np.integer[Any]], run_bits: int) -> int:
    """Count the pairs of a map's code whose level is zero: all but one for each other value.

    Parameters
    ----------
    values
        int[C, H, W], coded channel by channel, or of another shape, as it lies.
    run_bits
        Of a run, 1 to 16.
    """
    if run_bits > _BYTE_BITS:
        _, levels = encode(values.reshape(-1).astype(np.int32), run_bits)
        return len(levels) - int(np.count_nonzero(levels))
    planes = values if values.ndim == _CHW else values.reshape(1, 1, -1)
    # As maps lie in memory: a row of channels for each pixel.
    return int(_count_zero_levels(planes.transpose(1, 2, 0), (1 << run_bits) - 1))


_CHW = 3
_BYTE_BITS = 8
"""Runs up to this width are counted in bytes."""
_BYTE_MAX = 255


@jit
def _count_zero_levels(values, longest):
    """Count the pairs whose level is a zero: behind a longest run, and at the end of the map.

    All channels are counted at once, each as if a level came before it; what the run before it
    changes is put right at the end.

    Parameters
    ----------
    values : int[H, W, C]
    longest : int
        Zeros in a run at most, up to 255.
    """
    n_rows, n_cols, n_channels = values.shape
    run = np.zeros(n_channels, np.uint8)
    levels = np.zeros(n_channels, np.uint8)
    counted = np.zeros(n_channels, np.int64)
    full, pixels = np.uint8(longest), 0
    for row in range(n_rows):
        for col in range(n_cols):
            # Bytes and no branches, so that many channels go side by side.
            for channel in range(n_channels):
                zero = values[row, col, channel] == 0
                is_full = run[channel] == full
                levels[channel] = np.uint8(levels[channel] + np.uint8(zero & is_full))
                goes_on = zero & (not is_full)
                run[channel] = np.uint8(run[channel] + np.uint8(1)) if goes_on else np.uint8(0)
            pixels += 1
            if pixels == _BYTE_MAX:
                pixels = 0
                for channel in range(n_channels):
                    counted[channel] += levels[channel]
                    levels[channel] = 0
    total, before = 0, 0
    for channel in range(n_channels):
        zeros = _leading_zeros(values, channel)
        total += counted[channel] + levels[channel]
        total += (before + zeros) // (longest + 1) - zeros // (longest + 1)
        is_empty = zeros == n_rows * n_cols
        before = (before + zeros) % (longest + 1) if is_empty else int(run[channel])
    return total + (before > 0)


@jit
def _leading_zeros(values, channel):
    """Count the zeros before the first level of a channel, int[H, W, C]."""
    n_rows, n_cols, _ = values.shape
    zeros = 0
    for row in range(n_rows):
        for col in range(n_cols):
            if values[row, col, channel] != 0:
                return zeros
            zeros += 1
    return zeros


@jit
def _encode(values, longest, runs, levels):
    """Write all pairs; return how many.

    Parameters
    ----------
    values : int32[n]
    longest : int
        Zeros in a run at most.
    runs, levels : int32[n]
        Overwritten as far as there are pairs.
    """
    n_pairs, run = 0, 0
    for i in range(values.size):
        if values[i] == 0 and run < longest:
            run += 1
        else:
            runs[n_pairs], levels[n_pairs] = run, values[i]
            n_pairs, run = n_pairs + 1, 0
    if run > 0:
        runs[n_pairs], levels[n_pairs] = run - 1, 0
        n_pairs += 1
    return n_pairs
