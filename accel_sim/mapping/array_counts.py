"""How the array uses the buffers: folds and port words, in closed form."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_axes import array_axes, count_filter_places, lay_out_reduction
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.mapping.tile import Loop
from accel_sim.mapping.tile_space import TileSpace

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayCounts:
    """Folds, and port words on the array's side, for each of ``n`` tiles; int64[n] each.

    Attributes
    ----------
    row_folds, col_folds
        Along rows and columns of the array, summed over the tiles of one group.
    psum
        Words written to keep partial sums, and as many read to go on with them.
    sum_parts
        Times that each output leaves the array, finished or not.
    """

    row_folds: Counts
    col_folds: Counts
    ifm_reads: Counts
    weight_reads: Counts
    psum: Counts
    ofm_writes: Counts
    sum_parts: Counts


def count_array(
    nest: LoopNest,
    hardware: HardwareConfig,
    space: TileSpace,
    *,
    words_span_folds: bool = False,
) -> ArrayCounts:
    """Count what the array takes from and gives to the buffers.

    Parameters
    ----------
    words_span_folds
        True for a bound: as if words were full, which no cut of a tile could then save.
    """
    words = full_words if words_span_folds else fold_words
    bits = stored_bits(nest, hardware)
    buffers = hardware.buffers
    array = hardware.mac_array
    axes = array_axes(array.dataflow)
    _, _, _, _, filters, channels = space.feasible.T
    layout = lay_out_reduction(nest, axes)
    pieces = {
        Loop.PIXELS: _pixel_pieces(nest, space),
        Loop.FILTERS: _cut_pieces(
            nest.filters, space.filters, partial(count_filter_places, nest), filters
        ),
        Loop.CHANNELS: _cut_pieces(
            nest.channels // layout.blocks_apart,
            space.channels // layout.blocks_apart,
            layout.count_places,
            channels,
        ),
    }
    in_rows, in_cols, in_time = (pieces[loop] for loop in (axes.rows, axes.cols, axes.time))
    row_folds = layout.taps_in_turn * _sum_pieces(
        in_rows, lambda sizes: count_folds(sizes, array.rows)
    )
    col_folds = _sum_pieces(in_cols, lambda sizes: count_folds(sizes, array.cols))
    used_rows = layout.taps_in_turn * _sum_pieces(in_rows, np.array)
    steps = _sum_pieces(in_time, np.array)

    def row_words(operand_bits: int, port_bits: int, blocks: int = 1) -> Counts:
        return layout.taps_in_turn * _sum_pieces(
            in_rows, lambda sizes: words(sizes // blocks, array.rows, operand_bits, port_bits)
        )

    def col_words(operand_bits: int, port_bits: int, blocks: int = 1) -> Counts:
        return _sum_pieces(
            in_cols, lambda sizes: words(sizes // blocks, array.cols, operand_bits, port_bits)
        )

    row_trips = nest.groups * steps * col_folds
    if axes.keeps_sums:
        # Both operands stream; sums leave fold by fold.
        col_trips = nest.groups * steps * row_folds
        sums, sum_parts = nest.groups * used_rows, _sum_pieces(in_time, np.ones_like)
    else:
        # One operand is loaded, row by row; a sum leaves in as many parts as row folds.
        col_trips = nest.groups * used_rows * _sum_pieces(in_time, np.ones_like)
        sums, sum_parts = nest.groups * steps, row_folds
    # A processing element takes its operands, and gives its sums, all at once.
    products, sums_at_once = layout.products_per_pe, nest.filters_per_pe
    ifm = (bits.ifm * products, buffers.ifm.port_bits)
    # Zeros off a diagonal are in no memory: a word brings the weights of one block.
    weights = (
        bits.weight * products * sums_at_once, buffers.weights.port_bits, layout.blocks_together
    )  # fmt: skip
    if layout.blocks_apart > 1:
        # A row takes an operand for each block, of which one fold holds all.
        ifm_reads = row_trips * used_rows * -(-nest.blocks * ifm[0] // ifm[1])
        weight_reads = col_trips * col_words(*weights)
    elif axes.cols is Loop.PIXELS:
        ifm_reads, weight_reads = col_trips * col_words(*ifm), row_trips * row_words(*weights)
    else:
        ifm_reads, weight_reads = row_trips * row_words(*ifm), col_trips * col_words(*weights)
    return ArrayCounts(
        row_folds=row_folds,
        col_folds=col_folds,
        ifm_reads=ifm_reads,
        weight_reads=weight_reads,
        psum=sums
        * (sum_parts - 1)
        * col_words(bits.psum * sums_at_once, buffers.psum_memory.port_bits),
        ofm_writes=sums * col_words(bits.ofm * sums_at_once, buffers.ofm.port_bits),
        sum_parts=sum_parts,
    )


def cut_evenly(extent: int, size: int) -> Counts:
    """Sizes of the pieces of an extent, the last perhaps smaller."""
    sizes = np.full(-(-extent // size), size)
    sizes[-1] = extent - (len(sizes) - 1) * size
    return sizes


def count_folds(elements: Counts, lanes: int) -> Counts:
    """Folds that elements take on an axis of the array."""
    return -(-elements // lanes)


def fold_words(elements: Counts, lanes: int, bits: int, port_bits: int) -> Counts:
    """Words that bring one operand to each of `elements` lanes, fold by fold.

    A word never spans two folds.
    """
    whole, rest = np.divmod(elements, lanes)
    words: Counts = whole * -(-lanes * bits // port_bits) + -(-rest * bits // port_bits)
    return words


def full_words(elements: Counts, lanes: int, bits: int, port_bits: int) -> Counts:
    """Words that hold one operand for each of `elements` lanes, if folds share words."""
    del lanes
    return -(-elements * bits // port_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """Pieces that an extent is cut into, in each of ``m`` ways.

    All pieces but the last are equal along an axis, so that there are few sizes.

    Attributes
    ----------
    sizes, counts
        int64[m] for each size of pieces.
    way
        int64[n], in which way each candidate is cut; many are cut alike.
    """

    sizes: list[Counts]
    counts: list[Counts]
    way: Counts


def _pixel_pieces(nest: LoopNest, space: TileSpace) -> _Pieces:
    """Output pixels of the pieces of each candidate: along batch, rows and cols."""
    _, batch, rows, cols, _, _ = space.feasible.T
    # Candidates stand in order, so those that are cut alike mostly stand together.
    is_new = np.ones(len(batch), np.bool_)
    is_new[1:] = (np.diff(batch) != 0) | (np.diff(rows) != 0) | (np.diff(cols) != 0)
    axes = (
        (nest.batch, space.batch[batch[is_new]]),
        (nest.output_rows, np.array([cut.outputs[0] for cut in space.rows])[rows[is_new]]),
        (nest.output_cols, np.array([cut.outputs[0] for cut in space.cols])[cols[is_new]]),
    )
    one = np.ones(int(is_new.sum()), np.int64)
    pieces = [(one, one)]
    for extent, size in axes:
        whole = -(-extent // size) - 1
        pieces = [
            (sizes * its_size, counts * its_count)
            for sizes, counts in pieces
            for its_size, its_count in ((size, whole), (extent - whole * size, 1))
        ]
    return _Pieces(
        sizes=[sizes for sizes, _ in pieces],
        counts=[counts for _, counts in pieces],
        way=np.cumsum(is_new) - 1,
    )


def _cut_pieces(
    extent: int, size: Counts, count_places: Callable[[Counts], Counts], way: Counts
) -> _Pieces:
    """Pieces of an extent along one axis, in the places that they take there."""
    whole = -(-extent // size) - 1
    return _Pieces(
        sizes=[count_places(size), count_places(extent - whole * size)],
        counts=[whole, np.ones_like(size)],
        way=way,
    )


def _sum_pieces(pieces: _Pieces, count: Callable[[Counts], Counts]) -> Counts:
    """Add up what is counted of each piece, for every candidate."""
    total = np.zeros_like(pieces.sizes[0])
    for size, times in zip(pieces.sizes, pieces.counts, strict=True):
        total += times * count(size)
    return total[pieces.way]
