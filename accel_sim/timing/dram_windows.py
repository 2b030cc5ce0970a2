"""The time that DRAM takes for a stream of addresses: a windowed roofline.

Bursts are served in their order, but writes wait until `write_batch` of them leave
together. A row is opened once in `reorder_bursts` bursts, and not at all if it is still
open. Each window of ``n <= window_bursts`` bursts takes ``(bus**p + rows**p +
banks**p)**(1/p)``, where

* ``bus`` is ``n * burst_ns``,
* ``rows`` is ``activations * activation_gap_ns``,
* ``banks`` is the larger of ``activations * row_cycle_ns + hits * same_group_burst_ns`` of
  the busiest bank and ``bursts * same_group_burst_ns`` of the busiest bank group.

Turns from reads to writes add `turn_ns`; refresh and a fitted efficiency lengthen the sum.
Reads take no less than their unloaded latencies over the number in flight (Little's law).

Consecutive bursts lie in consecutive channels. Rows stay open from one batch of transfers
to the next; windows do not.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.devices import DramDevice
from accel_sim.mapping.stored_bits import BITS_PER_BYTE
from accel_sim.timing.power_mean import power_mean
from accel_sim.timing.record import as_record
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]

INTERLEAVED = "bank_group_interleave"
"""Address map whose lowest bits choose the bank group; others have the columns lowest."""

# Directions, and places of the stretches that wait among the counts of a channel.
READS, WRITES = 0, 1
# Other places in the counts of a channel; the last are reads by what they found in their bank.
WAITING_WRITES, IS_WRITING, WINDOW_BURSTS, WINDOW_ACTIVATIONS = 2, 3, 4, 5
REORDERED, HITS, MISSES, N_COUNTS = 6, 7, 8, 9
# What is known of a bank: counts of the window, the row that is open, how many rows are opened
# once, of the bursts that are reordered together, and from SEEN on which.
BURSTS, ACTIVATIONS, OPEN_ROW, N_SEEN, SEEN = 0, 1, 2, 3, 4
NO_ROW = -1
STRETCHES_AT_A_TIME = 128
"""Of reads, served by one call, which changes no time."""


class WindowRules(NamedTuple):
    """A device as the kernels need it; times in ns.

    Attributes
    ----------
    offset_bits
        Of the address of a bit within its burst.
    low_bits, column_bits, high_bits
        Of the address of a burst within its channel, from the lowest: the part of the
        bank's number that stands below the column, the column, the rest of the bank's.
    slowdown
        Of windows and turns, by refresh and the fitted efficiency.
    hit_latency_ns, miss_latency_ns
        Of one read, over the reads in flight.
    """

    channels: int
    offset_bits: int
    low_bits: int
    column_bits: int
    high_bits: int
    bank_groups: int
    burst_ns: float
    same_group_burst_ns: float
    activation_gap_ns: float
    row_cycle_ns: float
    turn_ns: float
    slowdown: float
    norm: int
    window_bursts: int
    reorder_bursts: int
    write_batch: int
    hit_latency_ns: float
    miss_latency_ns: float


class WindowState(NamedTuple):
    """What DRAM remembers of the bursts before.

    In few arrays, because Numba takes long to compile each.

    Attributes
    ----------
    closed_ns
        float64[channel], windows that are full, and turns.
    counts
        int64[channel, N_COUNTS]
    banks
        int64[channel, SEEN + reorder_bursts + 1, bank]
    waiting
        int64[channel, 2, n, 2], reads and writes that were not served yet, in stretches of
        neighbours: the first place in the channel, and how many they are.
    """

    closed_ns: NDArray[np.float64]
    counts: Counts
    banks: Counts
    waiting: Counts


def window_rules(device: DramDevice, channels: int, max_outstanding_reads: int) -> WindowRules:
    """Resolve a device."""
    low_banks = device.bank_groups if device.address_map == INTERLEAVED else 1
    efficiency = (1 - device.refresh_fraction) * device.window_efficiency_fraction
    return WindowRules(
        channels=channels,
        offset_bits=_log2(device.burst_bytes * BITS_PER_BYTE),
        low_bits=_log2(low_banks),
        column_bits=_log2(device.row_bytes // device.burst_bytes),
        high_bits=_log2(device.banks // low_banks),
        bank_groups=device.bank_groups,
        burst_ns=device.burst_ns,
        same_group_burst_ns=device.same_group_burst_ns,
        activation_gap_ns=device.activation_gap_ns,
        row_cycle_ns=device.row_cycle_ns,
        turn_ns=device.turn_ns,
        slowdown=1 / efficiency,
        norm=device.window_norm,
        window_bursts=device.window_bursts,
        reorder_bursts=device.reorder_bursts,
        write_batch=device.write_batch,
        hit_latency_ns=device.row_hit_latency_ns / max_outstanding_reads,
        miss_latency_ns=device.row_miss_latency_ns / max_outstanding_reads,
    )


def idle_state(rules: WindowRules) -> WindowState:
    """Give the state of a memory whose rows are all closed."""
    channels, n_banks = rules.channels, 1 << (rules.low_bits + rules.high_bits)
    banks = np.zeros((channels, SEEN + rules.reorder_bursts + 1, n_banks), np.int64)
    banks[:, OPEN_ROW] = NO_ROW
    return WindowState(
        closed_ns=np.zeros(channels),
        counts=np.zeros((channels, N_COUNTS), np.int64),
        banks=banks,
        waiting=np.zeros((channels, 2, max(rules.write_batch, STRETCHES_AT_A_TIME), 2), np.int64),
    )


def stream_ns(rules: WindowRules, runs: NDArray[np.int64]) -> float:
    """Time of a stream from its first burst to its last, the latency of the first left out.

    Parameters
    ----------
    runs
        int64[n, 3]: first bit, bits, and 1 if they are written; in the order of the stream.
        A burst that two consecutive runs of one direction share moves once.
    """
    nanoseconds: float = move_runs(as_record(rules), idle_state(rules), runs, len(runs))
    return nanoseconds


def least_ns_per_bit(rules: WindowRules) -> float:
    """No stream takes less than this for each of its bits."""
    bits_at_once = rules.channels << rules.offset_bits
    return rules.burst_ns * rules.slowdown / bits_at_once


@jit
def begin_batch(state: WindowState) -> None:
    """Start to count time anew; rows stay open."""
    for channel in range(len(state.closed_ns)):
        state.closed_ns[channel] = 0
        for place in range(N_COUNTS):
            state.counts[channel, place] = 0
        _begin_window(state.banks[channel])


@jit
def _begin_window(banks: Counts) -> None:
    """Forget what the banks of a channel did in the window before."""
    for bank in range(banks.shape[1]):
        banks[BURSTS, bank] = 0
        banks[ACTIVATIONS, bank] = 0


@jit
def move_runs(rules: WindowRules, state: WindowState, runs: Counts, n_runs: int) -> float:
    """Move runs of bits, as of `stream_ns`; return the ns since the batch began."""
    channels, write_batch = rules.channels, rules.write_batch
    counts, waiting = state.counts, state.waiting
    begin, end, direction = 0, 0, -1
    for number in range(n_runs + 1):
        first, last, its_direction = 0, -1, -1
        if number < n_runs:
            first = runs[number, 0] >> rules.offset_bits
            last = (runs[number, 0] + runs[number, 1] - 1) >> rules.offset_bits
            its_direction = runs[number, 2]
            if its_direction == direction and (first == end or first == end - 1):
                end = last + 1
                continue
        # No neighbour of what is before. Every channel takes a stretch of that, and none knows
        # of the others.
        channel, place_there = begin % channels, begin // channels
        for burst in range(begin, min(end, begin + channels)):
            place = place_there
            left = (end - 1 - burst) // channels + 1
            while left > 0:
                taken = left
                if direction == WRITES:
                    taken = min(left, write_batch - counts[channel, WAITING_WRITES])
                    counts[channel, WAITING_WRITES] += taken
                stretch = counts[channel, direction]
                waiting[channel, direction, stretch, 0] = place
                waiting[channel, direction, stretch, 1] = taken
                counts[channel, direction] += 1
                place += taken
                left -= taken
                if counts[channel, WAITING_WRITES] == write_batch:
                    _serve(rules, state, channel, READS)
                    _serve(rules, state, channel, WRITES)
                elif counts[channel, READS] == STRETCHES_AT_A_TIME:
                    _serve(rules, state, channel, READS)
            channel += 1
            if channel == channels:
                channel, place_there = 0, place_there + 1
        begin, end, direction = first, last + 1, its_direction
    slowest, hits, misses = 0.0, 0, 0
    for channel in range(channels):
        _serve(rules, state, channel, READS)
        _serve(rules, state, channel, WRITES)
        slowest = max(slowest, state.closed_ns[channel] + _window_ns(rules, state, channel))
        hits += counts[channel, HITS]
        misses += counts[channel, MISSES]
    in_flight = hits * rules.hit_latency_ns + misses * rules.miss_latency_ns
    nanoseconds: float = max(slowest * rules.slowdown, in_flight)
    return nanoseconds


@jit
def _serve(rules: WindowRules, state: WindowState, channel: int, direction: int) -> None:
    """Add the reads, or the writes, that wait for a channel to its window."""
    n_waiting = state.counts[channel, direction]
    if n_waiting == 0:
        return
    counts, waiting, banks = state.counts, state.waiting, state.banks[channel]
    low_banks, high_mask = 1 << rules.low_bits, (1 << rules.high_bits) - 1
    row_bits = rules.low_bits + rules.column_bits  # of places that share a row, bank by bank

    was_reading = counts[channel, WINDOW_BURSTS] > 0 and counts[channel, IS_WRITING] == 0
    if direction == WRITES:
        counts[channel, WAITING_WRITES] = 0
        if was_reading:
            state.closed_ns[channel] += rules.turn_ns
    counts[channel, IS_WRITING] = direction
    served, misses = 0, 0
    in_window, reordered = counts[channel, WINDOW_BURSTS], counts[channel, REORDERED]
    for number in range(n_waiting):
        place = waiting[channel, direction, number, 0]
        end = place + waiting[channel, direction, number, 1]
        served += end - place
        while place < end:
            if in_window == rules.window_bursts:
                counts[channel, WINDOW_BURSTS] = in_window
                state.closed_ns[channel] += _window_ns(rules, state, channel)
                in_window = 0
                counts[channel, WINDOW_ACTIVATIONS] = 0
                _begin_window(banks)
            if reordered == 0:
                for each in range(banks.shape[1]):
                    banks[SEEN, each] = banks[OPEN_ROW, each]
                    banks[N_SEEN, each] = 1
            high = place >> row_bits
            row = high >> rules.high_bits
            # As many at a time as share a row, a window, and what is reordered.
            together = min(end, (high + 1) << row_bits) - place
            together = min(together, rules.window_bursts - in_window)
            together = min(together, rules.reorder_bursts - reordered)
            # Neighbours go round the banks of the lowest bits.
            for first in range(place, place + min(together, low_banks)):
                bank = ((high & high_mask) << rules.low_bits) | (first & (low_banks - 1))
                banks[BURSTS, bank] += ((place + together - 1 - first) >> rules.low_bits) + 1
                is_hit = row == banks[OPEN_ROW, bank]
                if not is_hit:
                    for rank in range(banks[N_SEEN, bank]):
                        is_hit |= row == banks[SEEN + rank, bank]
                if not is_hit:
                    misses += 1
                    counts[channel, WINDOW_ACTIVATIONS] += 1
                    banks[ACTIVATIONS, bank] += 1
                    banks[OPEN_ROW, bank] = row
                    banks[SEEN + banks[N_SEEN, bank], bank] = row
                    banks[N_SEEN, bank] += 1
            in_window += together
            reordered += together
            if reordered == rules.reorder_bursts:
                reordered = 0
            place += together
    counts[channel, WINDOW_BURSTS], counts[channel, REORDERED] = in_window, reordered
    counts[channel, direction] = 0
    if direction == READS:
        counts[channel, HITS] += served - misses
        counts[channel, MISSES] += misses


@jit
def _window_ns(rules: WindowRules, state: WindowState, channel: int) -> float:
    """Time of a channel's window as far as it is filled."""
    bus = state.counts[channel, WINDOW_BURSTS] * rules.burst_ns
    rows = state.counts[channel, WINDOW_ACTIVATIONS] * rules.activation_gap_ns
    busiest = 0.0
    banks = state.banks[channel]
    n_banks = banks.shape[1]
    for bank in range(n_banks):
        activations = banks[ACTIVATIONS, bank]
        hits = banks[BURSTS, bank] - activations
        busiest = max(busiest, activations * rules.row_cycle_ns + hits * rules.same_group_burst_ns)
    for group in range(rules.bank_groups):
        bursts = 0
        for bank in range(group, n_banks, rules.bank_groups):
            bursts += banks[BURSTS, bank]
        busiest = max(busiest, bursts * rules.same_group_burst_ns)
    nanoseconds: float = power_mean(bus, rows, busiest, rules.norm)
    return nanoseconds


def _log2(number: int) -> int:
    return number.bit_length() - 1
