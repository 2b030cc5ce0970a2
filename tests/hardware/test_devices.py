"""Do the tables hold what they say, and is a look-up exact at their points?"""

import numpy as np
import pytest

from accel_sim.hardware.choices import SramCell
from accel_sim.hardware.devices import (
    dram_devices,
    find_dram_device,
    mac_cells,
    mac_grid,
    node_scalings,
    table_constants,
)
from accel_sim.hardware.limits import table_problems
from accel_sim.hardware.load import load_hardware
from accel_sim.hardware.sram_table import sram_grids, sram_table_node


def test_a_bank_at_a_table_point_is_that_point():
    for grid in sram_grids().values():
        for row, size in enumerate(grid.sizes_bytes):
            for col, width in enumerate(grid.widths_bits):
                bank = grid.interpolate(size, width)
                found = (bank.read_pJ, bank.write_pJ, bank.leakage_mW, bank.area_mm2)
                assert found == pytest.approx(tuple(grid.values[row, col]), rel=1e-12)


def test_a_bank_between_points_lies_between_them_in_logarithms():
    grid = sram_grids()[32, SramCell.LSTP]
    corners = [
        grid.interpolate(size, width).read_pJ for size in (4096, 8192) for width in (64, 128)
    ]
    middle = grid.interpolate(round(4096 * 2**0.5), round(64 * 2**0.5)).read_pJ
    assert middle == pytest.approx(np.exp(np.mean(np.log(corners))), rel=1e-2)


def test_reads_of_the_45_nm_table_are_those_of_its_source():
    grid = sram_grids()[45, SramCell.LSTP]
    # CACTI, 64 bits: 2, 8, 32, 128 KiB, 1 and 4 MiB.
    for size_KiB, read_pJ in (
        (2, 1.80),
        (8, 3.38),
        (32, 7.23),
        (128, 17.5),
        (1024, 53.5),
        (4096, 119),
    ):
        assert grid.interpolate(size_KiB * 1024, 64).read_pJ == pytest.approx(read_pJ, rel=0.005)


def test_nodes_below_the_sram_tables_use_the_smallest():
    assert [sram_table_node(node) for node in (65, 45, 32, 20, 16, 7)] == [65, 45, 32, 22, 22, 22]


@pytest.mark.parametrize(
    ("node_nm", "supply_V", "relative"),
    # Relative to 45 nm at 0.9 V, from the published polynomials.
    [(65, 1.0, 1.91), (32, 0.9, 0.654), (20, 0.8, 0.219), (16, 0.8, 0.172), (14, 0.8, 0.138),
     (10, 0.75, 0.101), (7, 0.7, 0.068)],
)  # fmt: skip
def test_node_scaling_is_the_published_one(node_nm, supply_V, relative):
    scalings = node_scalings()
    ratio = scalings[node_nm].energy_factor(supply_V) / scalings[45].energy_factor(0.9)
    assert ratio == pytest.approx(relative, rel=0.01)


def test_the_authors_example_comes_out():
    """Corrigendum of Stillmaker and Baas: 32 nm at 0.9 V, and 65 nm at 1.3 V."""
    scalings = node_scalings()
    assert scalings[32].energy_factor(0.9) == pytest.approx(0.4571, abs=5e-4)
    assert scalings[65].energy_factor(1.3) == pytest.approx(2.604, abs=5e-4)


def test_the_mac_grid_is_whole_and_grows_with_both_widths():
    grid = mac_grid()
    assert grid.bits == (2, 4, 6, 8, 12, 16)
    for values in (grid.uniform_fJ, grid.cnn_fJ, grid.gate_equivalents):
        assert (np.diff(values, axis=0) > 0).all()
        assert (np.diff(values, axis=1) > 0).all()
    assert (grid.clock_pins_fJ < grid.cnn_fJ).all()
    assert (grid.cnn_fJ < grid.uniform_fJ).all()


def test_the_mac_grid_has_the_accumulators_that_it_says():
    """Swept ones have the widths of its cells of 4x4 and 8x8 bits, and come later in the table."""
    grid = mac_grid()
    assert grid.uniform_fJ[1, 1] == 669.39
    assert grid.uniform_fJ[3, 3] == 1744.19
    assert grid.cnn_fJ[3, 3] == 1250.56
    swept = [
        (cell.activation_bits, cell.accumulator_bits) for cell in mac_cells() if not cell.is_on_grid
    ]
    assert sorted(swept) == [
        (4, 12), (4, 24), (4, 32),
        (8, 16), (8, 18), (8, 20), (8, 28), (8, 32), (8, 40), (8, 48),
    ]  # fmt: skip


def test_every_device_is_found_by_its_name_and_map():
    names = [(row.device, row.address_map) for row in dram_devices()]
    assert len(set(names)) == len(names) == 5
    for row in dram_devices():
        assert find_dram_device(row.device, row.address_map) is row
        assert 0.7 < row.write_efficiency_fraction <= row.read_efficiency_fraction < 1


def test_every_constant_has_a_band_and_a_source():
    for constant in table_constants().values():
        assert 0 < constant.low <= constant.value <= constant.high
        assert len(constant.source) > 40


def test_a_machine_of_the_tables_has_no_problem():
    assert list(table_problems(load_hardware("edge_16x16"))) == []
