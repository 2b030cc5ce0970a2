"""Are areas those of the cells, and do wires and clock follow from them?"""

import math

import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.energy.mac import mac_gate_equivalents
from accel_sim.energy.scaling import gate_um2
from accel_sim.hardware.devices import gate_areas_um2
from accel_sim.hardware.load import load_hardware

AT_45_NM = "technology={node_nm: 45, supply_V: 0.9, sram_cell: lstp}"


def test_a_gate_has_the_area_that_each_library_gives_it():
    # 8x8 cells: nangate45 799.064 um2 of 1001.3 gates, asap7 55.3 of 632, sg13g2 about 7250 of 999.
    areas = gate_areas_um2()
    assert list(areas) == [7, 45, 130]
    assert areas[45] == pytest.approx(799.064 / 1001.3, rel=1e-3)
    assert areas[7] == pytest.approx(55.3 / 632, rel=2e-3)
    for node, area in areas.items():
        assert gate_um2(node) == pytest.approx(area)


def test_a_node_between_two_lies_between_them_in_logarithms():
    middle = gate_um2(18) / gate_um2(45)
    share = math.log(45 / 18) / math.log(45 / 7)
    assert middle == pytest.approx((gate_um2(7) / gate_um2(45)) ** share)


def test_the_array_is_its_cells_and_a_memory_its_banks():
    hardware = load_hardware("edge_16x16", [AT_45_NM])
    area = energy_constants(hardware).area
    assert area.array.value == pytest.approx(
        256 * mac_gate_equivalents(hardware) * 0.798e-6, rel=1e-3
    )
    assert (area.array.low, area.array.high) == pytest.approx(
        (0.8 * area.array.value, 2 * area.array.value)
    )
    assert area.register_files is None
    assert len(area.buffers) == 4
    assert sum(part.value for part in area.parts) == pytest.approx(
        area.array.value + sum(part.value for part in area.buffers)
    )


def test_register_files_have_the_area_of_their_bits():
    hardware = load_hardware(
        "eyeriss_12x14", ["technology={node_nm: 40, supply_V: 0.9, sram_cell: lstp}"]
    )
    # 168 elements of 12 + 224 + 24 words of 16 bits, 5.98 um2 each at 40 nm.
    files = energy_constants(hardware).area.register_files
    assert files.value == pytest.approx(168 * 260 * 16 * 5.98e-6)


def test_wires_are_as_long_as_the_squares_that_they_join():
    hardware = load_hardware("edge_16x16", [AT_45_NM])
    constants = energy_constants(hardware)
    array_mm = math.sqrt(constants.area.array.value)
    for name, across in (("ifm", 1), ("weights", 1), ("psum", 0), ("ofm", 0)):
        operand = getattr(constants, name)
        memory_mm = math.sqrt(operand.memory.area.value)
        bits = getattr(hardware.buffers, name).port_bits
        beside = (memory_mm + array_mm) / 2
        assert operand.wires.write.value == pytest.approx(0.067 * bits * beside)
        assert operand.wires.read.value == pytest.approx(
            0.067 * bits * (beside + across * array_mm)
        )


def test_wires_go_with_the_square_of_the_supply():
    at = [
        energy_constants(
            load_hardware(
                "edge_16x16", [f"technology={{node_nm: 45, supply_V: {volts}, sram_cell: lstp}}"]
            )
        ).ifm.wires.read.value
        for volts in (0.8, 1.0)
    ]
    assert at[1] / at[0] == pytest.approx((1.0 / 0.8) ** 2)


def test_the_clock_reaches_the_register_files():
    small = "mac_array.register_files={ifm_words: 12, weight_words: 12, psum_words: 24}"
    whole = energy_constants(load_hardware("eyeriss_12x14")).clock_control
    fewer = energy_constants(load_hardware("eyeriss_12x14", [small])).clock_control
    assert whole.value > 1.5 * fewer.value


@pytest.mark.parametrize(("node_nm", "between"), [(28, (20, 32)), (40, (32, 45)), (12, (10, 14))])
def test_energy_at_a_node_between_two_lies_between_them(node_nm, between):
    def energy(node):
        machine = load_hardware(
            "edge_16x16", [f"technology={{node_nm: {node}, supply_V: 0.85, sram_cell: lstp}}"]
        )
        return energy_constants(machine).macs.busy.value

    low, high = map(energy, between)
    share = math.log(node_nm / between[0]) / math.log(between[1] / between[0])
    assert energy(node_nm) == pytest.approx(low ** (1 - share) * high**share)
