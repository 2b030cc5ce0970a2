"""Search for the best tile and loop order of a layer.

Exhaustive: combinations run through the very schedule that the report shows, in ascending
order of a bound that is never above their cost, until the bound passes the best cost. For
this a DRAM device moves bits at a constant rate; then the best few run with its addresses.
"""

import math
from bisect import insort
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.mapping.access_counts import TileCounts, count_dram_bits, count_tiles
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.search_cost import SearchCost
from accel_sim.mapping.tile import Loop, LoopOrder
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import (
    bound_busy_cycles,
    bound_cycles,
    count_read_batches,
    count_waits,
    edge_cycles,
)
from accel_sim.timing.dram import DramTiming, dram_timing
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.pipeline import device_cycles, device_stream, layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from accel_sim.timing.step_bound import bound_steps, tile_series
from accel_sim.timing.uncut_bound import Cost, bound_uncut

Counts = NDArray[np.int64]

BLOCK = 1 << 17
"""Tiles counted at a time: few enough for the second-level cache."""

N_RETIMED = 3
"""Different schedules that run again with the addresses of a DRAM device: the best of all, and
the best of those that leave rows whole, whose runs are long."""

COLS = 3
"""Place of the output columns in ``space.feasible``."""

_PROMISING = 1 << 10
"""Tiles that are counted first."""

