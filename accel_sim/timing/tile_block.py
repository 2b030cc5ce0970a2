"""Tiles of a layer under every loop order: their counts, and bounds on their cycles and costs."""

from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.access_counts import TileCounts, count_dram_bits_by_order, count_tiles
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.search_cost import SearchCost
from accel_sim.mapping.tile import LOOP_NUMBERS, LoopOrder
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import (
    bound_busy_cycles,
    bound_cycles,
    count_read_batches,
    count_waits,
    edge_cycles,
)
from accel_sim.timing.dram import DramTiming
from accel_sim.timing.schedule_rules import ScheduleRules
from accel_sim.timing.step_bound import bound_steps
from accel_sim.timing.tile_series import CutTables, tile_series
from accel_sim.timing.uncut_bound import Cost

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileBlock:
    """Some tiles of a space under every loop order.

    Attributes
    ----------
    space
        With these tiles alone.
    busy, edges
        int64[n], from `bound_busy_cycles` and `edge_cycles`.
    dram_bits
        int64[order, n], read and written.
    cycle_bounds, cost_bounds
        int64 and float64[order, n].
    """

    space: TileSpace
    tiles: TileCounts
    cost: SearchCost
    busy: Counts
    edges: Counts
    dram_bits: Counts
    cycle_bounds: Counts
    cost_bounds: NDArray[np.float64]

    def take(self, is_taken: NDArray[np.bool_]) -> "TileBlock":
        """Give a block of some of its tiles."""
        here = np.flatnonzero(is_taken)
        counts = {field.name: getattr(self.tiles, field.name)[here] for field in fields(TileCounts)}
        return TileBlock(
            space=self.space.take(here),
            tiles=TileCounts(**counts),
            cost=replace(self.cost, fixed=self.cost.fixed[:, here]),
            busy=self.busy[here],
            edges=self.edges[here],
            dram_bits=self.dram_bits[:, here],
            cycle_bounds=self.cycle_bounds[:, here],
            cost_bounds=self.cost_bounds[:, here],
        )


def count_block(
    nest: LoopNest,
    hardware: HardwareConfig,
    timing: DramTiming,
    space: TileSpace,
    cost: Cost,
) -> TileBlock:
    """Count what every tile of a space accesses, and bound its cycles and its cost."""
    tiles = count_tiles(nest, hardware, space)
    moved = count_dram_bits_by_order(tiles, space.orders)
    costs = cost(tiles, moved)
    busy = bound_busy_cycles(nest, hardware, tiles)
    edges = edge_cycles(nest, hardware, timing, space)
    batches = count_read_batches(nest, space, tiles)
    waits = count_waits(nest, hardware, timing, space, tiles)
    cycle_bounds = bound_cycles(timing, busy, edges, batches, moved, waits)
    return TileBlock(
        space=space,
        tiles=tiles,
        cost=costs,
        busy=busy,
        edges=edges,
        dram_bits=moved.read + moved.write,
        cycle_bounds=cycle_bounds,
        cost_bounds=costs.price(costs.fixed, cycle_bounds),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Schedules that may be the best: what is known of each; one entry per trial.

    Attributes
    ----------
    order
        Place in the orders of the space.
    candidate
        Flat index into the shape of the space.
    """

    order: Counts
    candidate: Counts
    fixed: NDArray[np.float64]
    dram_bits: Counts
    cycle_bound: Counts
    cost_bound: NDArray[np.float64]


def choose_trials(
    nest: LoopNest,
    hardware: HardwareConfig,
    rules: ScheduleRules,
    tables: CutTables,
    block: TileBlock,
    limit: float,
) -> Trials:
    """Pick what a block may offer below a limit, and bound it more closely."""
    series = tile_series(nest, hardware, tables, block.space, block.tiles)
    closer = bound_steps(rules, series, block.busy, block.space.orders)
    is_offered = (block.cost_bounds <= limit) & _differs_from_earlier_orders(block)
    order, tile = np.nonzero(is_offered)
    cycle_bound = np.maximum(block.cycle_bounds, closer + block.edges)[order, tile]
    fixed = block.cost.fixed[order, tile]
    return Trials(
        order=order,
        candidate=block.space.fitting[tile],
        fixed=fixed,
        dram_bits=block.dram_bits[order, tile],
        cycle_bound=cycle_bound,
        cost_bound=block.cost.price(fixed, cycle_bound),
    )


def _differs_from_earlier_orders(block: TileBlock) -> NDArray[np.bool_]:
    """Whether a loop order is a new one for a tile, bool[order, n].

    A loop of one tile may stand anywhere: the schedule is the same.
    """
    return _list_new_orders(block.space.orders)[:, block.tiles.cut_loops()]


@cache
def _list_new_orders(orders: tuple[LoopOrder, ...]) -> NDArray[np.bool_]:
    """Whether an order is a new one for each set of loops that are cut, bool[order, set]."""
    is_new = np.empty((len(orders), 1 << len(LOOP_NUMBERS)), np.bool_)
    for cut in range(1 << len(LOOP_NUMBERS)):
        left = {loop for loop, number in LOOP_NUMBERS.items() if cut >> number & 1}
        known = [tuple(loop for loop in order if loop in left) for order in orders]
        is_new[:, cut] = [known.index(order) == number for number, order in enumerate(known)]
    return is_new


def join_trials(parts: list[Trials]) -> Trials:
    """Put trials one behind another."""
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Trials)
    }
    return Trials(**joined)
