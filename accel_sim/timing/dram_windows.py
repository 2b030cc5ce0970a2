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
from accel_sim.timing.power_mean import power_mean
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]

INTERLEAVED = "bank_group_interleave"
"""Address map whose lowest bits choose the bank group; others have the columns lowest."""

# Directions, and places of the bursts that wait among the counts of a channel.
READS, WRITES = 0, 1
# Other places in the counts of a channel.
IS_WRITING, WINDOW_BURSTS, WINDOW_ACTIVATIONS, REORDERED, N_COUNTS = 2, 3, 4, 5, 6
# Places in the totals: reads by what they found in their bank.
HITS, MISSES, N_TOTALS = 0, 1, 2
NO_ROW = -1
READS_AT_A_TIME = 128
"""Served by one call, which changes no time."""


class WindowRules(NamedTuple):
    """A device as the kernels need it; times in ns.

    Attributes
    ----------
    low_bits, column_bits, high_bits
        Of the address of a burst within its channel, from the lowest: the part of the
        bank's number that stands below the column, the column, the rest of the bank's.
    slowdown
        Of windows and turns, by refresh and the fitted efficiency.
    hit_latency_ns, miss_latency_ns
        Of one read, over the reads in flight.
    """

    channels: int
    burst_bits: int
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

    Attributes
    ----------
    closed_ns
        float64[channel], windows that are full, and turns.
    counts
        int64[channel, 6]
    totals
        int64[2]
    bursts, activations
        int64[channel, bank], of the window.
    open_row
        int64[channel, bank]
    seen, n_seen
        int64[channel, bank, reorder_bursts + 1] and int64[channel, bank]: rows that are
        opened once, of the bursts that are reordered together.
    waiting
        int64[channel, 2, n], reads and writes that were not served yet.
    """

    closed_ns: NDArray[np.float64]
    counts: Counts
    totals: Counts
    bursts: Counts
    activations: Counts
    open_row: Counts
    seen: Counts
    n_seen: Counts
    waiting: Counts


def window_rules(device: DramDevice, channels: int, max_outstanding_reads: int) -> WindowRules:
    """Resolve a device."""
    low_banks = device.bank_groups if device.address_map == INTERLEAVED else 1
    efficiency = (1 - device.refresh_fraction) * device.window_efficiency_fraction
    return WindowRules(
        channels=channels,
        burst_bits=device.burst_bytes * 8,
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
    channels, banks = rules.channels, 1 << (rules.low_bits + rules.high_bits)
    return WindowState(
        closed_ns=np.zeros(channels),
        counts=np.zeros((channels, N_COUNTS), np.int64),
        totals=np.zeros(N_TOTALS, np.int64),
        bursts=np.zeros((channels, banks), np.int64),
        activations=np.zeros((channels, banks), np.int64),
        open_row=np.full((channels, banks), NO_ROW),
        seen=np.full((channels, banks, rules.reorder_bursts + 1), NO_ROW),
        n_seen=np.ones((channels, banks), np.int64),
        waiting=np.zeros((channels, 2, max(rules.write_batch, READS_AT_A_TIME)), np.int64),
    )


def stream_ns(rules: WindowRules, runs: NDArray[np.int64]) -> float:
    """Time of a stream from its first burst to its last, the latency of the first left out.

    Parameters
    ----------
    runs
        int64[n, 3]: first bit, bits, and 1 if they are written; in the order of the stream.
        A burst that two consecutive runs of one direction share moves once.
    """
    nanoseconds: float = move_runs(rules, idle_state(rules), runs, len(runs))
    return nanoseconds


@jit
def begin_batch(state: WindowState) -> None:
    """Start to count time anew; rows stay open."""
    state.closed_ns[:] = 0
    state.counts[:] = 0
    state.totals[:] = 0
    state.bursts[:] = 0
    state.activations[:] = 0


@jit
def move_runs(rules: WindowRules, state: WindowState, runs: Counts, n_runs: int) -> float:
    """Move runs of bits, as of `stream_ns`; return the ns since the batch began."""
    channels, burst_bits, write_batch = rules.channels, rules.burst_bits, rules.write_batch
    counts, waiting = state.counts, state.waiting
    last, direction = -1, -1
    for number in range(n_runs):
        first = runs[number, 0] // burst_bits
        if first == last and direction == runs[number, 2]:
            first += 1
        last = (runs[number, 0] + runs[number, 1] - 1) // burst_bits
        direction = runs[number, 2]
        capacity = write_batch if direction == WRITES else READS_AT_A_TIME
        channel, place = first % channels, first // channels
        for _ in range(first, last + 1):
            waiting[channel, direction, counts[channel, direction]] = place
            counts[channel, direction] += 1
            if counts[channel, direction] == capacity:
                _serve(rules, state, channel, READS)
                if direction == WRITES:
                    _serve(rules, state, channel, WRITES)
            channel += 1
            if channel == channels:
                channel, place = 0, place + 1
    slowest = 0.0
    for channel in range(channels):
        _serve(rules, state, channel, READS)
        _serve(rules, state, channel, WRITES)
        slowest = max(slowest, state.closed_ns[channel] + _window_ns(rules, state, channel))
    hits, misses = state.totals[HITS], state.totals[MISSES]
    in_flight = hits * rules.hit_latency_ns + misses * rules.miss_latency_ns
    nanoseconds: float = max(slowest * rules.slowdown, in_flight)
    return nanoseconds


@jit
def _serve(rules: WindowRules, state: WindowState, channel: int, direction: int) -> None:
    """Add the reads, or the writes, that wait for a channel to its window."""
    n_waiting = state.counts[channel, direction]
    if n_waiting == 0:
        return
    counts, waiting, open_row = state.counts, state.waiting, state.open_row
    bursts, activations = state.bursts, state.activations
    seen, n_seen = state.seen, state.n_seen
    n_banks = open_row.shape[1]
    low_bits, high_bits = rules.low_bits, rules.high_bits
    low_mask, high_mask = (1 << low_bits) - 1, (1 << high_bits) - 1

    was_reading = counts[channel, WINDOW_BURSTS] > 0 and counts[channel, IS_WRITING] == 0
    if direction == WRITES and was_reading:
        state.closed_ns[channel] += rules.turn_ns
    counts[channel, IS_WRITING] = direction
    misses = 0
    in_window, reordered = counts[channel, WINDOW_BURSTS], counts[channel, REORDERED]
    for number in range(n_waiting):
        burst = waiting[channel, direction, number]
        high = burst >> (low_bits + rules.column_bits)
        bank = ((high & high_mask) << low_bits) | (burst & low_mask)
        row = high >> high_bits
        if in_window == rules.window_bursts:
            counts[channel, WINDOW_BURSTS] = in_window
            state.closed_ns[channel] += _window_ns(rules, state, channel)
            in_window = 0
            counts[channel, WINDOW_ACTIVATIONS] = 0
            bursts[channel] = 0
            activations[channel] = 0
        if reordered == 0:
            for each in range(n_banks):
                seen[channel, each, 0] = open_row[channel, each]
                n_seen[channel, each] = 1
        in_window += 1
        bursts[channel, bank] += 1
        is_hit = row == open_row[channel, bank]
        if not is_hit:
            for rank in range(n_seen[channel, bank]):
                is_hit |= row == seen[channel, bank, rank]
        if not is_hit:
            misses += 1
            counts[channel, WINDOW_ACTIVATIONS] += 1
            activations[channel, bank] += 1
            open_row[channel, bank] = row
            seen[channel, bank, n_seen[channel, bank]] = row
            n_seen[channel, bank] += 1
        reordered += 1
        if reordered == rules.reorder_bursts:
            reordered = 0
    counts[channel, WINDOW_BURSTS], counts[channel, REORDERED] = in_window, reordered
    counts[channel, direction] = 0
    if direction == READS:
        state.totals[HITS] += n_waiting - misses
        state.totals[MISSES] += misses


@jit
def _window_ns(rules: WindowRules, state: WindowState, channel: int) -> float:
    """Time of a channel's window as far as it is filled."""
    bus = state.counts[channel, WINDOW_BURSTS] * rules.burst_ns
    rows = state.counts[channel, WINDOW_ACTIVATIONS] * rules.activation_gap_ns
    banks = 0.0
    n_banks = state.bursts.shape[1]
    for bank in range(n_banks):
        activations = state.activations[channel, bank]
        hits = state.bursts[channel, bank] - activations
        banks = max(banks, activations * rules.row_cycle_ns + hits * rules.same_group_burst_ns)
    for group in range(rules.bank_groups):
        bursts = 0
        for bank in range(group, n_banks, rules.bank_groups):
            bursts += state.bursts[channel, bank]
        banks = max(banks, bursts * rules.same_group_burst_ns)
    nanoseconds: float = power_mean(bus, rows, banks, rules.norm)
    return nanoseconds


def _log2(number: int) -> int:
    return number.bit_length() - 1
