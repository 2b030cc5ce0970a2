"""Is the energy of a layer its counts times its constants?"""

from dataclasses import replace

import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.energy.events import LayerEvents, MacCounts
from accel_sim.energy.layer_energy import COMPONENTS, layer_energy
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.traffic import Accesses, BufferAccesses, DramBytes

NONE = Accesses(reads=0, writes=0)
NOTHING = LayerEvents(
    macs=MacCounts(busy=0, zero=0, gated=0), drained_psums=0, additions=0, multiplications=0,
    cycles=0,
    dram_bytes=DramBytes(
        ifm_read=0, weights_read=0, residual_read=0, psum_read=0, psum_write=0, ofm_write=0
    ),
    buffer_accesses=BufferAccesses(ifm=NONE, weights=NONE, psum=NONE, ofm=NONE),
)  # fmt: skip
HARDWARE = load_hardware("edge_16x16")
CONSTANTS = energy_constants(HARDWARE)


ACCESSES = BufferAccesses(
    ifm=Accesses(reads=1, writes=2), weights=Accesses(reads=3, writes=4),
    psum=Accesses(reads=5, writes=6), ofm=Accesses(reads=7, writes=8),
)  # fmt: skip


def words_cost(part):
    ifm, weights, psum, ofm = (
        getattr(getattr(CONSTANTS, operand), part) for operand in ("ifm", "weights", "psum", "ofm")
    )
    return (
        1 * ifm.read.value + 2 * ifm.write.value
        + 3 * weights.read.value + 4 * weights.write.value
        + 5 * psum.read.value + 6 * psum.write.value
        + 7 * ofm.read.value + 8 * ofm.write.value
    )  # fmt: skip


def energy_of(**events):
    return layer_energy(HARDWARE, CONSTANTS, replace(NOTHING, **events))


def test_nothing_costs_nothing():
    assert energy_of().total.value_pJ == 0


@pytest.mark.parametrize(
    ("events", "component", "expected_pJ"),
    [
        (
            {"macs": MacCounts(busy=10, zero=2, gated=4)},
            "mac",
            10 * CONSTANTS.macs.busy.value
            + 2 * CONSTANTS.macs.zero.value + 4 * CONSTANTS.macs.gated.value,
        ),
        # 32 bits through (16 + 1) / 2 registers.
        (
            {"drained_psums": 3},
            "register_file",
            3 * 32 * 8.5 * 0.009 * CONSTANTS.addition.value / 0.1,
        ),
        ({"additions": 7}, "post_processing", 7 * CONSTANTS.addition.value),
        ({"multiplications": 7}, "post_processing", 7 * CONSTANTS.macs.busy.value),
        # 500 MHz: 2 ns a cycle; 1 mW for 2 ns is 2 pJ.
        ({"cycles": 5}, "dram_background", 5 * 2 * (74.1 + 11.47)),
        ({"cycles": 5}, "clock_control", 5 * CONSTANTS.clock_control.value),
        ({"cycles": 5}, "leakage", 5 * 2 * CONSTANTS.leakage.value),
        (
            {"dram_bytes": replace(NOTHING.dram_bytes, residual_read=2, psum_write=3)},
            "dram_dynamic",
            16 * CONSTANTS.dram.read_pJ_per_bit + 24 * CONSTANTS.dram.write_pJ_per_bit,
        ),
        ({"buffer_accesses": ACCESSES}, "buffers", words_cost("memory")),
        ({"buffer_accesses": ACCESSES}, "wires", words_cost("wires")),
    ],
)  # fmt: skip
def test_a_component_is_counts_times_constants(events, component, expected_pJ):
    assert getattr(energy_of(**events), component).value_pJ == pytest.approx(expected_pJ)


def test_the_band_scales_with_the_counts():
    energy = energy_of(macs=MacCounts(busy=10, zero=0, gated=0)).mac
    assert energy.low_pJ == pytest.approx(10 * CONSTANTS.macs.busy.low)
    assert energy.high_pJ == pytest.approx(10 * CONSTANTS.macs.busy.high)


def test_components_are_the_total_and_causes_the_dram():
    bytes_moved = replace(NOTHING.dram_bytes, ifm_read=100, ofm_write=50)
    energy = energy_of(
        macs=MacCounts(busy=10, zero=2, gated=4), drained_psums=3, additions=7,
        multiplications=2, cycles=11, dram_bytes=bytes_moved, buffer_accesses=ACCESSES,
    )  # fmt: skip
    for end in ("value_pJ", "low_pJ", "high_pJ"):
        parts = [getattr(getattr(energy, name), end) for name in COMPONENTS]
        assert all(part > 0 for part in parts)
        assert getattr(energy.total, end) == pytest.approx(sum(parts), rel=1e-12)
    dram = energy.dram
    moved = dram.activate.value_pJ + dram.read.value_pJ + dram.write.value_pJ + dram.io.value_pJ
    assert energy.dram_dynamic.value_pJ == pytest.approx(moved, rel=1e-12)
    assert energy.chip.value_pJ + dram.dynamic.value_pJ + dram.background.value_pJ == pytest.approx(
        energy.total.value_pJ
    )


def test_a_mac_that_a_zero_stops_reads_no_register_file():
    hardware = load_hardware("eyeriss_12x14")
    constants = energy_constants(hardware)
    events = replace(NOTHING, macs=MacCounts(busy=5, zero=1, gated=4))
    found = layer_energy(hardware, constants, events).register_file.value_pJ
    assert found == pytest.approx(6 * constants.register_files.value)
