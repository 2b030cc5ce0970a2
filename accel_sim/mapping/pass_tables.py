"""What passes over a row-stationary array do with each tile of a layer, axis by axis."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.row_stationary import (
    RowLayer,
    RowPass,
    choose_pass,
    count_sum_words,
    count_weight_words,
    read_rows,
    row_layer,
    take_steps,
)
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.mapping.tile import PassMapping, Tile
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]


class PassTables(NamedTuple):
    """What the cycles of each tile depend on.

    Attributes
    ----------
    beats
        int64[n], for each tile of pixels: times that a PE goes on to another output, over all
        images and strips.
    ifm_words
        int64[n], for each tile of pixels: words that one filter pass reads of one channel.
    filter_passes, filter_steps
        int64[n], for each tile of filters: passes, and filters that a PE takes in all of them.
    psum_words, ofm_words
        int64[n], for each tile of filters: words of the sums, and of the outputs, at one
        position.
    channel_passes, channel_steps
        The same of channels.
    weight_words
        int64[n], for each tile of channels: words of the weights of one filter.
    row_folds
        Passes in which an array of few rows takes the rows of a filter.
    filter_cols
        Products of a PE for one output, one channel and one filter.
    chain
        PEs that a sum runs through in one pass.
    first_weights
        Weights that the first pass waits for.
    """

    beats: Counts
    ifm_words: Counts
    filter_passes: Counts
    filter_steps: Counts
    psum_words: Counts
    ofm_words: Counts
    channel_passes: Counts
    channel_steps: Counts
    weight_words: Counts
    row_folds: int
    filter_cols: int
    chain: int
    first_weights: int


def ifm_row_words(nest: LoopNest, hardware: HardwareConfig, output_cols: Counts) -> Counts:
    """Count the port words of an ifm row that so many output columns read, padding included.

    From the first column to the last that some output reads; those of each output by
    themselves where that is less.
    """
    stride, dilation, taps = nest.stride[1], nest.dilation[1], nest.filter_cols
    read = np.minimum(output_cols * taps, (output_cols - 1) * stride + (taps - 1) * dilation + 1)
    words: Counts = -(-read * stored_bits(nest, hardware).ifm // hardware.buffers.ifm.port_bits)
    return words


def map_passes(nest: LoopNest, hardware: HardwareConfig, tile: Tile) -> PassMapping:
    """Show the passes of a layer, which follow from its largest tile."""
    (ifm_words,) = ifm_row_words(nest, hardware, np.array([tile.output_cols]))
    shape = choose_pass(
        row_layer(nest, hardware),
        tile.output_rows,
        tile.output_cols,
        ifm_words,
        tile.filters,
        tile.channels,
    )
    in_strips = min(tile.output_rows, shape.strip_rows * shape.strips)
    return PassMapping(
        filter_rows=shape.filter_rows,
        strip_rows=shape.strip_rows,
        row_sets=shape.strips,
        filters_per_pe=shape.filters,
        filter_sets=shape.filter_sets,
        channels_per_pe=shape.channels,
        channel_sets=shape.channel_sets,
        mapped_pes=shape.filter_rows * in_strips * shape.filter_sets * shape.channel_sets,
    )


def pass_tables(
    nest: LoopNest,
    hardware: HardwareConfig,
    *,
    images: Counts,
    output_rows: Counts,
    output_cols: Counts,
    filters: Counts,
    channels: Counts,
) -> PassTables:
    """Tell what passes do with the tiles of a layer.

    Parameters
    ----------
    images, output_rows, output_cols, filters, channels
        int64[n], extents of the pieces that tiles combine, the largest first.
    """
    layer, bits, buffers = row_layer(nest, hardware), stored_bits(nest, hardware), hardware.buffers
    ifm_words = ifm_row_words(nest, hardware, output_cols)
    shape = choose_pass(
        layer, output_rows[0], output_cols[0], ifm_words[0], filters[0], channels[0]
    )
    beats, all_ifm_words = (
        np.empty(len(images) * len(output_rows) * len(output_cols), np.int64) for _ in range(2)
    )
    of_filters = np.empty((4, len(filters)), np.int64)
    of_channels = np.empty((3, len(channels)), np.int64)
    _fill_pixels(layer, shape, images, output_rows, output_cols, ifm_words, beats, all_ifm_words)
    _fill_filters(layer, shape, filters, bits.ofm, buffers.ofm.port_bits, of_filters)
    _fill_channels(layer, shape, channels, bits.weight, buffers.weights.port_bits, of_channels)
    filter_passes, filter_steps, psum_words, ofm_words = of_filters
    channel_passes, channel_steps, weight_words = of_channels
    in_column = min(shape.channel_sets, -(-int(channels[0]) // shape.channels))
    at_once = min(int(filters[0]), shape.filters * shape.filter_sets)
    at_once *= min(int(channels[0]), shape.channels * shape.channel_sets)
    return PassTables(
        beats=beats,
        ifm_words=all_ifm_words,
        filter_passes=filter_passes,
        filter_steps=filter_steps,
        psum_words=psum_words,
        ofm_words=ofm_words,
        channel_passes=channel_passes,
        channel_steps=channel_steps,
        weight_words=weight_words,
        row_folds=-(-layer.filter_rows // shape.filter_rows),
        filter_cols=layer.filter_cols,
        chain=shape.filter_rows * in_column,
        first_weights=at_once * shape.filter_rows * layer.filter_cols,
    )


@jit
def _fill_pixels(
    layer: RowLayer,
    shape: RowPass,
    images: Counts,
    output_rows: Counts,
    output_cols: Counts,
    ifm_words: Counts,
    all_beats: Counts,
    all_ifm_words: Counts,
) -> None:
    """Fill beats and words of the ifm of each tile of pixels."""
    strips = shape.strip_rows * shape.strips
    number = 0
    for image in range(len(images)):
        for row in range(len(output_rows)):
            reads = read_rows(layer, shape, output_rows[row])
            beats = images[image] * -(-output_rows[row] // strips)
            for col in range(len(output_cols)):
                all_beats[number] = beats * output_cols[col]
                all_ifm_words[number] = images[image] * reads * ifm_words[col]
                number += 1


@jit
def _fill_filters(
    layer: RowLayer,
    shape: RowPass,
    filters: Counts,
    ofm_bits: int,
    ofm_port_bits: int,
    table: Counts,
) -> None:
    """Fill passes and steps along filters, and words of sums and outputs."""
    for tile in range(len(filters)):
        steps = take_steps(filters[tile], shape.filters, shape.filter_sets)
        table[0, tile], table[1, tile] = steps.passes, steps.of_pe
        table[2, tile] = count_sum_words(
            filters[tile], shape.filters, layer.psum_bits, layer.psum_port_bits
        )
        table[3, tile] = count_sum_words(filters[tile], shape.filters, ofm_bits, ofm_port_bits)


@jit
def _fill_channels(
    layer: RowLayer,
    shape: RowPass,
    channels: Counts,
    weight_bits: int,
    weight_port_bits: int,
    table: Counts,
) -> None:
    """Fill passes and steps along channels, and words of weights."""
    for tile in range(len(channels)):
        steps = take_steps(channels[tile], shape.channels, shape.channel_sets)
        table[0, tile], table[1, tile] = steps.passes, steps.of_pe
        table[2, tile] = count_weight_words(
            layer, shape, channels[tile], weight_bits, weight_port_bits
        )
