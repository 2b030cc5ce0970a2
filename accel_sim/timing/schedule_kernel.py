"""One layer's tiles, step by step: the jitted core of `accel_sim.timing.pipeline`.

Step ``i`` computes tile ``i`` while DRAM brings what tile ``i + 1`` needs anew (partial
sums, weights, ifm, in that order) and then takes away what tile ``i - 1`` left (partial
sums, ofm). Operands without double buffering move between two computations instead. The
step ends when all is done.
"""

import numpy as np
from numpy.typing import NDArray

from accel_sim.mapping.pass_tables import PassTables
from accel_sim.timing.mac_array import (
    compute_cycles,
    count_places,
    fill_drain_cycles,
    lay_on_array,
)
from accel_sim.timing.pass_cycles import network_cycles, pass_cycles
from accel_sim.timing.port_words import (
    array_words,
    find_slowest_port,
    lane_words,
    pass_words,
    words,
)
from accel_sim.timing.schedule_rules import ScheduleRules
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
    count_read,
    count_written,
    fill_loads,
    fill_stores,
)
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]

# Places of the causes in an array of LayerCycles' fields.
COMPUTE, FILL_DRAIN, OVERHEAD, PORT, DRAM, N_CAUSES = 0, 1, 2, 3, 7, 11
N_SCRATCH = 7

# Places of a row of `ends`: what moves meanwhile, what moves afterwards; by operand, first
# all that is read, then all that is written.
MEANWHILE, AFTERWARDS, N_BATCHES = 0, 1, 2
N_MOVES = 2 * N_OPERANDS

# Places of a row of `timeline`: cycles at which the step and what moves meanwhile begin, at
# which its computation and that transfer end, at which what moves afterwards begins and ends
# with the step; bits read and written.
STEP_START, BUSY_END, MEANWHILE_END, AFTERWARDS_START, STEP_END, READ, WRITTEN, N_TIMES = range(8)


