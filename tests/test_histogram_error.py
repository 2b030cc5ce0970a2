"""Is the error of a grid on a histogram that on its samples?

Ground truth: every sample rounded and clipped, one by one.
"""

import math

import numpy as np
import pytest

from quantizer.grid import Grid
from quantizer.histogram_error import squared_errors
from quantizer.map_statistics import Histogram
from tests.oracles import rival_steps
from tests.step_rules.arrays import NAMES, samples
from tests.step_rules.records import record


def squared_error(histogram: Histogram, step: float, bits: int, grid: Grid) -> float:
    return float(squared_errors(histogram, np.array([step]), bits, grid)[0])


@pytest.mark.parametrize("grid", [Grid.UNSIGNED, Grid.TWOS_COMPLEMENT])
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_exact_for_powers_of_two_of_at_least_two_bins(name, bits, grid):
    values = list(samples(name))
    if not grid.is_signed:
        values = [abs(value) for value in values]
    histogram = record(values).histogram
    for exponent in range(histogram.exponent + 1, histogram.exponent + 15):
        step = math.ldexp(1.0, exponent)
        expected = rival_steps.squared_error(values, step, bits, grid.is_signed)
        # Squares of up to 4096 bins less squares of levels: 1e-16 of the former.
        lost = 1e-15 * float(histogram.squares.sum())
        error = squared_error(histogram, step, bits, grid)
        assert error == pytest.approx(expected, rel=1e-9, abs=lost)


@pytest.mark.parametrize("grid", Grid)
@pytest.mark.parametrize("step", [1.0, 0.3, 0.07, 0.004])
def test_a_bin_across_thresholds_counts_as_filled_evenly(grid, step):
    # Bins of width 1 on which steps of any size fall; samples that do fill them evenly.
    values = ((np.arange(80_000) + 0.5) / 10_000 - 4).tolist()
    if not grid.is_signed:
        values = [value for value in values if value > 0]
    histogram = record(values, most_bins=4).histogram
    assert histogram.width == 1.0
    lowest, highest = -grid.lowest(4), grid.highest(4)
    levels = np.clip(np.rint(np.array(values) / step), lowest, highest)
    expected = float(np.sum((np.array(values) - levels * step) ** 2))
    # 10 000 samples a bin for its integral.
    assert squared_error(histogram, step, 4, grid) == pytest.approx(expected, rel=1e-3)


def test_nothing_has_no_error():
    assert squared_error(record([]).histogram, 0.5, 4, Grid.UNSIGNED) == 0
    assert squared_error(record([0.0]).histogram, 0.5, 4, Grid.UNSIGNED) == 0
    # All on levels.
    assert squared_error(record([0.5, 1.0, -2.0]).histogram, 0.5, 4, Grid.RESTRICTED) == 0


def test_what_a_grid_cannot_hold_is_its_error():
    # On an unsigned grid negative samples become 0, those beyond the top become the top.
    error = squared_error(record([-1.0, 100.0]).histogram, 2.0, 2, Grid.UNSIGNED)
    assert error == pytest.approx(1.0 + (100.0 - 6.0) ** 2, rel=1e-3)


@pytest.mark.parametrize("exponent", [-120, -1, 100])
def test_powers_of_two_are_exact(exponent):
    values = samples("laplacian")[:500]
    there = [math.ldexp(value, exponent) for value in values]
    for step in (0.5, 0.013):
        here = squared_error(record(values).histogram, step, 5, Grid.TWOS_COMPLEMENT)
        scaled = squared_error(
            record(there).histogram, math.ldexp(step, exponent), 5, Grid.TWOS_COMPLEMENT
        )
        assert scaled == math.ldexp(here, 2 * exponent)


@pytest.mark.parametrize("bits", [2, 8, 16])
def test_samples_that_are_all_equal_are_not_spread_over_their_bin(bits):
    # As behind a Clip at 6; with 16 bits the bin holds many levels.
    histogram = record([6.0] * 300 + [0.7], most_bins=64).histogram
    for step in (1.7, 0.0213, 6 / 65535, 1e-4):
        top = min(round(6.0 / step), Grid.UNSIGNED.highest(bits)) * step
        low = min(round(0.7 / step), Grid.UNSIGNED.highest(bits)) * step
        expected = 300 * (6.0 - top) ** 2 + (0.7 - low) ** 2
        error = squared_error(histogram, step, bits, Grid.UNSIGNED)
        assert error == pytest.approx(expected, rel=1e-9, abs=1e-24)
