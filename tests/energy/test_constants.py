"""Are constants those of their sources, brought to the machine's node and widths?"""

import pytest

from accel_sim.energy.band import Constant, Energy, sum_energies
from accel_sim.energy.constants import energy_constants, idle_energy_pJ
from accel_sim.energy.dram import dram_costs
from accel_sim.energy.mac import (
    adder_bits,
    gated_fraction,
    mac_energy,
    mac_gate_equivalents,
    mac_law,
)
from accel_sim.energy.scaling import energy_ratio, gate_um2, nominal_supply_V, scaled_constant
from accel_sim.energy.sram import buffer_costs
from accel_sim.hardware.load import load_hardware

AT_45_NM = "technology={node_nm: 45, supply_V: 0.9, sram_cell: lstp}"


def machine(*overrides):
    return load_hardware("edge_16x16", [AT_45_NM, "precision.activations=signed", *overrides])


def built(activation, weight, accumulator):
    return machine(
        f"precision.activation_bits={activation}", f"precision.weight_bits={weight}",
        f"precision.accumulator_bits={accumulator}",
    )  # fmt: skip


def test_the_reference_cell_costs_what_its_sources_say():
    mac = mac_energy(built(8, 8, 24))
    assert (mac.value, mac.low, mac.high) == pytest.approx((0.5, 0.28, 0.84))
    assert mac_gate_equivalents(built(8, 8, 24)) == pytest.approx(1001.3)


@pytest.mark.parametrize(
    ("activation", "weight", "relative"),
    # Synthesised cells with accumulators of activation + weight + 8, over the 8x8 one.
    [(4, 4, 0.38), (8, 4, 0.61), (8, 2, 0.39), (2, 2, 0.18), (16, 8, 1.67), (16, 16, 3.0)],
)
def test_a_mac_scales_with_its_widths_as_synthesised(activation, weight, relative):
    cell = mac_energy(built(activation, weight, activation + weight + 8))
    assert cell.value / 0.5 == pytest.approx(relative, abs=0.02)


@pytest.mark.parametrize(
    ("accumulator", "measured_fJ"), [(16, 1562.78), (32, 1918.47), (48, 2261.23)]
)
def test_a_mac_scales_with_its_accumulator_as_synthesised(accumulator, measured_fJ):
    cell = mac_energy(built(8, 8, accumulator))
    assert cell.value / 0.5 == pytest.approx(measured_fJ / 1744.19, rel=0.05)
    gates = mac_gate_equivalents(built(8, 8, accumulator))
    assert gates == pytest.approx({16: 871.3, 32: 1113.0, 48: 1345.7}[accumulator], rel=0.03)


def test_mac_energy_never_falls_with_a_width():
    for other in (2, 3, 5, 8, 16):
        by_activation = [mac_energy(built(bits, other, 32)).value for bits in range(2, 17)]
        by_weight = [mac_energy(built(other, bits, 32)).value for bits in range(2, 17)]
        assert by_activation == sorted(by_activation)
        assert by_weight == sorted(by_weight)


def test_either_sign_needs_a_multiplier_one_bit_wider():
    either = machine("precision.activations=either")
    assert mac_energy(either).value == pytest.approx(mac_energy(built(9, 8, 32)).value)
    widest = machine("precision.activations=either", "precision.activation_bits=16")
    assert mac_energy(widest).value > mac_energy(built(16, 8, 32)).value
    assert mac_gate_equivalents(widest) > mac_gate_equivalents(built(16, 8, 32))


def test_a_gated_mac_pays_for_its_clock_pins():
    assert gated_fraction(built(8, 8, 24).precision) == pytest.approx(334.06 / 1744.19)


def test_logic_scales_with_node_and_supply():
    hardware = load_hardware("edge_16x16")
    assert energy_ratio(45, 0.9, hardware.technology) == pytest.approx(0.654, rel=0.01)
    addition = scaled_constant("add_32_pJ", hardware)
    assert addition.value == pytest.approx(0.1 * 0.654, rel=0.01)
    assert addition.high / addition.value == pytest.approx(2.1)
    assert addition.source == (
        "32-bit integer addition: Horowitz ISSCC 2014; Aladdin 40 nm, 5 ns and 1 ns; times 0.654 "
        "for 32 nm at 0.9 V (Stillmaker and Baas 2017, Integration 58)"
    )


