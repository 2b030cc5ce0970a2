"""What holds for every rule on every map: steps are positive, scale, and keep their promises."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantizer.baselines.ranges import max_range_step, min_max_step
from quantizer.estimators import Estimator
from quantizer.grid import Grid
from quantizer.step_rules import NamedRule, find_step_rule, step_rules
from tests.step_rules.arrays import samples as samples_of
from tests.step_rules.records import record, scaled

RULES = step_rules(Estimator.MOMENTS)
NAMES = [entry.name for entry in RULES]
BINS = 64  # few, so that an example takes milliseconds

# Sums of ln x, which serve where the moments have no fit, do not scale exactly; and a search
# for a flat minimum magnifies the last digit to the eighth.
ROUNDED = 1e-6

magnitudes = st.one_of(
    st.floats(width=32, min_value=0, max_value=2**14, allow_subnormal=False),
    st.floats(width=32, min_value=2**-20, max_value=4),
    st.sampled_from([0.0, 1.0, 0.5, 6.0, 2.0**-149, 2.0**100]),
)


@st.composite
def maps(draw) -> list[float]:
    """Samples of many kinds: few values or many, one sign or both, spikes and outliers."""
    values = draw(st.lists(magnitudes, max_size=40))
    if draw(st.booleans()):
        count, power = draw(st.integers(10, 200)), draw(st.sampled_from([0.3, 1, 2, 5]))
        seed = draw(st.integers(0, 1000))
        drawn = np.abs(np.random.default_rng(seed).standard_normal(count)) ** power
        values += drawn.astype(np.float32).astype(float).tolist()
    if draw(st.booleans()):
        signs = st.sampled_from([-1.0, 1.0])
        values = [value * draw(signs) for value in values]
    return values


widths, grids, exponents = st.integers(2, 16), st.sampled_from(Grid), st.integers(-40, 40)


def check_scaling(entry: NamedRule, samples: list[float], bits: int, grid: Grid, exponent: int):
    statistics = record(samples, BINS)
    step = entry.rule(statistics, bits, grid).step
    there = entry.rule(scaled(statistics, exponent), bits, grid).step
    if step is None:
        assert there is None
        return
    assert 0 < step < math.inf
    if entry.name.startswith("ggd"):
        assert there == pytest.approx(math.ldexp(step, exponent), rel=ROUNDED)
    else:
        assert there == math.ldexp(step, exponent)


@pytest.mark.parametrize("entry", RULES, ids=NAMES)
@settings(max_examples=5, deadline=None, derandomize=True, database=None)
@given(samples=maps(), bits=widths, grid=grids, exponent=exponents)
def test_a_power_of_two_times_the_samples_is_that_power_times_the_step(
    entry, samples, bits, grid, exponent
):
    check_scaling(entry, samples, bits, grid, exponent)


@pytest.mark.slow  # 2 minutes
@pytest.mark.parametrize("entry", RULES, ids=NAMES)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(samples=maps(), bits=widths, grid=grids, exponent=exponents)
def test_a_power_of_two_times_many_maps_is_that_power_times_the_step(
    entry, samples, bits, grid, exponent
):
    check_scaling(entry, samples, bits, grid, exponent)


@pytest.mark.parametrize("array", ["relu_gaussian", "relu6", "laplacian", "leaky"])
def test_a_power_of_two_is_exact_for_all_rules_where_the_moments_have_a_fit(array):
    statistics = record(samples_of(array), BINS)
    for entry, bits in product(RULES, (3, 8)):
        step = entry.rule(statistics, bits, Grid.TWOS_COMPLEMENT).step
        there = entry.rule(scaled(statistics, -33), bits, Grid.TWOS_COMPLEMENT).step
        assert there == (None if step is None else math.ldexp(step, -33)), entry.name


@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(samples=maps(), bits=widths, grid=grids)
def test_no_fitted_step_leaves_levels_unused(samples, bits, grid):
    statistics = record(samples, BINS)
    covering = min_max_step(statistics, bits, grid)
    searched = find_step_rule("mse", Estimator.MOMENTS).rule(statistics, bits, grid).step
    for entry in RULES:
        if entry.name.startswith("ggd"):
            step = entry.rule(statistics, bits, grid).step
            # Where nothing fits, the search on the samples takes the fit's place.
            assert step is None or step <= covering or step == searched


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(samples=maps(), bits=widths, grid=grids)
def test_min_max_covers_all_samples_with_none_to_spare(samples, bits, grid):
    statistics = record(samples, BINS)
    step = min_max_step(statistics, bits, grid)
    seen = [x for x in samples if x > 0 or (grid.is_signed and x < 0)]
    if step is None:
        assert not seen
        return
    fractions = [x / step / (grid.highest(bits) if x > 0 else grid.lowest(bits)) for x in seen]
    assert max(abs(fraction) for fraction in fractions) == pytest.approx(1.0, rel=1e-12)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(samples=maps(), bits=widths, grid=grids)
def test_max_range_is_the_least_power_of_two_that_holds_the_largest(samples, bits, grid):
    step = max_range_step(record(samples, BINS), bits, grid)
    seen = [abs(x) for x in samples if x > 0 or (grid.is_signed and x < 0)]
    if step is None:
        assert not seen
        return
    assert math.frexp(step)[0] == 0.5
    assert 0.5 < max(seen) / (step * grid.cells(bits)) <= 1


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(samples=maps(), bits=widths, grid=grids)
def test_no_range_reaches_beyond_the_largest(samples, bits, grid):
    statistics = record(samples, BINS)
    covered = statistics.seen_by(grid).largest / grid.highest(bits)
    for name in ("percentile_99_9", "percentile_99_99", "octav"):
        step = find_step_rule(name, Estimator.MOMENTS).rule(statistics, bits, grid).step
        # OCTAV's range ends a level beyond the outermost.
        reach = grid.highest(bits) / grid.cells(bits) if name == "octav" else 1
        assert step is None or step <= covered * reach * (1 + 1e-12)
    # TensorRT's ends in the middle of a bin.
    step = find_step_rule("tensorrt_kl", Estimator.MOMENTS).rule(statistics, bits, grid).step
    width = statistics.histogram.width / grid.highest(bits)
    assert step is None or step <= covered + width / 2
