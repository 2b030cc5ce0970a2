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


BEATS, FILTER_STEPS, CHANNEL_CYCLES, IFM_WORDS, FILTER_PASSES, PSUM_WORDS, SUM_PARTS = range(7)
N_PASS_SERIES = 7
"""Places in `sum_pass_series`."""


def sum_pass_series(nest: LoopNest, hardware: HardwareConfig, space: TileSpace) -> Counts:
    """Sum what the cycles of tiles are made of over the tiles along each loop.

    A tile takes as many cycles as the product of its groups, beats, filter steps and cycles of
    the channels, without what fills and drains the array; it reads as many words of the ifm as
    the product of its groups, words, filter passes and channels; and as many words of sums leave
    the array as the product of its outputs per filter, words of sums, and parts of a sum.

    Returns
    -------
    int64[n, 7, 3]: the sum, that of the first tile and that of the last.
    """
    row_sizes, col_sizes = (
        np.array([cut.outputs[0] for cut in cuts]) for cuts in (space.rows, space.cols)
    )
    last_cols = np.array([cut.outputs[-1] for cut in space.cols])
    whole, last = (ifm_row_words(nest, hardware, sizes) for sizes in (col_sizes, last_cols))
    _, batch, rows, cols, filters, channels = space.feasible.T
    tiles = np.stack(
        [
            space.batch[batch], row_sizes[rows], col_sizes[cols], whole[cols], last[cols],
            space.filters[filters], space.channels[channels],
        ],
        axis=1,
    )  # fmt: skip
    extents = (nest.batch, nest.output_rows, nest.output_cols, nest.filters, nest.channels)
    series = np.empty((len(tiles), N_PASS_SERIES, 3), np.int64)
    _sum_series(row_layer(nest, hardware), extents, tiles, series)
    return series


@jit
def _sum_series(
    layer: RowLayer, extents: tuple[int, int, int, int, int], tiles: Counts, series: Counts
) -> None:
    """Fill the series.

    Parameters
    ----------
    extents
        Images, output rows and cols, filters, channels of the layer.
    tiles
        int64[n, 7]: the same of a tile, and before its filters the words of a row of its ifm, and
        of the last tile's along the columns.
    """
    row_folds = -(-layer.filter_rows // layer.rows)
    for number in range(len(tiles)):
        images, rows, cols, words, last_words, filters, channels = tiles[number]
        shape = choose_pass(layer, rows, cols, words, filters, channels)
        strips = shape.strip_rows * shape.strips
        of_tile = series[number]
        # Tiles along an axis are alike, but for the last.
        _, last_images = _cut_off(extents[0], images)
        whole_rows, last_rows = _cut_off(extents[1], rows)
        whole_cols, last_cols = _cut_off(extents[2], cols)
        whole_filters, last_filters = _cut_off(extents[3], filters)
        whole_channels, last_channels = _cut_off(extents[4], channels)
        all_strips = whole_rows * -(-rows // strips) + -(-last_rows // strips)
        of_tile[BEATS, 0] = extents[0] * all_strips * extents[2]
        of_tile[BEATS, 1] = images * -(-rows // strips) * cols
        of_tile[BEATS, 2] = last_images * -(-last_rows // strips) * last_cols
        reads = read_rows(layer, shape, rows)
        last_reads = read_rows(layer, shape, last_rows)
        all_words = whole_cols * words + last_words
        of_tile[IFM_WORDS, 0] = extents[0] * (whole_rows * reads + last_reads) * all_words
        of_tile[IFM_WORDS, 1] = images * reads * words
        of_tile[IFM_WORDS, 2] = last_images * last_reads * last_words
        for place, here in ((1, filters), (2, last_filters)):
            steps = take_steps(here, shape.filters, shape.filter_sets)
            of_tile[FILTER_STEPS, place] = steps.of_pe
            of_tile[FILTER_PASSES, place] = steps.passes
            of_tile[PSUM_WORDS, place] = count_sum_words(
                here, shape.filters, layer.psum_bits, layer.psum_port_bits
            )
        for place, here in ((1, channels), (2, last_channels)):
            steps = take_steps(here, shape.channels, shape.channel_sets)
            cycles = row_folds * (layer.filter_cols * steps.of_pe + steps.passes)
            of_tile[CHANNEL_CYCLES, place] = cycles
            of_tile[SUM_PARTS, place] = row_folds * steps.passes
        for which, times in (
            (FILTER_STEPS, whole_filters),
            (FILTER_PASSES, whole_filters),
            (PSUM_WORDS, whole_filters),
            (CHANNEL_CYCLES, whole_channels),
            (SUM_PARTS, whole_channels),
        ):
            of_tile[which, 0] = times * of_tile[which, 1] + of_tile[which, 2]


@jit
def _cut_off(extent: int, size: int) -> tuple[int, int]:
    """Pieces of an extent before the last, and the size of that."""
    whole = -(-extent // size) - 1
    return whole, extent - whole * size


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
