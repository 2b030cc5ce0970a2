"""Does the schedule equal a simulation of one clock cycle at a time?"""

import math
from dataclasses import replace

import numpy as np
import pytest

from accel_sim.hardware.choices import Along, Dataflow, Drain, EdgeTiles, FoldOverlap, Ports
from accel_sim.mapping.coded_maps import AS_THEY_ARE
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.loop_orders import LOOP_ORDERS, loop_orders
from accel_sim.timing.dram import dram_timing
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from tests.mapping.random_layers import (
    DATAFLOWS,
    FOLDING,
    GROUPED,
    LANE_KINDS,
    as_problem,
    in_random_mode,
    let_maps_stay,
    random_codes,
    random_groups,
    random_machine,
    random_nest,
)
from tests.oracles.loop_nest_walk import walk
from tests.oracles.tile_pipeline import Memory, simulate
from tests.seeds import seeds


def wide_ports(rng) -> str:
    """Buffers whose ports never hold the array up, double buffered or not."""
    buffers = ", ".join(
        f"{name}: {{capacity_KiB: 256, port_bits: 512, ports: 1r1w, banks: 32, "
        f"double_buffered: {str(bool(rng.integers(0, 2))).lower()}}}"
        for name in ("ifm", "weights", "psum", "ofm")
    )
    return f"buffers={{{buffers}, shared: []}}"


def memory_of(hardware):
    timing = dram_timing(hardware)
    read, write = timing.read_cycles_per_bit, timing.write_cycles_per_bit
    return Memory(
        read.denominator, read.numerator, write.denominator, write.numerator, timing.latency_cycles
    )


def double_buffering_of(hardware):
    buffers = hardware.buffers
    return {
        "ifm": buffers.ifm.double_buffered,
        "weights": buffers.weights.double_buffered,
        "psum": buffers.psum_memory.double_buffered,
        "ofm": buffers.ofm.double_buffered,
    }


def busy_cycles(hardware, problem, step):
    """Cycles of one tile, fold by fold, as the keys of the array say."""
    array = hardware.mac_array
    late = array.pipeline_cycles + array.output_register_cycles
    if array.dataflow is Dataflow.ROW_STATIONARY:
        return busy_cycles_of_passes(hardware, problem, step)
    if array.dataflow is not Dataflow.OUTPUT_STATIONARY:
        return busy_cycles_with_preload(array, step)
    cycles = wait = skew = 0
    for rows, cols, reduction in step.folds:
        if array.edge_tiles is EdgeTiles.FULL_SKEW:
            rows, cols = array.rows, array.cols
        if array.fold_overlap is FoldOverlap.NONE:
            cycles += reduction + rows + cols - 2 + late
        else:
            # The registers behind a hidden drain are free again after as many cycles as
            # there are rows.
            cycles += wait + reduction
            if array.drain is Drain.HIDDEN:
                wait = max(0, array.rows - reduction)
            skew = max(skew, rows + cols - 2)
        if array.drain is Drain.ROWS:
            cycles += rows
    if array.fold_overlap is FoldOverlap.FULL:
        cycles += skew + late
    return cycles + array.tile_overhead_cycles


