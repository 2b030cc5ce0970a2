"""Cycles that DRAM takes to move bits at a constant rate.

All that there is to a flat memory; of a device, what the search knows of it.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.hardware.devices import find_dram_device

BITS_PER_BYTE = 8
MAX_DENOMINATOR = 10**6
"""Of cycles per bit: keeps every product within 64 bits at a relative error below 1e-6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DramTiming:
    """Bandwidth and latency of the whole memory, in cycles of the machine.

    Attributes
    ----------
    read_cycles_per_bit, write_cycles_per_bit
        Of a long stream.
    latency_cycles
        From the first request of a batch of reads to its first bit.
    """

    read_cycles_per_bit: Fraction
    write_cycles_per_bit: Fraction
    latency_cycles: int


def dram_timing(hardware: HardwareConfig) -> DramTiming:
    """Resolve a machine's DRAM.

    A device moves streams at the efficiency measured for sequential ones; few outstanding
    reads hold it to ``outstanding * burst / row-hit latency`` (Little's law).
    """
    dram = hardware.dram
    if isinstance(dram, DeviceDram):
        device = find_dram_device(dram.device, dram.address_map)
        peak_GBps = device.peak_GBps * dram.channels
        in_flight_bytes = dram.max_outstanding_reads * device.burst_bytes
        read_GBps = min(
            peak_GBps * device.read_efficiency_fraction, in_flight_bytes / device.row_hit_latency_ns
        )
        write_GBps = peak_GBps * device.write_efficiency_fraction
        latency_ns = device.row_miss_latency_ns
    else:
        read_GBps = write_GBps = dram.bandwidth_GBps
        latency_ns = dram.latency_ns
    return DramTiming(
        read_cycles_per_bit=_cycles_per_bit(hardware.clock_MHz, read_GBps),
        write_cycles_per_bit=_cycles_per_bit(hardware.clock_MHz, write_GBps),
        latency_cycles=-int(-(Fraction(repr(latency_ns)) * Fraction(hardware.clock_MHz)) // 1000),
    )


@cache
def _cycles_per_bit(clock_MHz: float, bandwidth_GBps: float) -> Fraction:
    exact = Fraction(clock_MHz) / (1000 * BITS_PER_BYTE * Fraction(repr(bandwidth_GBps)))
    return exact.limit_denominator(MAX_DENOMINATOR)
