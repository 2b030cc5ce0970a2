"""Is a plan a nest over the reduction, laid out as its loops say, and refused if it is not?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.accumulation import (
    AccumulationPlan,
    Adder,
    Dimension,
    Start,
    order_additions,
)
from tests.accumulation_plans import DIMENSIONS, level, random_plan

CHANNELS, ROWS, COLS = DIMENSIONS
EVERY_TAP = [(dimension, 1) for dimension in Dimension]


def test_columns_and_folds_of_tiles_as_written_out_by_hand() -> None:
    """Five channels of 1 x 2 taps in tiles of two, columns of three products."""
    plan = AccumulationPlan(
        levels=(
            level(*EVERY_TAP, max_terms=3, bits=16),
            level((CHANNELS, 2), start=Start.LEVEL_BELOW, bits=16),
        )
    )
    order = order_additions(plan, 5, 1, 2)
    assert order.products.tolist() == list(range(10))
    assert order.sums.tolist() == [[0, 0, 0, 1, 2, 2, 2, 3, 4, 4], [0] * 10]
    assert order.closes.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0, 1]
    assert order.longest_sums == (3, 10)


def test_the_outer_loop_is_the_slow_one() -> None:
    """Taps outside, channels inside: channels 0 and 1 of a tap, then 2; then the next tap."""
    plan = AccumulationPlan(
        levels=(
            level((CHANNELS, 1), adder=Adder.TREE, start=Start.LEVEL_BELOW, bits=16),
            level((COLS, 1), (CHANNELS, 2), (ROWS, 1), bits=16),
        )
    )
    order = order_additions(plan, 3, 1, 2)
    assert order.products.tolist() == [0, 2, 4, 1, 3, 5]
    assert order.closes.tolist() == [0, 1, 1, 0, 1, 1]


def test_a_loop_inside_another_begins_where_that_one_stands() -> None:
    """Eight channels in tiles of five, trees of three: 3 + 2, then 3; absolute threes would cut
    the second tile behind its first channel."""
    plan = AccumulationPlan(
        levels=(
            level((CHANNELS, 1), adder=Adder.TREE, start=Start.LEVEL_BELOW, bits=16),
            level((CHANNELS, 5), (CHANNELS, 3), (ROWS, 1), (COLS, 1), bits=16),
        )
    )
    order = order_additions(plan, 8, 1, 2)
    assert order.sums[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5]
    assert order.products.tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 7, 9, 10, 12, 14, 11, 13, 15]


@pytest.mark.parametrize("seed", range(50))
def test_every_product_is_added_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    extents = tuple(rng.integers(1, 6, 3).tolist())
    order = order_additions(random_plan(rng, extents), *extents)
    assert sorted(order.products.tolist()) == list(range(int(np.prod(extents))))
    # A sum of a higher level is made of whole sums of the level below.
    for below, above in zip(order.sums[:-1], order.sums[1:], strict=True):
        assert len(set(zip(below.tolist(), above.tolist(), strict=True))) == below[-1] + 1


@pytest.mark.parametrize(
    ("loops", "problem"),
    [
        ([(CHANNELS, 1), (ROWS, 1)], r"loops over filter_cols need falling steps .*, got \[\]"),
        ([*EVERY_TAP, (CHANNELS, 1)], r"loops over channels need .* at 1, got \[1, 1\]"),
        ([(ROWS, 2), *EVERY_TAP[::2]], r"loops over filter_rows need .* at 1, got \[2\]"),
        ([*EVERY_TAP, (CHANNELS, 4)], r"loops over channels need .* at 1, got \[1, 4\]"),
    ],
)
def test_loops_that_are_no_nest_are_refused(loops: list, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        AccumulationPlan(levels=(level(*loops, bits=16),))


def test_levels_that_fit_nothing_are_refused() -> None:
    chain = level(*EVERY_TAP, max_terms=4, bits=16)
    with pytest.raises(ValueError, match=r"^a tree starts from its terms$"):
        replace(chain, adder=Adder.TREE)
    for bits in (1, 63):
        with pytest.raises(ValueError, match=f"^bits must be 2 to 62, got {bits}$"):
            replace(chain, bits=bits)
    with pytest.raises(
        ValueError, match=r"^the highest level has one sum, of as many terms as there are$"
    ):
        AccumulationPlan(levels=(chain,))
    narrower = level(start=Start.LEVEL_BELOW, bits=15)
    with pytest.raises(ValueError, match=r"^a sum cannot start as one that is wider than itself$"):
        AccumulationPlan(levels=(chain, narrower))
    assert AccumulationPlan(levels=(chain, replace(narrower, start=Start.ZERO))).loops


def test_a_level_ranges_over_its_width() -> None:
    assert level(*EVERY_TAP, bits=8).range == (-128, 127)
