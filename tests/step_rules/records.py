"""The record of a feature map, made from its samples by the oracle."""

import math
from collections.abc import Sequence

import numpy as np

from quantizer.map_statistics import Histogram, MapStatistics, SignStatistics
from tests.oracles.sample_statistics import (
    MagnitudeSums,
    finest_exponent,
    sort_into_bins,
    sum_magnitudes,
)

MOST_BINS = 8191  # as calibration: half of it at least


def record(samples: Sequence[float], most_bins: int = MOST_BINS) -> MapStatistics:
    """Statistics of samples, with at most so many bins from zero to the largest magnitude."""
    bins = sort_into_bins(samples, finest_exponent(samples, most_bins))
    return MapStatistics(
        positive=_signed([value for value in samples if value > 0]),
        negative=_signed([-value for value in samples if value < 0]),
        zeros=sum(value == 0 for value in samples),
        histogram=Histogram(
            exponent=bins.exponent,
            first=bins.first,
            counts=np.array(bins.counts, np.int64),
            sums=np.array(bins.sums, np.float64),
            squares=np.array(bins.squares, np.float64),
        ),
    )


def _signed(magnitudes: Sequence[float]) -> SignStatistics:
    sums: MagnitudeSums = sum_magnitudes(magnitudes)
    return SignStatistics(
        count=sums.count,
        sum_abs=sums.sum_abs,
        sum_square=sums.sum_square,
        sum_fourth=sums.sum_fourth,
        sum_log=sums.sum_log,
        sum_log_square=sums.sum_log_square,
        sum_log_cube=sums.sum_log_cube,
        largest=sums.largest,
        smallest=sums.smallest,
    )


def scaled(statistics: MapStatistics, exponent: int) -> MapStatistics:
    """The record of all samples times ``2**exponent``; exact but for the sums of logarithms."""
    histogram = statistics.histogram
    return MapStatistics(
        positive=_scaled_sign(statistics.positive, exponent),
        negative=_scaled_sign(statistics.negative, exponent),
        zeros=statistics.zeros,
        histogram=Histogram(
            exponent=histogram.exponent + exponent,
            first=histogram.first,
            counts=histogram.counts.copy(),
            sums=np.ldexp(histogram.sums, exponent),
            squares=np.ldexp(histogram.squares, 2 * exponent),
        ),
    )


def _scaled_sign(sums: SignStatistics, exponent: int) -> SignStatistics:
    shift, count = exponent * math.log(2), sums.count
    return SignStatistics(
        count=count,
        sum_abs=math.ldexp(sums.sum_abs, exponent),
        sum_square=math.ldexp(sums.sum_square, 2 * exponent),
        sum_fourth=math.ldexp(sums.sum_fourth, 4 * exponent),
        sum_log=sums.sum_log + count * shift,
        sum_log_square=sums.sum_log_square + 2 * shift * sums.sum_log + count * shift**2,
        sum_log_cube=sums.sum_log_cube
        + 3 * shift * sums.sum_log_square
        + 3 * shift**2 * sums.sum_log
        + count * shift**3,
        largest=math.ldexp(sums.largest, exponent),
        smallest=math.ldexp(sums.smallest, exponent),
    )
