"""Are the explicit steps what their formulas say, and None where those have no value?

Ground truth: with the reference data, the steps of an independent program; without, the
equations themselves, put in reverse.
"""

import math
from pathlib import Path

import pytest

from quantizer.closed_forms import lambert_step, leading_step, loglog_step
from quantizer.estimators import K_RANGE, P_RANGE
from quantizer.ggd import GeneralizedGamma
from quantizer.grid import Grid
from quantizer.step_size import hui_neuhoff_step
from tests.golden_steps import read_golden_rows, symmetric_sides

# The file has 8 significant digits: half a unit of the last is at most 5e-8.
PRINTED = 5.1e-8

K_SHAPES = (K_RANGE[0], 0.1, 0.3, 0.5, 1.0, 1.9999999, 2.0, 2.0000001, 3.0, 10.0, K_RANGE[1])
P_SHAPES = (P_RANGE[0], 0.3, 0.5, 1.0, 2.0, 5.0, P_RANGE[1])
SHAPES = [GeneralizedGamma(k=k, p=p, scale=1.5) for k in K_SHAPES for p in P_SHAPES]


def test_golden_steps_to_all_their_digits(reference_data: Path):
    rows = read_golden_rows(reference_data)
    assert len(rows) == 675
    without_value = 0
    for row in rows:
        distribution, bits, grid = row.distribution, row.bits, row.grid
        leading = leading_step(distribution, bits, grid)
        assert leading == pytest.approx(row.steps["a"], rel=PRINTED), row
        lambert = lambert_step(distribution, bits, grid)
        assert lambert == pytest.approx(row.steps["w1"], rel=PRINTED), row
        hui_neuhoff = hui_neuhoff_step(row.sides, grid.cells(bits))
        assert hui_neuhoff == pytest.approx(row.steps["c"], rel=PRINTED), row
        loglog = loglog_step(distribution, bits, grid)
        if loglog is None:  # the file holds a placeholder
            without_value += 1
        else:
            assert loglog == pytest.approx(row.steps["b"], rel=PRINTED), row
    assert without_value == 4  # k = 3 and k = 2 on 2 bits with a sign


def test_the_leading_term_by_hand():
    # 4 bits: 2 ln 16 = 5.545177; the exponential's power is 1, the half-normal's 1/2.
    exponential = GeneralizedGamma(k=1.0, p=1.0, scale=2.0)
    assert leading_step(exponential, 4, Grid.UNSIGNED) == pytest.approx(2 * 5.5451774 / 16)
    half_normal = GeneralizedGamma(k=0.5, p=2.0, scale=1.0)
    assert leading_step(half_normal, 4, Grid.RESTRICTED) == pytest.approx(2.3548200 / 8)


@pytest.mark.parametrize("grid", Grid)
def test_two_explicit_terms_put_back_into_their_equation(grid: Grid):
    for distribution in SHAPES:
        for bits in (2, 5, 12, 16):
            step = loglog_step(distribution, bits, grid)
            if step is None:
                continue
            reduced = (step * grid.cells(bits) / distribution.scale) ** distribution.p
            gamma = math.lgamma(distribution.k)
            log_ratio = 2 * bits * math.log(2)
            target = math.log(12 * grid.cells(bits) ** 2 / distribution.p) - gamma
            # Absolute: u is a difference of terms of up to a few hundred.
            expected = target - (2 - distribution.k) * math.log(log_ratio)
            assert reduced == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_two_explicit_terms_have_no_value_for_large_k_on_narrow_grids():
    spike_far_out = GeneralizedGamma(k=50.0, p=1.0, scale=1.0)
    assert loglog_step(spike_far_out, 2, Grid.RESTRICTED) is None
    assert loglog_step(spike_far_out, 16, Grid.UNSIGNED) is not None


@pytest.mark.parametrize("grid", Grid)
@pytest.mark.parametrize("bits", [3, 8, 16])
def test_lamberts_root_put_back_into_the_corrected_asymptote(bits: int, grid: Grid):
    # Eight sweeps of a contraction: what is left is small where the correction is.
    for distribution in SHAPES:
        step = lambert_step(distribution, bits, grid)
        if step is None:
            continue
        k, p, half_span = distribution.k, distribution.p, grid.half_span(bits)
        u = (step * half_span / distribution.scale) ** p
        c1 = 2 * k - 3 + 1 / p
        if abs(c1) > u / 2:
            continue
        correction = 1 + c1 / u if c1 > 0 else 1 / (1 - c1 / u)
        left = (k - 2) * math.log(u) - u - math.lgamma(k) - math.log(p) + math.log(correction)
        assert left == pytest.approx(-math.log(12 * half_span**2), abs=1e-2)


def test_lamberts_branches_meet_at_k_2():
    below, at, above = (
        lambert_step(GeneralizedGamma(k=k, p=0.5, scale=1.0), 6, Grid.UNSIGNED)
        for k in (2 - 1e-9, 2.0, 2 + 1e-9)
    )
    assert below == pytest.approx(at, rel=1e-7)
    assert above == pytest.approx(at, rel=1e-7)


def test_lambert_has_no_root_for_large_k_on_narrow_grids():
    bump = GeneralizedGamma(k=10.0, p=5.0, scale=1.0)
    assert lambert_step(bump, 2, Grid.RESTRICTED) is None
    assert lambert_step(bump, 16, Grid.UNSIGNED) is not None


@pytest.mark.parametrize("grid", Grid)
def test_every_value_is_finite_and_above_zero_or_none(grid: Grid):
    for distribution in SHAPES:
        for bits in (2, 3, 4, 8, 16):
            sides = symmetric_sides(distribution, grid, bits)
            for step in (
                leading_step(distribution, bits, grid),
                loglog_step(distribution, bits, grid),
                lambert_step(distribution, bits, grid),
                hui_neuhoff_step(sides, grid.cells(bits)),
            ):
                assert step is None or 0 < step < math.inf


@pytest.mark.parametrize("exponent", [-140, -1, 100])
def test_powers_of_two_in_the_scale_are_exact(exponent: int):
    factor = 2.0**exponent
    for distribution in SHAPES:
        scaled = GeneralizedGamma(k=distribution.k, p=distribution.p, scale=1.5 * factor)
        for rule in (leading_step, loglog_step, lambert_step):
            here, there = (rule(one, 6, Grid.UNSIGNED) for one in (distribution, scaled))
            assert there == (None if here is None else here * factor)
