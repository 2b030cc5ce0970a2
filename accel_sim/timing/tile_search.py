"""Search for the best tile and loop order of a layer.

Exhaustive: combinations run through the very schedule that the report shows, in ascending
order of a bound that is never above their cost, until the bound passes the best cost.
"""

from dataclasses import dataclass

import numpy as np

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.access_counts import DramBits, TileCounts, loop_orders
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.search_cost import SearchCost
from accel_sim.mapping.tile import LoopOrder
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import (
    bound_busy_cycles,
    bound_cycles,
    count_read_batches,
    edge_cycles,
)
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from accel_sim.timing.step_bound import bound_steps, tile_series

_Rank = tuple[float, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best schedule of a layer.

    Attributes
    ----------
    candidate
        Index into ``space.feasible``.
    """

    candidate: int
    loop_order: LoopOrder
    cycles: LayerCycles


def search_tiles(
    nest: LoopNest,
    hardware: HardwareConfig,
    space: TileSpace,
    tiles: TileCounts,
    moved: tuple[DramBits, ...],
    cost: SearchCost,
) -> Found:
    """Find the cheapest tile and loop order.

    Equal costs are told apart by cycles, then by bits over the DRAM bus, then by the
    earlier order and the larger tile.

    Parameters
    ----------
    tiles
        Counts of every feasible tile of the space.
    moved
        Bits over the DRAM bus under each of `loop_orders`.
    """
    orders = loop_orders(nest)
    rules = schedule_rules(nest, hardware)
    busy = bound_busy_cycles(nest, hardware, tiles)
    edges = edge_cycles(nest, hardware, space)
    batches = count_read_batches(nest, space, tiles)
    bounds = np.stack([bound_cycles(hardware, busy, edges, batches, bits) for bits in moved])
    dram_bits = np.stack([bits.read + bits.write for bits in moved])

    def price(order: int, candidate: int) -> tuple[_Rank, LayerCycles]:
        sizes = tile_sizes(nest, space, candidate)
        cycles = layer_cycles(rules, sizes, orders[order])
        key = cost.price(cost.fixed[order, candidate], np.array(cycles.total))
        bits = int(dram_bits[order, candidate])
        return (float(key), cycles.total, bits, order, candidate), cycles

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
