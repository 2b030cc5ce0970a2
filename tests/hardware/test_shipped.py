"""Is every shipped machine loaded, described and simulated?"""

from pathlib import Path

import pytest

from accel_sim.hardware.catalogue import machine_table
from accel_sim.hardware.load import find_machine, load_hardware, read_text, shipped_machines


def test_the_readme_holds_the_table_of_the_files():
    readme = Path(__file__).parents[2] / "hw_configs" / "README.md"
    assert machine_table() in readme.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", shipped_machines())
def test_sections_with_figures_give_sources(name):
    lines = read_text(find_machine(name)).splitlines()
    for key in (
        "clock_MHz",
        "node_nm",
        "supply_V",
        "accumulator_bits",
        "bandwidth_GBps",
        "device:",
    ):
        for line in lines:
            if line.strip().startswith(key):
                assert "#" in line


@pytest.mark.parametrize("name", shipped_machines())
def test_a_port_feeds_the_array_for_a_cycle(name):
    machine = load_hardware(name)
    array, buffers = machine.mac_array, machine.buffers
    per_cycle = {
        buffers.ifm: array.rows * machine.precision.activation_bits,
        buffers.weights: array.cols * machine.precision.weight_bits,
        buffers.psum_memory: array.cols * machine.precision.accumulator_bits,
    }
    if array.networks is not None:  # which are all that reaches the array in a cycle
        per_cycle = {
            buffers.ifm: array.networks.ifm_bits,
            buffers.weights: array.networks.weight_bits,
            buffers.psum_memory: array.networks.psum_bits,
        }
    for buffer, bits in per_cycle.items():
        assert buffer.port_bits * buffer.array_banks >= bits


@pytest.mark.parametrize("name", shipped_machines())
def test_a_name_ends_in_the_size_of_the_array(name):
    """What a run suggests next goes by that."""
    array = load_hardware(name).mac_array
    assert name.endswith(f"_{array.rows}x{array.cols}")
