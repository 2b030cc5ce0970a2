"""How a row-stationary array uses the buffers: passes and port words, in closed form."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_counts import ArrayCounts
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.pass_tables import ifm_row_words
from accel_sim.mapping.row_stationary import (
    RowLayer,
    choose_pass,
    count_sum_words,
    count_weight_words,
    read_rows,
    row_layer,
    take_steps,
)
from accel_sim.mapping.stored_bits import StoredBits, stored_bits
from accel_sim.mapping.tile_space import TileSpace
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]


def count_passes(
    nest: LoopNest,
    hardware: HardwareConfig,
    space: TileSpace,
    *,
    words_span_folds: bool = False,
) -> ArrayCounts:
    """Count what a row-stationary array takes from and gives to the buffers.

    Folds along columns are filters of a PE times strips, those along rows channels of a PE
    times filter columns, and an addition more for each sum that a PE passes on; times images
    and output columns they are the cycles of the array.

    Parameters
    ----------
    words_span_folds
        True for a bound: what the best of all passes would take.
    """
    layer, bits, buffers = row_layer(nest, hardware), stored_bits(nest, hardware), hardware.buffers
    _, batch, rows, cols, filters, channels = space.feasible.T
    if words_span_folds:
        return _bound_passes(nest, hardware, layer, bits, space)
    row_sizes, col_sizes = (
        np.array([cut.outputs[0] for cut in cuts]) for cuts in (space.rows, space.cols)
    )
    last_cols = np.array([cut.outputs[-1] for cut in space.cols])
    whole, last = (ifm_row_words(nest, hardware, sizes) for sizes in (col_sizes, last_cols))
    # Candidates that differ in groups or images alone take the same passes.
    shape = len(space.rows), len(space.cols), len(space.filters), len(space.channels)
    flat = np.ravel_multi_index((rows, cols, filters, channels), shape)
    kept, which = np.unique(flat, return_inverse=True)
    of_rows, of_cols, of_filters, of_channels = np.unravel_index(kept, shape)
    alike = np.stack(
        [row_sizes[of_rows], of_cols, space.filters[of_filters], space.channels[of_channels]],
        axis=1,
    )
    counted = np.zeros((len(alike), 7), np.int64)
    _count_alike(
        layer, nest.output_rows, nest.filters, nest.channels,
        bits.weight, buffers.weights.port_bits, bits.ofm, buffers.ofm.port_bits,
        whole, col_sizes, alike, counted,
    )  # fmt: skip
    row_folds, col_folds, row_reads, weight_words, psum_words, ofm_words, sum_parts = counted[
        which.ravel()
    ].T
    n_cols = -(-nest.output_cols // col_sizes)

    images = nest.groups * nest.batch
    positions = images * nest.output_rows * nest.output_cols
    all_cols = ((n_cols - 1) * whole + last)[cols]
    pixel_tiles = (
        -(-nest.batch // space.batch[batch]) * -(-nest.output_rows // row_sizes[rows])
        * n_cols[cols]
    )  # fmt: skip
    return ArrayCounts(
        row_folds=row_folds,
        col_folds=col_folds,
        ifm_reads=images * row_reads * all_cols,
        weight_reads=nest.groups * pixel_tiles * weight_words,
        psum=positions * psum_words * (sum_parts - 1),
        ofm_writes=positions * ofm_words,
        sum_parts=sum_parts,
    )


@jit
def _count_alike(
    layer: RowLayer,
    output_rows: int,
    filters: int,
    channels: int,
    weight_bits: int,
    weight_port_bits: int,
    ofm_bits: int,
    ofm_port_bits: int,
    ifm_words: Counts,
    col_sizes: Counts,
    tiles: Counts,
    counted: Counts,
) -> None:
    """Fill what `ArrayCounts` needs of one group and one image.

    Folds along rows and columns; rows read of the ifm; words of all weights; words of all sums
    and outputs at one position; parts of a sum.

    Parameters
    ----------
    tiles
        int64[n, 4]: output rows, which cut of the columns, filters, channels.
    counted
        int64[n, 7], overwritten.
    """
    row_folds = -(-layer.filter_rows // layer.rows)
    for number in range(len(tiles)):
        tile_rows, cut, tile_filters, tile_channels = tiles[number]
        shape = choose_pass(
            layer, tile_rows, col_sizes[cut], ifm_words[cut], tile_filters, tile_channels
        )
        strips = shape.strip_rows * shape.strips
        strip_groups = 0
        reads = 0
        # Tiles along an axis are alike, but for a smaller one at the end: of size 0 if none is.
        for rows, times in ((tile_rows, output_rows // tile_rows), (output_rows % tile_rows, 1)):
            strip_groups += times * -(-rows // strips)
            reads += times * read_rows(layer, shape, rows)
        filter_time = 0
        filter_passes = 0
        psum_words = 0
        ofm_words = 0
        for here, times in ((tile_filters, filters // tile_filters), (filters % tile_filters, 1)):
            steps = take_steps(here, shape.filters, shape.filter_sets)
            psum_words += times * count_sum_words(
                here, shape.filters, layer.psum_bits, layer.psum_port_bits
            )
            ofm_words += times * count_sum_words(here, shape.filters, ofm_bits, ofm_port_bits)
            filter_time += times * steps.of_pe
            filter_passes += times * steps.passes
        channel_time = 0
        parts = 0
        weight_words = 0
        whole_channels = channels // tile_channels
        for here, times in ((tile_channels, whole_channels), (channels % tile_channels, 1)):
            steps = take_steps(here, shape.channels, shape.channel_sets)
            channel_time += times * (layer.filter_cols * steps.of_pe + steps.passes)
            parts += times * steps.passes * row_folds
            words = count_weight_words(layer, shape, here, weight_bits, weight_port_bits)
            weight_words += times * words
        counted[number, 0] = row_folds * channel_time
        counted[number, 1] = strip_groups * filter_time
        counted[number, 2] = filter_passes * channels * reads
        counted[number, 3] = filters * weight_words
        counted[number, 4] = psum_words
        counted[number, 5] = ofm_words
        counted[number, 6] = parts


def _bound_passes(
    nest: LoopNest,
    hardware: HardwareConfig,
    layer: RowLayer,
    bits: StoredBits,
    space: TileSpace,
) -> ArrayCounts:
    """Count at most what any tiles of as many filters and channels take, however maps are cut."""
    _, _, rows, cols, filters, channels = space.feasible.T
    buffers = hardware.buffers
    tile_filters, tile_channels = space.filters[filters], space.channels[channels]
    row_folds = -(-layer.filter_rows // layer.rows)
    stack = layer.rows // -(-layer.filter_rows // row_folds)
    of_pe = np.array([max(1, min(layer.ifm_words, layer.weight_words) // layer.filter_cols)])
    in_pass = np.minimum(of_pe * stack, tile_channels)
    whole = nest.channels // tile_channels
    rest = nest.channels - whole * tile_channels
    sum_parts = row_folds * (whole * -(-tile_channels // in_pass) + -(-rest // in_pass))
    touched = np.array([cut.touched.sum() for cut in space.rows])[rows]
    touched *= np.array([cut.touched.sum() for cut in space.cols])[cols]
    ifm_bits = nest.groups * nest.batch * nest.channels * touched * bits.ifm
    outputs = nest.outputs
    weight_bits = nest.groups * nest.filters * nest.reduction * bits.weight
    work = nest.output_rows * nest.filters * nest.reduction
    return ArrayCounts(
        row_folds=np.full_like(sum_parts, work // (layer.rows * layer.cols)),
        col_folds=np.ones_like(sum_parts),
        ifm_reads=-(-ifm_bits * -(-nest.filters // tile_filters) // buffers.ifm.port_bits),
        weight_reads=np.full_like(sum_parts, -(-weight_bits // buffers.weights.port_bits)),
        psum=-(-outputs * bits.psum // buffers.psum_memory.port_bits) * (sum_parts - 1),
        ofm_writes=np.full_like(sum_parts, -(-outputs * bits.ofm // buffers.ofm.port_bits)),
        sum_parts=sum_parts,
    )
