"""Does the closed form find the step of least error?

Ground truth: exact minimisation and, with the reference data, brute-force optima over
fifteen distributions. That the distortion itself is exact is proved in test_distortion.py.
"""

import math
from pathlib import Path

import pytest

from quantizer.distortion import Side, distortion, predicted_sqnr_dB
from quantizer.ggd import GeneralizedGamma
from quantizer.grid import Grid
from quantizer.step_size import (
    end_corrected_step,
    exact_optimum_step,
    hui_neuhoff_step,
    optimum_step,
)
from tests.golden_steps import GoldenRow, read_golden_rows, symmetric_sides
from tests.oracles.ggd_error import squared_error

HALF_NORMAL = GeneralizedGamma(k=0.5, p=2.0, scale=math.sqrt(2))
EXPONENTIAL = GeneralizedGamma(k=1.0, p=1.0, scale=1.0)
SHAPES = [HALF_NORMAL, EXPONENTIAL, GeneralizedGamma(k=0.3, p=0.7, scale=3.0),
          GeneralizedGamma(k=2.5, p=1.6, scale=0.02)]  # fmt: skip

UNSIGNED_LOSS_dB, SIGNED_LOSS_dB = 0.0035, 0.02
PRINTED = 5.1e-8  # half a unit of the eighth significant digit


def loss_dB(sides: list[Side], step: float, optimum: float) -> float:
    return 10 * math.log10(distortion(sides, step) / distortion(sides, optimum))


def check_losses(rows: list[GoldenRow]) -> None:
    for row in rows:
        limit = SIGNED_LOSS_dB if row.grid.is_signed else UNSIGNED_LOSS_dB
        step = end_corrected_step(row.sides)
        loss = loss_dB(row.sides, step, row.optimum_step)
        # The optimum of the file is one of 8 digits; nothing is better by more than that.
        assert -1e-9 < loss <= limit, row
        assert predicted_sqnr_dB(row.sides, row.optimum_step) == pytest.approx(
            row.sqnr_dB, abs=5.1e-5
        ), row
        if row.grid is not Grid.TWOS_COMPLEMENT:  # there the file takes both sides as equal
            assert step == pytest.approx(row.steps["f"], rel=PRINTED), row
            assert loss == pytest.approx(row.losses_dB["f"], abs=5.1e-6), row


def test_golden_steps_lose_next_to_nothing(reference_data: Path):
    rows = [row for row in read_golden_rows(reference_data) if row.bits <= 8]
    assert len(rows) == 315
    # All widths of unsigned grids, and those with a sign that are meant to use the form.
    check_losses([row for row in rows if not row.grid.is_signed or row.bits >= 4])


@pytest.mark.slow  # 13 s
def test_golden_steps_of_wide_grids_lose_next_to_nothing(reference_data: Path):
    check_losses([row for row in read_golden_rows(reference_data) if row.bits > 8])


def test_golden_steps_of_narrow_grids_are_minimised_exactly(reference_data: Path):
    rows = [row for row in read_golden_rows(reference_data) if row.bits == 3]
    assert len(rows) == 45
    for row in rows:
        # Flat there: 1e-7 dB is 1e-4 of the step.
        assert abs(loss_dB(row.sides, optimum_step(row.sides), row.optimum_step)) < 1e-7, row


def test_golden_losses_are_those_of_adaptive_quadrature(reference_data: Path):
    rows = [
        row
        for row in read_golden_rows(reference_data)
        if row.bits in (2, 5, 8) and row.grid is Grid.UNSIGNED
    ]
    assert len(rows) == 45
    for row in rows:
        k, p, scale = row.distribution.k, row.distribution.p, row.distribution.scale
        levels = row.grid.highest(row.bits)
        step, optimum = (
            squared_error(k, p, levels, value / scale)
            for value in (end_corrected_step(row.sides), row.optimum_step)
        )
        assert 10 * math.log10(step / optimum) <= UNSIGNED_LOSS_dB, row
        exact = loss_dB(row.sides, end_corrected_step(row.sides), row.optimum_step)
        # 1e-9 of each distortion is 4e-9 dB.
        assert exact == pytest.approx(10 * math.log10(step / optimum), abs=1e-8), row


@pytest.mark.parametrize("distribution", SHAPES)
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_the_closed_form_loses_next_to_nothing_on_unsigned_grids(distribution, bits):
    sides = symmetric_sides(distribution, Grid.UNSIGNED, bits)
    closed, exact = end_corrected_step(sides), exact_optimum_step(sides)
    assert -1e-9 <= loss_dB(sides, closed, exact) <= UNSIGNED_LOSS_dB
    # And it is a minimum: the octave beside it is worse by far more.
    for factor in (0.5, 2.0):
        assert distortion(sides, factor * closed) > 1.25 * distortion(sides, closed)


