"""A stream of bursts through DRAM, window by window, on whole lists."""

import math
from itertools import pairwise

from tests.oracles.tile_pipeline import READ_ORDER, WRITE_ORDER, TimedTransfer


def locate(burst, device, interleaved):
    """Bank, bank group and row of a burst of one channel."""
    columns = device["row_bytes"] // 64
    banks, groups = device["banks"], device["bank_groups"]
    if interleaved:
        # From the lowest bits: bank group, column, bank of the group, row.
        group, rest = burst % groups, burst // groups
        rest //= columns
        bank_of_group, row = rest % (banks // groups), rest // (banks // groups)
        return (group, bank_of_group), group, row
    # From the lowest bits: column, bank group, bank of the group, row.
    rest = burst // columns
    bank, row = rest % banks, rest // banks
    return (bank % groups, bank // groups), bank % groups, row


def batch_writes(bursts, write_batch):
    """Let writes wait until enough of them leave together; the last leave at the end."""
    order, waiting = [], []
    for place, is_write in bursts:
        if not is_write:
            order.append((place, False))
            continue
        waiting.append((place, True))
        if len(waiting) == write_batch:
            order += waiting
            waiting = []
    return order + waiting


def find_activations(places, reorder_bursts, open_rows):
    """Whether each burst opens its row: once per set of bursts, unless it is still open.

    `open_rows`, by bank, is brought up to date.
    """
    opens = []
    for start in range(0, len(places), reorder_bursts):
        known = set(open_rows.items())
        for bank, _, row in places[start : start + reorder_bursts]:
            opens.append((bank, row) not in known)
            if opens[-1]:
                known.add((bank, row))
                open_rows[bank] = row
    return opens


def window_ns(places, opens, device):
    bank_ns, group_ns = {}, {}
    for (bank, group, _), is_opened in zip(places, opens, strict=True):
        step = device["row_cycle_ns"] if is_opened else device["same_group_burst_ns"]
        bank_ns[bank] = bank_ns.get(bank, 0) + step
        group_ns[group] = group_ns.get(group, 0) + device["same_group_burst_ns"]
    terms = (
        len(places) * device["burst_ns"],
        sum(opens) * device["activation_gap_ns"],
        max([*bank_ns.values(), *group_ns.values()]),
    )
    norm = device["window_norm"]
    return sum(term**norm for term in terms) ** (1 / norm)


def stream_ns(bursts, device, interleaved, channels, in_flight, open_rows=None):
    """Time of bursts (number, is written) in their order.

    Parameters
    ----------
    device
        Numbers of the device by name.
    open_rows
        By bank, for each channel; brought up to date. None where all are closed.
    """
    open_rows = open_rows or [{} for _ in range(channels)]
    slowest, waiting = 0, 0
    for channel in range(channels):
        own = [(burst // channels, w) for burst, w in bursts if burst % channels == channel]
        order = batch_writes(own, device["write_batch"])
        places = [locate(burst, device, interleaved) for burst, _ in order]
        opens = find_activations(places, device["reorder_bursts"], open_rows[channel])
        directions = [is_write for _, is_write in order]
        turns = sum(after and not before for before, after in pairwise(directions))
        total = turns * device["turn_ns"]
        for start in range(0, len(places), device["window_bursts"]):
            window = slice(start, start + device["window_bursts"])
            total += window_ns(places[window], opens[window], device)
        slowest = max(slowest, total)
        for is_write, is_opened in zip(directions, opens, strict=True):
            if not is_write:
                waiting += device["row_miss_latency_ns" if is_opened else "row_hit_latency_ns"]
    slowest /= (1 - device["refresh_fraction"]) * device["window_efficiency_fraction"]
    return max(slowest, waiting / in_flight)


class AddressedMemory:
    """DRAM that moves lists of bursts, as `tile_pipeline` asks for them.

    `served` are all bursts so far, (number, is written).
    """

    def __init__(self, device, interleaved, channels, in_flight, latency_cycles, cycles_per_ns):
        self.memory = (device, interleaved, channels, in_flight)
        self.latency_cycles = latency_cycles
        self.cycles_per_ns = cycles_per_ns
        self.open_rows = [{} for _ in range(channels)]
        self.served = []

    def start(self, loads, stores):
        reads = [(name, loads[name], False) for name in READ_ORDER if loads.get(name)]
        writes = [(name, stores[name], True) for name in WRITE_ORDER if stores.get(name)]
        bursts, ends = [], []
        open_rows = self.open_rows
        for operand, numbers, is_write in reads + writes:
            bursts += [(number, is_write) for number in numbers]
            # From the start of the batch anew, with the rows that were open then.
            open_rows = [dict(rows) for rows in self.open_rows]
            nanoseconds = stream_ns(bursts, *self.memory, open_rows)
            wait = self.latency_cycles if reads else 0
            ends.append((operand, wait + math.ceil(nanoseconds * self.cycles_per_ns)))
        self.open_rows = open_rows
        self.served += bursts
        return TimedTransfer(ends)
