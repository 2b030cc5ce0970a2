"""Search for the best tile and loop order of a layer.

Exhaustive: combinations run through the very schedule that the report shows, in ascending
order of a bound that is never above their cost, until the bound passes the best cost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.access_counts import (
    LOOP_ORDERS,
    TileCounts,
    count_dram_bits,
)
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.tile import Loop
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import bound_busy_cycles, bound_cycles, edge_cycles
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.step_bound import bound_steps, tile_series

Order = tuple[Loop, Loop, Loop, Loop]
_Rank = tuple[float, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCost:
    """What the search minimises: ``fixed + per_cycle * cycles``, perhaps times cycles.

    Attributes
    ----------
    fixed
        float64[order, candidate], the part that time does not change.
    is_times_cycles
        Whether the sum is multiplied by the cycles (energy-delay product).
    """

    fixed: NDArray[np.float64]
    per_cycle: float
    is_times_cycles: bool

    def price(self, fixed: NDArray[np.float64], cycles: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cost of schedules of known fixed part and cycles."""
        cost = fixed + self.per_cycle * cycles
        return cost * cycles if self.is_times_cycles else cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best schedule of a layer.

    Attributes
    ----------
    candidate
        Index into ``space.feasible``.
    """

    candidate: int
    loop_order: Order
    cycles: LayerCycles


def loop_orders(nest: LoopNest) -> tuple[Order, ...]:
    """Orders worth trying; off the array a group has one filter and one channel."""
    return LOOP_ORDERS if nest.kind is Kind.MAC else LOOP_ORDERS[:1]


def search_tiles(
    nest: LoopNest,
    hardware: HardwareConfig,
    space: TileSpace,
    tiles: TileCounts,
    cost: SearchCost,
) -> Found:
    """Find the cheapest tile and loop order.

    Equal costs are told apart by cycles, then by bits over the DRAM bus, then by the
    earlier order and the larger tile.

    Parameters
    ----------
    tiles
        Counts of every feasible tile of the space.
    """
    orders = loop_orders(nest)
    bits = [count_dram_bits(tiles, order) for order in orders]
    busy = bound_busy_cycles(nest, hardware, tiles)
    edges = edge_cycles(nest, hardware, space)
    bounds = np.stack([bound_cycles(nest, hardware, busy, edges, moved) for moved in bits])
    dram_bits = np.stack([moved.read + moved.write for moved in bits])

    def price(order: int, candidate: int) -> tuple[_Rank, LayerCycles]:
        sizes = tile_sizes(nest, space, candidate)
        cycles = layer_cycles(nest, hardware, sizes, orders[order])
        key = cost.price(cost.fixed[order, candidate], np.array(cycles.total))
        moved = int(dram_bits[order, candidate])
        return (float(key), cycles.total, moved, order, candidate), cycles

    first = np.unravel_index(int(np.argmin(cost.price(cost.fixed, bounds))), bounds.shape)
    best, cycles = price(int(first[0]), int(first[1]))
    order_of, candidate_of = np.nonzero(cost.price(cost.fixed, bounds) <= best[0])
    cycle_bounds = bounds[order_of, candidate_of]
    for order in range(len(orders)):
        here = np.flatnonzero(order_of == order)
        series = tile_series(nest, hardware.mac_array, space, tiles, candidate_of[here])
        closer = bound_steps(nest, hardware, series, orders[order]) + edges[candidate_of[here]]
        cycle_bounds[here] = np.maximum(cycle_bounds[here], closer)
    cost_bounds = cost.price(cost.fixed[order_of, candidate_of], cycle_bounds)
    for trial in np.lexsort((cycle_bounds, cost_bounds)).tolist():
        if (cost_bounds[trial], cycle_bounds[trial]) > best[:2]:
            break
        rank, its_cycles = price(int(order_of[trial]), int(candidate_of[trial]))
        if rank < best:
            best, cycles = rank, its_cycles
    return Found(candidate=best[4], loop_order=orders[best[3]], cycles=cycles)
