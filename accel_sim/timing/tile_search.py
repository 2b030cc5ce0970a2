"""Search for the best tile and loop order of a layer.

Exhaustive: combinations run through the very schedule that the report shows, in ascending
order of a bound that is never above their cost, until the bound passes the best cost. For
this a DRAM device moves bits at a constant rate; then the best few run with its addresses.
"""

import math
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.tile import LoopOrder
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.dram import dram_timing
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.pipeline import (
    DeviceStream,
    TileSizes,
    cut_sizes,
    device_cycles,
    device_stream,
    layer_cycles,
)
from accel_sim.timing.schedule_rules import schedule_rules
from accel_sim.timing.tile_block import TileBlock, Trials, choose_trials, count_block, join_trials
from accel_sim.timing.tile_series import cut_tables
from accel_sim.timing.uncut_bound import Cost, bound_uncut

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

BLOCK = 1 << 17
"""Tiles counted at a time: few enough for the second-level cache."""

N_RETIMED = 3
"""Different schedules that run again with the addresses of a DRAM device: the best of all, and
the best of those that leave rows whole, whose runs are long."""

ROWS, COLS = 2, 3
"""Dimensions of a space that cut a map."""

_FEW = 1 << 12
"""Up to so many tiles are all counted."""
_PROMISING = 1 << 10
"""Of more, those that are counted first."""