def test_a_buffer_costs_what_one_of_its_banks_costs():
    edge = load_hardware("edge_16x16")
    costs = buffer_costs("ifm", edge.buffers.ifm, edge)
    # CACTI, 32 nm, low standby power, 32 KiB, 128 bits.
    assert costs.read.value == pytest.approx(6.07359)
    assert costs.write.value == pytest.approx(42.5962)
    assert costs.leakage.value == pytest.approx(2 * 0.003088)
    assert (costs.read.low, costs.read.high) == pytest.approx((0.7 * 6.07359, 3 * 6.07359))
    assert costs.read.source == "CACTI, 32 nm lstp, 32 KiB"


def test_a_buffer_between_nodes_of_the_tables_lies_between_them():
    below, at, above = (
        buffer_costs("ifm", machine.buffers.ifm, machine)
        for machine in (
            load_hardware(
                "edge_16x16", [f"technology={{node_nm: {node}, supply_V: 0.9, sram_cell: lstp}}"]
            )
            for node in (32, 40, 45)
        )
    )
    assert below.read.value < at.read.value < above.read.value
    assert below.write.value < at.write.value < above.write.value
    assert below.area.value < at.area.value < above.area.value == above.area_mm2_45nm
    assert at.area_mm2_45nm == above.area_mm2_45nm
    assert at.read.source == "CACTI, 40 nm lstp, 32 KiB, between 32 and 45 nm"


def test_buffers_below_the_tables_scale_as_logic_does():
    at_16_nm = load_hardware(
        "edge_16x16", ["technology={node_nm: 16, supply_V: 0.8, sram_cell: lstp}"]
    )
    low = load_hardware("edge_16x16", ["technology={node_nm: 16, supply_V: 0.7, sram_cell: lstp}"])
    at_22_nm = load_hardware(
        "edge_16x16", ["technology={node_nm: 22, supply_V: 0.8, sram_cell: lstp}"]
    )
    costs = buffer_costs("ifm", at_16_nm.buffers.ifm, at_16_nm)
    table = buffer_costs("ifm", at_22_nm.buffers.ifm, at_22_nm)
    nominal_V = nominal_supply_V(22)
    ratio = energy_ratio(22, nominal_V, at_16_nm.technology)
    assert costs.read.value == pytest.approx(table.read.value * ratio)
    assert costs.area.value == pytest.approx(table.area.value * gate_um2(16) / gate_um2(22))
    assert costs.leakage.value == table.leakage.value
    # Memories keep their nominal supply when logic runs lower.
    assert buffer_costs("ifm", low.buffers.ifm, low).read.value == costs.read.value


def test_dram_energy_per_bit_is_that_of_the_measured_stream():
    # pJ/bit of the sequential runs, background taken away: activations and bursts, and I/O.
    dram = dram_costs(load_hardware("edge_16x16"))
    read = (2884.82 + 161570.64) * 1e3 / (3836928 * 8) + 3.2
    write = (2887.37 + 118704.96) * 1e3 / (59952 * 64 * 8) + 1.2
    assert dram.read_pJ_per_bit == pytest.approx(read, rel=1e-3)
    assert dram.write_pJ_per_bit == pytest.approx(write, rel=1e-3)
    # The other public figure for LPDDR4, 8 pJ/bit, lies in the band.
    low, high = (end / dram.read.value for end in (dram.read.low, dram.read.high))
    assert low * dram.read_pJ_per_bit < 8 < high * dram.read_pJ_per_bit


def test_background_grows_with_the_channels():
    one = dram_costs(load_hardware("edge_16x16"))
    two = dram_costs(load_hardware("edge_16x16", ["dram.channels=2"]))
    assert one.background_mW == pytest.approx(74.1 + 11.47)
    assert two.background_mW == pytest.approx(2 * (74.1 + 11.47))
    assert (two.read, two.activation) == (one.read, one.activation)


def test_a_flat_memory_costs_what_the_file_says():
    flat = dram_costs(load_hardware("mcu_4x4"))
    for energy in (flat.read, flat.write):
        assert (energy.value, energy.low, energy.high) == (40, 40, 40)
    assert flat.read_pJ_per_bit == flat.write_pJ_per_bit == 40
    assert flat.background_mW == 0


