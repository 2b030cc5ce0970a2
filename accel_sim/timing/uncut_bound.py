"""Cost of tiles at least, from tiles of whole maps: a few hundred counts instead of 100,000.

To cut a map into fewer pieces along rows and columns never costs more: no operand is read
more often, folds are as few or fewer, and no halo is read twice. What a whole map costs,
whether it fits or not, is therefore a bound for every tile of as many groups, images, filters
and channels. What a cut could save is left out: the first load and the last store, gaps
between the columns that a window skips, latencies, and ends of port words.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.access_counts import (
    DramBits,
    TileCounts,
    count_dram_bits,
    count_tiles,
)
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.search_cost import SearchCost
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import bound_busy_cycles, bound_cycles
from accel_sim.timing.dram import DramTiming

Cost = Callable[[TileCounts, tuple[DramBits, ...]], SearchCost]
"""What tiles cost, from their counts and their bits under each order of the space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncutBound:
    """Bounds of all tiles of a space.

    Attributes
    ----------
    costs
        float64[m], of each tile of a whole map.
    of_tile
        int64[n], which of these bounds each tile.
    """

    costs: NDArray[np.float64]
    of_tile: NDArray[np.int64]


def bound_uncut(
    nest: LoopNest, hardware: HardwareConfig, timing: DramTiming, space: TileSpace, cost: Cost
) -> UncutBound:
    """Bound the cost of every tile under the best of the loop orders."""
    groups, batch, _, _, filters, channels = space.feasible.T
    shape = (len(space.groups), len(space.batch), len(space.filters), len(space.channels))
    flat = np.ravel_multi_index((groups, batch, filters, channels), shape)
    present = np.zeros(int(np.prod(shape)), np.bool_)
    present[flat] = True
    kept = np.flatnonzero(present)
    whole_rows, whole_cols = space.rows[0], space.cols[0]
    first, second, third, fourth = np.unravel_index(kept, shape)
    zero = np.zeros_like(first)
    uncut = replace(
        space,
        rows=(whole_rows,),
        cols=(replace(whole_cols, span=whole_cols.touched),),
        feasible=np.stack([first, second, zero, zero, third, fourth], axis=1),
    )
    every = np.arange(len(kept))
    tiles = count_tiles(nest, hardware, uncut, every, words_span_folds=True)
    moved = tuple(count_dram_bits(tiles, order) for order in space.orders)
    costs = cost(tiles, moved)
    busy = bound_busy_cycles(nest, hardware, tiles)
    cycles = np.stack([bound_cycles(timing, busy, 0 * every, 0 + (b.read > 0), b) for b in moved])
    numbers = np.cumsum(present) - 1
    return UncutBound(costs=costs.price(costs.fixed, cycles).min(axis=0), of_tile=numbers[flat])
