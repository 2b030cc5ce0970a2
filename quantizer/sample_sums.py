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
def squared_errors(values, frac_bits, raw_min, raw_max, rounding):
    """Sum ``(x - decode(encode(x)))**2`` over the samples of one map, by its cause.

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
    tuple of float64
        Granular error, of samples that the format rounds, and overload error, of those
        that it clips. Compensated sums.
    """
    step = 2.0 ** np.float64(-frac_bits)
    per_step = 2.0 ** np.float64(frac_bits)
    granular = 0.0
    overload = 0.0
    granular_lost = 0.0
    overload_lost = 0.0
    for index in range(values.size):
        value = np.float64(values[index])
        rounded = round_real_scalar(value * per_step, rounding)
        raw = min(max(rounded, np.float64(raw_min)), np.float64(raw_max))
        error = value - raw * step
        if raw == rounded:
            term = error * error - granular_lost
            after = granular + term
            granular_lost = (after - granular) - term
            granular = after
        else:
            term = error * error - overload_lost
            after = overload + term
            overload_lost = (after - overload) - term
            overload = after
    return granular, overload
