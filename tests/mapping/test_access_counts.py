"""Do the closed-form counts equal an actual walk of the tiled loop nest?"""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from accel_sim.hardware.choices import Along
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.access_counts import (
    count_buffer_words,
    count_dram_bits,
    count_tiles,
    total_buffer_accesses,
    total_dram_bytes,
)
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.loop_orders import LOOP_ORDERS, loop_orders
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.mapping.tile import Loop
from tests.mapping.random_layers import (
    DATAFLOWS,
    FOLDING,
    GROUPED,
    LANE_KINDS,
    as_problem,
    in_random_mode,
    let_maps_stay,
    random_groups,
    random_machine,
    random_nest,
)
from tests.oracles.loop_nest_walk import walk
from tests.seeds import seeds


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", seeds(25, 35))
def test_counts_equal_a_walk_of_the_loop_nest(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest = let_maps_stay(rng, random_nest(rng)) if seed % 2 else random_nest(rng)
    compare_with_walk(rng, nest, random_machine(rng, dataflow=dataflow))


@pytest.mark.parametrize("along", Along)
@pytest.mark.parametrize("dataflow", FOLDING)
@pytest.mark.parametrize("seed", seeds(4, 34))
def test_counts_of_several_multipliers_equal_a_walk(seed, dataflow, along):
    rng = np.random.default_rng(seed)
    nest = in_random_mode(rng, random_nest(rng), along)
    compare_with_walk(rng, nest, random_machine(rng, dataflow=dataflow))


@pytest.mark.parametrize("along", Along)
@pytest.mark.parametrize(("dataflow", "depthwise"), GROUPED)
@pytest.mark.parametrize("seed", seeds(3, 27))
def test_counts_of_several_multipliers_on_joined_groups(seed, dataflow, depthwise, along):
    rng = np.random.default_rng(seed)
    rows = 12 if depthwise == "block_diagonal" else 5
    keys = (f"mac_array.depthwise={depthwise}", f"mac_array.rows={rows}", "mac_array.cols=6")
    hardware = random_machine(rng, *keys, dataflow=dataflow)
    alone = in_random_mode(rng, random_groups(rng), along)
    compare_with_walk(rng, join_groups(alone, hardware.mac_array), hardware)


def compare_with_walk(rng, nest, hardware):
    streamed = {
        "output_stationary": Loop.CHANNELS,
        "weight_stationary": Loop.PIXELS,
        "input_stationary": Loop.FILTERS,
        "channel_parallel": Loop.PIXELS,
    }.get(str(hardware.mac_array.dataflow))
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space)
    for candidate in rng.integers(0, len(space.feasible), 3):
        for order in LOOP_ORDERS:
            truth = walk(as_problem(nest, hardware, space, int(candidate), order))
            bits = count_dram_bits(tiles, order)
            counted = {
                "ifm": bits.ifm_read,
                "residual": bits.residual_read,
                "weights": bits.weights_read,
                "psum_read": bits.psum_read,
                "psum_write": bits.psum_write,
                "ofm": bits.ofm_write,
            }
            assert {name: n[candidate] for name, n in counted.items()} == truth.dram_bits
            words = {name: getattr(tiles, name)[candidate] for name in truth.words}
            assert words == truth.words
            assert tiles.steps[candidate] == len(truth.steps)
            assert tiles.drained_psums[candidate] == truth.drained_psums
            folds = tiles.row_folds * tiles.col_folds
            if streamed is None:
                # Cycles of one group in one column of the outputs.
                worked = sum(sum(one[:2]) for step in truth.steps for one in step.passes)
                columns = nest.groups * nest.batch * nest.output_cols
                assert columns * folds[candidate] == worked
            else:
                folds = folds * tiles.trips(streamed)
                assert nest.groups * folds[candidate] == truth.folds


