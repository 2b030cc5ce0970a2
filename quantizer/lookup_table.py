"""Tables of functions of one value: every entry the exact value, rounded once (NUMBERS.md 11).

Float64 decides wherever the value is safely away from where the rounding changes; what it
cannot decide is decided exactly.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.function_values import REST_ERROR, compare_exactly, split_values
from quantizer.network.layers import Function

INDEX_BITS = 12
"""An input of more bits is interpolated between ``2**12 + 1`` entries."""

BEYOND = 1 << 20
"""Magnitude at which rounded entries end: beyond every raw value."""

_NEAREST = (Rounding.TIES_POS, Rounding.TIES_EVEN, Rounding.TIES_AWAY)


def rest_bits(ifm: QFormat) -> int:
    """Bits of an input that choose a point between two entries; 0 where each has its own."""
    return max(ifm.bits - INDEX_BITS, 0)


def round_function(
    function: Function, ifm: QFormat, frac_bits: int, rounding: Rounding
) -> NDArray[np.int64]:
    """Round the values of a function at the raw values of a format, before any clip.

    Parameters
    ----------
    ifm
        Format of the input.
    frac_bits
        Of the output.

    Returns
    -------
    int64[2**bits] or int64[4097]
        ``round(f(raw * 2**-ifm.frac_bits) * 2**frac_bits)`` from the smallest raw value
        up, in steps of ``2**rest_bits(ifm)``; held within -`BEYOND` and `BEYOND`.
    """
    rest = rest_bits(ifm)
    entries = (1 << (ifm.bits - rest)) + (rest > 0)
    raw = ifm.raw_min + (np.arange(entries, dtype=np.int64) << rest)
    real = ifm.decode(raw)
    base, tail = split_values(function, real)
    base, tail = np.ldexp(base, frac_bits), np.ldexp(tail, frac_bits)
    total = np.clip(base + tail, -BEYOND, BEYOND)
    # The one place near the value where the rounding may change: a tie, or an integer.
    boundary = np.floor(total) + 0.5 if rounding in _NEAREST else np.rint(total)
    difference = base - boundary
    distance = difference + tail
    side = np.sign(distance)
    largest = np.maximum(np.abs(difference), np.abs(tail))
    is_open = (np.abs(distance) <= REST_ERROR * largest) & (largest > 0) & (np.abs(total) < BEYOND)
    for index in np.flatnonzero(is_open):
        side[index] = compare_exactly(
            function, Fraction(real[index]), Fraction(boundary[index]) / Fraction(2) ** frac_bits
        )
    rounded = _round_at(boundary, side, rounding)
    return np.where(np.abs(total) < BEYOND, rounded, total).astype(np.int64)


def _round_at(
    boundary: NDArray[np.float64], side: NDArray[np.float64], rounding: Rounding
) -> NDArray[np.float64]:
    """Round values of which only the side of a boundary close by is known.

    Parameters
    ----------
    boundary
        A tie for the roundings to nearest, an integer for the others.
    side
        -1 below the boundary, 0 on it, 1 above.
    """
    match rounding:
        case Rounding.TO_NEG:
            return boundary - (side < 0)
        case Rounding.TO_ZERO:
            return boundary - ((side < 0) & (boundary > 0)) + ((side > 0) & (boundary < 0))
        case Rounding.TIES_POS:
            tie_goes_up = np.ones(boundary.shape, np.bool_)
        case Rounding.TIES_EVEN:
            tie_goes_up = (boundary - 0.5) % 2 == 1
        case Rounding.TIES_AWAY:
            tie_goes_up = boundary > 0
    return np.asarray(boundary - 0.5 + ((side > 0) | ((side == 0) & tie_goes_up)))
