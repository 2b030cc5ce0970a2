"""Pooling on raw integers."""

import numpy as np

from accel_sim.kernels.output_stage import bound
from quantizer.fixedpoint.arith import round_divided
from quantizer.fixedpoint.jit import jit


@jit
def _inside(start, taps, dilation, size):
    """First tap of a window that is inside the map, and the one behind the last."""
    # Both quotients are rounded up; a window that ends before the map has no tap inside.
    first = max(-(start // dilation), 0)
    end = min(-((start - size) // dilation), taps)
    return first, max(end, first)


@jit
def _take_larger(values, best):
    for i in range(best.size):
        best[i] = max(best[i], values[i])


@jit
def max_pool(ifm, kernel, stride, pads, dilation, raw_min, ofm):
    """Maximum over windows; positions outside the map read as `raw_min`.

    Parameters
    ----------
    ifm : integers[H, W, C]
    kernel, stride, dilation : (int, int)
        Rows, cols.
    pads : (int, int)
        Top and left; what lies below and to the right follows from the shape of `ofm`.
    raw_min : int
        Smallest raw value of the format.
    ofm : integers[P, Q, C]
        Every element is overwritten.
    """
    height, width, channels = ifm.shape
    out_height, out_width, _ = ofm.shape
    tallest = np.empty((width, channels), ifm.dtype)
    for p in range(out_height):
        top = p * stride[0] - pads[0]
        first_row, end_row = _inside(top, kernel[0], dilation[0], height)
        # First down the rows, whole rows at a time: the windows of a row share these maxima.
        tallest[:] = raw_min
        for r in range(first_row, end_row):
            _take_larger(ifm[top + r * dilation[0]].reshape(-1), tallest.reshape(-1))
        ofm[p] = raw_min
        for s in range(kernel[1]):
            left = s * dilation[1] - pads[1]
            first, end = _inside(left, out_width, stride[1], width)
            for q in range(first, end):
                _take_larger(tallest[left + q * stride[1]], ofm[p, q])


@jit
def average_pool(
    ifm, kernel, stride, pads, dilation, row_counts, col_counts, scale, rounding, bounds, ofm
):
    """Mean over windows: one rounding of the exact rational.

    ``ofm = clip(round(S * 2**scale / n))`` with S the sum of the window and n the number
    of positions it counts.

    Parameters
    ----------
    ifm : integers[H, W, C]
    kernel, stride, pads, dilation : (int, int)
        As in `max_pool`.
    row_counts, col_counts : int64[P], int64[Q]
        Rows and columns that a window counts, at least 1; n is their product.
    scale : int
        Fraction bits of the ofm minus those of the ifm; sum and count, shifted by it,
        stay within 61 bits.
    rounding : int
        A `Rounding` value.
    bounds
        As in `output_stage.bound`.
    ofm : integers[P, Q, C]
        Every element is overwritten.

    Returns
    -------
    int
        Outputs that the format clipped.
    """
    height, width, channels = ifm.shape
    out_height, out_width, _ = ofm.shape
    up = np.int64(max(scale, 0))
    down = np.int64(max(-scale, 0))
    saturations = np.int64(0)
    totals = np.empty(channels, np.int64)
    for p in range(out_height):
        top = p * stride[0] - pads[0]
        first_row, end_row = _inside(top, kernel[0], dilation[0], height)
        for q in range(out_width):
            left = q * stride[1] - pads[1]
            first_col, end_col = _inside(left, kernel[1], dilation[1], width)
            totals[:] = 0
            for r in range(first_row, end_row):
                for s in range(first_col, end_col):
                    pixel = ifm[top + r * dilation[0], left + s * dilation[1]]
                    for c in range(channels):
                        totals[c] += np.int64(pixel[c])
            count = row_counts[p] * col_counts[q]
            for c in range(channels):
                mean = round_divided(totals[c] << up, count << down, rounding)
                raw, clipped = bound(mean, bounds)
                saturations += clipped
                ofm[p, q, c] = raw
    return saturations
