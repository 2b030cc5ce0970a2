"""Is the record of a feature map what its samples say?

Ground truth: numpy on all samples; the histogram by a dictionary of lists.
"""

import math

import numpy as np
import pytest

from quantizer.grid import Grid
from quantizer.map_statistics import Histogram
from tests.step_rules.arrays import NAMES, samples
from tests.step_rules.records import record


def histogram(samples: list[float], most_bins: int = 16) -> Histogram:
    return record(samples, most_bins).histogram


@pytest.mark.parametrize("name", NAMES)
def test_means_and_deviations_are_those_of_all_samples(name):
    values = np.array(samples(name))
    statistics = record(samples(name))
    assert statistics.count == values.size
    assert statistics.mean == pytest.approx(values.mean(), rel=1e-12)
    assert statistics.mean_square == pytest.approx(np.mean(values**2), rel=1e-12)
    assert statistics.variance == pytest.approx(values.var(), rel=1e-12)
    # Exact but for the bin of the mean, whose samples are on the wrong side by half of it.
    bin_of_mean = np.floor(values / statistics.histogram.width) == math.floor(
        statistics.mean / statistics.histogram.width
    )
    doubt = 2 * bin_of_mean.mean() * statistics.histogram.width / 2
    deviation = np.mean(np.abs(values - values.mean()))
    assert statistics.mean_absolute_deviation == pytest.approx(deviation, abs=doubt)


def test_an_empty_map_has_no_mean_and_no_deviation():
    statistics = record([])
    assert statistics.count == statistics.mean == statistics.mean_square == 0
    assert statistics.variance == statistics.mean_absolute_deviation == 0
    assert statistics.positive.is_constant
    assert statistics.histogram.total == 0


def test_zeros_count_in_the_means_and_in_no_bin():
    statistics = record([0.0, 0.0, 1.0, 3.0])
    assert (statistics.count, statistics.zeros, statistics.histogram.total) == (4, 2, 2)
    assert statistics.mean == 1.0
    assert statistics.mean_absolute_deviation == 1.0


def test_a_constant_is_one_magnitude_of_a_sign():
    assert record([2.0, 2.0, 0.0]).positive.is_constant
    statistics = record([2.0, -1.0, -2.0])
    assert statistics.positive.is_constant
    assert not statistics.negative.is_constant
    assert not statistics.seen_by(Grid.TWOS_COMPLEMENT).is_constant


def test_both_signs_merge_into_the_sums_of_all_magnitudes():
    both = record([0.5, -3.0, 1.0, 0.0]).seen_by(Grid.RESTRICTED)
    alone = record([0.5, 3.0, 1.0]).positive
    for field in ("count", "sum_abs", "sum_square", "sum_fourth", "largest", "smallest"):
        assert getattr(both, field) == getattr(alone, field)
    for field in ("sum_log", "sum_log_square", "sum_log_cube"):
        assert getattr(both, field) == pytest.approx(getattr(alone, field), rel=1e-14)
    assert record([0.5, -3.0]).seen_by(Grid.UNSIGNED).largest == 0.5


def test_one_sign_merged_with_nothing_is_itself():
    statistics = record([0.5, 1.0])
    assert statistics.seen_by(Grid.TWOS_COMPLEMENT) == statistics.positive


def test_the_edge_nearer_to_zero_belongs_to_a_bin():
    bins = histogram([0.0, 1.0, 1.9, 2.0, -0.5, -1.0, -1.1], most_bins=3)
    assert (bins.width, bins.first) == (1.0, -2)
    assert bins.edges.tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    assert bins.counts.tolist() == [2, 1, 0, 2, 1]
    assert bins.sums.tolist() == [-2.1, -0.5, 0.0, 2.9, 2.0]


def test_the_signs_are_taken_apart_at_zero():
    bins = histogram([1.0, 1.9, 2.0, -0.5, -1.5, -2.5], most_bins=3)
    assert bins.positive().counts.tolist() == [0, 2, 1]
    assert bins.negative().counts.tolist() == [1, 1, 1]
    assert bins.negative().sums.tolist() == [0.5, 1.5, 2.5]
    assert bins.negative().squares.tolist() == [0.25, 2.25, 6.25]
    assert bins.positive().first == bins.negative().first == 0


def test_one_sign_alone_leaves_the_other_empty():
    assert histogram([3.0, 5.0]).negative().total == 0
    assert histogram([-3.0, -5.0]).positive().total == 0
    assert histogram([-3.0, -5.0]).negative().sums.sum() == 8.0
    # Bins that start away from zero are filled up to it.
    assert histogram([5.0], most_bins=8).positive().counts.tolist() == [0, 0, 0, 0, 0, 1]
    assert histogram([-5.5], most_bins=8).negative().counts.tolist() == [0, 0, 0, 0, 0, 1]


def test_magnitudes_lay_one_sign_over_the_other():
    bins = histogram([0.5, 1.5, 1.7, -0.5, -3.5], most_bins=4)
    assert bins.magnitudes(Grid.TWOS_COMPLEMENT).counts.tolist() == [2, 2, 0, 1]
    assert bins.magnitudes(Grid.UNSIGNED).counts.tolist() == [1, 2]
    means, counts = bins.magnitudes(Grid.RESTRICTED).occupied()
    assert means.tolist() == [0.5, 1.6, 3.5]
    assert counts.tolist() == [2, 2, 1]


def test_the_arrays_of_a_histogram_cannot_be_written_to():
    bins = histogram([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        bins.counts[0] = 5


def test_a_histogram_of_arrays_of_different_length_is_refused():
    with pytest.raises(ValueError, match=r"^counts, sums and squares must have one length$"):
        Histogram(
            exponent=0,
            first=0,
            counts=np.ones(2, np.int64),
            sums=np.ones(2),
            squares=np.ones(3),
        )
