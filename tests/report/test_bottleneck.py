"""Is the largest cause of cycles found, and the key of the machine that governs it?"""

from dataclasses import replace

import pytest

from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import load_hardware
from accel_sim.report.bottleneck import double_key, find_bottleneck
from accel_sim.timing.layer_cycles import NO_CYCLES, Bound
from tests.report.sample import CONV, HARDWARE, MACHINE, POOL

ARRAY = ("mac_array.rows", "mac_array.cols")


def layers(**cycles: int):
    return (replace(CONV, cycles=replace(NO_CYCLES, **cycles)),)


@pytest.mark.parametrize(
    ("cycles", "bound", "keys"),
    [
        ({"compute": 2, "overhead": 1}, Bound.COMPUTE, ARRAY),
        ({"fill_drain": 2, "compute": 1}, Bound.FILL_DRAIN, ARRAY),
        ({"overhead": 2, "compute": 1}, Bound.OVERHEAD, ("post_processing.lanes",)),
        ({"stall_port_ifm": 2}, Bound.PORT_IFM, ("buffers.ifm.port_bits",)),
        ({"stall_port_psum": 2}, Bound.PORT_PSUM, ("buffers.psum.port_bits",)),
        ({"stall_dram_weights": 2}, Bound.DRAM_WEIGHTS, ("dram.bandwidth_GBps",)),
    ],
)
def test_every_cause_has_a_key_that_governs_it(cycles, bound, keys):
    found = find_bottleneck(HARDWARE, layers(**cycles))
    assert (found.bound_by, found.keys) == (bound, keys)


def test_the_share_is_that_of_the_one_cause():
    found = find_bottleneck(HARDWARE, (CONV, POOL))
    # 1,490 cycles of arithmetic against 1,300 of DRAM stalls, of 3,000.
    assert (found.bound_by, found.cycles_fraction) == (Bound.COMPUTE, 1_490 / 3_000)


def test_arithmetic_on_the_lanes_is_governed_by_the_lanes():
    assert find_bottleneck(HARDWARE, (POOL,)).keys == ("post_processing.lanes",)


def test_sums_in_the_output_buffer_pass_its_port():
    machine = MACHINE | {"buffers": MACHINE["buffers"] | {"psum": "in_ofm"}}
    hardware = HardwareConfig.model_validate(machine, strict=False)
    assert find_bottleneck(hardware, layers(stall_port_psum=1)).keys == ("buffers.ofm.port_bits",)


def test_a_dram_device_is_doubled_by_its_channels():
    device = {
        "model": "device",
        "device": "LPDDR4-3200",
        "channels": 1,
        "address_map": "row_linear",
        "max_outstanding_reads": 16,
        "packing": "dense",
    }
    hardware = HardwareConfig.model_validate(MACHINE | {"dram": device}, strict=False)
    assert find_bottleneck(hardware, layers(stall_dram_ifm=1)).keys == ("dram.channels",)


def test_a_shared_memory_is_doubled_as_one():
    buffers = MACHINE["buffers"] | {"ofm": MACHINE["buffers"]["ifm"], "shared": ["ofm", "ifm"]}
    hardware = HardwareConfig.model_validate(MACHINE | {"buffers": buffers}, strict=False)
    (key,) = find_bottleneck(hardware, layers(stall_port_ifm=1)).keys
    assert key == "buffers.ofm.port_bits"
    doubled, value = double_key(hardware, key)
    assert doubled.buffers.ifm == doubled.buffers.ofm
    assert doubled.buffers.ifm.port_bits == int(value) == 2 * hardware.buffers.ifm.port_bits


def test_doubling_changes_one_key():
    doubled, value = double_key(HARDWARE, "dram.bandwidth_GBps")
    assert value == "20"
    assert doubled.dram.bandwidth_GBps == 20.0
    assert doubled.model_copy(update={"dram": HARDWARE.dram}) == HARDWARE


@pytest.mark.parametrize(
    ("section", "changed", "key"),
    [
        ("mac_array", MACHINE["mac_array"] | {"cols": 1024}, "mac_array.cols"),
        (
            "buffers",
            MACHINE["buffers"] | {"ifm": MACHINE["buffers"]["ifm"] | {"port_bits": 512}},
            "buffers.ifm.port_bits",
        ),
    ],
)
def test_what_the_model_or_its_tables_do_not_hold_is_not_doubled(section, changed, key):
    hardware = HardwareConfig.model_validate(MACHINE | {section: changed}, strict=False)
    assert double_key(hardware, key) is None


def test_a_row_stationary_array_may_wait_for_a_network_or_for_its_port():
    eyeriss = load_hardware("eyeriss_12x14")
    assert find_bottleneck(eyeriss, layers(stall_port_ifm=1)).keys == (
        "buffers.ifm.port_bits",
        "mac_array.networks.ifm_bits",
    )
    assert find_bottleneck(eyeriss, layers(stall_port_weights=1)).keys == (
        "buffers.weights.port_bits",
    )
    doubled, value = double_key(eyeriss, "mac_array.networks.ifm_bits")
    assert (doubled.mac_array.networks.ifm_bits, value) == (32, "32")
