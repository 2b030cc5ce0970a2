"""The fraction length of weights and biases: exact search over the tensor itself."""

import math

import numpy as np
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MAX_FRAC_BITS, MIN_FRAC_BITS, QFormat, Rounding

_BELOW, _ABOVE = 1, 6
"""How far around the max-range fraction length the search looks."""


def in_range(where: str, frac_bits: int) -> int:
    """Check a fraction length that the data asks for against what a format can have.

    Raises
    ------
    InputError
        The values are so large or so small that no format holds them.
    """
    if not MIN_FRAC_BITS <= frac_bits <= MAX_FRAC_BITS:
        raise InputError(
            where,
            f"its values need a step of 2**{-frac_bits}; "
            f"formats reach from 2**{-MAX_FRAC_BITS} to 2**{-MIN_FRAC_BITS}",
        )
    return frac_bits


def max_range(values: NDArray[np.float64], bits: int) -> int:
    """Fraction length at which the largest magnitude just fits: ``bits-1-ceil(log2 max|x|)``.

    ``bits - 1`` where all values are zero.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return bits - 1
    mantissa, exponent = math.frexp(largest)  # largest = mantissa * 2**exponent, 0.5 <= mantissa
    return bits - 1 - (exponent - 1 if mantissa == 0.5 else exponent)


def search(where: str, values: NDArray[np.float64], bits: int, *, may_clip: bool = True) -> int:
    """Fraction length of least squared error, saturation included.

    Encodes ties-even. Looks from 1 below to 6 above the max-range fraction length; on
    equal error the larger range wins.

    Parameters
    ----------
    where
        Name of the tensor, for messages.
    values : float64[...]
        The whole tensor.
    bits
        Word length, signed.
    may_clip
        False to look only where nothing saturates (biases).
    """
    start = in_range(where, max_range(values, bits))
    best, least = start - _BELOW, math.inf
    for frac_bits in range(start - _BELOW, start + _ABOVE + 1):
        if not MIN_FRAC_BITS <= frac_bits <= MAX_FRAC_BITS:
            continue
        fmt = QFormat(bits=bits, frac_bits=frac_bits)
        raw = fmt.encode(values, Rounding.TIES_EVEN)
        if not may_clip and not _fits(values, fmt):
            continue
        error = float(np.sum((fmt.decode(raw) - values) ** 2))
        if error < least:
            best, least = frac_bits, error
    return best


def _fits(values: NDArray[np.float64], fmt: QFormat) -> bool:
    rounded = np.rint(np.ldexp(values, fmt.frac_bits))
    return bool((rounded >= fmt.raw_min).all() and (rounded <= fmt.raw_max).all())
