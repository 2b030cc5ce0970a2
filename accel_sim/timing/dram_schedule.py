"""How long DRAM takes for each transfer of a layer, by its addresses.

What moves, and in which order, does not depend on when: so all transfers are timed first,
and the schedule then waits for them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.timing.address_runs import (
    add_ifm,
    add_outputs,
    add_residual,
    add_weights,
    place_tile,
)
from accel_sim.timing.dram_windows import (
    READS,
    WRITES,
    WindowRules,
    WindowState,
    begin_batch,
    move_runs,
)
from accel_sim.timing.schedule_kernel import AFTERWARDS, MEANWHILE, is_double_buffered
from accel_sim.timing.schedule_rules import ScheduleRules
from accel_sim.timing.tensor_layout import TileAddresses, TilePositions
from accel_sim.timing.tile_walk import (
    CHANNELS,
    FILTERS,
    GROUPS,
    IFM,
    N_OPERANDS,
    OFM,
    PIXELS,
    PSUM,
    WEIGHTS,
    advance,
    copy_counts,
    fill_loads,
    fill_stores,
)
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]

MOVES = (PSUM, WEIGHTS, IFM, PSUM, OFM)
"""What a batch moves, in this order: it is read, from `FIRST_WRITE` on written."""
FIRST_WRITE = 3
TOO_LONG = -1


class Limit(NamedTuple):
    """When to give a layer up.

    Attributes
    ----------
    busy
        int64[tiles + 2], by row of `ends`: cycles that the machine computes meanwhile; int64[0]
        where there is no limit.
    left
        int64[tiles + 2], cycles that everything behind a row takes at least.
    """

    most_cycles: int
    busy: Counts
    left: Counts


@jit
def time_transfers(
    rules: ScheduleRules,
    addresses: TileAddresses,
    positions: TilePositions,
    windows: WindowRules,
    state: WindowState,
    cycles_per_ns: float,
    loop_order: Counts,
    trips: Counts,
    group_sizes: Counts,
    pixel_sizes: Counts,
    ifm_sizes: Counts,
    filter_sizes: Counts,
    channel_sizes: Counts,
    scratch: Counts,
    runs: Counts,
    ends: Counts,
    recorded: Counts,
    limit: Limit,
) -> int:
    """Time all transfers of a layer; return how many runs they are, or `TOO_LONG`.

    Parameters
    ----------
    loop_order, trips, group_sizes, pixel_sizes, ifm_sizes, filter_sizes, channel_sizes
        Those of `run_schedule`.
    scratch
        int64[7, 5], overwritten.
    runs
        int64[n, 3], room for the runs of one operand of a tile.
    ends
        int64[tiles + 2, 2, 8], overwritten, see `run_schedule`.
    recorded
        int64[m, 5], overwritten with every run and the two indices of its `ends`; int64[0, 5]
        where nobody asks for them.
    limit
        Where the layer takes longer than this, its transfers are not timed to the end.
    """
    scratch[:] = 0
    ends[:] = 0
    coming, changed, loads = scratch[0], scratch[1], scratch[2]
    index, stores, old_index, old_stores = scratch[3], scratch[4], scratch[5], scratch[6]
    changed[:] = 1
    n_tiles = trips[GROUPS] * trips[PIXELS] * trips[FILTERS] * trips[CHANNELS]
    n_recorded, cycles = 0, 0
    # Row by row of `ends`: the tile of that number comes, the one before it is computed.
    for row in range(n_tiles + 2):
        copy_counts(index, old_index)
        copy_counts(stores, old_stores)
        copy_counts(coming, index)
        loads[:] = 0
        stores[:] = 0
        if 0 < row < n_tiles:
            advance(loop_order, trips, coming, changed)
        if row < n_tiles:
            fill_loads(rules, coming, changed, trips, group_sizes, pixel_sizes, ifm_sizes,
                       filter_sizes, channel_sizes, loads)  # fmt: skip
        if 0 < row <= n_tiles:
            outputs = group_sizes[index[GROUPS]] * pixel_sizes[index[PIXELS]]
            outputs *= filter_sizes[index[FILTERS]]
            is_last = index[CHANNELS] == trips[CHANNELS] - 1
            fill_stores(rules, outputs, changed, is_last, row < n_tiles, stores)
        for part in (MEANWHILE, AFTERWARDS):
            n_recorded = time_batch(
                rules, addresses, positions, windows, state, cycles_per_ns, coming, changed, loads,
                old_index if part == MEANWHILE else index,
                old_stores if part == MEANWHILE else stores,
                row, part, runs, ends, recorded, n_recorded,
            )  # fmt: skip
        if len(limit.busy) > 0:
            cycles += max(limit.busy[row], find_last(ends[row, MEANWHILE]))
            cycles += find_last(ends[row, AFTERWARDS])
            if cycles + limit.left[row] > limit.most_cycles:
                return TOO_LONG
    return n_recorded


@jit
def time_batch(
    rules: ScheduleRules,
    addresses: TileAddresses,
    positions: TilePositions,
    windows: WindowRules,
    state: WindowState,
    cycles_per_ns: float,
    coming: Counts,
    changed: Counts,
    loads: Counts,
    leaving: Counts,
    stores: Counts,
    row: int,
    part: int,
    runs: Counts,
    ends: Counts,
    recorded: Counts,
    n_recorded: int,
) -> int:
    """Time what moves together: reads for one tile, then writes of another.

    Parameters
    ----------
    coming, leaving
        int64[4], numbers of the two tiles along each loop.
    changed
        int64[4], what is new in the tile that comes.
    """
    is_overlapped = part == MEANWHILE
    moved = 0
    for operand in range(N_OPERANDS):
        if is_double_buffered(rules, operand) == is_overlapped:
            moved += loads[operand] + stores[operand]
    if moved == 0:
        return n_recorded
    begin_batch(state)
    latency = 0
    for number in range(len(MOVES)):
        operand = MOVES[number]
        is_write = number >= FIRST_WRITE
        moved = stores[operand] if is_write else loads[operand]
        if moved == 0 or is_double_buffered(rules, operand) != is_overlapped:
            continue
        place = place_tile(addresses, leaving if is_write else coming)
        if operand == WEIGHTS:
            n_runs = add_weights(addresses, place, runs, 0)
        elif operand == IFM:
            n_runs = add_ifm(addresses, positions, place, runs, 0)
            n_runs = add_residual(addresses, place, changed[GROUPS] != 0, runs, n_runs)
        else:
            tensor = addresses.psum if operand == PSUM else addresses.ofm
            direction = WRITES if is_write else READS
            n_runs = add_outputs(addresses, place, tensor, direction, runs, 0)
        if not is_write:
            latency = rules.latency
        nanoseconds = move_runs(windows, state, runs, n_runs)
        end = latency + math.ceil(nanoseconds * cycles_per_ns)
        ends[row, part, operand + N_OPERANDS * is_write] = end
        n_recorded = record(runs, n_runs, row, part, recorded, n_recorded)
    return n_recorded


@jit
def find_last(ends: Counts) -> int:
    """Find the largest of some counts; `ndarray.max` takes Numba half a second to compile."""
    last = 0
    for place in range(len(ends)):
        last = max(last, ends[place])
    return last


@jit
def record(
    runs: Counts, n_runs: int, row: int, part: int, recorded: Counts, n_recorded: int
) -> int:
    """Keep runs, where there is room; return how many there have been so far."""
    if len(recorded) > 0:
        for number in range(n_runs):
            for column in range(3):
                recorded[n_recorded + number, column] = runs[number, column]
            recorded[n_recorded + number, 3] = row
            recorded[n_recorded + number, 4] = part
    return n_recorded + n_runs
