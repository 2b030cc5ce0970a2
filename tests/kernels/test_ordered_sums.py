"""Does the kernel add as a plan says: every order, level and width, every clamp counted?"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from accel_sim.accumulation import AccumulationPlan, Adder, Dimension, Start
from accel_sim.kernels import ordered_sums
from accel_sim.kernels.ordered_sums import BLOCK_LANES, Workspace
from accel_sim.layer_steps import planned_sums
from accel_sim.layer_steps.planned_sums import plan_sums
from tests.accumulation_plans import adder_tree_plan, for_oracle, level, random_plan
from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version
from tests.kernels.drawing import PER_KERNEL, SEED
from tests.oracles.additions import run_plan

EVERY_TAP = [(dimension, 1) for dimension in Dimension]
Extents = tuple[int, int, int]


def check(
    plan: AccumulationPlan,
    extents: Extents,
    scalars: NDArray[np.int64],
    vectors: NDArray[np.int64],
    version: Version,
    *,
    is_narrow: bool = True,
) -> int:
    """Hold every sum and the clamps against the oracle; return the clamps.

    Operands are [k, n] and [n, m], products in the order of the reduction [C, R, S].
    """
    magnitude = int(np.abs(scalars).max()) * int(np.abs(vectors).max())
    sums = plan_sums(plan, extents, magnitude)
    assert sums.is_narrow or not is_narrow
    dtype = np.int32 if is_narrow else np.int64
    levels = len(plan.levels)
    work = Workspace(
        sums=np.full((levels, BLOCK_LANES), 77, dtype),
        terms=np.full((sums.tree_terms, BLOCK_LANES), 77, dtype),
        counts=np.full(levels, 77),
    )
    order = sums.order.products
    acc = np.zeros((len(scalars), vectors.shape[1]), dtype)
    clamps = version(ordered_sums.accumulate)(
        vectors[order].astype(np.int32),
        scalars[:, order].astype(np.int32),
        sums.levels,
        0,
        len(order),
        work,
        acc,
    )
    places = list(product(*(range(extent) for extent in extents)))
    expected_clamps = 0
    for j, lane in np.ndindex(acc.shape):
        products = (scalars[j] * vectors[:, lane]).tolist()
        total, its_clamps = run_plan(
            for_oracle(plan), dict(zip(places, products, strict=True)), extents
        )
        assert acc[j, lane] == total
        expected_clamps += its_clamps
    assert clamps == expected_clamps
    return int(clamps)


def operands(
    rng: np.random.Generator, n: int, magnitudes: tuple[int, int], k: int = 3, m: int = 5
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    low, high = magnitudes
    return rng.integers(-low, low + 1, (k, n)), rng.integers(-high, high + 1, (n, m))


@JITTED_AND_PLAIN
@pytest.mark.parametrize("is_narrow", [True, False])
@PER_KERNEL
@given(seed=SEED)
def test_any_plan_is_executed_to_the_letter(version: Version, is_narrow: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    extents: Extents = tuple(rng.integers(1, 5, 3).tolist())
    plan = random_plan(rng, extents)
    # Products of up to 7 bits and a sign: the narrowest level holds them.
    drawn = operands(rng, int(np.prod(extents)), (7, 18))
    check(plan, extents, *drawn, version, is_narrow=is_narrow)


@pytest.mark.parametrize("adder", Adder)
def test_the_random_plans_clamp_in_chains_and_in_trees(adder: Adder) -> None:
    """Of plans that saturate in one kind of adders only."""
    clamped = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        extents: Extents = tuple(rng.integers(1, 5, 3).tolist())
        plan = random_plan(rng, extents)
        if {one.adder for one in plan.levels if one.saturates} == {adder}:
            drawn = operands(rng, int(np.prod(extents)), (7, 18))
            clamped += check(plan, extents, *drawn, lambda kernel: kernel) > 0
    assert clamped >= 5


@JITTED_AND_PLAIN
@pytest.mark.parametrize("bits", [31, 32, 33, 40, 48])
@pytest.mark.parametrize("seed", range(3))
def test_wide_operands_clamp_at_wide_accumulators(version: Version, bits: int, seed: int) -> None:
    """16-bit operands at their ends, an unsigned map among them: products of 31 bits."""
    rng = np.random.default_rng(seed)
    scalars = rng.choice([-(2**15), 2**15 - 1], (2, 24))
    vectors = rng.choice([0, 2**16 - 1], (24, 3))
    # Long runs of one sign reach 48 bits only with sums that start near the end.
    plan = AccumulationPlan(levels=(level(*EVERY_TAP, bits=bits),))
    sums = plan_sums(plan, (24, 1, 1), 2**15 * (2**16 - 1))
    assert not sums.is_narrow
    clamps = check(plan, (24, 1, 1), scalars, vectors, version, is_narrow=False)
    assert (clamps > 0) == (bits <= 33)


@JITTED_AND_PLAIN
def test_sums_go_on_from_what_is_there(version: Version) -> None:
    """By hand, in 8 bits: 120 + 5 + 4 clamps at 127, minus 1; the other output goes down."""
    plan = AccumulationPlan(levels=(level(*EVERY_TAP, bits=8),))
    sums = plan_sums(plan, (3, 1, 1), 10)
    work = Workspace(
        sums=np.empty((1, BLOCK_LANES), np.int32),
        terms=np.empty((0, BLOCK_LANES), np.int32),
        counts=np.zeros(1, np.int64),
    )
    acc = np.array([[120, -125]], np.int32)
    clamps = version(ordered_sums.accumulate)(
        np.array([[5, -2], [4, -2], [-1, 3]], np.int32),
        np.array([[1, 1, 1]], np.int32),
        sums.levels,
        0,
        3,
        work,
        acc,
    )
    assert acc.tolist() == [[126, -125]]
    assert clamps == 2


@JITTED_AND_PLAIN
def test_more_outputs_than_a_block_holds(version: Version) -> None:
    rng = np.random.default_rng(0)
    lanes = BLOCK_LANES + 3
    plan = AccumulationPlan(
        levels=(
            level(*EVERY_TAP, max_terms=2, bits=9),
            level(start=Start.LEVEL_BELOW, bits=9),
        )
    )
    assert check(plan, (5, 1, 1), *operands(rng, 5, (7, 18), k=2, m=lanes), version) > 0


@pytest.mark.parametrize("seed", range(60))
def test_long_sums_are_cut_without_a_trace(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few products, where the plan lets a sum be interrupted."""
    monkeypatch.setattr(planned_sums, "PART_PRODUCTS", 1 + seed % 5)
    rng = np.random.default_rng(seed)
    extents: Extents = tuple(rng.integers(1, 5, 3).tolist())
    plan = random_plan(rng, extents)
    scalars, vectors = operands(rng, int(np.prod(extents)), (7, 18))
    sums = plan_sums(plan, extents, 7 * 18)
    order = sums.order.products
    found, clamps = sums.run(
        vectors[order].astype(np.int32),
        scalars[:, order].astype(np.int32),
        np.zeros((3, 5), np.int32),
    )
    places = list(product(*(range(extent) for extent in extents)))
    expected_clamps = 0
    for j, lane in np.ndindex(found.shape):
        products = dict(zip(places, (scalars[j] * vectors[:, lane]).tolist(), strict=True))
        total, its_clamps = run_plan(for_oracle(plan), products, extents)
        assert found[j, lane] == total
        expected_clamps += its_clamps
    assert clamps == expected_clamps


