"""The fraction length of weights and biases: exact search over the tensor itself."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MAX_FRAC_BITS, MIN_FRAC_BITS, QFormat

_BELOW, _ABOVE = 1, 6
"""How far around the max-range fraction length the search looks."""

_FINER_THAN_TENSOR = 16
"""How far a channel's fraction length may lie above the tensor's: by the widest format."""

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
    equal error the larger range wins. Where all values are zero, ``bits - 1``.

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
    if not values.any():
        return start
    return _least_error(values, bits, start, MAX_FRAC_BITS, may_clip)


def search_channels(
    where: str, values: Reals, bits: int, *, may_clip: bool = True
) -> NDArray[np.int64]:
    """Search for each entry of the first axis by itself; parameters as for `search`.

    A channel of zeros, which any format holds, has the tensor's fraction length. No channel
    has more than 16 places beyond it: what is smaller by so much is 0 in the tensor's format
    at any width, and a dead channel can be smaller than any format reaches.

    Returns
    -------
    int64[K]
    """
    of_tensor = search(where, values, bits, may_clip=may_clip)
    finest = min(of_tensor + _FINER_THAN_TENSOR, MAX_FRAC_BITS)
    lengths = np.full(len(values), of_tensor, np.int64)
    for channel in range(len(values)):
        own: Reals = values[channel : channel + 1]
        if own.any():
            start = min(max_range(own, bits), finest)
            lengths[channel] = _least_error(own, bits, start, finest, may_clip)
    return lengths


def _least_error(values: Reals, bits: int, start: int, finest: int, may_clip: bool) -> int:
    """Compare the fraction lengths from 1 below `start` to 6 above, none beyond `finest`."""
    best, least = max(start - _BELOW, MIN_FRAC_BITS), math.inf
    for frac_bits in range(start - _BELOW, min(start + _ABOVE, finest) + 1):
        if frac_bits < MIN_FRAC_BITS:
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
