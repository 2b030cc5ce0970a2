"""Where the tensors of a layer lie in DRAM, and how they are cut into tiles.

A feature map lies as ``[N, K, P, Q]``, its groups one after another in ``K``, and so do
partial sums; weights lie as ``[K, C, R, S]``; biases, and second operands that all outputs
of a group share, one after another. Elements are packed without gaps. The code of a map takes the
place of its elements, and is taken to be equally long everywhere. Every tensor begins with a row
of all channels of DRAM.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.mapping.coded_maps import AS_THEY_ARE, CodedMaps
from accel_sim.mapping.input_extent import list_positions
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.stored_bits import StoredBits
from accel_sim.mapping.tile import Tile
from accel_sim.mapping.tile_space import col_axis, row_axis
from accel_sim.timing.code_length import CodeLength, code_length, count_coded

Counts = NDArray[np.int64]


class Operand(NamedTuple):
    """First bit of a tensor, bits of one of its elements, and what is stored of these."""

    base: int
    bits: int
    code: CodeLength


class TileAddresses(NamedTuple):
    """Tensors and tiles of one layer.

    Attributes
    ----------
    batch, groups, filters, channels, output_rows, output_cols, input_rows, input_cols
        Extents of the layer.
    tile_batch, tile_groups, tile_filters, tile_channels, tile_rows, tile_cols
        Extents of a tile that no edge cuts.
    filter_weights, channel_weights
        Weights of a filter; and those that `blocks` filters have for a channel.
    row_tiles, col_tiles
        Tiles along the rows, and along the columns, of a map.
    end
        First bit behind all tensors.
    """

    batch: int
    groups: int
    filters: int
    channels: int
    output_rows: int
    output_cols: int
    input_rows: int
    input_cols: int
    tile_batch: int
    tile_groups: int
    tile_filters: int
    tile_channels: int
    tile_rows: int
    tile_cols: int
    filter_weights: int
    channel_weights: int
    blocks: int
    shares_residual: bool
    row_tiles: int
    col_tiles: int
    ifm: Operand
    residual: Operand
    weights: Operand
    biases: Operand
    psum: Operand
    ofm: Operand
    end: int


class TilePositions(NamedTuple):
    """What the tiles of one layer read of a plane of the ifm.

    Attributes
    ----------
    row_begin, row_place
        `Positions` of the rows.
    first_col, n_cols
        int64[n], columns by tile along these.
    """

    row_begin: Counts
    row_place: Counts
    first_col: Counts
    n_cols: Counts


def tile_positions(nest: LoopNest, tile: Tile) -> TilePositions:
    """Find what the tiles of a layer read of a plane of the ifm."""
    rows = list_positions(row_axis(nest), tile.output_rows)
    cols = list_positions(col_axis(nest), tile.output_cols)
    n_cols, first_col = np.zeros((2, len(cols.begin) - 1), np.int64)
    for number, (begin, end) in enumerate(zip(cols.begin, cols.begin[1:], strict=False)):
        if end > begin:
            first_col[number] = cols.place[begin]
            n_cols[number] = cols.place[end - 1] + 1 - first_col[number]
    return TilePositions(
        row_begin=rows.begin, row_place=rows.place, first_col=first_col, n_cols=n_cols
    )


def tile_addresses(
    nest: LoopNest,
    tile: Tile,
    bits: StoredBits,
    row_bits: int,
    coded: CodedMaps = AS_THEY_ARE,
) -> TileAddresses:
    """Place the tensors of a layer, and cut them into tiles.

    Parameters
    ----------
    row_bits
        Of DRAM, all channels together.
    """
    filter_weights = nest.channels * nest.channel_weights // nest.blocks
    maps = nest.batch * nest.groups
    n_filters = nest.groups * nest.filters
    inputs = nest.channels * nest.input_rows * nest.input_cols
    plain = code_length(Fraction(1))
    sizes = (
        (maps * inputs, bits.ifm, code_length(coded.ifm)),
        (nest.residual_elements, bits.residual, code_length(coded.residual)),
        (n_filters * filter_weights, bits.weight, plain),
        (n_filters, bits.bias, plain),
        (nest.outputs, bits.psum, plain),
        (nest.outputs, bits.ofm, code_length(coded.ofm)),
    )
    bases = [0]
    for elements, element_bits, code in sizes:
        stored = count_coded.py_func(code, elements * element_bits)
        bases.append(bases[-1] + -(-stored // row_bits) * row_bits)
    ifm, residual, weights, biases, psum, ofm = (
        Operand(base=base, bits=element_bits, code=code)
        for base, (_, element_bits, code) in zip(bases, sizes, strict=False)
    )
    return TileAddresses(
        batch=nest.batch,
        groups=nest.groups,
        filters=nest.filters,
        channels=nest.channels,
        output_rows=nest.output_rows,
        output_cols=nest.output_cols,
        input_rows=nest.input_rows,
        input_cols=nest.input_cols,
        tile_batch=tile.batch,
        tile_groups=tile.groups,
        tile_filters=tile.filters,
        tile_channels=tile.channels,
        tile_rows=tile.output_rows,
        tile_cols=tile.output_cols,
        filter_weights=filter_weights,
        channel_weights=nest.channel_weights,
        blocks=nest.blocks,
        shares_residual=nest.shares_residual,
        row_tiles=-(-nest.output_rows // tile.output_rows),
        col_tiles=-(-nest.output_cols // tile.output_cols),
        ifm=ifm,
        residual=residual,
        weights=weights,
        biases=biases,
        psum=psum,
        ofm=ofm,
        end=bases[-1],
    )


def most_runs(addresses: TileAddresses, positions: TilePositions) -> int:
    """Bound the runs that one operand of a tile has, a second operand included."""
    in_rows = int(np.diff(positions.row_begin).max())
    filters = addresses.tile_groups * addresses.tile_filters
    images = addresses.tile_groups * addresses.tile_batch
    ifm = images * (addresses.tile_channels * in_rows + addresses.tile_rows)
    return max(ifm + addresses.tile_groups, images * addresses.tile_filters * addresses.tile_rows,
               2 * filters)  # fmt: skip
