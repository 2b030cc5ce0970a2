"""Jitted sums over the samples of one feature map of one image.

Samples are taken as their bits. A positive float32 is ``m * 2**(field - 150)``: ``field``
its 8 exponent bits, ``m`` an integer of 24 bits, so the samples of one field (an octave:
``[2**E, 2**(E+1))`` with ``E = field - 127``) are integers of one unit, and what a step of a
power of two leaves of them is their low bits. Sums of such integers are exact; they go to
float64 a block at a time.
"""

import math

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.jit import jit

FIELDS = 256
"""Values of the exponent bits. Field 0 holds the denormals, whose m lacks the leading bit."""
MANTISSA_BITS = 23
UNIT_BIAS = 150
"""Samples of the exponent bits `field` count ``2**(field - UNIT_BIAS)``; of field 0 as of 1."""

FIRST_SHIFT, LAST_SHIFT = 8, 24
"""Steps told apart, ``2**shift`` units of an octave. A format of 16 bits or fewer that holds
an octave has no finer step; of a coarser one, a sample of the octave is all remainder."""

NEAREST, DOWN, UP = range(3)
"""Which of the two levels around a magnitude stands for it: the nearer, lower or upper one."""

COUNT, SUM, SQUARE, FOURTH, LOG, LOG_SQUARE, LOG_CUBE = range(7)
REMAINDERS = LOG_CUBE + 1
TOP_COUNTS = REMAINDERS + LAST_SHIFT - FIRST_SHIFT + 1
TOP_SUMS = TOP_COUNTS + LAST_SHIFT - FIRST_SHIFT
TOP_SQUARES = TOP_SUMS + LAST_SHIFT - FIRST_SHIFT
COLUMNS = TOP_SQUARES + LAST_SHIFT - FIRST_SHIFT
"""Columns of the sums of an octave (`add_octave_sums`), and how many there are."""

BLOCK = 1 << 12
"""Samples whose integer sums fit 64 bits; few enough for the first-level cache."""

LOG_BITS = 10


def logarithm_table() -> NDArray[np.float64]:
    """Tabulate ``ln`` over an octave, float64[2, 2**LOG_BITS].

    Row 0: one over the middle of an interval, in units of the octave. Row 1: the logarithm
    of the middle.
    """
    middles = 1 + (np.arange(1 << LOG_BITS) + 0.5) / (1 << LOG_BITS)
    return np.stack([np.ldexp(1 / middles, -MANTISSA_BITS), np.log(middles)])


@jit
def select_positive(bits, positive):
    """Copy the samples above zero, in their order.

    Parameters
    ----------
    bits : int32[n]
        Samples as float32 bits.
    positive : int32[n + 1]
        Output; behind the samples it holds garbage.

    Returns
    -------
    int
        How many there are.
    """
    count = np.uint64(0)
    for index in range(bits.size):
        # Written always and kept where it counts: zeros of a ReLU are not predictable.
        positive[count] = bits[index]
        count += np.uint64(bits[index] > 0)
    return np.int64(count)


@jit
def count_fields(bits, counts):
    """Count samples by their exponent bits.

    Parameters
    ----------
    bits : int32[n]
        Magnitudes as float32 bits.
    counts : int64[FIELDS]
        Updated.
    """
    for index in range(bits.size):
        counts[np.uint32(bits[index]) >> np.uint32(MANTISSA_BITS)] += 1


@jit
def group_by_field(bits, ends, mantissas):
    """Sort samples by their exponent bits; those of one field keep their order.

    Parameters
    ----------
    bits : int32[n]
        Magnitudes as float32 bits.
    ends : uint64[FIELDS]
        Where each group begins; becomes where it ends.
    mantissas : uint32[n]
        Output: the integers m, group by group.
    """
    for index in range(bits.size):
        value = np.uint32(bits[index])
        field = value >> np.uint32(MANTISSA_BITS)
        place = ends[field]
        leading = np.uint32(min(field, np.uint32(1))) << np.uint32(MANTISSA_BITS)
        mantissas[place] = np.uint32(value & np.uint32((1 << MANTISSA_BITS) - 1)) | leading
        ends[field] = place + np.uint64(1)


@jit
def add_octave_sums(mantissas, counts, first, kind, logarithms, sums, scratch):
    """Add samples to the sums of their octaves, in units of the octave.

    Parameters
    ----------
    mantissas : uint32[n]
        Integers m, grouped by octave.
    counts : int64[octaves]
        How many belong to each octave.
    first : int
        Exponent bits of the first octave.
    kind : int
        NEAREST, DOWN or UP.
    logarithms : float64[2, 2**LOG_BITS]
        See `logarithm_table`.
    sums : float64[octaves, COLUMNS]
        Updated. COUNT; SUM and SQUARE of ``y = m - 2**23`` (denormals: m), the distance
        from the low end of the octave; FOURTH of ``m**4``; LOG, LOG_SQUARE, LOG_CUBE of
        ``ln(m / 2**23)``. From REMAINDERS on, per shift: the squares of what rounding to a
        multiple of ``2**shift`` leaves. From TOP_COUNTS, TOP_SUMS and TOP_SQUARES on, per
        shift but the last: number, sum and sum of squares of ``t = 2**24 - m``, the
        distance from the high end, where it is at most half of ``2**shift``.
    scratch : uint32[BLOCK]
        Overwritten.
    """
    end = np.int64(0)
    for octave in range(counts.size):
        begin, end = end, end + counts[octave]
        row = sums[octave]
        for start in range(begin, end, BLOCK):
            block = mantissas[start : min(start + BLOCK, end)]
            _add_powers(block, first + octave > 0, row)
            _add_logarithms(block, first + octave > 0, logarithms, row)
            for shift in range(FIRST_SHIFT, LAST_SHIFT + 1):
                row[REMAINDERS + shift - FIRST_SHIFT] += _squared_remainders(block, shift, kind)
            _add_tops(block, row, scratch)


