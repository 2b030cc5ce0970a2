"""Are the sums of calibration those of all samples, however these come?

Held against sums of fractions or of `math.fsum`, which round once.
"""

import math
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray

from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.map_statistics import Histogram, RunningHistogram, SignStatistics
from quantizer.map_sums import MapSums, RunningSums, sum_up

_RELATIVE = 1e-13
"""Moments of an image are added in float64 where they do not fit integers: the fourth and
those of the logarithm, a few thousand terms."""


def parts(seed: int = 0) -> list[NDArray[np.float32]]:
    """Maps of several images, of different sizes and scales, with both signs and zeros."""
    rng = np.random.default_rng(seed)
    scales = (1.0, 3e-3, 40.0, 0.0, 1e-30)
    made = [rng.normal(size=900) * scale for scale in scales] + [np.zeros(0), rng.normal(size=7)]
    return [np.where(rng.random(part.size) < 0.3, 0.0, part).astype(np.float32) for part in made]


def merged(maps: list[NDArray[np.float32]]) -> MapSums:
    running = RunningSums(sum_up(maps[0], Rounding.TIES_POS))
    for part in maps[1:]:
        running.add(sum_up(part, Rounding.TIES_POS))
    return running.total()


def check_sign(found: SignStatistics, magnitudes: NDArray[np.float64]) -> None:
    logs = np.log(magnitudes)
    assert found.count == magnitudes.size
    assert (found.largest, found.smallest) == (magnitudes.max(), magnitudes.min())
    exact = [Fraction(float(x)) for x in magnitudes]
    assert found.sum_abs == pytest.approx(float(sum(exact)), rel=1e-15)
    assert found.sum_square == pytest.approx(float(sum(x * x for x in exact)), rel=1e-15)
    assert found.sum_fourth == pytest.approx(math.fsum(magnitudes**4), rel=_RELATIVE)
    for power, total in ((1, found.sum_log), (2, found.sum_log_square), (3, found.sum_log_cube)):
        # Logarithms have both signs: what is lost is measured against their magnitudes.
        slack = _RELATIVE * math.fsum(np.abs(logs) ** power)
        assert total == pytest.approx(math.fsum(logs**power), rel=0, abs=slack)


def test_sums_of_all_images_are_those_of_their_samples() -> None:
    maps = parts()
    statistics = merged(maps).statistics()
    reals = np.concatenate(maps).astype(np.float64)
    check_sign(statistics.positive, reals[reals > 0])
    check_sign(statistics.negative, -reals[reals < 0])
    assert statistics.zeros == np.count_nonzero(reals == 0)


def test_denormals_have_their_moments_too() -> None:
    values = (np.arange(1, 400) * np.float32(1e-45)).astype(np.float32)
    check_sign(sum_up(values, Rounding.TIES_POS).statistics().positive, values.astype(np.float64))


def test_a_map_without_samples_has_sums_of_zero() -> None:
    for values in (np.zeros(0), np.zeros(9), np.float32([-0.0])):
        statistics = sum_up(values.astype(np.float32), Rounding.TIES_POS).statistics()
        assert statistics.count == statistics.zeros == values.size
        assert statistics.positive == statistics.negative == SignStatistics(
            count=0, sum_abs=0.0, sum_square=0.0, sum_fourth=0.0, sum_log=0.0,
            sum_log_square=0.0, sum_log_cube=0.0, largest=0.0, smallest=0.0,
        )  # fmt: skip


def test_bins_hold_what_lies_between_their_edges() -> None:
    maps = parts(1)
    histogram = merged(maps).statistics().histogram
    reals = np.concatenate(maps).astype(np.float64)
    reals = reals[reals != 0]
    # The edge nearer to zero belongs to a bin: counted in magnitudes.
    magnitudes = np.floor(np.abs(reals) / histogram.width).astype(int)
    index = np.where(reals > 0, magnitudes, -1 - magnitudes) - histogram.first
    size = histogram.counts.size
    assert histogram.counts.tolist() == np.bincount(index, minlength=size).tolist()
    for found, terms in ((histogram.sums, reals), (histogram.squares, reals**2)):
        np.testing.assert_allclose(found, np.bincount(index, terms, size), rtol=1e-12)
    assert histogram.edges[0] <= reals.min()
    assert histogram.edges[-1] > reals.max()


