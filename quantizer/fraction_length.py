"""The fraction length of weights and biases: exact search over the tensor itself."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MAX_FRAC_BITS, MIN_FRAC_BITS, QFormat

_BELOW, _ABOVE = 1, 6
"""How far around the max-range fraction length the search looks."""

_BLOCK = 1 << 16
"""Values worked on at a time: few enough for the second-level cache."""

Reals = NDArray[np.float32] | NDArray[np.float64]


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


def max_range(values: Reals, bits: int) -> int:
    """Fraction length at which the largest magnitude just fits: ``bits-1-ceil(log2 max|x|)``.

    ``bits - 1`` where all values are zero.
    """
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if largest == 0.0:
        return bits - 1
    mantissa, exponent = math.frexp(largest)  # largest = mantissa * 2**exponent, 0.5 <= mantissa
    return bits - 1 - (exponent - 1 if mantissa == 0.5 else exponent)


def search(where: str, values: Reals, bits: int, *, may_clip: bool = True) -> int:
    """Fraction length of least squared error, saturation included.

    Encodes ties-even. Looks from 1 below to 6 above the max-range fraction length; on
    equal error the larger range wins.

    Parameters
    ----------
    where
        Name of the tensor, for messages.
    values : float32[...] or float64[...]
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
        if not may_clip and not _fits(values, fmt):
            continue
        error = _squared_error(values, fmt, least)
        if error < least:
            best, least = frac_bits, error
    return best


def _blocks(values: Reals) -> Iterator[NDArray[np.float64]]:
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield flat[start : start + _BLOCK].astype(np.float64)


def _squared_error(values: Reals, fmt: QFormat, limit: float) -> float:
    """Sum the error over all values, or until it passes a limit: no term is negative."""
    per_step, step = 1 / fmt.step, fmt.step
    error = 0.0
    for block in _blocks(values):
        # As `fmt.encode`, ties-even, but in place.
        decoded = block * per_step
        np.rint(decoded, out=decoded)
        np.clip(decoded, fmt.raw_min, fmt.raw_max, out=decoded)
        decoded *= step
        decoded -= block
        decoded *= decoded
        error += float(np.sum(decoded))
        if error > limit:
            break
    return error


def _fits(values: Reals, fmt: QFormat) -> bool:
    ends = np.array([values.min(initial=0.0), values.max(initial=0.0)], np.float64)
    low, high = np.rint(np.ldexp(ends, fmt.frac_bits))
    return bool(low >= fmt.raw_min and high <= fmt.raw_max)
