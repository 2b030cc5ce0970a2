"""Jitted sums over the samples of a feature map.

Compensated, and in the order of the samples: the same bits for any batch size and any
number of threads.
"""

import numpy as np

from quantizer.fixedpoint.arith import round_real_scalar
from quantizer.fixedpoint.jit import jit


@jit
def add_moments(values, sums, compensation):
    """Add the samples of one map to its running sums, each sign apart.

    Neumaier's compensated summation, in the order of the samples: the sums do not depend
    on how many images came before in a batch.

    Parameters
    ----------
    values : float32[n]
        Samples. Zeros are not counted: they carry no quantization error.
    sums : float64[2, 5]
        Row 0 for ``x > 0``, row 1 for ``x < 0``; count, sums of ``|x|``, ``|x|**2``,
        ``|x|**4``, and the largest ``|x|``. Updated.
    compensation : float64[2, 5]
        What rounding took from the sums so far. Updated.
    """
    for index in range(values.size):
        value = np.float64(values[index])
        if value == 0.0:
            continue
        side = 0 if value > 0.0 else 1
        magnitude = abs(value)
        square = magnitude * magnitude
        sums[side, 0] += 1.0
        sums[side, 4] = max(sums[side, 4], magnitude)
        for column in range(1, 4):
            term = magnitude if column == 1 else square if column == 2 else square * square
            before = sums[side, column]
            after = before + term
            if before >= term:
                compensation[side, column] += (before - after) + term
            else:
                compensation[side, column] += (term - after) + before
            sums[side, column] = after


@jit
def squared_error(values, frac_bits, raw_min, raw_max, rounding):
    """Sum of ``(x - decode(encode(x)))**2`` over the samples of one map.

    Parameters
    ----------
    values : float32[n]
        Samples, finite.
    frac_bits, raw_min, raw_max : int
        The format.
    rounding : int
        A `Rounding` value.

    Returns
    -------
    float64
        Compensated sum.
    """
    step = 2.0 ** np.float64(-frac_bits)
    per_step = 2.0 ** np.float64(frac_bits)
    total = 0.0
    lost = 0.0
    for index in range(values.size):
        value = np.float64(values[index])
        raw = round_real_scalar(value * per_step, rounding)
        raw = min(max(raw, np.float64(raw_min)), np.float64(raw_max))
        error = value - raw * step
        term = error * error - lost
        after = total + term
        lost = (after - total) - term
        total = after
    return total
