"""Jitted sums over the samples of one feature map of one image.

Samples are taken as their bits. A positive float32 is ``m * 2**(field - 150)``: ``field``
its 8 exponent bits, ``m`` an integer of 24 bits, so the samples of one field (an octave:
``[2**E, 2**(E+1))`` with ``E = field - 127``) are integers of one unit, and what a step of a
power of two leaves of them is their low bits. Sums of such integers are exact; they go to
float64 a block at a time.
"""

import math

import numpy as np

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

_SQRT_2 = math.sqrt(2.0)
_LN_2 = math.log(2.0)


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
def add_octave_sums(mantissas, counts, first, kind, sums, scratch, logarithms):
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
    sums : float64[octaves, COLUMNS]
        Updated. COUNT; SUM and SQUARE of ``y = m - 2**23`` (denormals: m), the distance
        from the low end of the octave; FOURTH of ``m**4``; LOG, LOG_SQUARE, LOG_CUBE of
        ``ln(m / 2**23)``. From REMAINDERS on, per shift: the squares of what rounding to a
        multiple of ``2**shift`` leaves. From TOP_COUNTS, TOP_SUMS and TOP_SQUARES on, per
        shift but the last: number, sum and sum of squares of ``t = 2**24 - m``, the
        distance from the high end, where it is at most half of ``2**shift``.
    scratch : uint32[BLOCK]
    logarithms : float64[BLOCK]
        Both overwritten.
    """
    end = np.int64(0)
    for octave in range(counts.size):
        begin, end = end, end + counts[octave]
        row = sums[octave]
        for start in range(begin, end, BLOCK):
            block = mantissas[start : min(start + BLOCK, end)]
            _add_powers(block, first + octave > 0, row)
            _take_logarithms(block, first + octave > 0, logarithms)
            _add_logarithms(logarithms[: block.size], row)
            _add_remainders(block, kind, row)
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
def _take_logarithms(block, is_normal, logarithms):
    if not is_normal:
        for index in range(block.size):
            logarithms[index] = math.log(np.float64(block[index]) * 2.0**-MANTISSA_BITS)
        return
    # Without calls and branches, so that it is vectorised: ln x = 2 artanh((x - 1) / (x + 1)),
    # by its series. Between the square roots of 1/2 and 2 the next term is below the last place.
    for index in range(block.size):
        x = np.float64(np.int32(block[index])) * 2.0**-MANTISSA_BITS
        is_upper = x > _SQRT_2
        x = x * 0.5 if is_upper else x
        s = np.divide(x - 1.0, x + 1.0)
        z = s * s
        series = 1 / 17 + z * (1 / 19)
        series = 1 / 13 + z * (1 / 15 + z * series)
        series = 1 / 9 + z * (1 / 11 + z * series)
        series = 1 / 5 + z * (1 / 7 + z * series)
        series = z * (1 / 3 + z * series)
        logarithms[index] = (_LN_2 if is_upper else 0.0) + 2.0 * (s + s * series)


@jit
def _add_logarithms(logarithms, sums):
    # Four sums side by side, in an order of additions that no processor changes.
    sum_0 = sum_1 = sum_2 = sum_3 = 0.0
    square_0 = square_1 = square_2 = square_3 = 0.0
    cube_0 = cube_1 = cube_2 = cube_3 = 0.0
    whole = logarithms.size - logarithms.size % 4
    for index in range(0, whole, 4):
        log_0, log_1 = logarithms[index], logarithms[index + 1]
        log_2, log_3 = logarithms[index + 2], logarithms[index + 3]
        sum_0, sum_1, sum_2, sum_3 = sum_0 + log_0, sum_1 + log_1, sum_2 + log_2, sum_3 + log_3
        power_0, power_1, power_2, power_3 = log_0**2, log_1**2, log_2**2, log_3**2
        square_0, square_1 = square_0 + power_0, square_1 + power_1
        square_2, square_3 = square_2 + power_2, square_3 + power_3
        cube_0, cube_1 = cube_0 + power_0 * log_0, cube_1 + power_1 * log_1
        cube_2, cube_3 = cube_2 + power_2 * log_2, cube_3 + power_3 * log_3
    for index in range(whole, logarithms.size):
        log = logarithms[index]
        sum_0 += log
        square_0 += log**2
        cube_0 += log**2 * log
    sums[LOG] += (sum_0 + sum_1) + (sum_2 + sum_3)
    sums[LOG_SQUARE] += (square_0 + square_1) + (square_2 + square_3)
    sums[LOG_CUBE] += (cube_0 + cube_1) + (cube_2 + cube_3)


@jit
def _add_remainders(block, kind, sums):
    square = _squared_remainders(block, FIRST_SHIFT, kind)
    sums[REMAINDERS] += np.float64(square)
    remainder = np.uint64(0)
    if kind == NEAREST:
        remainder = _nearest_remainders(block, FIRST_SHIFT)
    for shift in range(FIRST_SHIFT + 1, LAST_SHIFT + 1):
        if kind == NEAREST:
            # A step twice as wide leaves r, or 2**(shift - 1) - r where that is nearer: the
            # square grows by 2**(shift - 1) times of what the remainder itself grows by.
            wider = _nearest_remainders(block, shift)
            square += (wider - remainder) << np.uint64(shift - 1)
            remainder = wider
        else:
            square = _squared_remainders(block, shift, kind)
        sums[REMAINDERS + shift - FIRST_SHIFT] += np.float64(square)


@jit
def _nearest_remainders(block, shift):
    step = np.uint32(1) << np.uint32(shift)
    mask = np.uint32(step - np.uint32(1))
    total = np.uint64(0)
    # So many remainders, each at most half a step, have a sum of 32 bits.
    size = min(BLOCK, 1 << (32 - shift))
    for start in range(0, block.size, size):
        part = block[start : start + size]
        sum_of_part = np.uint32(0)
        for index in range(part.size):
            low = np.uint32(part[index] & mask)
            sum_of_part = np.uint32(sum_of_part + np.uint32(min(low, np.uint32(step - low))))
        total += np.uint64(sum_of_part)
    return total


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
    return total


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


@jit
def add_bins(counts, sums, squares, first, shift, all_counts, all_sums, all_squares, first_of_all):
    """Add the bins of a histogram to those of another, which are ``2**shift`` times as wide.

    Parameters
    ----------
    counts : int64[bins]
    sums, squares : float64[bins]
    first, first_of_all : int
        Index of the first bin of either, counted in its widths from zero.
    all_counts, all_sums, all_squares
        Updated.
    """
    for index in range(counts.size):
        place = ((first + index) >> shift) - first_of_all
        all_counts[place] += counts[index]
        all_sums[place] += sums[index]
        all_squares[place] += squares[index]


@jit
def add_octaves(sums, lost, first, all_sums, all_lost):
    """Add sums by octave to others; what rounding takes is kept (Knuth's two-sum).

    Parameters
    ----------
    sums, lost : float64[octaves, COLUMNS]
    first : int
        Row of the first octave among all.
    all_sums, all_lost
        Updated.
    """
    for row in range(len(sums)):
        for column in range(COLUMNS):
            one, other = all_sums[first + row, column], sums[row, column]
            total = one + other
            added = total - one
            error = (one - (total - added)) + (other - added)
            all_sums[first + row, column] = total
            all_lost[first + row, column] = (
                all_lost[first + row, column] + lost[row, column]
            ) + error
