"""Cost of tiles at least, from tiles of whole maps: a few hundred counts instead of 100,000.

To cut a map into fewer pieces along rows and columns never costs more: no operand is read
more often, folds are as few or fewer, and no halo is read twice. What a whole map costs,
whether it fits or not, is therefore a bound for every tile of as many groups, images, filters
and channels. What a cut could save is left out: the first load and the last store, gaps
between the columns that a window skips, latencies, and ends of port words.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.access_counts import (
    DramBits,
    TileCounts,
    count_dram_bits_by_order,
    count_tiles,
)
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.search_cost import SearchCost
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import bound_busy_cycles, bound_cycles
from accel_sim.timing.dram import DramTiming

Cost = Callable[[TileCounts, DramBits], SearchCost]
"""What tiles cost, from their counts and their bits under each order, [order, n]."""


def bound_uncut(
    nest: LoopNest,
    hardware: HardwareConfig,
    timing: DramTiming,
    space: TileSpace,
    is_present: NDArray[np.bool_],
    cost: Cost,
) -> NDArray[np.float64]:
    """Bound the cost of tiles under the best of the loop orders.

    Parameters
    ----------
    is_present
        bool[groups, batch, filters, channels], which of these to bound.

    Returns
    -------
    float64[groups, batch, filters, channels], infinite where nothing was asked for.
    """
    whole_rows, whole_cols = space.rows[0], space.cols[0]
    uncut = replace(
        space,
        rows=(whole_rows,),
        cols=(replace(whole_cols, span=whole_cols.touched),),
        fitting=np.flatnonzero(is_present),
    )
    tiles = count_tiles(nest, hardware, uncut, words_span_folds=True)
    moved = count_dram_bits_by_order(tiles, space.orders)
    costs = cost(tiles, moved)
    busy = bound_busy_cycles(nest, hardware, tiles)
    edges = np.zeros_like(busy)
    cycles = bound_cycles(timing, busy, edges, 0 + (moved.read > 0), moved)
    bounds = np.full(is_present.shape, np.inf)
    bounds[is_present] = costs.price(costs.fixed, cycles).min(axis=0)
    return bounds