@pytest.mark.parametrize("rows", [1, 4, 5])
def test_a_tree_of_full_width_loses_nothing_before_the_accumulator(rows: int) -> None:
    rng = np.random.default_rng(rows)
    drawn = operands(rng, 2 * 3 * 9, (7, 18))
    plan = adder_tree_plan(rows, bits=9, tree_bits=16)
    assert check(plan, (6, 3, 3), *drawn, lambda function: function) > 0


def test_the_order_decides_the_result() -> None:
    """100 + 100 - 100 in 8 bits: 127 - 100 in one order, 100 in the other."""
    scalars, vectors = np.array([[1, 1, 1]]), np.array([[100], [100], [-100]])
    found = set()
    for order in ([0, 1, 2], [0, 2, 1]):
        plan = AccumulationPlan(levels=(level(*EVERY_TAP, bits=8),))
        sums = plan_sums(plan, (3, 1, 1), 100)
        acc, clamps = sums.run(
            vectors[order].astype(np.int32),
            scalars[:, order].astype(np.int32),
            np.zeros((1, 1), np.int32),
        )
        found.add((int(acc[0, 0]), clamps))
    assert found == {(27, 1), (100, 0)}


def test_a_product_that_the_lowest_level_cannot_start_from_is_refused() -> None:
    plan = AccumulationPlan(levels=(level(*EVERY_TAP, start=Start.LEVEL_BELOW, bits=8),))
    with pytest.raises(
        ValueError, match=r"^a product of magnitude 128 needs a wider lowest level$"
    ):
        plan_sums(plan, (1, 1, 1), 128)
    assert plan_sums(plan, (1, 1, 1), 127).is_narrow