def test_clock_power_of_eyeriss_area_is_eyeriss_constant_power():
    """200 mW at 200 MHz for 12.25 mm2 in 65 nm: 1000 pJ a cycle."""
    eyeriss = load_hardware("mcu_4x4", ["technology={node_nm: 65, supply_V: 1.0, sram_cell: lstp}"])
    per_mm2 = scaled_constant("clock_control_pJ", eyeriss)
    assert per_mm2.value * 12.25 == pytest.approx(1000, rel=0.001)


def test_clock_power_grows_with_the_array_and_the_buffers():
    base = energy_constants(machine()).clock_control
    more_pes = energy_constants(machine("mac_array.rows=32")).clock_control
    more_sram = energy_constants(machine("buffers.ifm.capacity_KiB=128")).clock_control
    assert more_pes.value > base.value
    assert more_sram.value > base.value
    assert base.source.endswith("mm2 at 65 nm")


def test_fast_cells_leak_more():
    fast = load_hardware(
        "edge_16x16",
        ["technology={node_nm: 45, supply_V: 0.9, sram_cell: hp}", "buffers.psum=in_ofm"],
    )
    slow = machine("buffers.psum=in_ofm")
    assert energy_constants(fast).leakage.value > 20 * energy_constants(slow).leakage.value


@pytest.mark.parametrize(
    ("rows", "bits"),
    [
        # Products of 8 x 8 bits, accumulators of 32. One product: the accumulator alone.
        (1, 32),
        # 4 adders of 17 bits, 2 of 18, 1 of 19.
        (8, (4 * 17 + 2 * 18 + 19 + 32) / 8),
        # 2 of 17, then of 3 terms 1 of 18, then 1 of 19.
        (5, (2 * 17 + 18 + 19 + 32) / 5),
    ],
)
def test_a_mac_has_its_part_of_an_adder_tree(rows, bits):
    keys = ["mac_array.dataflow=channel_parallel", "mac_array.drain=hidden"]
    trees = machine(*keys, f"mac_array.rows={rows}")
    alone = machine(f"mac_array.rows={rows}")
    assert adder_bits(trees) == bits
    assert adder_bits(alone) == 32
    saved = 0.5 * mac_law().per_accumulator_bit * (32 - bits)
    assert mac_energy(alone).value - mac_energy(trees).value == pytest.approx(saved)
    assert mac_gate_equivalents(alone) - mac_gate_equivalents(trees) == pytest.approx(
        14.8 * (32 - bits)
    )
    assert f"{bits:.3g} bits of an adder tree and its accumulator" in mac_energy(trees).source


QUARTER = "precision.modes=[{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: filters}]"


def test_a_mode_along_filters_costs_a_cell_of_its_widths_with_an_accumulator_each():
    whole = machine(QUARTER)
    (mode,) = whole.precision.modes
    assert mac_energy(whole, mode).value == pytest.approx(mac_energy(built(4, 4, 32)).value)
    assert mac_energy(whole).value == mac_energy(machine()).value
    assert gated_fraction(whole.precision, mode) == gated_fraction(built(4, 4, 32).precision)
    extra = mac_gate_equivalents(whole) - mac_gate_equivalents(machine())
    assert extra == pytest.approx(14.8 * 3 * 32)


@pytest.mark.parametrize(
    ("keys", "bits"),
    [
        # Products of 4 x 4 bits: 2 adders of 9 bits, 1 of 10, an accumulator of 32.
        ([], (2 * 9 + 10 + 32) / 4),
        # The same tree over two rows: 4 adders of 9, 2 of 10, 1 of 11.
        (
            ["mac_array.dataflow=channel_parallel", "mac_array.drain=hidden", "mac_array.rows=2"],
            (4 * 9 + 2 * 10 + 11 + 32) / 8,
        ),
    ],
)
def test_a_mode_along_the_reduction_shares_a_tree_and_its_accumulator(keys, bits):
    reduction = machine(QUARTER.replace("filters", "reduction"), *keys)
    (mode,) = reduction.precision.modes
    assert adder_bits(reduction, mode, 4) == bits
    apart = mac_energy(built(4, 4, 32)).value
    assert apart - mac_energy(reduction, mode, 4).value == pytest.approx(
        0.5 * mac_law().per_accumulator_bit * (32 - bits)
    )
    plain = machine(*keys)
    assert mac_gate_equivalents(reduction) == mac_gate_equivalents(plain)
    assert mac_energy(reduction, mode, 4).value < mac_energy(reduction).value


