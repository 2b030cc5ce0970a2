"""How long DRAM takes for each transfer of a layer, by its addresses.

What moves, and in which order, does not depend on when: so all transfers are timed first,
and the schedule then waits for them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from accel_sim.timing.address_runs import (
    add_ifm,
    add_ofm,
    add_psum,
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
from accel_sim.timing.tensor_layout import TileAddresses
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
    fill_loads,
    fill_stores,
)
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]


@jit
def time_transfers(
    rules: ScheduleRules,
    addresses: TileAddresses,
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
) -> int:
    """Time all transfers of a layer; return how many runs they are.

    Parameters
    ----------
    loop_order, trips, group_sizes, pixel_sizes, ifm_sizes, filter_sizes, channel_sizes
        Those of `run_schedule`.
    scratch
        int64[7, 4], overwritten.
    runs
        int64[n, 3], room for the runs of one operand of a tile.
    ends
        int64[tiles + 2, 2, 8], overwritten, see `run_schedule`.
    recorded
        int64[m, 5], overwritten with every run and the two indices of its `ends`; int64[0, 5]
        where nobody asks for them.
    """
    scratch[:] = 0
    ends[:] = 0
    following, changed, loads, stores, old_stores = (
        scratch[0], scratch[1], scratch[2], scratch[3], scratch[4],
    )  # fmt: skip
    index, old_index = scratch[5], scratch[6]
    changed[:] = 1
    fill_loads(rules, following, changed, trips, group_sizes, pixel_sizes, ifm_sizes,
               filter_sizes, channel_sizes, loads)  # fmt: skip
    n_recorded = 0
    for part in (MEANWHILE, AFTERWARDS):
        n_recorded = time_batch(
            rules, addresses, windows, state, cycles_per_ns, following, changed, loads, index,
            stores, 0, part, runs, ends, recorded, n_recorded,
        )  # fmt: skip
    row = 0
    has_next = True
    while has_next:
        row += 1
        old_index[:] = index
        index[:] = following
        has_next = advance(loop_order, trips, following, changed)
        loads[:] = 0
        if has_next:
            fill_loads(rules, following, changed, trips, group_sizes, pixel_sizes, ifm_sizes,
                       filter_sizes, channel_sizes, loads)  # fmt: skip
        old_stores[:] = stores
        outputs = (
            group_sizes[index[GROUPS]] * pixel_sizes[index[PIXELS]] * filter_sizes[index[FILTERS]]
        )
        is_last = index[CHANNELS] == trips[CHANNELS] - 1
        fill_stores(rules, outputs, changed, is_last, has_next, stores)
        n_recorded = time_batch(
            rules, addresses, windows, state, cycles_per_ns, following, changed, loads, old_index,
            old_stores, row, MEANWHILE, runs, ends, recorded, n_recorded,
        )  # fmt: skip
        n_recorded = time_batch(
            rules, addresses, windows, state, cycles_per_ns, following, changed, loads, index,
            stores, row, AFTERWARDS, runs, ends, recorded, n_recorded,
        )  # fmt: skip
    loads[:] = 0
    total: int = time_batch(
        rules, addresses, windows, state, cycles_per_ns, following, changed, loads, index, stores,
        row + 1, MEANWHILE, runs, ends, recorded, n_recorded,
    )  # fmt: skip
    return total


@jit
def time_batch(
    rules: ScheduleRules,
    addresses: TileAddresses,
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
    place = place_tile(addresses, coming)
    for operand in (PSUM, WEIGHTS, IFM):
        if loads[operand] == 0 or is_double_buffered(rules, operand) != is_overlapped:
            continue
        if operand == PSUM:
            n_runs = add_psum(addresses, place, READS, runs, 0)
        elif operand == WEIGHTS:
            n_runs = add_weights(addresses, place, runs, 0)
        else:
            n_runs = add_ifm(addresses, place, runs, 0)
            n_runs = add_residual(addresses, place, changed[GROUPS] != 0, runs, n_runs)
        latency = rules.latency
        nanoseconds = move_runs(windows, state, runs, n_runs)
        ends[row, part, operand] = latency + math.ceil(nanoseconds * cycles_per_ns)
        n_recorded = record(runs, n_runs, row, part, recorded, n_recorded)
    place = place_tile(addresses, leaving)
    for operand in (PSUM, OFM):
        if stores[operand] == 0 or is_double_buffered(rules, operand) != is_overlapped:
            continue
        if operand == PSUM:
            n_runs = add_psum(addresses, place, WRITES, runs, 0)
        else:
            n_runs = add_ofm(addresses, place, runs, 0)
        nanoseconds = move_runs(windows, state, runs, n_runs)
        ends[row, part, N_OPERANDS + operand] = latency + math.ceil(nanoseconds * cycles_per_ns)
        n_recorded = record(runs, n_runs, row, part, recorded, n_recorded)
    return n_recorded


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
