"""Is DRAM as fast as its device was measured, or as the file says?"""

from fractions import Fraction

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.timing.dram import dram_timing


def timing_of(dram, clock_MHz=500):
    return dram_timing(load_hardware("edge_16x16", [f"dram={dram}", f"clock_MHz={clock_MHz}"]))


def test_flat_memory_is_what_the_file_says():
    timing = timing_of(
        "{model: flat, bandwidth_GBps: 4, latency_ns: 21, energy_pJ_per_bit: 8, packing: dense}"
    )
    # 4 GB/s at 500 MHz: 8 bytes, 64 bits a cycle; 21 ns are 10.5 cycles.
    assert timing.read_cycles_per_bit == timing.write_cycles_per_bit == Fraction(1, 64)
    assert timing.latency_cycles == 11


@pytest.mark.parametrize(
    ("device", "address_map", "channels", "read_GBps", "write_GBps"),
    [
        ("LPDDR4-3200", "row_linear", 1, 12.8 * 0.915, 12.8 * 0.9113),
        ("LPDDR4-3200", "row_linear", 2, 25.6 * 0.915, 25.6 * 0.9113),
        ("DDR4-2400", "row_linear", 1, 19.277 * 0.7828, 19.277 * 0.7815),
        ("DDR4-2400", "bank_group_interleave", 1, 19.277 * 0.9515, 19.277 * 0.9497),
    ],
)
def test_a_device_moves_streams_at_its_measured_efficiency(
    device, address_map, channels, read_GBps, write_GBps
):
    timing = timing_of(
        f"{{model: device, device: {device}, channels: {channels}, address_map: {address_map}, "
        "max_outstanding_reads: 64, packing: dense}"
    )
    bits_per_ns = 8 * read_GBps
    assert float(timing.read_cycles_per_bit) == pytest.approx(0.5 / bits_per_ns, rel=1e-5)
    assert float(timing.write_cycles_per_bit) == pytest.approx(0.5 / (8 * write_GBps), rel=1e-5)


@pytest.mark.parametrize(
    ("device", "in_flight", "measured_fraction"),
    # Measured with 1, 4 and 8 reads in flight (sequential, fraction of peak).
    [
        ("DDR4-2400", 1, 0.164),
        ("DDR4-2400", 4, 0.66),
        ("DDR4-2400", 8, 0.95),
        ("LPDDR4-3200", 1, 0.192),
        ("LPDDR4-3200", 4, 0.73),
        ("LPDDR4-3200", 8, 0.89),
    ],
)
def test_few_reads_in_flight_hold_the_bandwidth_down(device, in_flight, measured_fraction):
    address_map = "bank_group_interleave" if device == "DDR4-2400" else "row_linear"
    peak_GBps = {"DDR4-2400": 19.277, "LPDDR4-3200": 12.8}[device]
    timing = timing_of(
        f"{{model: device, device: {device}, channels: 1, address_map: {address_map}, "
        f"max_outstanding_reads: {in_flight}, packing: dense}}"
    )
    fraction = 0.5 / 8 / float(timing.read_cycles_per_bit) / peak_GBps
    # Little's law has a corner where the measured curve bends.
    assert fraction == pytest.approx(measured_fraction, rel=0.06)


def test_latency_is_that_of_a_row_miss():
    timing = timing_of(
        "{model: device, device: LPDDR4-3200, channels: 1, address_map: row_linear, "
        "max_outstanding_reads: 64, packing: dense}"
    )
    assert timing.latency_cycles == 32  # 63.75 ns at 500 MHz
