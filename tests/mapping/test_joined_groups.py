"""Do as many groups share the array as one fold holds, and no other layer?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from tests.mapping.random_layers import LANE_KINDS, SYSTOLIC, random_groups, random_nest
from tests.oracles.systolic_cycles import grouped_cycles, groups_together

DEPTHWISE = LoopNest(
    layer="conv", op="Conv", kind=Kind.MAC, batch=1, groups=24, filters=1, channels=1,
    filter_rows=3, filter_cols=3, output_rows=4, output_cols=4, input_rows=6, input_cols=6,
    stride=(1, 1), dilation=(1, 1), pads=(0, 0), ifm_bits=8, weight_bits=8, bias_bits=0,
    ofm_bits=8, residual_bits=0,
)  # fmt: skip


def machine(dataflow, rows, cols, *keys):
    return load_hardware(
        "edge_16x16",
        [
            f"mac_array.dataflow={dataflow}", f"mac_array.rows={rows}", f"mac_array.cols={cols}",
            "mac_array.drain=hidden", "mac_array.depthwise=block_diagonal", *keys,
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dataflow", "rows", "cols", "blocks"),
    [
        # Filters on the columns: 16 of 24 do not divide, 12 do.
        ("output_stationary", 4, 16, 12),
        # 9 products of each group on the rows: three groups take 27 of 32, four would take 36.
        ("weight_stationary", 32, 16, 3),
        ("weight_stationary", 1024, 4, 4),
        ("input_stationary", 80, 2, 8),
        # Trees take one channel of each group at a time, on rows of its own.
        ("channel_parallel", 8, 16, 8),
        ("channel_parallel", 32, 6, 6),
        # Not even one group fits.
        ("weight_stationary", 8, 16, 1),
    ],
)
def test_one_fold_holds_the_groups_that_run_together(dataflow, rows, cols, blocks):
    nest = join_groups(DEPTHWISE, machine(dataflow, rows, cols).mac_array)
    assert nest == replace(
        DEPTHWISE, groups=24 // blocks, filters=blocks, channels=blocks, blocks=blocks
    )
    assert nest.macs == DEPTHWISE.macs
    assert nest.off_diagonal_macs == (blocks - 1) * DEPTHWISE.macs


@pytest.mark.parametrize(("cols", "blocks"), [(16, 12), (64, 24), (1, 1)])
def test_native_groups_fill_the_columns_and_meet_no_zeros(cols, blocks):
    hardware = machine("channel_parallel", 8, cols, "mac_array.depthwise=native")
    nest = join_groups(DEPTHWISE, hardware.mac_array)
    assert nest == replace(
        DEPTHWISE, groups=24 // blocks, filters=blocks, channels=blocks, blocks=blocks,
        blocks_are_apart=blocks > 1,
    )  # fmt: skip
    assert (nest.macs, nest.off_diagonal_macs) == (DEPTHWISE.macs, 0)


@pytest.mark.parametrize(
    ("depthwise", "folds"),
    [
        # 24 groups of 9 taps on 12 columns: each on its own, 8 side by side tap by tap, or
        # 12 side by side with 8 taps and one more.
        ("serial", 24 * 9),
        ("block_diagonal", 3 * 9),
        ("native", 2 * 2),
    ],
)
def test_a_depthwise_layer_on_trees_takes_sixteen_pixels_in_every_fold(depthwise, folds):
    keys = (f"mac_array.depthwise={depthwise}", "mac_array.fold_overlap=none")
    hardware = machine("channel_parallel", 8, 12, *keys)
    nest = join_groups(DEPTHWISE, hardware.mac_array)
    space = enumerate_tiles(nest, hardware)
    cycles = layer_cycles(
        schedule_rules(nest, hardware), tile_sizes(nest, hardware, space, 0), LOOP_ORDERS[0]
    )
    assert cycles.compute == folds * 16
    assert cycles.fill_drain == folds * 8


@pytest.mark.parametrize("dataflow", SYSTOLIC)
@pytest.mark.parametrize("seed", range(15))
def test_grouped_layers_take_the_cycles_of_the_closed_form(dataflow, seed):
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(4, 40, 2).tolist()
    hardware = machine(dataflow, rows, cols, "mac_array.fold_overlap=none")
    alone = random_groups(rng)
    nest = join_groups(alone, hardware.mac_array)
    together = groups_together(dataflow, rows, cols, alone.groups, alone.reduction, alone.filters)
    assert nest.blocks == together
    space = enumerate_tiles(nest, hardware)
    cycles = layer_cycles(
        schedule_rules(nest, hardware), tile_sizes(nest, hardware, space, 0), LOOP_ORDERS[0]
    )
    pixels = nest.batch * nest.output_rows * nest.output_cols
    assert cycles.compute + cycles.fill_drain == grouped_cycles(
        dataflow, rows, cols, alone.groups, together, pixels, alone.reduction, alone.filters
    )


def test_other_machines_and_other_layers_stay_as_they_are():
    serial = load_hardware("edge_16x16").mac_array
    assert join_groups(DEPTHWISE, serial) == DEPTHWISE
    rng = np.random.default_rng(0)
    for kind in LANE_KINDS:
        nest = random_nest(rng, kind)
        assert join_groups(nest, machine("output_stationary", 16, 16).mac_array) == nest
