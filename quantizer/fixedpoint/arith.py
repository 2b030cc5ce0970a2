"""Scalar integer rules, jitted: wrap, rounding shift, requantize.

Each is an equation over unbounded integers; what keeps 64 bits enough is stated with
it. Kernels call these per element and LLVM inlines them.
"""

import numpy as np

from quantizer.fixedpoint.jit import jit
from quantizer.fixedpoint.qformat import Rounding

TIES_POS = int(Rounding.TIES_POS)
TIES_EVEN = int(Rounding.TIES_EVEN)
TIES_AWAY = int(Rounding.TIES_AWAY)
TO_NEG = int(Rounding.TO_NEG)

MAX_ACC_MAGNITUDE = 2**61
"""Largest accumulator-plus-bias magnitude that `requantize` accepts."""


@jit
def wrap(total, bits):
    """Keep the low `bits` of `total`, as two's complement.

    ``wrap(t, A) = ((t + 2**(A-1)) mod 2**A) - 2**(A-1)``, for `bits` 1 to 62. Addition
    modulo ``2**A`` is associative, so wrapping once after a sum gives the bits of
    hardware that wraps after every addition.
    """
    half = np.int64(1) << np.int64(bits - 1)
    mask = (half << np.int64(1)) - np.int64(1)
    # The sum may pass 2**63; modulo 2**64 that does not change the low bits.
    return ((total + half) & mask) - half


@jit
def shift_right_rounded(acc, shift, rounding):
    """Divide by ``2**shift`` and round: ``round(acc * 2**-shift)``, exactly.

    The tie is decided on all discarded bits.

    Parameters
    ----------
    acc : int64
        Magnitude at most ``2**61``.
    shift : int
        At least 1. Above 62 every quotient is less than one half, which 63 tells too.
    rounding : int
        A `Rounding` value.
    """
    # What is added before the shift decides which quotients it carries over an integer. Only
    # `acc` changes in a loop, and nothing branches on it: compilers take several at a time.
    shift = np.int64(min(shift, 63))
    half = np.int64(1) << (shift - np.int64(1))
    of_all, of_negative, of_odd = half, np.int64(0), np.int64(0)
    if rounding == TO_NEG:
        of_all = np.int64(0)
    elif rounding == TIES_EVEN:
        of_all, of_odd = half - np.int64(1), np.int64(1)
    elif rounding == TIES_AWAY:
        of_negative = np.int64(-1)
    elif rounding != TIES_POS:  # TO_ZERO
        of_all, of_negative = np.int64(0), half - np.int64(1) + half
    # All ones below zero, else none.
    sign = acc >> np.int64(63)
    return (acc + of_all + (sign & of_negative) + ((acc >> shift) & of_odd)) >> shift


@jit
def requantize(acc, shift, rounding, low, high):
    """Move an accumulator to another format: ``clip(round(acc * 2**-shift), low, high)``.

    Exact as with unbounded width: a negative `shift` multiplies exactly, then clips.

    Parameters
    ----------
    acc : int64
        Magnitude at most ``2**61``.
    shift : int
        Fraction bits of the accumulator minus those of the result; any sign.
    rounding : int
        A `Rounding` value.
    low, high : int64
        The clip bounds, of either sign, ``low <= high``, within 33 bits.
    """
    if shift > 0:
        scaled = shift_right_rounded(acc, shift, rounding)
        return min(max(scaled, low), high)
    left = np.int64(min(-shift, 62))
    # acc * 2**left > high, without forming the product: exact because the comparison
    # of an integer with high / 2**left only needs the quotient's floor (or ceiling).
    if acc > high >> left:
        return high
    if acc < -((-low) >> left):
        return low
    return acc << left


@jit
def round_divided(numerator, denominator, rounding):
    """Round an exact rational to an integer: ``round(numerator / denominator)``.

    Parameters
    ----------
    numerator, denominator : int64
        ``denominator > 0`` and ``|numerator| + denominator < 2**62``.
    rounding : int
        A `Rounding` value.
    """
    floor = numerator // denominator
    remainder = numerator - floor * denominator
    if remainder == 0 or rounding == TO_NEG:
        return floor
    twice = remainder + remainder
    if rounding == TIES_POS:
        return floor + np.int64(twice >= denominator)
    if rounding == TIES_EVEN:
        return floor + np.int64(twice > denominator or (twice == denominator and floor & 1 == 1))
    if rounding == TIES_AWAY:
        return floor + np.int64(twice > denominator or (twice == denominator and numerator >= 0))
    return floor + np.int64(numerator < 0)  # TO_ZERO


@jit
def round_real_scalar(value, rounding):
    """Round one finite number to an integer, held in float64; as `qformat.round_real`."""
    if rounding == TO_NEG:
        return np.floor(value)
    if rounding == TIES_POS:
        below = np.floor(value)
        return below + np.float64(value - below >= 0.5)
    if rounding == TIES_EVEN:
        return np.rint(value)
    if rounding == TIES_AWAY:
        magnitude = abs(value)
        below = np.floor(magnitude)
        return np.copysign(below + np.float64(magnitude - below >= 0.5), value)
    return np.trunc(value)  # TO_ZERO
