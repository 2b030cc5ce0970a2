"""Is the energy of a layer its counts times its constants?"""

from dataclasses import replace

import pytest

from accel_sim.energy.chip import LayerEvents, energy_constants, layer_energy
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.traffic import Accesses, BufferAccesses, DramBytes

NONE = Accesses(reads=0, writes=0)
NOTHING = LayerEvents(
    macs=0, gated_macs=0, drained_psums=0, additions=0, multiplications=0,
    cycles=0,
    dram_bytes=DramBytes(
        ifm_read=0, weights_read=0, residual_read=0, psum_read=0, psum_write=0, ofm_write=0
    ),
    buffer_accesses=BufferAccesses(ifm=NONE, weights=NONE, psum=NONE, ofm=NONE),
)  # fmt: skip
HARDWARE = load_hardware("edge_16x16")
CONSTANTS = energy_constants(HARDWARE)


def energy_of(**events):
    return layer_energy(HARDWARE, CONSTANTS, replace(NOTHING, **events))


def test_nothing_costs_nothing():
    assert energy_of().total.value_pJ == 0


@pytest.mark.parametrize(
    ("events", "component", "expected_pJ"),
    [
        ({"macs": 10}, "mac", 10 * CONSTANTS.mac.value),
        (
            {"macs": 10, "gated_macs": 4},
            "mac",
            6 * CONSTANTS.mac.value + 4 * CONSTANTS.gated_mac.value,
        ),
        # 32 bits through (16 + 1) / 2 registers.
        (
            {"drained_psums": 3},
            "register_file",
            3 * 32 * 8.5 * 0.009 * CONSTANTS.addition.value / 0.1,
        ),
        ({"additions": 7}, "post_processing", 7 * CONSTANTS.addition.value),
        ({"multiplications": 7}, "post_processing", 7 * CONSTANTS.mac.value),
        # 500 MHz: 2 ns a cycle; 1 mW for 2 ns is 2 pJ.
        ({"cycles": 5}, "dram_background", 5 * 2 * (74.1 + 11.47)),
        ({"cycles": 5}, "clock_control", 5 * CONSTANTS.clock_control.value),
        ({"cycles": 5}, "leakage", 5 * 2 * CONSTANTS.leakage.value),
        (
            {"dram_bytes": replace(NOTHING.dram_bytes, residual_read=2, psum_write=3)},
            "dram_dynamic",
            16 * CONSTANTS.dram_read.value + 24 * CONSTANTS.dram_write.value,
        ),
        (
            {
                "buffer_accesses": BufferAccesses(
                    ifm=Accesses(reads=1, writes=2), weights=Accesses(reads=3, writes=4),
                    psum=Accesses(reads=5, writes=6), ofm=Accesses(reads=7, writes=8),
                )
            },
            "buffers",
            1 * CONSTANTS.ifm.read.value + 2 * CONSTANTS.ifm.write.value
            + 3 * CONSTANTS.weights.read.value + 4 * CONSTANTS.weights.write.value
            + 5 * CONSTANTS.psum.read.value + 6 * CONSTANTS.psum.write.value
            + 7 * CONSTANTS.ofm.read.value + 8 * CONSTANTS.ofm.write.value,
        ),
    ],
)  # fmt: skip
def test_a_component_is_counts_times_constants(events, component, expected_pJ):
    assert getattr(energy_of(**events), component).value_pJ == pytest.approx(expected_pJ)


def test_the_band_scales_with_the_counts():
    energy = energy_of(macs=10).mac
    assert energy.low_pJ == pytest.approx(10 * CONSTANTS.mac.low)
    assert energy.high_pJ == pytest.approx(10 * CONSTANTS.mac.high)


def test_a_mac_that_a_zero_stops_reads_no_register_file():
    hardware = load_hardware("eyeriss_12x14")
    constants = energy_constants(hardware)
    events = replace(NOTHING, macs=10, gated_macs=4)
    found = layer_energy(hardware, constants, events).register_file.value_pJ
    assert found == pytest.approx(6 * constants.register_files.value)
