"""Does every rival give the step that its source prescribes?

Ground truth: steps frozen on stored arrays before any comparison was run, computed from the
published equations on the samples themselves. The packages see only the record of a map:
sums, and a histogram of 4096 to 8191 bins from zero to the largest magnitude. What that
costs is stated rule by rule.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from quantizer.estimators import Estimator
from quantizer.grid import Grid
from quantizer.map_statistics import MapStatistics
from quantizer.step_rules import find_step_rule
from tests.oracles import rival_steps
from tests.oracles.sample_statistics import finest_exponent
from tests.step_rules.arrays import NAMES, SAMPLES, samples
from tests.step_rules.frozen import (
    KL_BINS,
    ORACLES,
    WIDTHS,
    Case,
    FrozenStep,
    cases,
    read_frozen_steps,
)
from tests.step_rules.records import record

FROZEN = read_frozen_steps()
PRINTED = 5.1e-9  # half a unit of the ninth significant digit
SLOW_ORACLES = ("mse", "tensorrt_kl")
SLOW_WIDTHS = [8, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (3, 4, 6, 12))]


@cache
def statistics_of(array: str) -> MapStatistics:
    return record(samples(array))


def grid_of(case: Case) -> Grid:
    return Grid.TWOS_COMPLEMENT if case.is_signed else Grid.UNSIGNED


def step_of(frozen: FrozenStep) -> float:
    rule = find_step_rule(frozen.rule, Estimator.MOMENTS).rule
    case = frozen.case
    step = rule(statistics_of(case.array), case.bits, grid_of(case)).step
    assert step is not None
    return step


def frozen_steps(*rules: str, bits: int | None = None) -> list[FrozenStep]:
    return [
        frozen
        for frozen in FROZEN
        if frozen.rule in rules and (bits is None or frozen.case.bits == bits)
    ]


def test_every_rival_is_frozen_on_every_array_grid_and_width():
    assert len(FROZEN) == 50 * len(ORACLES)
    assert {(frozen.rule, frozen.case) for frozen in FROZEN} == {
        (rule, case) for rule, _ in ORACLES for case in cases()
    }
    assert {case.array for case in cases()} == set(NAMES)


# Nothing of the histogram in these but, for OCTAV, on which side of the clipping value the
# samples of its own bin lie; Newton's method stops at 1e-9.
@pytest.mark.parametrize("rule", ["max_range", "min_max", "aciq_gauss", "octav"])
def test_rules_on_sums_and_extremes_give_all_digits(rule):
    tolerance = 1e-8 if rule == "octav" else PRINTED
    for frozen in frozen_steps(rule):
        assert step_of(frozen) == pytest.approx(frozen.step, rel=tolerance), frozen


def test_percentiles_are_right_to_one_bin():
    for frozen in frozen_steps("percentile_99_9", "percentile_99_99"):
        bin_width = statistics_of(frozen.case.array).histogram.width
        levels = grid_of(frozen.case).highest(frozen.case.bits)
        assert step_of(frozen) == pytest.approx(frozen.step, abs=bin_width / levels), frozen


def test_tables_of_lin_are_right_to_their_six_digits():
    for frozen in frozen_steps("lin_gaussian", "lin_laplacian", "lin_gamma"):
        assert step_of(frozen) == pytest.approx(frozen.step, rel=5.1e-6), frozen


def test_the_mean_deviation_is_right_but_for_the_bin_of_the_mean():
    for frozen in frozen_steps("aciq_laplace"):
        values = np.array(samples(frozen.case.array))
        statistics = statistics_of(frozen.case.array)
        width = statistics.histogram.width
        in_bin = np.mean(np.floor(values / width) == math.floor(statistics.mean / width))
        doubt = float(in_bin) * width / statistics.mean_absolute_deviation
        assert step_of(frozen) == pytest.approx(frozen.step, rel=doubt + PRINTED), frozen


@pytest.mark.parametrize("bits", SLOW_WIDTHS)
def test_the_divergence_is_least_at_the_same_bin(bits):
    # The oracle's histogram has the same bins: as many powers of two as fit into 2048.
    for frozen in frozen_steps("tensorrt_kl", bits=bits):
        assert step_of(frozen) == pytest.approx(frozen.step, rel=PRINTED), frozen


def test_the_bins_of_tensorrt_are_ours_where_the_largest_is_just_below_a_power_of_two():
    # TensorRT divides [0, max] by 2048, whatever max is.
    values = samples("heavy_tail")
    largest, just_below = max(values), math.nextafter(8.0, 0.0)
    values = [min(8.0 * value / largest, just_below) for value in values]
    assert math.ldexp(1.0, finest_exponent(values, KL_BINS)) == 8.0 / 2048
    rule = find_step_rule("tensorrt_kl", Estimator.MOMENTS).rule
    expected = rival_steps.tensorrt_kl(values, 5, False, -8)
    found = rule(record(values), 5, Grid.UNSIGNED).step
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("bits", SLOW_WIDTHS)
def test_the_exhaustive_search_is_as_good_as_trying_many_steps_on_the_samples(bits):
    # The samples of a bin across a threshold count as filled evenly. Their squared errors
    # are known to about step * width / sqrt(12) each; of all samples, width / step are in
    # such bins. Two errors that are compared may both be off, by two standard deviations.
    for frozen in frozen_steps("mse", bits=bits):
        case, step = frozen.case, step_of(frozen)
        bins_per_step = step / statistics_of(case.array).histogram.width
        deviation = math.sqrt(12) / bins_per_step**1.5 / math.sqrt(SAMPLES)
        values = samples(case.array)
        ours, theirs = (
            rival_steps.squared_error(values, value, case.bits, case.is_signed)
            for value in (step, frozen.step)
        )
        assert ours <= theirs * (1 + 4 * deviation + 1e-4), frozen


@pytest.mark.parametrize("rule", [name for name, _ in ORACLES if name not in SLOW_ORACLES])
def test_the_frozen_steps_are_what_the_oracles_say(rule):
    check_oracle(rule, [4, 8])


@pytest.mark.slow
@pytest.mark.parametrize("rule", [name for name, _ in ORACLES])
def test_all_frozen_steps_are_what_the_oracles_say(rule):
    check_oracle(rule, WIDTHS)


def check_oracle(rule: str, widths: Sequence[int]) -> None:
    oracle = dict(ORACLES)[rule]
    for frozen in frozen_steps(rule):
        case = frozen.case
        if case.bits in widths:
            found = oracle(samples(case.array), case.bits, case.is_signed)
            assert found == pytest.approx(frozen.step, rel=PRINTED), frozen