def busy_cycles_of_passes(hardware, problem, step):
    """Cycles of one tile, pass by pass; the weights of all of them come in one stream."""
    array, shape = hardware.mac_array, problem.passes
    sets = -(-problem.tile["channels"] // shape["channels_per_pe"])
    chain = array.rows
    if array.edge_tiles is EdgeTiles.USED_SKEW:
        chain = shape["filter_rows"] * min(shape["channel_sets"], sets)
    late = chain - 1 + array.pipeline_cycles + array.output_register_cycles
    work = sum(products + additions for products, additions, _ in step.passes)
    work += late * (1 if array.fold_overlap is FoldOverlap.FULL else len(step.passes))
    bits, width = problem.bits["weight"], array.networks.weight_bits
    weights = [weights for *_, weights in step.passes]
    load = -(-sum(weights) * bits // width)
    if array.fold_overlap is FoldOverlap.NONE:
        return load + work + array.tile_overhead_cycles
    first = min(-(-full_pass_weights(problem) * bits // width), load)
    return first + max(work, load - first) + array.tile_overhead_cycles


def full_pass_weights(problem):
    """Weights of the first pass of the largest tile."""
    shape, tile = problem.passes, problem.tile
    filters = min(tile["filters"], shape["filters_per_pe"] * shape["filter_sets"])
    channels = min(tile["channels"], shape["channels_per_pe"] * shape["channel_sets"])
    return filters * channels * shape["filter_rows"] * problem.window[1]


def busy_cycles_with_preload(array, step):
    """The same where an operand is loaded, one row per cycle, before each fold.

    `free` is when loading may begin for the next fold: at the end of the present one, or
    at its start if another set of registers takes the operand. `end` is when it may run.
    A fold of adder trees has no skew.
    """
    late = array.pipeline_cycles + array.output_register_cycles
    free = end = last_out = skew = 0
    for rows, cols, streamed in step.folds:
        if array.edge_tiles is EdgeTiles.FULL_SKEW:
            rows, cols = array.rows, array.cols
        start = max(end, free + rows)
        if array.dataflow is Dataflow.CHANNEL_PARALLEL:
            rows, cols = 1, 1
        skew = max(skew, rows + cols - 2)
        if array.fold_overlap is FoldOverlap.FULL:
            end = start + streamed
            last_out = end + skew + late
        else:
            end = last_out = start + streamed + rows + cols - 2 + late
        free = end if array.fold_overlap is FoldOverlap.NONE else start
    return last_out + array.tile_overhead_cycles


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(60))
def test_schedule_equals_a_simulation_cycle_by_cycle(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    hardware = random_machine(
        rng, wide_ports(rng), "post_processing.lanes=4096", flat_dram(rng), dataflow=dataflow
    )
    compare_with_simulation(rng, let_maps_stay(rng, nest) if seed % 2 else nest, hardware)


@pytest.mark.parametrize(("dataflow", "depthwise"), GROUPED)
@pytest.mark.parametrize("seed", range(20))
def test_groups_side_by_side_equal_a_simulation_cycle_by_cycle(seed, dataflow, depthwise):
    rng = np.random.default_rng(seed)
    rows = 24 if depthwise == "block_diagonal" else 5
    keys = (f"mac_array.depthwise={depthwise}", f"mac_array.rows={rows}", "mac_array.cols=9")
    hardware = random_machine(
        rng, wide_ports(rng), "post_processing.lanes=4096", flat_dram(rng), *keys,
        dataflow=dataflow,
    )  # fmt: skip
    compare_with_simulation(rng, join_groups(random_groups(rng), hardware.mac_array), hardware)


@pytest.mark.parametrize("along", Along)
@pytest.mark.parametrize(
    ("dataflow", "depthwise"), [*((dataflow, "serial") for dataflow in FOLDING), *GROUPED]
)
@pytest.mark.parametrize("seed", seeds(3, 27))
def test_several_multipliers_equal_a_simulation_cycle_by_cycle(seed, dataflow, depthwise, along):
    rng = np.random.default_rng(seed)
    keys = [wide_ports(rng), "post_processing.lanes=4096", flat_dram(rng)]
    nest = random_nest(rng)
    if depthwise != "serial":
        rows = 12 if depthwise == "block_diagonal" else 5
        keys += [f"mac_array.depthwise={depthwise}", f"mac_array.rows={rows}", "mac_array.cols=6"]
        # Three filters of a group, of which two share a place in every other case.
        nest = replace(random_groups(rng), filters=3)
    hardware = random_machine(rng, *keys, dataflow=dataflow)
    nest = in_random_mode(rng, nest, along)
    if depthwise != "serial":
        nest = replace(nest, mode=nest.mode.model_copy(update={"macs_per_pe": 2 + seed % 2}))
    nest = join_groups(nest, hardware.mac_array)
    compare_with_simulation(rng, nest, hardware)


def flat_dram(rng) -> str:
    return (
        f"dram={{model: flat, bandwidth_GBps: {rng.choice([0.1, 0.37, 2, 8])}, "
        f"latency_ns: {rng.integers(0, 40)}, energy_pJ_per_bit: 8, packing: dense}}"
    )


def code_maps(steps, coded):
    """Steps whose maps move as codes, of whole bits; they have no second operand."""
    for step in steps:
        loads = {**step.loads, "ifm": math.ceil(step.loads.get("ifm", 0) * coded.ifm)}
        stores = {**step.stores, "ofm": math.ceil(step.stores.get("ofm", 0) * coded.ofm)}
        yield replace(step, loads=loads, stores=stores)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", seeds(10, 40))
def test_a_schedule_of_coded_maps_equals_a_simulation_cycle_by_cycle(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    hardware = random_machine(
        rng, wide_ports(rng), "post_processing.lanes=4096", flat_dram(rng), dataflow=dataflow
    )
    compare_with_simulation(rng, nest, hardware, random_codes(rng))


def compare_with_simulation(rng, nest, hardware, coded=AS_THEY_ARE):
    space = enumerate_tiles(nest, hardware)
    for candidate in rng.integers(0, len(space.feasible), 2):
        order = LOOP_ORDERS[int(rng.integers(0, len(LOOP_ORDERS)))]
        problem = as_problem(nest, hardware, space, int(candidate), order)
        steps = walk(problem).steps
        busy = [busy_cycles(hardware, problem, step) for step in steps]
        moves = list(code_maps(steps, coded))
        total, stalls = simulate(moves, busy, memory_of(hardware), double_buffering_of(hardware))
        sizes = tile_sizes(nest, hardware, space, int(candidate))
        cycles = layer_cycles(schedule_rules(nest, hardware, coded), sizes, order)
        assert cycles.total == total
        assert cycles.stall_dram_ifm == stalls["ifm"]
        assert cycles.stall_dram_weights == stalls["weights"]
        assert cycles.stall_dram_psum == stalls["psum"]
        assert cycles.stall_dram_ofm == stalls["ofm"]
        assert cycles.compute + cycles.fill_drain + cycles.overhead == sum(busy)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(30))
def test_every_tile_takes_as_long_as_its_slowest_port(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    # Two banks, of which one serves the array: transfers disturb nobody.
    buffers = ", ".join(
        f"{name}: {{capacity_KiB: 256, port_bits: {rng.choice([8, 16, 24, 32])}, "
        f"ports: {rng.choice(['1rw', '1r1w'])}, banks: 2, double_buffered: true}}"
        for name in ("ifm", "weights", "psum", "ofm")
    )
    hardware = random_machine(
        rng, f"buffers={{{buffers}, shared: []}}", "post_processing.lanes=4096", dataflow=dataflow
    )
    space = enumerate_tiles(nest, hardware)
    overhead = hardware.mac_array.tile_overhead_cycles
    psum_has_one_port = hardware.buffers.psum_memory.ports is Ports.ONE_SHARED
    for candidate in rng.integers(0, len(space.feasible), 3):
        order = LOOP_ORDERS[int(rng.integers(0, len(LOOP_ORDERS)))]
        busy = 0
        problem = as_problem(nest, hardware, space, int(candidate), order)
        for step in walk(problem).steps:
            words = step.words
            psum = [words["psum_reads"], words["psum_writes"]]
            busy += overhead + max(
                busy_cycles(hardware, problem, step) - overhead,
                words["ifm_reads"],
                words["weight_reads"],
                sum(psum) if psum_has_one_port else max(psum),
                words["ofm_writes"],
            )
        sizes = tile_sizes(nest, hardware, space, int(candidate))
        cycles = layer_cycles(schedule_rules(nest, hardware), sizes, order)
        assert cycles.total - cycles.dram_stalls == busy


@pytest.mark.parametrize("kind", LANE_KINDS)
@pytest.mark.parametrize("seed", range(10))
def test_every_tile_on_the_lanes_takes_as_long_as_its_slowest_port(kind, seed):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng, kind)
    buffers = ", ".join(
        f"{name}: {{capacity_KiB: 256, port_bits: 8, ports: 1r1w, banks: 2, double_buffered: true}}"
        for name in ("ifm", "weights", "psum", "ofm")
    )
    hardware = random_machine(rng, f"buffers={{{buffers}, shared: []}}", "post_processing.lanes=64")
    space = enumerate_tiles(nest, hardware)
    (order,) = loop_orders(nest)
    candidate = int(rng.integers(0, len(space.feasible)))
    busy = 0
    for step in walk(as_problem(nest, hardware, space, candidate, order)).steps:
        compute = -(-step.outputs * nest.reduction // 64)
        ports = (step.words[name] for name in ("ifm_reads", "weight_reads", "ofm_writes"))
        busy += hardware.mac_array.tile_overhead_cycles + max(compute, *ports)
    cycles = layer_cycles(
        schedule_rules(nest, hardware), tile_sizes(nest, hardware, space, candidate), order
    )
    assert cycles.total - cycles.dram_stalls == busy


@pytest.mark.parametrize("kind", LANE_KINDS)
@pytest.mark.parametrize("seed", range(10))
def test_lanes_take_one_element_each_per_cycle(kind, seed):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng, kind)
    hardware = random_machine(rng, wide_ports(rng), "post_processing.lanes=3")
    if seed % 2:
        nest = let_maps_stay(rng, nest)
    space = enumerate_tiles(nest, hardware)
    (order,) = loop_orders(nest)
    candidate = int(rng.integers(0, len(space.feasible)))
    steps = walk(as_problem(nest, hardware, space, candidate, order)).steps
    overhead = hardware.mac_array.tile_overhead_cycles
    busy = [-(-step.outputs * nest.reduction // 3) + overhead for step in steps]
    total, _ = simulate(steps, busy, memory_of(hardware), double_buffering_of(hardware))
    cycles = layer_cycles(
        schedule_rules(nest, hardware), tile_sizes(nest, hardware, space, candidate), order
    )
    assert cycles.total == total
    assert cycles.compute + cycles.overhead == sum(busy)
    assert cycles.fill_drain == 0
