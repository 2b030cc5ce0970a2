"""An accumulation plan made ready for its kernel."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import (
    MOST_BITS,
    AccumulationPlan,
    Adder,
    AdditionOrder,
    Start,
    order_additions,
)
from accel_sim.kernels import ordered_sums
from accel_sim.kernels.ordered_sums import Levels, Sums, Workspace

PART_PRODUCTS = 256
"""With as many outputs as run side by side, they make half a mebibyte of operands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSums:
    """An accumulation plan over a reduction of known extents and operands of known size.

    Attributes
    ----------
    narrowest_bits
        Sums that stay within so many bits, part by part, pass all levels unchanged.
    tree_terms
        Most terms in the trees that saturate.
    is_narrow
        Whether no addition leaves int32.
    is_word
        Whether none does but of accumulators of 32 bits, which clamp it.
    """

    order: AdditionOrder
    levels: Levels
    narrowest_bits: int
    tree_terms: int
    is_narrow: bool
    is_word: bool

    def part(self, first: int, last: int) -> "PlannedSums":
        """Take some consecutive products, which go on from the sum of those before.

        Every level but the highest has to begin a sum with them, and to end one.
        """
        order = AdditionOrder(
            products=self.order.products[first:last], sums=self.order.sums[:, first:last]
        )
        levels = self.levels._replace(closes=self.levels.closes[first:last])
        return replace(self, order=order, levels=levels)

    def run(
        self,
        vectors: NDArray[np.int32],
        scalars: NDArray[np.int32],
        start: Sums,
    ) -> tuple[Sums, int]:
        """Add the products of two matrices to `start`, in order.

        Parameters
        ----------
        vectors, scalars : int32[n, m], int32[k, n]
            Products in the order of the plan.
        start : [k, m]
            Sums to go on from.

        Returns
        -------
        tuple
            Sums [k, m], and how many additions clamped.
        """
        dtype: type[np.int32 | np.int64] = np.int32 if self.is_narrow else np.int64
        levels = len(self.levels.bits)
        work = Workspace(
            sums=np.empty((levels, ordered_sums.BLOCK_LANES), dtype),
            terms=np.empty((self.tree_terms, ordered_sums.BLOCK_LANES), dtype),
            counts=np.zeros(levels, np.int64),
        )
        acc: Sums = np.array(start, dtype)
        clamps = sum(
            ordered_sums.accumulate(vectors, scalars, self.levels, part.start, part.stop, work, acc)
            for part in self._cut(len(vectors))
        )
        return acc, int(clamps)

    def _cut(self, products: int) -> Iterator[range]:
        """Cut where no sum but the highest is open, into parts that stay in the cache."""
        if self.levels.tree_rows[-1] >= 0:
            yield range(products)
            return
        ends = 1 + np.flatnonzero(self.levels.closes == len(self.levels.bits) - 1)
        first = 0
        while first < products:
            # The last end within reach, or else the next one.
            reach = np.searchsorted(ends, first + PART_PRODUCTS, side="right") - 1
            last = int(ends[max(reach, np.searchsorted(ends, first, side="right"))])
            yield range(first, last)
            first = last


def plan_sums(
    plan: AccumulationPlan, extents: tuple[int, int, int], product_magnitude: int
) -> PlannedSums:
    """Lay a plan out for the kernel.

    Parameters
    ----------
    extents
        Channels, filter rows and filter columns.
    product_magnitude
        Largest magnitude of a product.

    Raises
    ------
    ValueError
        A sum starts as a product that its level cannot hold.
    """
    lowest = plan.levels[0]
    if lowest.start is Start.LEVEL_BELOW and product_magnitude > lowest.range[1]:
        raise ValueError(f"a product of magnitude {product_magnitude} needs a wider lowest level")
    order = order_additions(plan, *extents)
    tree_rows: list[int] = []
    narrow_levels: list[int] = []
    tree_terms, is_narrow, is_word, term_magnitude = 0, True, True, product_magnitude
    for level, products in zip(plan.levels, order.longest_sums, strict=True):
        if level.adder is Adder.TREE and level.saturates:
            tree_rows.append(tree_terms)
            tree_terms += products
        else:
            tree_rows.append(-1)
        half, exact_magnitude = 1 << (level.bits - 1), products * product_magnitude
        if level.saturates or exact_magnitude >= half:
            narrow_levels.append(level.bits)
        fits = (half + term_magnitude if level.saturates else exact_magnitude) < 1 << 31
        is_narrow &= fits
        is_word &= fits or (level.saturates and level.bits == 32 and term_magnitude <= 1 << 31)
        term_magnitude = min(half, exact_magnitude)
    return PlannedSums(
        order=order,
        levels=Levels(
            closes=order.closes,
            bits=np.array([level.bits for level in plan.levels]),
            saturates=np.array([level.saturates for level in plan.levels]),
            tree_rows=np.array(tree_rows),
        ),
        narrowest_bits=min(narrow_levels, default=MOST_BITS),
        tree_terms=tree_terms,
        is_narrow=is_narrow,
        is_word=is_word,
    )
