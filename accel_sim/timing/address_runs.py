"""What a tile moves, as runs of neighbouring bits in DRAM.

Each function appends runs ``(first bit, bits, direction)`` to an array, int64[n, 3], in the
order of their addresses; neighbours become one run. It returns how many there are then.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.timing.code_length import count_coded
from accel_sim.timing.dram_windows import READS
from accel_sim.timing.tensor_layout import Operand, TileAddresses, TilePositions
from accel_sim.timing.tile_walk import CHANNELS, FILTERS, GROUPS, PIXELS
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]


class TilePlace(NamedTuple):
    """Where a tile begins along each dimension, and behind which position it ends."""

    image: int
    images: int
    group: int
    groups: int
    filter: int
    filters: int
    channel: int
    channels: int
    row: int
    rows: int
    col: int
    cols: int
    row_tile: int
    col_tile: int


@jit
def place_tile(addresses: TileAddresses, index: Counts) -> TilePlace:
    """Find a tile by its number along each loop, int64[4]."""
    row_tiles, col_tiles = addresses.row_tiles, addresses.col_tiles
    col_tile = index[PIXELS] % col_tiles
    row_tile = index[PIXELS] // col_tiles % row_tiles
    image = index[PIXELS] // (col_tiles * row_tiles) * addresses.tile_batch
    group = index[GROUPS] * addresses.tile_groups
    first_filter = index[FILTERS] * addresses.tile_filters
    channel = index[CHANNELS] * addresses.tile_channels
    row, col = row_tile * addresses.tile_rows, col_tile * addresses.tile_cols
    return TilePlace(
        image, min(image + addresses.tile_batch, addresses.batch),
        group, min(group + addresses.tile_groups, addresses.groups),
        first_filter, min(first_filter + addresses.tile_filters, addresses.filters),
        channel, min(channel + addresses.tile_channels, addresses.channels),
        row, min(row + addresses.tile_rows, addresses.output_rows),
        col, min(col + addresses.tile_cols, addresses.output_cols),
        row_tile, col_tile,
    )  # fmt: skip


@jit
def add_ifm(
    addresses: TileAddresses,
    positions: TilePositions,
    place: TilePlace,
    runs: Counts,
    n_runs: int,
) -> int:
    """Append what a tile reads of the ifm; padding is not read."""
    rows, cols = addresses.input_rows, addresses.input_cols
    tensor = addresses.ifm
    row_place = positions.row_place
    begin = positions.row_begin[place.row_tile]
    end = positions.row_begin[place.row_tile + 1]
    first_col = positions.first_col[place.col_tile]
    run_bits = positions.n_cols[place.col_tile] * tensor.bits
    if run_bits == 0:
        return n_runs
    for image in range(place.image, place.images):
        for group in range(place.group, place.groups):
            for channel in range(place.channel, place.channels):
                plane = (image * addresses.groups + group) * addresses.channels + channel
                for row in range(begin, end):
                    first = (plane * rows + row_place[row]) * cols + first_col
                    n_runs = _add_run(runs, n_runs, tensor, first * tensor.bits, run_bits, READS)
    return n_runs


@jit
def add_residual(
    addresses: TileAddresses, place: TilePlace, is_new_group: bool, runs: Counts, n_runs: int
) -> int:
    """Append what a tile reads of the second operand.

    Parameters
    ----------
    is_new_group
        Whether the tile before had other groups.
    """
    tensor = addresses.residual
    if tensor.bits == 0:
        return n_runs
    total = n_runs
    if not addresses.shares_residual:
        total = _add_planes(addresses, place, tensor, 1, 0, 1, READS, runs, n_runs)
    elif is_new_group:
        n_bits = (place.groups - place.group) * tensor.bits
        total = _add_run(runs, n_runs, tensor, place.group * tensor.bits, n_bits, READS)
    return total


@jit
def add_weights(addresses: TileAddresses, place: TilePlace, runs: Counts, n_runs: int) -> int:
    """Append a tile's weights, and its biases if it has the last channels."""
    tensor = addresses.weights
    channel_weights, blocks = addresses.channel_weights, addresses.blocks
    first_weight = place.channel * channel_weights // blocks
    run_bits = (place.channels - place.channel) * channel_weights // blocks * tensor.bits
    for group in range(place.group, place.groups):
        for each in range(place.filter, place.filters):
            number = group * addresses.filters + each
            first = number * addresses.filter_weights + first_weight
            n_runs = _add_run(runs, n_runs, tensor, first * tensor.bits, run_bits, READS)
    tensor = addresses.biases
    if tensor.bits == 0 or place.channels < addresses.channels:
        return n_runs
    run_bits = (place.filters - place.filter) * tensor.bits
    for group in range(place.group, place.groups):
        first = group * addresses.filters + place.filter
        n_runs = _add_run(runs, n_runs, tensor, first * tensor.bits, run_bits, READS)
    return n_runs


@jit
def add_outputs(
    addresses: TileAddresses,
    place: TilePlace,
    tensor: Operand,
    direction: int,
    runs: Counts,
    n_runs: int,
) -> int:
    """Append a tile's outputs, finished (ofm) or not (psum), to be read or to be written."""
    total: int = _add_planes(
        addresses, place, tensor, addresses.filters, place.filter, place.filters, direction,
        runs, n_runs,
    )  # fmt: skip
    return total


@jit
def _add_planes(
    addresses: TileAddresses,
    place: TilePlace,
    tensor: Operand,
    filters: int,
    first_filter: int,
    end_filter: int,
    direction: int,
    runs: Counts,
    n_runs: int,
) -> int:
    rows, cols = addresses.output_rows, addresses.output_cols
    run_bits = (place.cols - place.col) * tensor.bits
    for image in range(place.image, place.images):
        for group in range(place.group, place.groups):
            for each in range(first_filter, end_filter):
                plane = (image * addresses.groups + group) * filters + each
                for row in range(place.row, place.rows):
                    first = ((plane * rows + row) * cols + place.col) * tensor.bits
                    n_runs = _add_run(runs, n_runs, tensor, first, run_bits, direction)
    return n_runs


@jit
def _add_run(
    runs: Counts, n_runs: int, tensor: Operand, offset: int, bits: int, direction: int
) -> int:
    """Append a run, or lengthen the one before it that ends where it begins.

    Parameters
    ----------
    offset
        From the beginning of the tensor, in bits of its elements. A bit of its code that holds
        the end of one run and the beginning of the next is in both.
    """
    first = tensor.base + offset
    end = first + bits
    if tensor.code.coded != tensor.code.plain:
        first = tensor.base + offset * tensor.code.coded // tensor.code.plain
        end = tensor.base + count_coded(tensor.code, offset + bits)
    last = n_runs - 1
    if n_runs > 0 and runs[last, 2] == direction:
        before = runs[last, 0] + runs[last, 1]
        if before - 1 <= first <= before:
            runs[last, 1] = end - runs[last, 0]
            return n_runs
    runs[n_runs, 0] = first
    runs[n_runs, 1] = end - first
    runs[n_runs, 2] = direction
    return n_runs + 1
