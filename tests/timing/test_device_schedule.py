"""Does a schedule wait for its addresses as a memory makes it wait, burst by burst?"""

import math
from dataclasses import asdict, replace
from fractions import Fraction
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from accel_sim.hardware.devices import dram_devices, find_dram_device
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.coded_maps import AS_THEY_ARE
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.loop_nest import Kind
from accel_sim.mapping.loop_orders import LOOP_ORDERS, loop_orders
from accel_sim.timing.dram import dram_timing
from accel_sim.timing.pipeline import (
    cut_tiles,
    device_cycles,
    device_stream,
    list_transfers,
    tile_sizes,
)
from accel_sim.timing.schedule_rules import schedule_rules
from tests.mapping.random_layers import (
    as_problem,
    let_maps_stay,
    random_codes,
    random_machine,
    random_nest,
)
from tests.oracles.dram_windows import AddressedMemory
from tests.oracles.loop_nest_walk import walk
from tests.oracles.tensor_places import tile_elements
from tests.oracles.tile_pipeline import simulate
from tests.seeds import seeds
from tests.timing.test_dram_windows import bursts_of
from tests.timing.test_pipeline import busy_cycles, double_buffering_of, wide_ports

BURST_BITS = 512


def device_dram(rng, **given):
    device = dram_devices()[int(rng.integers(0, len(dram_devices())))]
    keys = {
        "model": "device",
        "device": device.device,
        "address_map": device.address_map,
        "channels": int(rng.integers(1, 4)),
        "max_outstanding_reads": int(rng.choice([1, 4, 64])),
        "packing": str(rng.choice(["dense", "byte"])),
    } | given
    return "dram={" + ", ".join(f"{name}: {value}" for name, value in keys.items()) + "}"


