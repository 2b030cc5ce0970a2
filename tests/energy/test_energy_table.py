"""Do a user's own numbers take the place of the tables', and is a wrong one told in one line?"""

import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.energy_table import EnergyTable
from accel_sim.hardware.load import load_hardware
from accel_sim.report.constants import list_constants
from quantizer.errors import InputError


def machine(entry, value=0.4, name="edge_16x16", more=""):
    text = f"energy_table.{entry}={{value: {value}, source: our silicon{more}}}"
    return load_hardware(name, [text])


def listed(hardware):
    return dict(list_constants(hardware))


def test_a_cell_of_the_users_is_scaled_by_width_and_not_by_node():
    constants = energy_constants(machine("mac_8x8_pJ"))
    table = energy_constants(load_hardware("edge_16x16"))
    # edge_16x16 is built for 9 x 8 bits with 32 of accumulator: its cell is 1.178 of the 8 x 8.
    for name in ("busy", "zero", "gated"):
        own, theirs = getattr(constants.macs, name), getattr(table.macs, name)
        assert own.value / theirs.value == pytest.approx(0.4 / (0.5 * 0.6543), rel=1e-3)
        assert own.low == own.value == own.high
    assert constants.macs.busy.source.startswith("energy_table.mac_8x8_pJ: our silicon; times")
    assert constants.macs.busy.confidence == "user"


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("add_32_pJ", "addition of 32 bits"),
        ("ifm_read_pJ", "ifm read"), ("weights_write_pJ", "weights write"),
        ("psum_leakage_mW", "psum leakage"), ("ofm_area_mm2", "ofm area"),
        ("dram_activation_nJ", "dram activation"), ("dram_read_pJ_per_bit", "dram read"),
        ("dram_write_io_pJ_per_bit", "dram write io"), ("dram_refresh_mW", "dram refresh"),
    ],
)  # fmt: skip
def test_an_entry_is_the_constant_itself(entry, what):
    constant = listed(machine(entry, more=", low: 0.3, high: 0.6"))[what]
    assert (constant.value, constant.low, constant.high) == (0.4, 0.3, 0.6)
    assert constant.source == f"energy_table.{entry}: our silicon"


@pytest.mark.parametrize("entry", EnergyTable.model_fields)
def test_every_entry_has_an_effect(entry):
    of_files = entry in ("register_bit_um2", "compare_bit_pJ")
    name = "eyeriss_12x14" if of_files else "edge_16x16"
    before, after = listed(load_hardware(name)), listed(machine(entry, 0.123, name))
    assert before.keys() == after.keys()
    changed = [what for what in before if before[what].value != after[what].value]
    assert changed


def test_other_keys_of_a_memory_stay_those_of_the_tables():
    own, table = listed(machine("ifm_read_pJ")), listed(load_hardware("edge_16x16"))
    assert {what for what in own if own[what] != table[what]} == {"ifm read"}


def test_a_fitted_entry_can_be_named():
    fitted = "fitted=[{key: energy_table.mac_8x8_pJ.value, reason: measured}]"
    own = "energy_table={mac_8x8_pJ: {value: 0.4, source: x}}"
    assert load_hardware("edge_16x16", [own, fitted]).fitted[0].reason == "measured"


def complaint(*overrides, name="edge_16x16"):
    with pytest.raises(InputError) as caught:
        load_hardware(name, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "energy_table={mac_8x8: {value: 1, source: x}}",
            "energy_table: unknown key 'mac_8x8'; did you mean 'mac_8x8_pJ'?",
        ),
        (
            "energy_table={mac_8x8_pJ: {value: -1, source: x}}",
            "energy_table.mac_8x8_pJ.value: expected at least 0, got -1.0",
        ),
        (
            "energy_table={mac_8x8_pJ: {value: 1}}",
            "energy_table.mac_8x8_pJ: missing key 'source'",
        ),
        (
            "energy_table={mac_8x8_pJ: {value: 1, low: 2, source: x}}",
            "energy_table.mac_8x8_pJ.low: expected at most value, 1; got 2",
        ),
        (
            "energy_table={mac_8x8_pJ: {value: 1, high: 0.5, source: x}}",
            "energy_table.mac_8x8_pJ.high: expected at least value, 1; got 0.5",
        ),
        (
            "energy_table={mac_8x8_pJ: {value: .inf, source: x}}",
            "energy_table.mac_8x8_pJ.value: expected a number, got '.inf'",
        ),
    ],
)
def test_a_wrong_entry_is_one_sentence(override, problem):
    assert complaint(override) == f"--set {override}: {problem}"


def test_what_a_machine_has_not_cannot_be_priced():
    shared = "energy_table={ofm_read_pJ: {value: 1, source: x}}"
    assert complaint(shared, name="eyeriss_12x14").endswith(
        "energy_table.ofm_read_pJ: this machine has no memory of that name; it has ifm, weights"
    )
    flat = "energy_table={dram_read_pJ_per_bit: {value: 1, source: x}}"
    assert complaint(flat, name="mcu_4x4").endswith(
        "energy_table.dram_read_pJ_per_bit: a flat DRAM states its own; use dram.energy_pJ_per_bit"
    )


def test_a_machine_without_own_entries_has_none():
    hardware = load_hardware("edge_16x16")
    assert isinstance(hardware, HardwareConfig)
    assert hardware.energy_table is None
    assert hardware.own_entries == {}