@jit
def work_on_tile(
    rules: ScheduleRules,
    groups: int,
    pixels: int,
    inputs: int,
    filters: int,
    channels: int,
    passes: PassTables | None,
    index: Counts,
    is_first: bool,
    is_last: bool,
    loads: Counts,
    stores: Counts,
    causes: Counts,
) -> int:
    """Add the cycles of one tile's computation to `causes`; return their sum.

    Parameters
    ----------
    inputs
        Input positions of one channel.
    passes
        None where the array has none.
    index
        int64[4], number of the tile along each loop.
    is_first, is_last
        Whether the tile begins, and ends, the reduction of its outputs.
    loads, stores
        int64[5], bits that come into and out of the buffers from DRAM meanwhile.
    """
    outputs = groups * pixels * filters
    if passes is not None:
        weights = groups * filters * channels * rules.taps
        compute, skew = pass_cycles(
            rules.array, rules.network, passes, groups, index[PIXELS], index[FILTERS],
            index[CHANNELS], weights, rules.weight_bits,
        )  # fmt: skip
        demand = pass_words(
            passes, groups, index[PIXELS], index[FILTERS], index[CHANNELS], pixels, filters,
            channels,
        )  # fmt: skip
    elif rules.is_mac:
        products = channels * rules.taps_together // rules.blocks_apart
        blocks = rules.blocks // rules.blocks_apart
        reduction = count_places(products, blocks, rules.products_per_pe)
        sums = count_places(filters, rules.blocks, rules.filters_per_pe)
        tile = lay_on_array(rules.array, pixels, sums, reduction, rules.taps_in_turn)
        compute = compute_cycles(rules.array, groups, tile)
        skew = fill_drain_cycles(rules.array, groups, tile)
        demand = array_words(rules, groups, tile)
    else:
        compute = -(-outputs * rules.taps // rules.lanes)
        skew = 0
        demand = lane_words(rules, groups, pixels, inputs, filters)

    psum_reads = demand.psum * (demand.sum_parts - is_first)
    psum_writes = demand.psum * (demand.sum_parts - is_last)
    ifm_network = network_cycles(demand.ifm, rules.ifm_port.port_bits, rules.network.ifm_bits)
    # All sums leave over their network, the finished ones too.
    psum_network = network_cycles(
        demand.psum * demand.sum_parts, rules.psum_port.port_bits, rules.network.psum_bits
    )
    ofm_reads = 0
    ofm_writes = demand.ofm if is_last else 0
    ifm_writes = words(rules.ifm_port, loads[IFM]) if rules.ifm_port.is_shared_with_dram else 0
    weight_writes = 0
    if rules.weight_port.is_shared_with_dram:
        weight_writes = words(rules.weight_port, loads[WEIGHTS])
    if rules.psum_port.is_shared_with_dram:
        psum_reads += words(rules.psum_port, stores[PSUM])
        psum_writes += words(rules.psum_port, loads[PSUM])
    if rules.ofm_port.is_shared_with_dram:
        ofm_reads += words(rules.ofm_port, stores[OFM])
    if rules.psum_is_in_ofm:
        ofm_reads, ofm_writes = ofm_reads + psum_reads, ofm_writes + psum_writes
        psum_reads, psum_writes = 0, 0

    slowest, slowest_cycles = find_slowest_port(
        rules,
        (demand.ifm, demand.weights, psum_reads, ofm_reads),
        (ifm_writes, weight_writes, psum_writes, ofm_writes),
    )
    if ifm_network > slowest_cycles:
        slowest, slowest_cycles = IFM, ifm_network
    if psum_network > slowest_cycles:
        slowest, slowest_cycles = PSUM, psum_network
    stretch = max(0, slowest_cycles - compute - skew)
    # The output stage takes `lanes` finished outputs per cycle.
    requantize = -(-outputs // rules.lanes) if rules.is_mac and is_last else 0
    wait = max(0, requantize - compute - skew - stretch)
    causes[COMPUTE] += compute
    causes[FILL_DRAIN] += skew
    causes[PORT + slowest] += stretch
    causes[OVERHEAD] += wait + rules.tile_overhead
    busy: int = compute + skew + stretch + wait + rules.tile_overhead
    return busy


@jit
def transfer(
    rules: ScheduleRules,
    loads: Counts,
    stores: Counts,
    is_overlapped: bool,
    busy: int,
    ends: Counts,
    causes: Counts,
) -> int:
    """Move what is (or is not) double buffered; return the cycles from start to end.

    A cycle in which a bit of an operand moves and which lies beyond `busy`, the cycles
    for which the machine computes, is a stall by that operand. The latency of a batch of
    reads belongs to its first operand.

    Parameters
    ----------
    ends
        int64[8], cycles from the start until each operand is there or gone; int64[0] where
        DRAM moves bits at a constant rate.
    """
    is_timed = len(ends) > 0
    end = 0
    bits = 0
    begin = 0
    for operand in (PSUM, WEIGHTS, IFM):
        if loads[operand] == 0 or is_double_buffered(rules, operand) != is_overlapped:
            continue
        bits += count_read(rules, loads, operand)
        begin, end = end, rules.latency + -(-bits * rules.read_cycles // rules.read_bits)
        if is_timed:
            end = ends[operand]
        causes[DRAM + operand] += max(0, end - max(begin, busy))
    reads_end = end
    bits = 0
    for operand in (PSUM, OFM):
        if stores[operand] == 0 or is_double_buffered(rules, operand) != is_overlapped:
            continue
        bits += count_written(rules, stores, operand)
        begin, end = end, reads_end + -(-bits * rules.write_cycles // rules.write_bits)
        if is_timed:
            end = ends[N_OPERANDS + operand]
        causes[DRAM + operand] += max(0, end - max(begin, busy))
    return end


@jit
def is_double_buffered(rules: ScheduleRules, operand: int) -> bool:
    """Whether an operand's transfers overlap the computation."""
    if operand == IFM:
        return rules.ifm_port.is_double_buffered
    if operand == WEIGHTS:
        return rules.weight_port.is_double_buffered
    if operand == PSUM:
        return rules.psum_port.is_double_buffered
    return rules.ofm_port.is_double_buffered


@jit
def run_schedule(
    rules: ScheduleRules,
    loop_order: Counts,
    trips: Counts,
    group_sizes: Counts,
    pixel_sizes: Counts,
    ifm_sizes: Counts,
    filter_sizes: Counts,
    channel_sizes: Counts,
    passes: PassTables | None,
    ends: Counts,
    timeline: Counts,
    scratch: Counts,
    causes: Counts,
) -> int:
    """Run all tiles of a layer; return the cycles.

    Parameters
    ----------
    loop_order
        int64[4], loops from outermost to innermost.
    trips
        int64[4], number of tiles of each loop (by loop, not by position).
    group_sizes, filter_sizes, channel_sizes
        Extent of each tile.
    pixel_sizes, ifm_sizes
        Output positions, and input positions of one channel, of each tile of pixels.
    passes
        What passes do with each tile; None where the array has none.
    ends
        int64[tiles + 2, 2, 8], from `time_transfers`: before the first tile, with each tile,
        after the last; int64[1, 2, 0] where DRAM moves bits at a constant rate.
    timeline
        int64[tiles + 2, 8], overwritten: a row before the first tile, with each tile, after the
        last; int64[0, 8] where nobody asks for it.
    scratch
        int64[7, 5], overwritten: a row has room for a number per loop, or per place of what moves.
    causes
        int64[11], overwritten: the cycles by cause.
    """
    is_timed = ends.shape[2] > 0
    causes[:] = 0
    scratch[:] = 0
    index, following, changed = scratch[0], scratch[1], scratch[2]
    loads, stores, old_stores, none = scratch[3], scratch[4], scratch[5], scratch[6]
    changed[:] = 1

    fill_loads(rules, following, changed, trips, group_sizes, pixel_sizes, ifm_sizes,
               filter_sizes, channel_sizes, loads)  # fmt: skip
    row, step = 0, 0
    overlapped: int = transfer(rules, loads, none, True, 0, ends[row, MEANWHILE], causes)
    total: int = overlapped
    total += transfer(rules, loads, none, False, 0, ends[row, AFTERWARDS], causes)
    if len(timeline):
        note_step(rules, timeline[step], 0, 0, overlapped, total, loads, none, none)
    has_next = True
    while has_next:
        row += is_timed
        step += 1
        copy_counts(following, index)
        has_next = advance(loop_order, trips, following, changed)
        loads[:] = 0
        if has_next:
            fill_loads(rules, following, changed, trips, group_sizes, pixel_sizes, ifm_sizes,
                       filter_sizes, channel_sizes, loads)  # fmt: skip
        groups = group_sizes[index[GROUPS]]
        pixels = pixel_sizes[index[PIXELS]]
        filters = filter_sizes[index[FILTERS]]
        is_last = index[CHANNELS] == trips[CHANNELS] - 1
        copy_counts(stores, old_stores)
        fill_stores(rules, groups * pixels * filters, changed, is_last, has_next, stores)
        busy = work_on_tile(
            rules, groups, pixels, ifm_sizes[index[PIXELS]], filters,
            channel_sizes[index[CHANNELS]], passes, index, index[CHANNELS] == 0, is_last, loads,
            old_stores, causes,
        )  # fmt: skip
        overlapped = transfer(rules, loads, old_stores, True, busy, ends[row, MEANWHILE], causes)
        start = total
        total += max(busy, overlapped)
        total += transfer(rules, loads, stores, False, 0, ends[row, AFTERWARDS], causes)
        if len(timeline):
            note_step(
                rules, timeline[step], start, busy, overlapped, total, loads, old_stores, stores
            )
    row += is_timed
    overlapped = transfer(rules, none, stores, True, 0, ends[row, MEANWHILE], causes)
    if len(timeline):
        end = total + overlapped
        note_step(rules, timeline[step + 1], total, 0, overlapped, end, none, stores, none)
    return total + overlapped


@jit
def note_step(
    rules: ScheduleRules,
    times: Counts,
    start: int,
    busy: int,
    overlapped: int,
    end: int,
    loads: Counts,
    stores_meanwhile: Counts,
    stores_afterwards: Counts,
) -> None:
    """Fill a row of a timeline."""
    times[STEP_START] = start
    times[BUSY_END] = start + busy
    times[MEANWHILE_END] = start + overlapped
    times[AFTERWARDS_START] = start + max(busy, overlapped)
    times[STEP_END] = end
    times[READ] = 0
    for operand in (PSUM, WEIGHTS, IFM):
        times[READ] += count_read(rules, loads, operand)
    times[WRITTEN] = 0
    for operand in (PSUM, OFM):
        is_meanwhile = is_double_buffered(rules, operand)
        stores = stores_meanwhile if is_meanwhile else stores_afterwards
        times[WRITTEN] += count_written(rules, stores, operand)