_Rank = tuple[float, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best schedule of a layer.

    Attributes
    ----------
    candidate
        Index into ``space.feasible``.
    rank
        What schedules are compared by: cost, cycles, bits over the DRAM bus.
    """

    rank: tuple[float, int, int]
    candidate: int
    loop_order: LoopOrder
    cycles: LayerCycles


def search_tiles(
    nest: LoopNest, hardware: HardwareConfig, space: TileSpace, cost: Cost, block: int = BLOCK
) -> Found:
    """Find the cheapest tile and loop order.

    Only orders of the space are tried. Equal costs are told apart by cycles, then by bits
    over the DRAM bus, then by the earlier order and the larger tile. With a DRAM device, the
    cheapest by its addresses among the `N_RETIMED` cheapest by bits at a constant rate, and as
    many that leave rows whole.

    Parameters
    ----------
    block
        Tiles counted at a time; what is found does not depend on it.
    """
    orders = space.orders
    rules, timing = schedule_rules(nest, hardware), dram_timing(hardware)

    uncut = bound_uncut(nest, hardware, timing, space, cost)
    bounds = uncut.costs[uncut.of_tile]
    blocks: list[_Block] = []

    def bound(candidates: Counts) -> None:
        """Count some tiles, and replace their bounds by those of their own counts."""
        for start in range(0, len(candidates), block):
            part = candidates[start : start + block]
            blocks.append(_count_block(nest, hardware, timing, space, part, cost))
            bounds[part] = blocks[-1].cost_bounds.min(axis=0)

    def choose(is_chosen: NDArray[np.bool_], limit: float) -> _Trials:
        """Pick what the chosen of all tiles that were counted may offer below a limit."""
        return _join([
            _choose_trials(nest, hardware, timing, one.take(is_chosen[one.candidates]), limit)
            for one in blocks
        ])  # fmt: skip

    priced: dict[tuple[int, int], _Priced] = {}

    def price(trials: _Trials, trial: int) -> _Priced:
        order, candidate = int(trials.order[trial]), int(trials.candidate[trial])
        if (order, candidate) not in priced:
            cycles = layer_cycles(
                rules, tile_sizes(nest, hardware, space, candidate), orders[order]
            )
            key = blocks[0].cost.price(trials.fixed[trial], np.array(cycles.total))
            rank = (float(key), cycles.total, int(trials.dram_bits[trial]), order, candidate)
            priced[order, candidate] = _Priced(
                rank=rank, fixed=float(trials.fixed[trial]), cycles=cycles
            )
        return priced[order, candidate]

    def find_best(trials: _Trials, is_member: NDArray[np.bool_]) -> list[_Priced]:
        """Find the cheapest schedules of the tiles that are members, ascending."""
        best: list[_Priced] = []
        # What ranks are compared by, the most significant last: no rank is below its bound.
        keys = (trials.candidate, trials.order, trials.dram_bits, trials.cycle_bound,
                trials.cost_bound)  # fmt: skip
        order = np.lexsort(keys)
        for trial in order[is_member[trials.candidate[order]]].tolist():
            bound = tuple(key[trial] for key in reversed(keys))
            if len(best) == n_best and bound > best[-1].rank:
                break
            insort(best, price(trials, trial), key=lambda one: one.rank)
            del best[n_best:]
        return best

    def retime(one: _Priced, dram: DeviceDram, limit: float) -> _Priced | None:
        """Give a schedule the time of its addresses; None if it then costs more than a limit."""
        *_, dram_bits, order, candidate = one.rank
        stream = device_stream(nest, hardware, dram, space.tile(candidate))
        sizes = tile_sizes(nest, hardware, space, candidate)
        price = blocks[0].cost
        most_cycles = price.most_cycles(one.fixed, limit)
        cycles = device_cycles(rules, stream, sizes, orders[order], most_cycles, dram_bits)
        if cycles is None:
            return None
        key = price.price(np.array(one.fixed), np.array(cycles.total))
        rank = (float(key), cycles.total, dram_bits, order, candidate)
        return replace(one, rank=rank, cycles=cycles)

    def find_best_by_address(found: list[_Priced], dram: DeviceDram) -> _Priced:
        best: _Priced | None = None
        for one in found:
            retimed = retime(one, dram, math.inf if best is None else best.rank[0])
            if retimed is not None and (best is None or retimed.rank < best.rank):
                best = retimed
        assert best is not None  # the first has no limit
        return best

    n_tiles = len(space.feasible)
    n_best, kinds = 1, [np.ones(n_tiles, np.bool_)]
    if isinstance(hardware.dram, DeviceDram):
        is_whole = np.array([len(cut.outputs) == 1 for cut in space.cols])
        n_best, kinds = N_RETIMED, [*kinds, is_whole[space.feasible[:, COLS]]]
    # A few promising tiles set the limit that rules out most of the others, uncounted.
    is_promising = np.zeros(n_tiles, np.bool_)
    for kind in kinds:
        is_promising[_find_lowest(bounds, kind, _PROMISING)] = True
    bound(np.flatnonzero(is_promising))
    is_lowest = np.zeros(n_tiles, np.bool_)
    for kind in kinds:
        is_lowest[_find_lowest(bounds, kind & is_promising, n_best)] = True
    trials = choose(is_lowest, math.inf)
    limits = np.full(n_tiles, -math.inf)
    for kind in kinds:
        first = find_best(trials, kind)
        limit = first[-1].rank[0] if len(first) == n_best else math.inf
        limits[kind] = np.maximum(limits[kind], limit)
    bound(np.flatnonzero((bounds <= limits) & ~is_promising))
    trials = choose(bounds <= limits, float(limits.max()))
    # Whole rows first: long runs are fast, so that most of the others are soon given up.
    found = {one.rank: one for kind in reversed(kinds) for one in find_best(trials, kind)}
    best, *_ = found.values()
    if isinstance(hardware.dram, DeviceDram):
        best = find_best_by_address(list(found.values()), hardware.dram)
    *rank, order, candidate = best.rank
    return Found(
        rank=(rank[0], int(rank[1]), int(rank[2])),
        candidate=candidate,
        loop_order=orders[order],
        cycles=best.cycles,
    )


def _find_lowest(
    bounds: NDArray[np.float64], is_member: NDArray[np.bool_], n_lowest: int
) -> Counts:
    """Find members with the lowest bounds, in any order."""
    members = np.flatnonzero(is_member)
    if len(members) <= n_lowest:
        return members
    lowest: Counts = members[np.argpartition(bounds[members], n_lowest)[:n_lowest]]
    return lowest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    """One schedule with its cost.

    Attributes
    ----------
    rank
        Cost, cycles, bits over the DRAM bus, order and candidate.
    """

    rank: _Rank
    fixed: float
    cycles: LayerCycles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Some tiles of a space under every loop order.

    Attributes
    ----------
    space
        With these tiles alone.
    candidates
        int64[n], their indices into the whole space.
    busy, edges
        int64[n], from `bound_busy_cycles` and `edge_cycles`.
    dram_bits
        int64[order, n], read and written.
    cycle_bounds, cost_bounds
        int64 and float64[order, n].
    """

    space: TileSpace
    candidates: Counts
    tiles: TileCounts
    cost: SearchCost
    busy: Counts
    edges: Counts
    dram_bits: Counts
    cycle_bounds: Counts
    cost_bounds: NDArray[np.float64]

    def take(self, is_taken: NDArray[np.bool_]) -> "_Block":
        """Give a block of some of its tiles."""
        here = np.flatnonzero(is_taken)
        counts = {field.name: getattr(self.tiles, field.name)[here] for field in fields(TileCounts)}
        return _Block(
            space=replace(self.space, feasible=self.space.feasible[here]),
            candidates=self.candidates[here],
            tiles=TileCounts(**counts),
            cost=replace(self.cost, fixed=self.cost.fixed[:, here]),
            busy=self.busy[here],
            edges=self.edges[here],
            dram_bits=self.dram_bits[:, here],
            cycle_bounds=self.cycle_bounds[:, here],
            cost_bounds=self.cost_bounds[:, here],
        )


def _count_block(
    nest: LoopNest,
    hardware: HardwareConfig,
    timing: DramTiming,
    space: TileSpace,
    candidates: Counts,
    cost: Cost,
) -> _Block:
    space = replace(space, feasible=space.feasible[candidates])
    tiles = count_tiles(nest, hardware, space, np.arange(len(candidates)))
    moved = tuple(count_dram_bits(tiles, order) for order in space.orders)
    costs = cost(tiles, moved)
    busy = bound_busy_cycles(nest, hardware, tiles)
    edges = edge_cycles(nest, hardware, timing, space)
    batches = count_read_batches(nest, space, tiles)
    waits = count_waits(nest, hardware, timing, space, tiles)
    cycle_bounds = np.stack(
        [bound_cycles(timing, busy, edges, batches, bits, waits) for bits in moved]
    )
    return _Block(
        space=space,
        candidates=candidates,
        tiles=tiles,
        cost=costs,
        busy=busy,
        edges=edges,
        dram_bits=np.stack([bits.read + bits.write for bits in moved]),
        cycle_bounds=cycle_bounds,
        cost_bounds=costs.price(costs.fixed, cycle_bounds),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trials:
    """Schedules that may be the best: what is known of each; one entry per trial."""

    order: Counts
    candidate: Counts
    fixed: NDArray[np.float64]
    dram_bits: Counts
    cycle_bound: Counts
    cost_bound: NDArray[np.float64]


def _choose_trials(
    nest: LoopNest, hardware: HardwareConfig, timing: DramTiming, block: _Block, limit: float
) -> _Trials:
    """Pick what a block may offer below a limit, and bound it more closely."""
    series = tile_series(nest, hardware.mac_array, block.space, block.tiles)
    is_new = _differs_from_earlier_orders(block)
    parts = []
    bound = bound_steps(nest, hardware, timing, series, block.busy)
    for number, order in enumerate(block.space.orders):
        here = np.flatnonzero((block.cost_bounds[number] <= limit) & is_new[number])
        if number and not here.size:
            continue
        closer = bound(order) + block.edges
        cycle_bound = np.maximum(block.cycle_bounds[number], closer)[here]
        fixed = block.cost.fixed[number, here]
        parts.append(
            _Trials(
                order=np.full_like(here, number),
                candidate=block.candidates[here],
                fixed=fixed,
                dram_bits=block.dram_bits[number, here],
                cycle_bound=cycle_bound,
                cost_bound=block.cost.price(fixed, cycle_bound),
            )
        )
    return _join(parts)


def _differs_from_earlier_orders(block: _Block) -> NDArray[np.bool_]:
    """Whether a loop order is a new one for a tile, bool[order, n].

    A loop of one tile may stand anywhere: the schedule is the same.
    """
    cut = {loop: block.tiles.trips(loop) > 1 for loop in Loop}
    subsets = list(product((False, True), repeat=len(Loop)))
    subset = np.ravel_multi_index([cut[loop] for loop in Loop], (2,) * len(Loop))
    is_new = np.empty((len(block.space.orders), len(subsets)), np.bool_)
    for at, is_cut in enumerate(subsets):
        left = [loop for loop, cut_here in zip(Loop, is_cut, strict=True) if cut_here]
        known = [tuple(loop for loop in order if loop in left) for order in block.space.orders]
        is_new[:, at] = [known.index(order) == number for number, order in enumerate(known)]
    return is_new[:, subset]


def _join(parts: list[_Trials]) -> _Trials:
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(_Trials)
    }
    return _Trials(**joined)
