"""Load, compute and store of tiles, one clock cycle at a time."""

from dataclasses import dataclass

READ_ORDER = ("psum", "weights", "ifm")
WRITE_ORDER = ("psum", "ofm")


@dataclass
class Memory:
    """DRAM that moves ``read_bits`` in ``read_cycles`` cycles, after a latency."""

    read_bits: int
    read_cycles: int
    write_bits: int
    write_cycles: int
    latency: int

    def start(self, loads, stores):
        return Transfer(self, loads, stores)


class Transfer:
    """Reads one after another, then writes; ticks one cycle at a time."""

    def __init__(self, memory, loads, stores):
        self.queue = []
        reads = [(operand, loads[operand]) for operand in READ_ORDER if loads.get(operand)]
        writes = [(operand, stores[operand]) for operand in WRITE_ORDER if stores.get(operand)]
        # Work of a stream: it is done when credit reaches bits times cycles per bit.
        self.phases = []
        if reads:
            self.phases.append((memory.latency, memory.read_bits, memory.read_cycles, reads))
        if writes:
            self.phases.append((0, memory.write_bits, memory.write_cycles, writes))
        self.waited = 0
        self.credit = 0

    @property
    def is_done(self):
        return not self.phases

    def tick(self):
        """Let one cycle pass; name the operand on the bus."""
        latency, bits_per, cycles_per, operands = self.phases[0]
        operand = operands[0][0]
        if self.waited < latency:
            self.waited += 1
            return operand
        self.credit += bits_per
        while operands and self.credit >= operands[0][1] * cycles_per:
            # What is left of the cycle belongs to the next operand's bits.
            self.credit -= operands[0][1] * cycles_per
            operands.pop(0)
        if not operands:
            self.phases.pop(0)
            self.credit = 0
            self.waited = 0
        return operand


class TimedTransfer:
    """Moves of known ends, (operand, cycles from the start), one after another."""

    def __init__(self, ends):
        self.ends = list(ends)
        self.clock = 0

    @property
    def is_done(self):
        return not self.ends

    def tick(self):
        """Let one cycle pass; name the operand on the bus."""
        while self.ends[0][1] <= self.clock:
            self.ends.pop(0)
        operand = self.ends[0][0]
        self.clock += 1
        while self.ends and self.ends[0][1] <= self.clock:
            self.ends.pop(0)
        return operand


def simulate(steps, busy_cycles, memory, is_double_buffered):
    """Run all tiles; return (total cycles, stall cycles by operand).

    Parameters
    ----------
    steps
        Objects with ``loads`` and ``stores``, by operand: bits, or what `memory` moves.
    busy_cycles
        Cycles that each tile computes.
    is_double_buffered
        By operand.
    """
    stalls = dict.fromkeys(("ifm", "weights", "psum", "ofm"), 0)
    clock = 0

    def split(bits):
        hidden = {name: moved for name, moved in bits.items() if is_double_buffered[name]}
        return hidden, {name: moved for name, moved in bits.items() if name not in hidden}

    def wait_for(transfer):
        nonlocal clock
        while not transfer.is_done:
            stalls[transfer.tick()] += 1
            clock += 1

    for part in split(steps[0].loads):
        wait_for(memory.start(part, {}))
    left_over = {}
    for number, step in enumerate(steps):
        coming = steps[number + 1].loads if number + 1 < len(steps) else {}
        hidden_loads, serial_loads = split(coming)
        hidden_stores, serial_stores = split(step.stores)
        meanwhile = memory.start(hidden_loads, left_over)
        for _ in range(busy_cycles[number]):
            if not meanwhile.is_done:
                meanwhile.tick()
            clock += 1
        wait_for(meanwhile)
        wait_for(memory.start(serial_loads, serial_stores))
        left_over = hidden_stores
    wait_for(memory.start({}, left_over))
    return clock, stalls
