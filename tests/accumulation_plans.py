"""Accumulation plans at random, by hand, and as the oracle takes them."""

import numpy as np

from accel_sim.accumulation import (
    AccumulationLevel,
    AccumulationPlan,
    Adder,
    Dimension,
    ReductionLoop,
    Start,
)
from tests.oracles.additions import Level

DIMENSIONS = tuple(Dimension)


def level(*loops, max_terms=None, adder=Adder.CHAIN, start=Start.ZERO, bits, saturates=True):
    """Loops as (dimension, step)."""
    return AccumulationLevel(
        loops=tuple(ReductionLoop(dimension=dimension, step=step) for dimension, step in loops),
        max_terms=max_terms,
        adder=adder,
        start=start,
        bits=bits,
        saturates=saturates,
    )


def adder_tree_plan(
    rows: int,
    bits: int,
    tree_bits: int,
    *,
    tile_channels: int | None = None,
    saturates: bool = True,
) -> AccumulationPlan:
    """Trees over `rows` channels at one tap, added into a saturating accumulator."""
    tiles = [] if tile_channels is None else [(Dimension.CHANNELS, tile_channels)]
    tree = level(
        *[(Dimension.CHANNELS, 1)] * (rows > 1),
        adder=Adder.TREE, start=Start.LEVEL_BELOW, bits=tree_bits, saturates=False,
    )  # fmt: skip
    taps = level(
        *tiles, (Dimension.CHANNELS, rows), (Dimension.FILTER_ROWS, 1), (Dimension.FILTER_COLS, 1),
        bits=bits, saturates=saturates,
    )  # fmt: skip
    return AccumulationPlan(levels=(tree, taps))


def random_plan(rng: np.random.Generator, extents: tuple[int, int, int]) -> AccumulationPlan:
    """Any plan: one to three levels, loops in any order, chains and trees, wrapping or not."""
    loops = [(DIMENSIONS[i], 1) for i in rng.permutation(3)]
    for dimension, extent in zip(DIMENSIONS, extents, strict=True):
        # Coarser loops over the same dimension stand somewhere outside.
        for step in sorted({int(step) for step in rng.integers(2, extent + 3, 2)}):
            if rng.integers(0, 2):
                place = next(i for i, loop in enumerate(loops) if loop[0] is dimension)
                loops.insert(int(rng.integers(0, place + 1)), (dimension, step))
    count = int(rng.integers(1, 4))
    cuts = [0, *sorted(rng.integers(0, len(loops) + 1, count - 1).tolist()), len(loops)]
    levels: list[AccumulationLevel] = []
    for number in reversed(range(count)):
        is_tree = bool(rng.integers(0, 3) == 0)
        has_limit = number > 0 and rng.integers(0, 2)
        levels.append(
            level(
                *loops[cuts[number] : cuts[number + 1]],
                max_terms=int(rng.integers(1, 6)) if has_limit else None,
                adder=Adder.TREE if is_tree else Adder.CHAIN,
                start=Start.LEVEL_BELOW if is_tree or rng.integers(0, 2) else Start.ZERO,
                bits=int(rng.integers(levels[-1].bits if levels else 8, 15)),
                saturates=bool(rng.integers(0, 4) > 0),
            )
        )
    return AccumulationPlan(levels=tuple(levels))


def for_oracle(plan: AccumulationPlan) -> list[Level]:
    return [
        Level(
            loops=[(DIMENSIONS.index(loop.dimension), loop.step) for loop in one.loops],
            max_terms=one.max_terms,
            is_tree=one.adder is Adder.TREE,
            starts_from_zero=one.start is Start.ZERO,
            bits=one.bits,
            saturates=one.saturates,
        )
        for one in plan.levels
    ]
