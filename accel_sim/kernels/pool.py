"""Pooling on raw integers."""

import numpy as np

from accel_sim.kernels.output_stage import bound
from quantizer.fixedpoint.arith import round_divided
from quantizer.fixedpoint.jit import jit


@jit
def max_pool(ifm, kernel, stride, pads, raw_min, ofm):
    """Maximum over windows; positions outside the map read as `raw_min`.

    Parameters
    ----------
    ifm : int32[C, H, W]
    kernel, stride : (int, int)
        Rows, cols.
    pads : (int, int)
        Top and left; what lies below and to the right follows from the shape of `ofm`.
    raw_min : int
        Smallest raw value of the format.
    ofm : int32[C, P, Q]
        Every element is overwritten.
    """
    n_channels, height, width = ifm.shape
    _, out_height, out_width = ofm.shape
    for c in range(n_channels):
        for p in range(out_height):
            top = p * stride[0] - pads[0]
            for q in range(out_width):
                left = q * stride[1] - pads[1]
                best = np.int64(raw_min)
                for row in range(max(top, 0), min(top + kernel[0], height)):
                    for col in range(max(left, 0), min(left + kernel[1], width)):
                        best = max(best, np.int64(ifm[c, row, col]))
                ofm[c, p, q] = best


@jit
def average_pool(ifm, kernel, stride, pads, counts_padding, scale, rounding, bounds, ofm):
    """Mean over windows: one rounding of the exact rational.

    ``ofm = clip(round(S * 2**scale / n))`` with S the sum of the window and n the number
    of positions it counts.

    Parameters
    ----------
    ifm : int32[C, H, W]
    kernel, stride, pads : (int, int)
        As in `max_pool`.
    counts_padding : bool
        Whether n counts positions outside the map too.
    scale : int
        Fraction bits of the ofm minus those of the ifm; sum and count, shifted by it,
        stay within 61 bits.
    rounding : int
        A `Rounding` value.
    bounds
        As in `output_stage.bound`.
    ofm : int32[C, P, Q]
        Every element is overwritten.

    Returns
    -------
    int
        Outputs that the format clipped.
    """
    n_channels, height, width = ifm.shape
    _, out_height, out_width = ofm.shape
    up = np.int64(max(scale, 0))
    down = np.int64(max(-scale, 0))
    saturations = np.int64(0)
    for c in range(n_channels):
        for p in range(out_height):
            top = p * stride[0] - pads[0]
            for q in range(out_width):
                left = q * stride[1] - pads[1]
                total = np.int64(0)
                count = np.int64(0)
                for row in range(max(top, 0), min(top + kernel[0], height)):
                    for col in range(max(left, 0), min(left + kernel[1], width)):
                        total += np.int64(ifm[c, row, col])
                        count += 1
                if counts_padding:
                    count = np.int64(kernel[0] * kernel[1])
                mean = round_divided(total << up, count << down, rounding)
                raw, clipped = bound(mean, bounds)
                saturations += clipped
                ofm[c, p, q] = raw
    return saturations