@pytest.mark.slow  # 12 s
@pytest.mark.parametrize("grid", Grid)
@pytest.mark.parametrize("bits", [2, 4, 5, 6])
def test_the_choice_loses_next_to_nothing_for_shapes_far_from_any_map(grid, bits):
    # Where the closed form is taken, its worst is at p = 0.3; exact minimisation loses none.
    limit_dB = 0.002 if min(grid.highest(bits), grid.lowest(bits) or 99) > 8 else 1e-9
    for k in (0.1, 0.2, 0.5, 1.0, 1.5, 3.0, 10.0):
        for p in (0.3, 0.5, 1.0, 2.0, 5.0):
            sides = symmetric_sides(GeneralizedGamma(k=k, p=p, scale=1.0), grid, bits)
            assert loss_dB(sides, optimum_step(sides), exact_optimum_step(sides)) <= limit_dB


def test_one_side_on_a_narrow_signed_grid_is_minimised_exactly():
    # No negative sample, a sign all the same: 3 bits leave 3 levels, 2 bits a single one.
    for levels in (1, 3):
        sides = [Side(share=1.0, distribution=HALF_NORMAL, levels=levels)]
        assert optimum_step(sides) == exact_optimum_step(sides)


def test_exact_minimisation_finds_the_better_of_two_minima():
    # A narrow bump and one level a side: the level on the bump, or all in the zero cell.
    bump = GeneralizedGamma(k=10.0, p=5.0, scale=1.0)
    sides = symmetric_sides(bump, Grid.RESTRICTED, 2)
    step = exact_optimum_step(sides)
    assert step == pytest.approx(bump.moment(1), rel=1e-4)
    for index in range(1, 400):
        assert distortion(sides, step) <= distortion(sides, 0.01 * index)


@pytest.mark.parametrize("grid", Grid)
def test_hui_and_neuhoffs_step_is_where_their_equation_holds(grid):
    for distribution in SHAPES:
        cells = grid.cells(8)
        support = hui_neuhoff_step(symmetric_sides(distribution, grid, 8), cells) * cells
        ratio = float(distribution.tail_excess(support)) / support
        assert ratio == pytest.approx(1 / (12 * cells**2), rel=1e-10)


def test_the_end_corrected_step_is_where_its_equation_holds():
    # Two sides that differ in everything; the equation is written out from the docstring.
    sides = [
        Side(share=0.6, distribution=SHAPES[2], levels=31),
        Side(share=0.4, distribution=EXPONENTIAL, levels=32),
    ]
    step = end_corrected_step(sides)
    overload = granular = 0.0
    for side in sides:
        g, edge, half = side.distribution, side.levels * step, step / 2
        overload += side.share * side.levels * float(g.tail_excess(edge))
        inner = float(g.tail_moment(0, half)) + half * float(g.density(half))
        outer = float(g.tail_moment(0, edge)) - edge * float(g.density(edge)) / 2
        granular += side.share * (inner - outer)
    # Sweeps stop at 1e-10 of the step; overload changes some ten times as fast.
    assert overload == pytest.approx(step / 12 * granular, rel=1e-8)


@pytest.mark.parametrize("exponent", [-140, -1, 100])
def test_powers_of_two_in_the_scale_are_exact(exponent):
    factor = 2.0**exponent
    for grid in Grid:
        for bits in (3, 8):
            here, there = (
                symmetric_sides(GeneralizedGamma(k=0.6, p=1.2, scale=scale), grid, bits)
                for scale in (0.7, 0.7 * factor)
            )
            assert optimum_step(there) == optimum_step(here) * factor
            cells = grid.cells(bits)
            assert hui_neuhoff_step(there, cells) == hui_neuhoff_step(here, cells) * factor


def test_sides_that_differ_share_one_step_between_theirs():
    wide = GeneralizedGamma(k=1.0, p=1.0, scale=4.0)
    sides = [
        Side(share=0.7, distribution=EXPONENTIAL, levels=127),
        Side(share=0.3, distribution=wide, levels=128),
    ]
    step = optimum_step(sides)
    alone = [optimum_step([Side(share=1.0, distribution=d, levels=127)])
             for d in (EXPONENTIAL, wide)]  # fmt: skip
    assert alone[0] < step < alone[1]
    assert distortion(sides, step) < min(distortion(sides, 0.95 * step),
                                         distortion(sides, 1.05 * step))  # fmt: skip