@pytest.mark.parametrize(("dataflow", "depthwise"), GROUPED)
@pytest.mark.parametrize("seed", range(30))
def test_groups_side_by_side_equal_a_walk_that_knows_every_weight(seed, dataflow, depthwise):
    rng = np.random.default_rng(seed)
    rows = 24 if depthwise == "block_diagonal" else 5
    keys = (f"mac_array.depthwise={depthwise}", f"mac_array.rows={rows}", "mac_array.cols=9")
    hardware = random_machine(rng, *keys, dataflow=dataflow)
    nest = join_groups(random_groups(rng), hardware.mac_array)
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space)
    for candidate in rng.integers(0, len(space.feasible), 3):
        for order in LOOP_ORDERS:
            truth = walk(as_problem(nest, hardware, space, int(candidate), order))
            bits = count_dram_bits(tiles, order)
            assert bits.ifm_read[candidate] == truth.dram_bits["ifm"]
            assert bits.weights_read[candidate] == truth.dram_bits["weights"]
            assert bits.ofm_write[candidate] == truth.dram_bits["ofm"]
            words = {name: getattr(tiles, name)[candidate] for name in truth.words}
            assert words == truth.words
            assert tiles.drained_psums[candidate] == truth.drained_psums


@pytest.mark.parametrize("kind", LANE_KINDS)
@pytest.mark.parametrize("seed", range(16))
def test_traffic_of_layers_on_the_lanes_equals_a_walk(kind, seed):
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng, kind), random_machine(rng)
    if seed % 2:
        nest = let_maps_stay(rng, nest)
    (order,) = loop_orders(nest)
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space)
    candidate = int(rng.integers(0, len(space.feasible)))
    result = walk(as_problem(nest, hardware, space, candidate, order))
    truth = result.dram_bits
    bits = count_dram_bits(tiles, order)
    assert bits.ifm_read[candidate] == truth["ifm"]
    assert bits.residual_read[candidate] == truth["residual"]
    assert bits.weights_read[candidate] == truth["weights"]
    assert bits.ofm_write[candidate] == truth["ofm"]
    assert bits.psum_read[candidate] == 0
    buffers = hardware.buffers
    words = {
        name: -(-moved // getattr(buffers, buffer).port_bits)
        for (name, moved), buffer in zip(
            result.lane_bits.items(), ("ifm", "ifm", "weights", "ofm"), strict=True
        )
    }
    assert tiles.ifm_reads[candidate] == words["ifm"] + words["residual"]
    assert tiles.weight_reads[candidate] == words["weights"]
    assert tiles.ofm_writes[candidate] == words["ofm"]


@pytest.mark.parametrize("seed", range(20))
def test_traffic_is_never_under_what_must_move_once(seed):
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng), random_machine(rng)
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space)
    stored = stored_bits(nest, hardware)
    whole = {
        "groups": nest.groups, "batch": nest.batch, "filters": nest.filters,
        "channels": nest.channels, "output_rows": nest.output_rows,
        "output_cols": nest.output_cols,
    }  # fmt: skip
    problem = as_problem(nest, hardware, space, 0, LOOP_ORDERS[0])
    problem.tile = whole
    once = walk(problem).dram_bits
    for order in LOOP_ORDERS:
        bits = count_dram_bits(tiles, order)
        assert (bits.weights_read >= once["weights"]).all()
        assert (bits.ofm_write == nest.outputs * stored.ofm).all()
        # Pieces read what the whole reads, and their halos twice.
        assert (bits.ifm_read >= _touched_bits(nest, stored.ifm)).all()


def _touched_bits(nest, bits):
    touched = [
        {
            out * stride + tap * dilation - pad
            for out in range(outputs)
            for tap in range(taps)
            if 0 <= out * stride + tap * dilation - pad < inputs
        }
        for outputs, taps, stride, dilation, pad, inputs in (
            (nest.output_rows, nest.filter_rows, nest.stride[0], nest.dilation[0],
             nest.pads[0], nest.input_rows),
            (nest.output_cols, nest.filter_cols, nest.stride[1], nest.dilation[1],
             nest.pads[1], nest.input_cols),
        )
    ]  # fmt: skip
    elements = math.prod(len(positions) for positions in touched)
    return nest.batch * nest.groups * nest.channels * elements * bits


