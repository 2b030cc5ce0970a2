"""Cycles, folds and words of whole layers with an operand that stays, worked by hand.

The array has 4 x 4 MACs; a port brings four operands, or four partial sums, in a word.
"""

from dataclasses import dataclass, replace

import numpy as np

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.access_counts import count_tiles
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules

MACHINE = (
    "mac_array.rows=4", "mac_array.cols=4", "mac_array.drain=hidden",
    "buffers.ifm.port_bits=32", "buffers.weights.port_bits=32", "buffers.psum.port_bits=128",
    "buffers.ofm.port_bits=32",
)  # fmt: skip

# 25 pixels, 6 filters, a reduction of 3 * 3 * 3 = 27.
CONV = LoopNest(
    layer="conv", op="Conv", kind=Kind.MAC, batch=1, groups=1, filters=6, channels=3,
    filter_rows=3, filter_cols=3, output_rows=5, output_cols=5, input_rows=7, input_cols=7,
    stride=(1, 1), dilation=(1, 1), pads=(0, 0), ifm_bits=8, weight_bits=8, bias_bits=0,
    ofm_bits=8, residual_bits=0,
)  # fmt: skip
# 16 pixels of 4 channels, a reduction of 9 each.
DEPTHWISE = replace(
    CONV, groups=4, filters=1, channels=1, output_rows=4, output_cols=4, input_rows=6, input_cols=6
)


@dataclass(frozen=True, kw_only=True)
class Worked:
    compute: int
    fill_drain: int
    ifm_reads: int
    weight_reads: int
    psum_reads: int
    psum_writes: int
    ofm_writes: int
    drained_psums: int


def run(nest, *keys, ifm_banks=2):
    """Run a layer as one tile; half of the banks serve the array."""
    hardware = load_hardware(
        "edge_16x16",
        [*MACHINE, f"buffers.ifm.banks={ifm_banks}", *(f"mac_array.{key}" for key in keys)],
    )
    nest = join_groups(nest, hardware.mac_array)
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space.take(np.array([0])))
    assert tiles.steps[0] == 1
    cycles = layer_cycles(
        schedule_rules(nest, hardware), tile_sizes(nest, hardware, space, 0), LOOP_ORDERS[0]
    )
    assert cycles.port_stalls == cycles.overhead == 0
    return Worked(
        compute=cycles.compute,
        fill_drain=cycles.fill_drain,
        ifm_reads=int(tiles.ifm_reads[0]),
        weight_reads=int(tiles.weight_reads[0]),
        psum_reads=int(tiles.psum_reads[0]),
        psum_writes=int(tiles.psum_writes[0]),
        ofm_writes=int(tiles.ofm_writes[0]),
        drained_psums=int(tiles.drained_psums[0]),
    )


def test_a_convolution_with_weights_that_stay():
    # 27 products on 4 rows: 7 folds, 6 filters on 4 columns: 2; 14 folds of 25 pixels.
    # Each: 4 to load, 25 pixels, 4 + 4 - 2 of skew, 1 to the output register: 36.
    assert run(CONV, "dataflow=weight_stationary", "output_register_cycles=1") == Worked(
        compute=14 * 25,
        fill_drain=14 * (4 + 6 + 1),
        ifm_reads=14 * 25,
        # 27 rows of weights for either fold of filters.
        weight_reads=27 * 2,
        # Of 7 parts of a sum 6 are kept and read again: for 25 pixels, 2 folds of filters.
        psum_reads=6 * 25 * 2,
        psum_writes=6 * 25 * 2,
        ofm_writes=25 * 2,
        drained_psums=7 * 25 * 6,
    )


def test_a_depthwise_convolution_with_weights_that_stay():
    # Each of 4 channels: 9 products on 4 rows are folds of 4, 4 and 1 rows, 1 column, 16
    # pixels. Only the skew in use counts: 16 + 3, 16 + 3 and 16 cycles. The first load of
    # 4 cycles shows, all others hide behind 16 cycles or more.
    keys = ("dataflow=weight_stationary", "edge_tiles=used_skew", "fold_overlap=weight_preload")
    assert run(DEPTHWISE, *keys) == Worked(
        compute=4 * 3 * 16,
        fill_drain=4 + 4 * (3 + 3 + 0),
        ifm_reads=4 * 3 * 16,
        weight_reads=4 * 9,
        psum_reads=4 * 2 * 16,
        psum_writes=4 * 2 * 16,
        ofm_writes=4 * 16,
        drained_psums=4 * 3 * 16,
    )