@pytest.mark.parametrize("dataflow", ["weight_stationary", "input_stationary", "channel_parallel"])
def test_a_sum_that_runs_down_its_column_leaves_in_one_move(dataflow):
    # One that stays leaves 16 rows through (16 + 1) / 2 registers on average.
    staying = energy_constants(machine()).drained_psum
    running = machine(f"mac_array.dataflow={dataflow}", "mac_array.drain=hidden")
    leaving = energy_constants(running).drained_psum
    assert leaving.value * 8.5 == pytest.approx(staying.value)
    assert leaving.source.endswith("times 32 bits and 1 move at the foot of its column")


def test_a_sum_of_register_files_leaves_as_wide_as_it_lies_there():
    wide, narrow = (
        energy_constants(
            load_hardware("eyeriss_12x14", [f"precision.psum_storage_bits={bits}"])
        ).drained_psum
        for bits in (32, 16)
    )
    assert narrow.value * 2 == pytest.approx(wide.value)
    assert narrow.source.endswith("times 16 bits and 1 move at the foot of its column")


def test_an_idle_cycle_costs_clock_leakage_and_background():
    hardware = machine()
    constants = energy_constants(hardware)
    # mW at 500 MHz: 2 pJ a cycle each.
    static = 2 * (constants.leakage.value + 74.1 + 11.47)
    assert idle_energy_pJ(hardware, constants) == pytest.approx(
        constants.clock_control.value + static
    )


def test_bands_add_and_scale():
    constant = Constant(name="x", unit="pJ", value=2, low=1, high=5, confidence="low", source="")
    total = sum_energies([constant.times(1), constant.times(2)])
    assert total == Energy(value_pJ=6, low_pJ=3, high_pJ=15)
    with pytest.raises(ValueError, match=r"^expected 0 <= low <= value <= high, got Energy"):
        Energy(value_pJ=2, low_pJ=3, high_pJ=5)
    with pytest.raises(ValueError, match=r"^expected 0 <= low <= value <= high, got Constant"):
        Constant(name="x", unit="pJ", value=2, low=3, high=5, confidence="low", source="")


def test_register_files_cost_both_operands_and_the_sum_twice():
    """16 and 16 bits and twice 16, and addresses compared with those of 12, 224 and 24 words."""
    hardware = load_hardware("eyeriss_12x14")
    bit, compared = (
        scaled_constant(name, hardware).value for name in ("register_bit_pJ", "compare_bit_pJ")
    )
    files = energy_constants(hardware).register_files
    assert files.value == pytest.approx(64 * bit + (12 * 4 + 224 * 8 + 2 * 24 * 5) * compared)
    assert "times 64 bits: both operands, the sum read and written" in files.source
    assert files.source.endswith("; times 2080 bits of address, of every word of a file")
    assert energy_constants(load_hardware("edge_16x16")).register_files is None


def test_a_file_of_one_word_has_no_address():
    one = "mac_array.register_files={ifm_words: 1, weight_words: 1, psum_words: 1}"
    hardware = load_hardware("eyeriss_12x14", [one])
    bit = scaled_constant("register_bit_pJ", hardware).value
    assert energy_constants(hardware).register_files.value == pytest.approx(64 * bit)


def test_a_file_of_half_a_KiB_costs_about_a_mac():
    """Chen, Emer and Sze, ISCA 2016: an access to 0.5 KiB and a MAC, both of 16 bits, cost 1 to 1.

    Both are far from known to better than a factor of two, and 1.25 is what the tables give. Of
    the chip we take the MAC before it was fitted.
    """
    hardware = load_hardware("eyeriss_12x14", ["energy_table={}", "fitted=[]"])
    bit, compared = (
        scaled_constant(name, hardware).value for name in ("register_bit_pJ", "compare_bit_pJ")
    )
    access = 16 * bit + 256 * 8 * compared
    assert access / mac_energy(hardware).value == pytest.approx(1.25, abs=0.15)
