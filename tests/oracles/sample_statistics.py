"""Sums and histogram of the samples of a feature map, one sample at a time.

What calibration must arrive at, however it streams. Sums are correctly rounded
(`math.fsum`), so they do not depend on the order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnitudeSums:
    """Sums over the magnitudes of one sign."""

    count: int
    sum_abs: float
    sum_square: float
    sum_fourth: float
    sum_log: float
    sum_log_square: float
    sum_log_cube: float
    largest: float
    smallest: float


def sum_magnitudes(magnitudes: Sequence[float]) -> MagnitudeSums:
    logs = [math.log(value) for value in magnitudes]
    return MagnitudeSums(
        count=len(magnitudes),
        sum_abs=math.fsum(magnitudes),
        sum_square=math.fsum(value**2 for value in magnitudes),
        sum_fourth=math.fsum(value**4 for value in magnitudes),
        sum_log=math.fsum(logs),
        sum_log_square=math.fsum(value**2 for value in logs),
        sum_log_cube=math.fsum(value**3 for value in logs),
        largest=max(magnitudes, default=0.0),
        smallest=min(magnitudes, default=0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Bin ``i`` lies from ``(first + i) * width`` to ``(first + i + 1) * width``.

    A sample on an edge is in the bin that reaches further from zero.
    """

    exponent: int
    first: int
    counts: list[int]
    sums: list[float]
    squares: list[float]


def sort_into_bins(samples: Sequence[float], exponent: int) -> Bins:
    """Sort what is not zero into bins of ``2**exponent``, from the lowest to the highest."""
    held: dict[int, list[float]] = {}
    for value in samples:
        if value != 0:
            widths = math.floor(math.ldexp(abs(value), -exponent))
            held.setdefault(widths if value > 0 else -1 - widths, []).append(value)
    first = min(held, default=0)
    indices = range(first, max(held, default=-1) + 1)
    contents = [held.get(index, []) for index in indices]
    return Bins(
        exponent=exponent,
        first=first,
        counts=[len(content) for content in contents],
        sums=[math.fsum(content) for content in contents],
        squares=[math.fsum(value**2 for value in content) for content in contents],
    )


def finest_exponent(samples: Sequence[float], most_bins: int) -> int:
    """Find the least power of two whose bins reach from zero to the largest magnitude."""
    largest = max((abs(value) for value in samples), default=0.0)
    if largest == 0:
        return 0
    exponent = math.frexp(largest)[1] - (most_bins.bit_length() + 2)
    while math.floor(math.ldexp(largest, -exponent)) >= most_bins:
        exponent += 1
    return exponent
