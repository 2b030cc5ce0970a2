"""Elementwise operators on raw integers, over flat maps."""

import numpy as np

from accel_sim.kernels.output_stage import bound
from quantizer.fixedpoint.arith import requantize
from quantizer.fixedpoint.jit import jit


@jit
def add(left, left_shift, right, right_shift, shift, rounding, bounds, ofm):
    """Add two maps: both aligned exactly, one exact sum, one requantize.

    ``ofm = clip(round((left << left_shift) + (right << right_shift)) * 2**-shift))``.

    Parameters
    ----------
    left, right : int32[n]
    left_shift, right_shift : int
        To the finer of the two formats; at most 40.
    shift : int
        Fraction bits of the aligned sum minus those of the ofm.
    rounding : int
        A `Rounding` value.
    bounds
        As in `output_stage.bound`.
    ofm : int32[n]
        Every element is overwritten.

    Returns
    -------
    int
        Outputs that the format clipped.
    """
    raw_min, raw_max, _, _ = bounds
    saturations = np.int64(0)
    for i in range(ofm.size):
        total = (np.int64(left[i]) << left_shift) + (np.int64(right[i]) << right_shift)
        # One beyond the range tells a clipped value from one on the bound.
        value = requantize(total, shift, rounding, raw_min - 1, raw_max + 1)
        raw, clipped = bound(value, bounds)
        saturations += clipped
        ofm[i] = raw
    return saturations


@jit
def clip(ifm, low, high, ofm):
    """Clip raw values: ``ofm = min(max(ifm, low), high)``, all int32[n]."""
    for i in range(ofm.size):
        ofm[i] = min(max(ifm[i], low), high)


@jit
def change_format(ifm, shift, rounding, bounds, ofm):
    """Requantize a map that cannot share its Concat's format.

    Parameters
    ----------
    ifm : int32[n]
    shift : int
        Fraction bits of the ifm minus those of the ofm.
    rounding : int
        A `Rounding` value.
    bounds
        As in `output_stage.bound`.
    ofm : int32[n]
        Every element is overwritten.

    Returns
    -------
    int
        Values that the new format clipped.
    """
    raw_min, raw_max, _, _ = bounds
    saturations = np.int64(0)
    for i in range(ofm.size):
        value = requantize(np.int64(ifm[i]), shift, rounding, raw_min - 1, raw_max + 1)
        raw, clipped = bound(value, bounds)
        saturations += clipped
        ofm[i] = raw
    return saturations