def test_the_bins_are_as_fine_as_the_largest_magnitude_lets_them() -> None:
    for largest in (1.0, 1.0 - 2**-24, 3.7, 1e-30, 1e30):
        histogram = (
            sum_up(np.float32([largest, largest / 3]), Rounding.TIES_POS).statistics().histogram
        )
        assert 2**12 <= np.float32(largest) / histogram.width < 2**13


def test_one_huge_outlier_widens_the_bins_and_loses_no_sample() -> None:
    rng = np.random.default_rng(0)
    calm, wild = rng.normal(size=5000).astype(np.float32), np.float32([1e30])
    alone = sum_up(calm, Rounding.TIES_POS).statistics().histogram
    both = merged([calm, wild, calm]).statistics().histogram
    assert both.exponent > alone.exponent
    assert both.total == 10_001
    assert both.squares.sum() == pytest.approx(float(wild[0]) ** 2, rel=1e-12)


def test_widening_by_steps_is_widening_at_once() -> None:
    """Doubling commutes with merging: what matters is the range of all images."""
    small, middle, large = (np.float32([-3 * s, s, 2 * s, 2.5 * s]) for s in (1.0, 300.0, 7e4))
    one = merged([small, middle, large]).statistics().histogram
    other = merged([large, small, middle]).statistics().histogram
    assert (one.exponent, one.first) == (other.exponent, other.first)
    for mine, theirs in ((one.counts, other.counts), (one.sums, other.sums)):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("seed", range(4))
def test_bins_added_in_place_are_those_merged_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scales = [1.0, 0.5, 1e-3, 0.0, 3.0, 1e-30, 700.0, *rng.exponential(size=20)]
    maps = [(rng.normal(size=500) * scale).astype(np.float32) for scale in rng.permutation(scales)]
    histograms = [sum_up(part, Rounding.TIES_POS).negative.bins for part in maps]
    running = RunningHistogram(histograms[0])
    for index, merged_so_far in enumerate(accumulate(histograms, Histogram.merged)):
        if index > 0:
            running.add(histograms[index])
        total = running.total()
        assert (total.exponent, total.first) == (merged_so_far.exponent, merged_so_far.first)
        assert total.counts.tobytes() == merged_so_far.counts.tobytes()
        assert total.sums.tobytes() == merged_so_far.sums.tobytes()
        assert total.squares.tobytes() == merged_so_far.squares.tobytes()


def test_mirrored_bins_are_those_of_the_negated_samples() -> None:
    values = np.float32([-4.0, -2.5, -1e-3, 0.25, 4.0, 4.0, 5.5])
    one = sum_up(values, Rounding.TIES_POS).statistics().histogram
    other = sum_up(-values, Rounding.TIES_POS).statistics().histogram
    mirrored = one.mirrored()
    assert (mirrored.exponent, mirrored.first) == (other.exponent, other.first)
    np.testing.assert_array_equal(mirrored.counts, other.counts)
    np.testing.assert_array_equal(mirrored.sums, other.sums)
    np.testing.assert_array_equal(one.negative().counts, other.positive().counts)


def test_arrays_of_different_lengths_make_no_histogram() -> None:
    with pytest.raises(ValueError, match="counts, sums and squares must have one length"):
        Histogram(
            exponent=0, first=0, counts=np.zeros(2, np.int64), sums=np.zeros(2), squares=np.zeros(3)
        )


def test_images_of_one_tenth_each_lose_no_digit_over_many() -> None:
    """Ten thousand images: plain addition in float64 would be off by 1e-13, not by 1e-15."""
    part = sum_up(np.float32([0.1, -0.3]), Rounding.TIES_POS)
    running = RunningSums(part)
    for _ in range(9_999):
        running.add(part)
    total = running.total()
    positive = total.statistics().positive
    fourth = 10_000 * Fraction(float(np.float32(0.1))) ** 4
    assert positive.sum_fourth == pytest.approx(float(fourth), rel=1e-15)
    fmt = QFormat(bits=8, frac_bits=6)
    assert total.errors().of(fmt).total == pytest.approx(
        10_000 * part.errors().of(fmt).total, rel=1e-15
    )
