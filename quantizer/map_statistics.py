"""What calibration keeps of a feature map: sums of each sign, and a histogram.

Everything that chooses a step reads this record and nothing else. Its size does not depend
on the number of samples.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quantizer import sample_sums
from quantizer.grid import Grid

Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignStatistics:
    """Sums over the samples of one sign, as magnitudes ``|x| > 0``.

    Attributes
    ----------
    count
        Number of samples.
    sum_abs, sum_square, sum_fourth
        Sums of ``|x|``, ``x**2``, ``x**4``.
    sum_log, sum_log_square, sum_log_cube
        Sums of the first three powers of ``ln |x|``.
    largest, smallest
        Of the magnitudes; 0 where there are none.
    """

    count: int
    sum_abs: float
    sum_square: float
    sum_fourth: float
    sum_log: float
    sum_log_square: float
    sum_log_cube: float
    largest: float
    smallest: float

    @property
    def is_constant(self) -> bool:
        """All samples have one magnitude, or there are none."""
        return self.largest == self.smallest

    def merged(self, other: "SignStatistics") -> "SignStatistics":
        """Take the samples of both as magnitudes of one distribution."""
        present = [side.smallest for side in (self, other) if side.count]
        return SignStatistics(
            count=self.count + other.count,
            sum_abs=self.sum_abs + other.sum_abs,
            sum_square=self.sum_square + other.sum_square,
            sum_fourth=self.sum_fourth + other.sum_fourth,
            sum_log=self.sum_log + other.sum_log,
            sum_log_square=self.sum_log_square + other.sum_log_square,
            sum_log_cube=self.sum_log_cube + other.sum_log_cube,
            largest=max(self.largest, other.largest),
            smallest=min(present, default=0.0),
        )


_WIDEST_SHIFT = 62
"""Between bin widths: beyond it, all bins are one on either side of zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Samples other than zero, counted in bins of ``width = 2**exponent``.

    Bin ``i`` lies between ``(first + i) * width`` and ``(first + i + 1) * width``; the end
    nearer to zero belongs to it. So no bin holds both signs; and where a power-of-two step is
    at least twice the width, its cells are whole bins.

    Attributes
    ----------
    exponent
        Of the bin width.
    first
        Index of the first bin, counted in widths from zero; negative left of it.
    counts : int64[n]
        Samples per bin.
    sums, squares : float64[n]
        Sums of ``x`` and of ``x**2`` per bin.
    """

    exponent: int
    first: int
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.counts.shape == self.sums.shape == self.squares.shape:
            raise ValueError("counts, sums and squares must have one length")
        for array in (self.counts, self.sums, self.squares):
            array.flags.writeable = False

    @property
    def width(self) -> float:
        """``2**exponent``."""
        return math.ldexp(1.0, self.exponent)

    @property
    def total(self) -> int:
        """Number of samples."""
        return int(self.counts.sum())

    @property
    def edges(self) -> NDArray[np.float64]:
        """``float64[n + 1]``."""
        indices = np.arange(self.first, self.first + self.counts.size + 1, dtype=np.float64)
        return np.asarray(np.ldexp(indices, self.exponent))

    def merged(self, other: "Histogram") -> "Histogram":
        """Add the samples of another histogram, in the wider of both bin widths."""
        if other.counts.size == 0:
            return self
        if self.counts.size == 0:
            return other
        exponent = max(self.exponent, other.exponent)
        spans = [part.span(exponent) for part in (self, other)]
        first = min(start for start, _ in spans)
        size = max(end for _, end in spans) - first
        counts, sums, squares = np.zeros(size, np.int64), np.zeros(size), np.zeros(size)
        for part in (self, other):
            shift = min(exponent - part.exponent, _WIDEST_SHIFT)
            of_part = (part.counts, part.sums, part.squares)
            sample_sums.add_bins(*of_part, part.first, shift, counts, sums, squares, first)
        return Histogram(exponent=exponent, first=first, counts=counts, sums=sums, squares=squares)

    def span(self, exponent: int) -> tuple[int, int]:
        """Give the first bin and the one behind the last, in a width of ``2**exponent``."""
        shift = exponent - self.exponent
        return self.first >> shift, ((self.first + self.counts.size - 1) >> shift) + 1

    def mirrored(self) -> "Histogram":
        """Bins of the samples with the other sign."""
        return Histogram(
            exponent=self.exponent,
            first=-(self.first + self.counts.size),
            counts=self.counts[::-1].copy(),
            sums=-self.sums[::-1],
            squares=self.squares[::-1].copy(),
        )

    def positive(self) -> "Histogram":
        """Bins of the positive samples, from zero on."""
        below, gap = max(-self.first, 0), max(self.first, 0)
        return Histogram(
            exponent=self.exponent,
            first=0,
            counts=np.pad(self.counts[below:], (gap, 0)),
            sums=np.pad(self.sums[below:], (gap, 0)),
            squares=np.pad(self.squares[below:], (gap, 0)),
        )

    def negative(self) -> "Histogram":
        """Bins of the magnitudes of the negative samples, from zero on."""
        return self.mirrored().positive()

    def magnitudes(self, grid: Grid) -> "Histogram":
        """Bins of the magnitudes that a grid can represent, from zero on.

        Both signs on a signed grid, the positive one on an unsigned grid.
        """
        positive = self.positive()
        if not grid.is_signed:
            return positive
        negative = self.negative()
        return Histogram(
            exponent=self.exponent,
            first=0,
            counts=_overlaid(positive.counts, negative.counts),
            sums=_overlaid(positive.sums, negative.sums),
            squares=_overlaid(positive.squares, negative.squares),
        )

    def occupied(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Mean and number of the samples of every bin that holds any."""
        held = self.counts > 0
        return self.sums[held] / self.counts[held], self.counts[held]


