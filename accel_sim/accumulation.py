"""The accumulation plan: in which order, levels and widths a machine adds.

Where an accumulator saturates, the order of additions is part of the result. That order
is a property of the machine and of how a layer is laid on it, so that mapping derives a
plan (`accel_sim.mapping.accumulation`) and the exact run executes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 62
"""Of a level: sums of two such numbers fit int64."""


class Dimension(StrEnum):
    """A dimension of the reduction; channels are those of one group."""

    CHANNELS = "channels"
    FILTER_ROWS = "filter_rows"
    FILTER_COLS = "filter_cols"


class Adder(StrEnum):
    """How the terms of one sum meet."""

    CHAIN = "chain"
    """One after another, in their order."""
    TREE = "tree"
    """Neighbours in pairs, then pairs of these; an odd last one waits for the next round."""


class Start(StrEnum):
    """What the first term of a sum is added to."""

    ZERO = "zero"
    """Zero: an addition like the others."""
    LEVEL_BELOW = "level_below"
    """Nothing: the sum starts as what the level below (for the lowest, a product) gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReductionLoop:
    """A loop over one dimension, `step` positions at a time, ascending.

    Inside another loop over it, from where that one stands; the last step may be shorter.
    """

    dimension: Dimension
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccumulationLevel:
    """Adds up what the level below gives; the lowest adds products.

    Attributes
    ----------
    loops
        What runs within one sum of this level and outside the level below; outermost first.
    max_terms
        A sum takes no more terms than this, and the next sum begins; None for as many as
        the loops give.
    bits
        Width of the adders, as two's complement.
    saturates
        Whether every addition clamps to that width; otherwise it wraps. A level that is
        wide enough for its sums does neither.
    """

    loops: tuple[ReductionLoop, ...]
    max_terms: int | None
    adder: Adder
    start: Start
    bits: int
    saturates: bool

    def __post_init__(self) -> None:
        if self.adder is Adder.TREE and self.start is not Start.LEVEL_BELOW:
            raise ValueError("a tree starts from its terms")
        if not 2 <= self.bits <= MOST_BITS:
            raise ValueError(f"bits must be 2 to {MOST_BITS}, got {self.bits}")

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest sum."""
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AccumulationPlan:
    """How one output of a layer comes about; the same for all outputs.

    The loops of all levels, from the highest level to the lowest, are a nest over the
    reduction ``[C, R, S]`` that visits every product once. A sum of a level ends where a
    loop of a higher level goes on, or where it has all terms it may have.

    Attributes
    ----------
    levels
        From the lowest, which adds products, to the highest, which gives the accumulator.
    """

    levels: tuple[AccumulationLevel, ...]

    def __post_init__(self) -> None:
        steps: dict[Dimension, list[int]] = {dimension: [] for dimension in Dimension}
        for loop in self.loops:
            steps[loop.dimension].append(loop.step)
        for dimension, its_steps in steps.items():
            if its_steps != sorted(set(its_steps), reverse=True) or its_steps[-1:] != [1]:
                raise ValueError(
                    f"loops over {dimension} need falling steps that end at 1, got {its_steps}"
                )
        if self.levels[-1].max_terms is not None:
            raise ValueError("the highest level has one sum, of as many terms as there are")
        for below, level in zip(self.levels[:-1], self.levels[1:], strict=True):
            if level.start is Start.LEVEL_BELOW and level.bits < below.bits:
                raise ValueError("a sum cannot start as one that is wider than itself")

    @property
    def loops(self) -> tuple[ReductionLoop, ...]:
        """Of all levels, outermost first."""
        return tuple(loop for level in reversed(self.levels) for loop in level.loops)


Plans = Mapping[str, AccumulationPlan]
"""By name of layer."""

NO_PLANS: Plans = MappingProxyType({})
"""Enough where accumulators wrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionOrder:
    """A plan laid out over the products of one output.

    Attributes
    ----------
    products
        int64[n]: flat indices into ``[C, R, S]``, in the order in which they are added.
    sums
        int64[levels, n]: to which sum of each level a product belongs; ascending.
    """

    products: NDArray[np.int64]
    sums: NDArray[np.int64]

    @property
    def closes(self) -> NDArray[np.int64]:
        """How many levels, from the lowest, end a sum behind each product, int64[n].

        The highest level ends its one sum behind the last, which is not counted.
        """
        ends = np.ones((len(self.sums) - 1, self.products.size), np.int64)
        ends[:, :-1] = np.diff(self.sums[:-1], axis=1) != 0
        closes: NDArray[np.int64] = ends.sum(axis=0)
        return closes

    @property
    def longest_sums(self) -> tuple[int, ...]:
        """Most products in one sum, of each level."""
        return tuple(int(np.bincount(sums - sums[0]).max()) for sums in self.sums)


def order_additions(
    plan: AccumulationPlan, channels: int, filter_rows: int, filter_cols: int
) -> AdditionOrder:
    """Lay a plan out over a reduction of ``channels * filter_rows * filter_cols`` products."""
    index = np.indices((channels, filter_rows, filter_cols)).reshape(3, -1)
    position = dict(zip(Dimension, index, strict=True))
    blocks = []
    for loop in plan.loops:
        block, position[loop.dimension] = np.divmod(position[loop.dimension], loop.step)
        blocks.append(block)
    products = np.lexsort(blocks[::-1])  # the last key is the first to sort by
    blocks = [block[products] for block in blocks]
    terms = np.arange(products.size)
    sums = []
    outside = len(blocks)
    for level in plan.levels:
        outside -= len(level.loops)
        # Sums stay within one visit of the loops of higher levels.
        begins = np.zeros(products.size, np.bool_)
        for block in blocks[:outside]:
            begins[1:] |= block[1:] != block[:-1]
        visit = np.cumsum(begins)
        if level.max_terms is not None:
            first_term = terms[np.searchsorted(visit, visit)]
            part = (terms - first_term) // level.max_terms
            begins[1:] |= part[1:] != part[:-1]
        terms = np.cumsum(begins)
        sums.append(terms)
    return AdditionOrder(products=products, sums=np.array(sums))