def test_a_convolution_with_the_ifm_that_stays():
    # 27 products on 4 rows: 7 folds, 25 pixels on 4 columns: 7; 49 folds of 6 filters.
    assert run(CONV, "dataflow=input_stationary") == Worked(
        compute=49 * 6,
        fill_drain=49 * (4 + 6),
        # 27 rows of pixels for each of 7 folds of pixels.
        ifm_reads=27 * 7,
        weight_reads=49 * 6,
        psum_reads=6 * 6 * 7,
        psum_writes=6 * 6 * 7,
        ofm_writes=6 * 7,
        drained_psums=7 * 25 * 6,
    )


def test_a_convolution_on_adder_trees():
    # 3 channels on 4 rows at each of 9 taps, 6 filters on 4 columns: 18 folds of 25 pixels.
    # Each: 4 to load, 25 pixels, 1 to the output register: 30.
    assert run(CONV, "dataflow=channel_parallel", "output_register_cycles=1") == Worked(
        compute=18 * 25,
        fill_drain=18 * (4 + 1),
        ifm_reads=18 * 25,
        weight_reads=27 * 2,
        # Of 9 parts of a sum 8 are kept and read again.
        psum_reads=8 * 25 * 2,
        psum_writes=8 * 25 * 2,
        ofm_writes=25 * 2,
        drained_psums=9 * 25 * 6,
    )


def test_native_groups_on_adder_trees():
    # 4 filters on 4 columns; 9 products on 4 rows: folds of 4, 4 and 1 rows, 16 pixels each.
    # The first load of 4 cycles shows, the others hide behind 16 pixels.
    keys = ("dataflow=channel_parallel", "depthwise=native", "fold_overlap=full")
    assert run(DEPTHWISE, *keys, ifm_banks=8) == Worked(
        compute=3 * 16,
        fill_drain=4,
        # A word brings an operand for each of 4 columns, to one row.
        ifm_reads=16 * 9,
        weight_reads=9,
        psum_reads=2 * 16,
        psum_writes=2 * 16,
        ofm_writes=16,
        drained_psums=3 * 16 * 4,
    )


# Two products for each of 16 outputs of each of 4 channels.
COLUMNS = replace(DEPTHWISE, filter_rows=2, filter_cols=1, input_rows=5, input_cols=4)


def test_groups_side_by_side_with_weights_that_stay():
    # Two groups of 2 products take the 4 rows, their 2 filters 2 of the 4 columns: 2 folds,
    # each 4 to load, 16 pixels, 4 + 4 - 2 of skew. Four would need 8 rows.
    assert run(COLUMNS, "dataflow=weight_stationary", "depthwise=block_diagonal") == Worked(
        compute=2 * 16,
        fill_drain=2 * (4 + 6),
        # A word brings a pixel's 4 operands.
        ifm_reads=2 * 16,
        # The one weight of a row that is not a zero, for 4 rows.
        weight_reads=2 * 4,
        psum_reads=0,
        psum_writes=0,
        ofm_writes=2 * 16,
        drained_psums=64,
    )
    alone = run(COLUMNS, "dataflow=weight_stationary")
    assert (alone.compute, alone.fill_drain) == (4 * 16, 4 * (4 + 6))


def test_groups_side_by_side_with_sums_that_stay():
    # Four filters take the 4 columns; 16 pixels on 4 rows are 4 folds of 4 * 2 products.
    assert run(COLUMNS, "dataflow=output_stationary", "depthwise=block_diagonal") == Worked(
        compute=4 * 8,
        fill_drain=4 * 6,
        ifm_reads=4 * 8,
        weight_reads=4 * 8,
        psum_reads=0,
        psum_writes=0,
        ofm_writes=16,
        drained_psums=64,
    )
    # One after another they compute as long, and pay for the skew four times.
    alone = run(COLUMNS, "dataflow=output_stationary")
    assert (alone.compute, alone.fill_drain) == (4 * 4 * 2, 4 * 4 * 6)


def test_groups_side_by_side_with_the_ifm_that_stays():
    # Two groups of 2 products take the 4 rows, 16 pixels the 4 columns of 4 folds; in each
    # the two filters of two groups pass, two weights of either.
    assert run(COLUMNS, "dataflow=input_stationary", "depthwise=block_diagonal") == Worked(
        compute=2 * 4 * 2,
        fill_drain=2 * 4 * (4 + 6),
        ifm_reads=2 * 4 * 4,
        weight_reads=2 * 4 * 2,
        psum_reads=0,
        psum_writes=0,
        ofm_writes=2 * 4 * 2,
        drained_psums=64,
    )