def test_partial_sums_in_the_ofm_buffer_are_counted_there():
    rng = np.random.default_rng(1)
    nest = replace(random_nest(rng), channels=6)
    apart = load_hardware("edge_16x16", ["buffers.ofm.port_bits=512"])
    joined = load_hardware("edge_16x16", ["buffers.ofm.port_bits=512", "buffers.psum=in_ofm"])
    split = {}
    for hardware in (apart, joined):
        space = enumerate_tiles(nest, hardware)
        one = int(np.flatnonzero(space.channels[space.feasible[:, 5]] == 1)[0])
        tiles = count_tiles(nest, hardware, space.take(np.array([one])))
        bits = count_dram_bits(tiles, LOOP_ORDERS[0])
        split[hardware.buffers.psum == "in_ofm"] = total_buffer_accesses(
            count_buffer_words(tiles, bits, hardware.buffers), 0
        )
    assert split[False].psum.reads > 0
    assert split[True].psum.reads == split[True].psum.writes == 0
    assert split[True].ofm.reads == split[False].ofm.reads + split[False].psum.reads
    assert split[True].ofm.writes == split[False].ofm.writes + split[False].psum.writes


def test_bits_are_rounded_up_to_bytes_once():
    # 3 outputs of 3 bits: 9 bits, 2 bytes.
    nest = replace(
        random_nest(np.random.default_rng(0)),
        batch=1, groups=1, filters=3, channels=1, filter_rows=1, filter_cols=1,
        output_rows=1, output_cols=1, input_rows=1, input_cols=1, stride=(1, 1),
        dilation=(1, 1), pads=(0, 0), ifm_bits=5, weight_bits=3, bias_bits=0, ofm_bits=3,
    )  # fmt: skip
    hardware = load_hardware("edge_16x16")
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space)
    moved = total_dram_bytes(count_dram_bits(tiles, LOOP_ORDERS[0]), 0)
    assert (moved.ifm_read, moved.weights_read, moved.ofm_write) == (1, 2, 2)
    assert (moved.read, moved.write) == (3, 2)


def test_no_order_of_all_six_loops_moves_fewer_bits():
    """Orders in which rows, cols and batch do not stand together are never better."""
    rng = np.random.default_rng(5)
    for _ in range(5):
        nest, hardware = random_nest(rng), random_machine(rng)
        space = enumerate_tiles(nest, hardware)
        tiles = count_tiles(nest, hardware, space)
        for candidate in rng.integers(0, len(space.feasible), 4):
            best = min(
                int((bits.read + bits.write)[candidate])
                for bits in (count_dram_bits(tiles, order) for order in LOOP_ORDERS)
            )
            tile = space.tile(int(candidate))
            trips = {
                "batch": -(-nest.batch // tile.batch),
                "rows": -(-nest.output_rows // tile.output_rows),
                "cols": -(-nest.output_cols // tile.output_cols),
                "filters": -(-nest.filters // tile.filters),
                "channels": -(-nest.channels // tile.channels),
            }
            pixels = ("batch", "rows", "cols")

            def visits(order, relevant, trips=trips):
                inner = max((at for at, loop in enumerate(order)
                             if loop in relevant and trips[loop] > 1), default=-1)  # fmt: skip
                return math.prod(
                    trips[loop] for at, loop in enumerate(order)
                    if at < inner and loop not in relevant
                )  # fmt: skip

            for order in permutations(trips):
                spills = visits(order, {*pixels, "filters"}) - 1
                moved = (
                    int(tiles.ifm_bits[candidate]) * visits(order, {*pixels, "channels"})
                    + int(tiles.weight_bits[candidate]) * visits(order, {"filters", "channels"})
                    + 2 * int(tiles.psum_bits[candidate]) * spills
                    + int(tiles.ofm_bits[candidate])
                )
                assert moved >= best