def steps_of(problem, addresses):
    """Bursts that each step moves, by operand."""
    trips = {
        "groups": -(-problem.groups // problem.tile["groups"]),
        "pixels": -(-problem.batch // problem.tile["batch"])
        * -(-problem.outputs[0] // problem.tile["output_rows"])
        * -(-problem.outputs[1] // problem.tile["output_cols"]),
        "filters": -(-problem.filters // problem.tile["filters"]),
        "channels": -(-problem.channels // problem.tile["channels"]),
    }
    visits = product(*(range(trips[loop]) for loop in problem.order))
    group_before = None
    for visit, step in zip(visits, walk(problem).steps, strict=True):
        at = dict(zip(problem.order, visit, strict=True))
        elements = tile_elements(problem, at)
        if problem.shares_residual and at["groups"] == group_before:
            elements["residual"] = []
        if not step.is_last:
            elements["bias"] = []
        group_before = at["groups"]

        def bursts(operand, numbers):
            touched = set()
            length = Fraction(*operand.code)
            for number in numbers:
                first = operand.base + math.floor(number * operand.bits * length)
                last = operand.base + math.ceil((number + 1) * operand.bits * length) - 1
                touched |= set(range(first // BURST_BITS, last // BURST_BITS + 1))
            return sorted(touched) if operand.bits else []

        moves = {
            "ifm": bursts(addresses.ifm, elements["ifm"])
            + bursts(addresses.residual, elements["residual"]),
            "weights": bursts(addresses.weights, elements["weight"])
            + bursts(addresses.biases, elements["bias"]),
            "psum": bursts(addresses.psum, elements["psum"]),
            "ofm": bursts(addresses.ofm, elements["ofm"]),
        }
        yield SimpleNamespace(
            loads={name: moves[name] for name, bits in step.loads.items() if bits},
            stores={name: moves[name] for name, bits in step.stores.items() if bits},
            folds=step.folds,
            passes=step.passes,
            outputs=step.outputs,
        )


def compare_with_simulation(rng, nest, hardware, coded=AS_THEY_ARE):
    space = enumerate_tiles(nest, hardware)
    candidate = int(rng.integers(0, len(space.feasible)))
    order = loop_orders(nest)[int(rng.integers(0, len(loop_orders(nest))))]
    stream = device_stream(nest, hardware, hardware.dram, space.tile(candidate), coded)
    problem = as_problem(nest, hardware, space, candidate, order)
    steps = list(steps_of(problem, stream.addresses))
    if nest.kind is Kind.MAC:
        busy = [busy_cycles(hardware, problem, step) for step in steps]
    else:
        overhead = hardware.mac_array.tile_overhead_cycles
        busy = [-(-step.outputs * nest.reduction // 3) + overhead for step in steps]
    dram = hardware.dram
    device = find_dram_device(dram.device, dram.address_map)
    memory = AddressedMemory(
        asdict(device),
        device.address_map == "bank_group_interleave",
        dram.channels,
        dram.max_outstanding_reads,
        dram_timing(hardware).latency_cycles,
        hardware.clock_MHz / 1000,
    )
    total, stalls = simulate(steps, busy, memory, double_buffering_of(hardware))
    rules = schedule_rules(nest, hardware, coded)
    sizes = tile_sizes(nest, hardware, space, candidate)
    cycles = device_cycles(rules, stream, sizes, order)
    assert cycles.total == total
    assert cycles.stall_dram_ifm == stalls["ifm"]
    assert cycles.stall_dram_weights == stalls["weights"]
    assert cycles.stall_dram_psum == stalls["psum"]
    assert cycles.stall_dram_ofm == stalls["ofm"]

    assert device_cycles(rules, stream, sizes, order, total) == cycles
    assert device_cycles(rules, stream, sizes, order, total - 1) is None

    transfers = list_transfers(rules, stream, sizes, order)
    starts = transfers[:, 3].tolist()
    batches = np.split(transfers[:, :3], np.flatnonzero(np.diff(starts)) + 1)
    assert [burst for batch in batches for burst in bursts_of(batch)] == memory.served
    assert starts == sorted(starts)
    if steps[0].loads:  # where maps stay on chip, there may be none
        assert starts[0] == 0
    assert all(start < total for start in starts)
    moved_bytes = transfers[:, 1].sum() / 8
    assert total * 1000 / hardware.clock_MHz >= moved_bytes / (device.peak_GBps * dram.channels)


@pytest.mark.parametrize("seed", seeds(20, 100))
def test_schedule_on_the_array_equals_a_simulation(seed):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    hardware = random_machine(
        rng, wide_ports(rng), "post_processing.lanes=4096", device_dram(rng), "clock_MHz=1500"
    )
    compare_with_simulation(rng, let_maps_stay(rng, nest) if seed % 2 else nest, hardware)


@pytest.mark.parametrize("kind", [Kind.ADD, Kind.POOL, Kind.LOOKUP, Kind.COPY, Kind.MULTIPLY])
@pytest.mark.parametrize("seed", seeds(3, 20))
def test_schedule_on_the_lanes_equals_a_simulation(kind, seed):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng, kind)
    hardware = random_machine(rng, wide_ports(rng), "post_processing.lanes=3", device_dram(rng))
    compare_with_simulation(rng, let_maps_stay(rng, nest) if seed % 2 else nest, hardware)


@pytest.mark.parametrize("kind", [Kind.MAC, Kind.ADD, Kind.MULTIPLY])
@pytest.mark.parametrize("seed", seeds(8, 40))
def test_a_schedule_of_coded_maps_equals_a_simulation(kind, seed):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng, kind)
    lanes = 4096 if kind is Kind.MAC else 3
    hardware = random_machine(
        rng, wide_ports(rng), f"post_processing.lanes={lanes}", device_dram(rng), "clock_MHz=1500"
    )
    nest = let_maps_stay(rng, nest) if seed % 2 else nest
    compare_with_simulation(rng, nest, hardware, random_codes(rng))


@pytest.mark.parametrize("dataflow", ["output_stationary", "row_stationary"])
@pytest.mark.parametrize("seed", seeds(5, 15))
def test_tiles_cut_by_their_sizes_are_those_of_the_space(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    hardware = random_machine(rng, dataflow=dataflow)
    space = enumerate_tiles(nest, hardware)
    for candidate in rng.integers(0, len(space.feasible), 5):
        expected = asdict(tile_sizes(nest, hardware, space, int(candidate)))
        found = asdict(cut_tiles(nest, hardware, space.tile(int(candidate))))
        both = found.pop("passes"), expected.pop("passes")
        assert all((passes is not None) == (dataflow == "row_stationary") for passes in both)
        for one, other in zip(*(passes or () for passes in both), strict=True):
            np.testing.assert_array_equal(one, other)
        for name, sizes in found.items():
            np.testing.assert_array_equal(sizes, expected[name])


LARGE = replace(
    random_nest(np.random.default_rng(0)), batch=1, groups=1, filters=32, channels=32,
    filter_rows=3, filter_cols=3, output_rows=28, output_cols=28, input_rows=28, input_cols=28,
    stride=(1, 1), dilation=(1, 1), pads=(1, 1), ifm_bits=8, weight_bits=8, bias_bits=16,
    ofm_bits=8,
)  # fmt: skip


def run(order, *overrides):
    """Cycles of one mapping of a layer that DRAM holds up, and the bytes of its cuts."""
    hardware = load_hardware("edge_16x16", ["clock_MHz=4000", *overrides])
    space = enumerate_tiles(LARGE, hardware)
    cut = [space.tile(candidate) for candidate in range(len(space.feasible))]
    sizes = [(tile.output_rows, tile.output_cols, tile.filters, tile.channels) for tile in cut]
    candidate = sizes.index((7, 28, 8, 16))
    stream = device_stream(LARGE, hardware, hardware.dram, cut[candidate])
    rules = schedule_rules(LARGE, hardware)
    return device_cycles(rules, stream, tile_sizes(LARGE, hardware, space, candidate), order)


def test_the_order_of_tiles_changes_the_time_of_dram():
    stalls = {order: run(order).dram_stalls for order in LOOP_ORDERS}
    assert len(set(stalls.values())) == len(LOOP_ORDERS)


def test_the_address_map_changes_the_time_of_dram():
    dram = "dram={model: device, device: DDR4-2400, channels: 1, max_outstanding_reads: 64, "
    totals = [
        run(LOOP_ORDERS[0], f"{dram}address_map: {address_map}, packing: dense}}").total
        for address_map in ("row_linear", "bank_group_interleave")
    ]
    assert totals[0] > totals[1]


def test_more_reads_in_flight_are_never_slower():
    totals = [
        run(LOOP_ORDERS[0], f"dram.max_outstanding_reads={reads}").total
        for reads in (1, 2, 4, 8, 16, 64)
    ]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > 2 * totals[-1]
