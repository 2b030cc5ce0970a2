"""What calibration keeps of a feature map: sums by octave and a histogram of each sign.

The sums of an image depend on nothing but its samples, and images are added in their order:
the same bits come out of any batch size and any number of threads.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from quantizer import sample_sums
from quantizer.fixedpoint.qformat import Rounding
from quantizer.format_errors import FormatErrors, magnitude_kinds
from quantizer.map_statistics import (
    Histogram,
    MapStatistics,
    RunningHistogram,
    SignStatistics,
)
from quantizer.octave_sums import (
    GroupedSamples,
    OctaveSums,
    RunningOctaves,
    group_samples,
    sum_octaves,
)

_BIN_BITS = 12
"""The largest magnitude lies in one of the bins 2**12 to 2**13 - 1, counted from zero."""

_FINEST_BIN = -149
"""Exponent of the smallest float32: no bin needs to be narrower."""

_SIGN_BIT = np.int32(-(1 << 31))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignSums:
    """Sums over the magnitudes of one sign.

    Attributes
    ----------
    octaves
        Sums by octave.
    bins
        Histogram of the magnitudes.
    largest, smallest
        Of the magnitudes; 0 where there are none.
    """

    octaves: OctaveSums
    bins: Histogram
    largest: float
    smallest: float

    def statistics(self) -> SignStatistics:
        """Moments of the magnitudes and of their logarithms."""
        totals = self.octaves.totals
        units, base = self.octaves.units, self.octaves.low_ends
        count, offset, square = (
            totals[:, column] for column in (sample_sums.COUNT, sample_sums.SUM, sample_sums.SQUARE)
        )
        log, log_square, log_cube = (
            totals[:, column]
            for column in (sample_sums.LOG, sample_sums.LOG_SQUARE, sample_sums.LOG_CUBE)
        )
        octave = (units + sample_sums.MANTISSA_BITS) * math.log(2)

        def total(terms: NDArray[np.float64]) -> float:
            return math.fsum(terms.tolist())

        return SignStatistics(
            count=self.octaves.count,
            sum_abs=total(np.ldexp(offset + base * count, units)),
            sum_square=total(np.ldexp(square + base * (2 * offset + base * count), 2 * units)),
            sum_fourth=total(np.ldexp(totals[:, sample_sums.FOURTH], 4 * units)),
            sum_log=total(log + octave * count),
            sum_log_square=total(log_square + octave * (2 * log + octave * count)),
            sum_log_cube=total(
                log_cube + octave * (3 * log_square + octave * (3 * log + octave * count))
            ),
            largest=self.largest,
            smallest=self.smallest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSums:
    """Sums over the samples of a feature map.

    Attributes
    ----------
    rounding
        By which samples are encoded.
    positive, negative
        Of each sign.
    zeros
        Number of samples that are exactly zero.
    """

    rounding: Rounding
    positive: SignSums
    negative: SignSums
    zeros: int

    def statistics(self) -> MapStatistics:
        """From which a step is chosen."""
        return MapStatistics(
            positive=self.positive.statistics(),
            negative=self.negative.statistics(),
            zeros=self.zeros,
            histogram=self.positive.bins.merged(self.negative.bins.mirrored()),
        )

    def errors(self) -> FormatErrors:
        """By which a step is rounded to a power of two."""
        return FormatErrors(
            rounding=self.rounding,
            positive=self.positive.octaves,
            negative=self.negative.octaves,
        )


class RunningSums:
    """Sums over the samples of a feature map, image after image."""

    def __init__(self, begin: MapSums) -> None:
        self._rounding, self._zeros = begin.rounding, begin.zeros
        self._positive, self._negative = _RunningSign(begin.positive), _RunningSign(begin.negative)

    def add(self, part: MapSums) -> None:
        """Add the sums of further samples."""
        self._positive.add(part.positive)
        self._negative.add(part.negative)
        self._zeros += part.zeros

    def total(self) -> MapSums:
        """Give the sums over all samples so far."""
        return MapSums(
            rounding=self._rounding,
            positive=self._positive.total(),
            negative=self._negative.total(),
            zeros=self._zeros,
        )


class _RunningSign:
    """The same for one sign."""

    def __init__(self, begin: SignSums) -> None:
        self._octaves = RunningOctaves(begin.octaves)
        self._bins = RunningHistogram(begin.bins)
        self._largest, self._smallest = begin.largest, begin.smallest

    def add(self, part: SignSums) -> None:
        self._octaves.add(part.octaves)
        self._bins.add(part.bins)
        present = [smallest for smallest in (self._smallest, part.smallest) if smallest > 0]
        self._largest, self._smallest = max(self._largest, part.largest), min(present, default=0.0)

    def total(self) -> SignSums:
        return SignSums(
            octaves=self._octaves.total(),
            bins=self._bins.total(),
            largest=self._largest,
            smallest=self._smallest,
        )


def sum_up(values: NDArray[np.float32], rounding: Rounding) -> MapSums:
    """Sum up a feature map of one image.

    Parameters
    ----------
    values : float32[...]
        Finite samples.
    rounding
        By which they would be encoded.
    """
    bits = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.int32)
    upper, lower = magnitude_kinds(rounding)
    positive = _sum_positive(bits, upper)
    # With the sign bit turned, the negative samples are the positive ones.
    has_negative = bits.min(initial=0) < 0
    negative = _sum_positive(bits ^ _SIGN_BIT, lower) if has_negative else _no_samples()
    counted = positive.octaves.count + negative.octaves.count
    return MapSums(
        rounding=rounding, positive=positive, negative=negative, zeros=bits.size - counted
    )


def _sum_positive(bits: NDArray[np.int32], kind: int) -> SignSums:
    """Sum up the samples above zero."""
    positive = np.empty(bits.size + 1, np.int32)
    positive = positive[: sample_sums.select_positive(bits, positive)]
    samples = group_samples(positive)
    magnitudes = positive.view(np.float32)
    largest = float(magnitudes.max(initial=0.0))
    return SignSums(
        octaves=sum_octaves(samples, kind),
        bins=_fill_bins(samples, largest),
        largest=largest,
        smallest=float(magnitudes.min(initial=largest)),
    )


@cache
def _no_samples() -> SignSums:
    """Sum up nothing: what most maps have below zero."""
    return _sum_positive(np.empty(0, np.int32), sample_sums.NEAREST)


def _fill_bins(samples: GroupedSamples, largest: float) -> Histogram:
    exponent = max(math.frexp(largest)[1] - 1 - _BIN_BITS, _FINEST_BIN)
    size = int(math.ldexp(largest, -exponent)) + 1 if largest else 0
    counts, sums, squares = np.zeros(size, np.int64), np.zeros(size), np.zeros(size)
    sample_sums.fill_bins(
        samples.mantissas, samples.counts, samples.first, exponent, counts, sums, squares
    )
    return Histogram(exponent=exponent, first=0, counts=counts, sums=sums, squares=squares)