@jit
def _add_powers(block, is_normal, sums):
    base = np.uint64(is_normal) << np.uint64(MANTISSA_BITS)
    first, second = np.uint64(0), np.uint64(0)
    for index in range(block.size):
        offset = np.uint64(block[index]) - base
        first += offset
        second += offset * offset
    fourth = 0.0
    for index in range(block.size):
        value = np.float64(block[index])
        square = value * value
        fourth += square * square
    sums[COUNT] += block.size
    sums[SUM] += np.float64(first)
    sums[SQUARE] += np.float64(second)
    sums[FOURTH] += fourth


@jit
def _add_logarithms(block, is_normal, logarithms, sums):
    log = log_square = log_cube = 0.0
    for index in range(block.size):
        value = np.float64(block[index])
        if is_normal:
            place = (block[index] >> np.uint32(MANTISSA_BITS - LOG_BITS)) & np.uint32(
                (1 << LOG_BITS) - 1
            )
            # ln(1 + e), |e| < 2**-11: the sixth power would be below the last place.
            e = value * logarithms[0, place] - 1.0
            tail = e * e * (0.5 - e * (1 / 3 - e * (0.25 - e * 0.2)))
            logarithm = logarithms[1, place] + (e - tail)
        else:
            logarithm = math.log(value * 2.0**-MANTISSA_BITS)
        square = logarithm * logarithm
        log += logarithm
        log_square += square
        log_cube += square * logarithm
    sums[LOG] += log
    sums[LOG_SQUARE] += log_square
    sums[LOG_CUBE] += log_cube


@jit
def _squared_remainders(block, shift, kind):
    step = np.uint32(1) << np.uint32(shift)
    mask = np.uint32(step - np.uint32(1))
    total = np.uint64(0)
    # One loop for each kind: without a choice inside, they are vectorised.
    if kind == NEAREST:
        for index in range(block.size):
            low = np.uint32(block[index] & mask)
            remainder = np.uint64(min(low, np.uint32(step - low)))
            total += remainder * remainder
    elif kind == DOWN:
        for index in range(block.size):
            remainder = np.uint64(block[index] & mask)
            total += remainder * remainder
    else:
        for index in range(block.size):
            low = np.uint32(block[index] & mask)
            remainder = np.uint64(np.uint32(step - low) & mask)
            total += remainder * remainder
    return np.float64(total)


@jit
def _add_tops(block, sums, scratch):
    left = block.size
    for index in range(left):
        scratch[index] = np.uint32(np.uint32(1 << 24) - block[index])
    # Each half holds the next: what is left is about halved every time.
    for place in range(LAST_SHIFT - FIRST_SHIFT - 1, -1, -1):
        half = np.uint32(1) << np.uint32(place + FIRST_SHIFT - 1)
        kept = np.uint64(0)
        first, second = np.uint64(0), np.uint64(0)
        for index in range(left):
            distance = scratch[index]
            is_within = np.uint64(distance <= half)
            scratch[kept] = distance
            kept += is_within
            first += np.uint64(distance) * is_within
            second += np.uint64(distance) * np.uint64(distance) * is_within
        left = np.int64(kept)
        sums[TOP_COUNTS + place] += left
        sums[TOP_SUMS + place] += np.float64(first)
        sums[TOP_SQUARES + place] += np.float64(second)


@jit
def fill_bins(mantissas, counts, first, exponent, bin_counts, bin_sums, bin_squares):
    """Add samples to the bins of a histogram of magnitudes.

    Parameters
    ----------
    mantissas, counts, first
        As `add_octave_sums` takes them.
    exponent : int
        A bin is ``2**exponent`` wide; at least -149, the unit of the denormals.
    bin_counts : int64[bins]
        Samples per bin. Updated.
    bin_sums, bin_squares : float64[bins]
        Sums of the magnitudes and of their squares per bin. Updated.
    """
    end = np.int64(0)
    for octave in range(counts.size):
        begin, end = end, end + counts[octave]
        unit_exponent = max(first + octave, 1) - UNIT_BIAS
        unit = 2.0 ** np.float64(unit_exponent)
        places = np.uint32(min(exponent - unit_exponent, 31))
        for index in range(begin, end):
            place = mantissas[index] >> places
            value = np.float64(mantissas[index]) * unit
            bin_counts[place] += 1
            bin_sums[place] += value
            bin_squares[place] += value * value
