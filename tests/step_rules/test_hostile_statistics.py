"""Does every rule give a step above zero, or none, whatever the map holds?"""

import math
from itertools import product

import pytest

from quantizer.estimators import Estimator
from quantizer.grid import Grid
from quantizer.map_statistics import MapStatistics
from quantizer.step_rules import step_rules
from tests.step_rules.records import record

# All rules with the default estimator; of the others, the default form.
RULES = [
    (f"{entry.name}, {estimator.value}", entry.rule)
    for estimator in Estimator
    for entry in step_rules(estimator)
    if estimator is Estimator.MOMENTS or entry.name == "ggd"
]
FORMS_FOR_LATER = ("ggd:leading", "ggd:loglog", "ggd:hui_neuhoff")
BINS = 64  # few, so that a search takes milliseconds
NO_SAMPLES = {"empty": [], "zeros": [0.0] * 50}
HOSTILE = {
    "one sample": [0.7],
    "constant": [3.0] * 100,
    "constant with zeros": [3.0] * 100 + [0.0] * 900,
    "two constants": [3.0] * 100 + [-3.0] * 100,
    "denormal": [1.4e-45] * 50 + [2.8e-45] * 50,
    "normal and denormal": [1.4e-45] * 90 + [1.0] * 10,
    "huge": [1e30 * (1 + index / 100) for index in range(100)],
    "largest float32": [3.4028234663852886e38] * 20 + [1e38] * 30,
    "one outlier among zeros": [0.0] * 1000 + [1e30],
    "one outlier": [0.001 * index for index in range(1, 200)] + [1e30],
    "two values": [1.0] * 500 + [1e-6] * 500,
    "nearly constant": [1.0 + 1e-7 * index for index in range(100)],
    "a handful": [0.1, 0.5, 0.2],
    "a handful of the other sign": [0.01 * index for index in range(1, 200)] + [-4.0, -5.0],
    "steep": [math.exp(-index / 3) for index in range(300)],
    "negative": [-0.01 * index for index in range(1, 100)],
}


def check(rule, statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    step = rule(statistics, bits, grid).step
    assert step is None or 0 < step < math.inf
    return step


@pytest.mark.parametrize("grid", Grid)
@pytest.mark.parametrize(("name", "rule"), RULES, ids=[name for name, _ in RULES])
def test_no_sample_is_no_step(name, rule, grid):
    for samples, bits in product(NO_SAMPLES.values(), (2, 8)):
        assert rule(record(samples), bits, grid).step is None
    # ACIQ measures the spread of all samples, whatever the grid can see.
    if not grid.is_signed and not name.startswith("aciq"):
        assert rule(record(HOSTILE["negative"]), 8, grid).step is None


# What calibration can fall back on: a step for any map with samples.
SURE = ("ggd,", "max_range", "min_max", "lin", "tensorrt_kl", "octav", "mse")


def check_all(samples, rules, grids, widths) -> None:
    statistics = record(samples, BINS)
    for (name, rule), grid, bits in product(rules, grids, widths):
        step = check(rule, statistics, bits, grid)
        if name.startswith(SURE) and (grid.is_signed or max(samples) > 0):
            assert step is not None, name


@pytest.mark.parametrize("samples", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_maps_give_a_finite_step_above_zero_or_none(samples):
    # The other forms fit, and fall back, as these do.
    rules = [(name, rule) for name, rule in RULES if not name.startswith(FORMS_FOR_LATER)]
    check_all(samples, rules, [Grid.UNSIGNED, Grid.TWOS_COMPLEMENT], [5])


@pytest.mark.slow  # 40 s
@pytest.mark.parametrize("samples", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_maps_give_a_finite_step_above_zero_or_none_on_all_grids(samples):
    check_all(samples, RULES, Grid, [2, 3, 4, 8, 16])


@pytest.mark.parametrize("grid", Grid)
@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_a_constant_is_held_exactly_by_the_search_on_samples(grid, bits):
    for value in (3.0, 1.4e-45, 1e30):
        statistics = record([value] * 100, BINS)
        for name, rule in RULES:
            if name.startswith(("min_max", "mse")) or name == "ggd, moments":
                step = check(rule, statistics, bits, grid)
                assert step is not None
                level = round(value / step)
                assert 1 <= level <= grid.highest(bits)
                assert level * step == pytest.approx(value, rel=1e-12)