class RunningHistogram:
    """A sum of histograms of magnitudes: the bits of `Histogram.merged`, one after the other.

    Few hold a sample beyond all before them; the others are added in place.
    """

    def __init__(self, begin: Histogram) -> None:
        self._take(begin)

    def _take(self, total: Histogram) -> None:
        self._exponent, self._first = total.exponent, total.first
        self._bins = total.counts.copy(), total.sums.copy(), total.squares.copy()

    def add(self, part: Histogram) -> None:
        """Add the samples of a further histogram."""
        if self._holds(part):
            shift = min(self._exponent - part.exponent, _WIDEST_SHIFT)
            bins = part.counts, part.sums, part.squares
            sample_sums.add_bins(*bins, part.first, shift, *self._bins, self._first)
        else:
            self._take(self.total().merged(part))

    def _holds(self, part: Histogram) -> bool:
        if self._exponent < part.exponent or part.counts.size == 0:
            return False
        first, end = part.span(self._exponent)
        return self._first <= first and end <= self._first + self._bins[0].size

    def total(self) -> Histogram:
        """Give the sum of those so far."""
        counts, sums, squares = self._bins
        return Histogram(
            exponent=self._exponent,
            first=self._first,
            counts=counts.copy(),
            sums=sums.copy(),
            squares=squares.copy(),
        )


def _overlaid(one: NDArray[Number], other: NDArray[Number]) -> NDArray[Number]:
    longer, shorter = (one, other) if one.size >= other.size else (other, one)
    total = longer.copy()
    total[: shorter.size] += shorter
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """All that is known of a feature map.

    Attributes
    ----------
    positive, negative
        Sums of each sign.
    zeros
        Number of samples that are exactly zero: no error on any grid here.
    histogram
        Of the others.
    """

    positive: SignStatistics
    negative: SignStatistics
    zeros: int
    histogram: Histogram

    @property
    def count(self) -> int:
        """Samples of all signs, zeros among them."""
        return self.positive.count + self.negative.count + self.zeros

    @property
    def mean(self) -> float:
        """Mean of all samples; 0 where there are none."""
        return (self.positive.sum_abs - self.negative.sum_abs) / max(self.count, 1)

    @property
    def mean_square(self) -> float:
        """Mean square of all samples; 0 where there are none."""
        return (self.positive.sum_square + self.negative.sum_square) / max(self.count, 1)

    @property
    def variance(self) -> float:
        """Mean squared distance from `mean`."""
        return max(self.mean_square - self.mean * self.mean, 0.0)

    @property
    def mean_absolute_deviation(self) -> float:
        """Mean distance from `mean`, exact but for the samples in the bin of the mean.

        What lies above the mean weighs as much as what lies below, so it is twice the
        excess over the mean.
        """
        mean = self.mean
        values, counts = self.histogram.occupied()
        excess = float(np.sum(counts * np.maximum(values - mean, 0.0)))
        excess += self.zeros * max(-mean, 0.0)
        return 2 * excess / max(self.count, 1)

    def seen_by(self, grid: Grid) -> SignStatistics:
        """Select the sums of the magnitudes that a grid can represent."""
        return self.positive.merged(self.negative) if grid.is_signed else self.positive