_Rank = tuple[float, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best schedule of a layer.

    Attributes
    ----------
    candidate
        Index into ``space.fitting``.
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
    best = _Search(nest, hardware, space, cost, block).find_best()
    *rank, order, candidate = best.rank
    return Found(
        rank=(rank[0], int(rank[1]), int(rank[2])),
        candidate=int(np.searchsorted(space.fitting, candidate)),
        loop_order=space.orders[order],
        cycles=best.cycles,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    """One schedule with its cost.

    Attributes
    ----------
    rank
        Cost, cycles, bits over the DRAM bus, order and candidate.
    fixed
        The part of its cost that time does not change.
    """

    rank: _Rank
    fixed: float
    cycles: LayerCycles


class _Search:
    """The search for one layer, and what it knows so far.

    Candidates are flat indices into the shape of the space. Kinds of them, of each of which
    the best are sought, are told apart by how they cut the columns of a map: bool[cols].
    """

    def __init__(
        self, nest: LoopNest, hardware: HardwareConfig, space: TileSpace, cost: Cost, block: int
    ) -> None:
        self._nest, self._hardware, self._space = nest, hardware, space
        self._cost, self._block = cost, block
        self._rules, self._timing = schedule_rules(nest, hardware), dram_timing(hardware)
        self._tables = cut_tables(nest, hardware.mac_array, space)
        self._grid = space.grid()
        self._n_best = 1
        self._kinds = [np.ones(len(space.cols), np.bool_)]
        if isinstance(hardware.dram, DeviceDram):
            self._n_best = N_RETIMED
            self._kinds.append(np.array([len(cut.outputs) == 1 for cut in space.cols]))
        self._blocks: list[TileBlock] = []
        self._sizes: dict[int, TileSizes] = {}
        self._streams: dict[int, DeviceStream] = {}
        self._priced: dict[tuple[int, int], _Priced] = {}

    def find_best(self) -> _Priced:
        is_present: Flags = np.any(self._grid, axis=(ROWS, COLS))
        uncut = np.zeros(is_present.shape)
        if len(self._space.fitting) > _FEW:
            uncut = bound_uncut(
                self._nest, self._hardware, self._timing, self._space, is_present, self._cost
            )
        # A few promising tiles set the limit that rules out most of the others, uncounted.
        is_promising = self._grid
        if len(self._space.fitting) > _FEW:
            is_promising = self._join(self._find_promising(kind, uncut) for kind in self._kinds)
        self._count(is_promising)
        bounds = self._bounds()
        is_lowest = np.zeros(len(bounds), np.bool_)
        for kind in self._kinds:
            members = np.flatnonzero(self._are_of(kind, self._counted()))
            is_lowest[members[np.argsort(bounds[members])[: self._n_best]]] = True
        trials = self._choose(is_lowest, math.inf)
        limits = [self._limit(self._find_cheapest(trials, kind)) for kind in self._kinds]

        its_limits = list(zip(self._kinds, limits, strict=True))
        is_open = self._join(self._grid_of(kind, uncut <= limit) for kind, limit in its_limits)
        self._count(is_open & ~is_promising)
        counted, bounds = self._counted(), self._bounds()
        is_chosen = np.zeros(len(bounds), np.bool_)
        for kind, limit in its_limits:
            is_chosen |= (bounds <= limit) & self._are_of(kind, counted)
        trials = self._choose(is_chosen, max(limits))
        # Whole rows first: long runs are fast, so that most of the others are soon given up.
        found = {
            one.rank: one
            for kind in reversed(self._kinds)
            for one in self._find_cheapest(trials, kind)
        }
        if isinstance(self._hardware.dram, DeviceDram):
            return self._find_best_by_address(list(found.values()), self._hardware.dram)
        best, *_ = found.values()
        return best

    @staticmethod
    def _join(grids: Iterable[Flags]) -> Flags:
        return reduce(np.logical_or, grids)

    def _grid_of(self, kind: Flags, is_wanted: Flags) -> Flags:
        """Find the tiles of a kind that some groups, batch, filters and channels offer."""
        wanted = np.expand_dims(is_wanted, (ROWS, COLS))
        grid: Flags = self._grid & wanted & kind[:, np.newaxis, np.newaxis]
        return grid

    def _find_promising(self, kind: Flags, uncut: NDArray[np.float64]) -> Flags:
        """Find the tiles of a kind with the lowest bounds, `_PROMISING` of them or a few more."""
        every = self._grid_of(kind, np.ones(uncut.shape, np.bool_))
        n_tiles = np.count_nonzero(every, axis=(ROWS, COLS)).ravel()
        ascending = np.argsort(uncut, axis=None, kind="stable")
        enough = int(np.searchsorted(np.cumsum(n_tiles[ascending]), _PROMISING)) + 1
        is_wanted = np.zeros(uncut.size, np.bool_)
        is_wanted[ascending[:enough]] = True
        return self._grid_of(kind, is_wanted.reshape(uncut.shape))

    def _are_of(self, kind: Flags, candidates: Counts) -> Flags:
        """Whether candidates are of a kind."""
        are: Flags = kind[np.unravel_index(candidates, self._space.shape)[COLS]]
        return are

    def _count(self, grid: Flags) -> None:
        """Count some tiles."""
        candidates = np.flatnonzero(grid)
        for start in range(0, len(candidates), self._block):
            space = replace(self._space, fitting=candidates[start : start + self._block])
            block = count_block(self._nest, self._hardware, self._timing, space, self._cost)
            self._blocks.append(block)

    def _counted(self) -> Counts:
        """Tiles that were counted."""
        return np.concatenate([block.space.fitting for block in self._blocks])

    def _bounds(self) -> NDArray[np.float64]:
        """Bounds of the cost of each tile that was counted."""
        return np.concatenate([block.cost_bounds.min(axis=0) for block in self._blocks])

    def _choose(self, is_chosen: Flags, limit: float) -> Trials:
        """Pick what the chosen of the tiles that were counted may offer below a limit."""
        ends = np.cumsum([len(block.space.fitting) for block in self._blocks])
        parts = zip(self._blocks, np.split(is_chosen, ends[:-1]), strict=True)
        return join_trials([
            choose_trials(
                self._nest, self._hardware, self._rules, self._tables, block.take(part), limit
            )
            for block, part in parts
            if part.any()
        ])  # fmt: skip

    def _limit(self, cheapest: list[_Priced]) -> float:
        """Tell what the last of the best may cost."""
        return cheapest[-1].rank[0] if len(cheapest) == self._n_best else math.inf

    def _find_cheapest(self, trials: Trials, kind: Flags) -> list[_Priced]:
        """Find the cheapest schedules of a kind where bits move at a constant rate, ascending."""
        best: list[_Priced] = []
        # What ranks are compared by, the most significant last: no rank is below its bound.
        keys = (trials.candidate, trials.order, trials.dram_bits, trials.cycle_bound,
                trials.cost_bound)  # fmt: skip
        ascending = np.lexsort(keys)
        is_member = self._are_of(kind, trials.candidate[ascending])
        for trial in ascending[is_member].tolist():
            bound = tuple(key[trial] for key in reversed(keys))
            if len(best) == self._n_best and bound > best[-1].rank:
                break
            insort(best, self._price(trials, trial), key=lambda one: one.rank)
            del best[self._n_best :]
        return best

    def _price(self, trials: Trials, trial: int) -> _Priced:
        order, candidate = int(trials.order[trial]), int(trials.candidate[trial])
        if (order, candidate) not in self._priced:
            cycles = layer_cycles(self._rules, self._size(candidate), self._space.orders[order])
            fixed, dram_bits = float(trials.fixed[trial]), int(trials.dram_bits[trial])
            rank = (self._cost_of(fixed, cycles), cycles.total, dram_bits, order, candidate)
            self._priced[order, candidate] = _Priced(rank=rank, fixed=fixed, cycles=cycles)
        return self._priced[order, candidate]

    def _cost_of(self, fixed: float, cycles: LayerCycles) -> float:
        return self._blocks[0].cost.price(fixed, cycles.total)

    def _size(self, candidate: int) -> TileSizes:
        if candidate not in self._sizes:
            cut = self._space.cut(candidate)
            self._sizes[candidate] = cut_sizes(self._nest, self._hardware, cut)
        return self._sizes[candidate]

    def _find_best_by_address(self, found: list[_Priced], dram: DeviceDram) -> _Priced:
        best: _Priced | None = None
        for one in found:
            retimed = self._retime(one, dram, math.inf if best is None else best.rank[0])
            if retimed is not None and (best is None or retimed.rank < best.rank):
                best = retimed
        assert best is not None  # the first has no limit
        return best

    def _retime(self, one: _Priced, dram: DeviceDram, limit: float) -> _Priced | None:
        """Give a schedule the time of its addresses; None if it then costs more than a limit."""
        *_, dram_bits, order, candidate = one.rank
        most_cycles = self._blocks[0].cost.most_cycles(one.fixed, limit)
        if one.cycles.total - one.cycles.dram_stalls > most_cycles:
            return None
        if candidate not in self._streams:
            tile = self._space.cut(candidate).tile
            self._streams[candidate] = device_stream(self._nest, self._hardware, dram, tile)
        cycles = device_cycles(
            self._rules, self._streams[candidate], self._size(candidate),
            self._space.orders[order], most_cycles,
        )  # fmt: skip
        if cycles is None:
            return None
        rank = (self._cost_of(one.fixed, cycles), cycles.total, dram_bits, order, candidate)
        return replace(one, rank=rank, cycles=cycles)
