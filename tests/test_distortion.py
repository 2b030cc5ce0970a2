"""Is the distortion exact?

Ground truth: adaptive quadrature of the squared error, cell by cell, which shares no code.
"""

import math
from itertools import pairwise

import pytest

from quantizer.distortion import Side, distortion, predicted_sqnr_dB
from quantizer.ggd import GeneralizedGamma, SeenGamma
from quantizer.grid import Grid
from quantizer.step_size import optimum_step
from tests.golden_steps import symmetric_sides
from tests.oracles.ggd_error import mean_below, squared_error

# Corners of what an estimator may give (k 0.02 to 50, p 0.1 to 12), and between them.
SHAPES = [
    (0.02, 0.1), (0.02, 12), (0.1, 0.3), (0.3, 1.2), (0.5, 2), (1, 1), (2, 0.5), (3, 0.6),
    (10, 5), (50, 0.1), (50, 12),
]  # fmt: skip
# The incomplete gamma functions of scipy are right to about 1e-13, of which the difference
# of signal and error keeps 1e-9 where it is used; the quadrature is asked for 1e-11.
TOLERANCE = 1e-9


def unit(k: float, p: float) -> GeneralizedGamma:
    return GeneralizedGamma(k=k, p=p, scale=1.0)


@pytest.mark.parametrize(("k", "p"), SHAPES)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_distortion_equals_adaptive_quadrature_on_unsigned_grids(k, p, bits):
    sides = symmetric_sides(unit(k, p), Grid.UNSIGNED, bits)
    optimum = optimum_step(sides)
    for step in (0.4 * optimum, optimum, 2.5 * optimum):
        expected = squared_error(k, p, sides[0].levels, step)
        assert distortion(sides, step) == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("grid", [Grid.TWOS_COMPLEMENT, Grid.RESTRICTED])
@pytest.mark.parametrize("bits", [2, 5])
def test_the_distortion_of_two_sides_is_the_sum_of_theirs_by_share(grid, bits):
    sides = [
        Side(share=0.7, distribution=unit(0.5, 2), levels=grid.highest(bits)),
        Side(share=0.3, distribution=unit(1, 1), levels=grid.lowest(bits)),
    ]
    for step in (0.05, 0.3, 1.1):
        expected = 0.7 * squared_error(0.5, 2, grid.highest(bits), step)
        expected += 0.3 * squared_error(1, 1, grid.lowest(bits), step)
        assert distortion(sides, step) == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize(("k", "p"), SHAPES)
def test_the_distortion_is_exact_on_both_sides_of_the_seam(k, p):
    # From 40 dB of signal over error on, a sum over cells takes the place of a difference.
    seam = math.sqrt(12 * unit(k, p).moment(2) / 1e4)
    for step in (0.98 * seam, 0.999 * seam, 1.001 * seam, 1.02 * seam):
        for levels in (63, 400):
            sides = [Side(share=1.0, distribution=unit(k, p), levels=levels)]
            expected = squared_error(k, p, levels, step)
            assert distortion(sides, step) == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize(("p", "step_over_rms"), [(0.7, 0.1), (1, 0.1), (1, 0.05)])
def test_the_distortion_is_exact_where_almost_all_falls_into_the_zero_cell(p, step_over_rms):
    # A step so coarse that the difference looks safe; but few samples leave the zero cell,
    # and the error is far below a twelfth of the step squared.
    distribution = unit(0.02, p)
    step = step_over_rms * math.sqrt(distribution.moment(2))
    sides = [Side(share=1.0, distribution=distribution, levels=2000)]
    error = distortion(sides, step)
    assert distribution.moment(2) > 1e4 * error
    assert distribution.moment(2) < 1e4 * step * step / 12
    assert error == pytest.approx(squared_error(0.02, p, 2000, step), rel=TOLERANCE)


# The largest in the zero cell, between, just inside the last cell, clipped; coarse and fine.
@pytest.mark.parametrize("largest", [0.004, 0.7, 2.52, 2.7])
@pytest.mark.parametrize("levels", [5, 250])
def test_the_distortion_of_samples_whose_largest_is_known_is_exact(largest, levels):
    k, p, count, step = 0.5, 2.0, 40, 2.5 / levels
    seen = SeenGamma(distribution=unit(k, p), count=count, largest=largest)
    cut_off = mean_below(k, p, lambda x: 1.0, largest)
    error_of_largest = largest - min(round(largest / step), levels) * step
    expected = squared_error(k, p, levels, step, largest) / cut_off * (1 - 1 / count)
    expected += error_of_largest**2 / count
    sides = [Side(share=1.0, distribution=seen, levels=levels)]
    assert distortion(sides, step) == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("exponent", [-140, -3, 60])
def test_the_distortion_scales_exactly_with_powers_of_two(exponent):
    factor = 2.0**exponent
    for k, p in SHAPES:
        for levels in (7, 255):
            here = [Side(share=1.0, distribution=unit(k, p), levels=levels)]
            there = [
                Side(
                    share=1.0,
                    distribution=GeneralizedGamma(k=k, p=p, scale=factor),
                    levels=levels,
                )
            ]
            for step in (0.01, 0.7):
                assert distortion(there, step * factor) == distortion(here, step) * factor**2
                assert predicted_sqnr_dB(there, step * factor) == predicted_sqnr_dB(here, step)


def test_a_grid_too_fine_or_too_coarse_loses_the_signal():
    sides = symmetric_sides(unit(0.5, 2), Grid.UNSIGNED, 8)
    assert predicted_sqnr_dB(sides, 1e-6) == pytest.approx(0.0, abs=1e-2)  # all is clipped
    assert predicted_sqnr_dB(sides, 1e6) == pytest.approx(0.0, abs=1e-6)  # all becomes zero


def test_a_uniform_map_gains_6_02_dB_per_bit():
    # k = 1/p is flat up to its scale; at p = 12 the shoulder ends within 1.3 of it. What is
    # left of the shoulder shows in the second decimal.
    distribution = unit(1 / 12, 12)
    sqnr_dB = [
        predicted_sqnr_dB(symmetric_sides(distribution, Grid.UNSIGNED, bits), 1.3 / 2**bits)
        for bits in range(4, 17)
    ]
    gains = [finer - coarser for coarser, finer in pairwise(sqnr_dB)]
    assert gains == pytest.approx([20 * math.log10(2)] * 12, abs=0.02)


def test_a_step_that_clips_nothing_loses_a_twelfth_of_its_square():
    # The high-resolution limit; the zero cell of an exponential is the last to show.
    sides = symmetric_sides(unit(1, 1), Grid.UNSIGNED, 16)
    assert distortion(sides, 1e-3) == pytest.approx(1e-6 / 12, rel=1e-3)
