"""How the array, or the lanes, use the buffers: folds and port words, in closed form."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.tile_space import TileSpace, stored_bits

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayCounts:
    """Folds, and port words on the array's side, for each of ``n`` tiles; int64[n] each.

    Attributes
    ----------
    pixel_folds, filter_folds
        Along rows and columns of the array, summed over the tiles of one group.
    psum
        Words written to keep partial sums, and as many read to go on with them.
    """

    pixel_folds: Counts
    filter_folds: Counts
    ifm_reads: Counts
    weight_reads: Counts
    psum: Counts
    ofm_writes: Counts


def count_array(
    nest: LoopNest,
    hardware: HardwareConfig,
    space: TileSpace,
    candidates: NDArray[np.int64],
    channel_tiles: Counts,
) -> ArrayCounts:
    """Count what the array, or the lanes, take from and give to the buffers.

    Parameters
    ----------
    candidates
        int64[n], indices into ``space.feasible``.
    channel_tiles
        int64[n], pieces of the reduction.
    """
    bits = stored_bits(nest, hardware)
    buffers = hardware.buffers
    zeros = np.zeros(len(candidates), np.int64)
    if nest.kind is not Kind.MAC:
        elements = nest.outputs * nest.reduction
        reads = -(-elements * bits.ifm // buffers.ifm.port_bits)
        reads += -(-nest.outputs * bits.residual // buffers.ifm.port_bits)
        writes = -(-nest.outputs * bits.ofm // buffers.ofm.port_bits)
        return ArrayCounts(
            ifm_reads=zeros + reads,
            weight_reads=zeros,
            psum=zeros,
            ofm_writes=zeros + writes,
            pixel_folds=zeros,
            filter_folds=zeros,
        )
    array = hardware.mac_array
    filters = space.feasible[candidates, 4]
    pixels = _pixel_pieces(nest, space, candidates)
    pixel_folds = _sum_pieces(pixels, lambda sizes: count_folds(sizes, array.rows))
    pixel_words = _sum_pieces(
        pixels, lambda sizes: fold_words(sizes, array.rows, bits.ifm, buffers.ifm.port_bits)
    )
    filter_sizes = [cut_evenly(nest.filters, int(size)) for size in space.filters]

    def filter_words(operand_bits: int, port_bits: int) -> Counts:
        words = [fold_words(sizes, array.cols, operand_bits, port_bits) for sizes in filter_sizes]
        totals = np.array([piece.sum() for piece in words], np.int64)
        chosen: Counts = totals[filters]
        return chosen

    folds = [count_folds(sizes, array.cols).sum() for sizes in filter_sizes]
    filter_folds = np.array(folds, np.int64)[filters]
    group_products = nest.groups * nest.reduction
    psum_words = filter_words(bits.psum, buffers.psum_memory.port_bits)
    pixels_of_groups = nest.groups * nest.batch * nest.output_rows * nest.output_cols
    return ArrayCounts(
        pixel_folds=pixel_folds,
        filter_folds=filter_folds,
        ifm_reads=group_products * pixel_words * filter_folds,
        weight_reads=group_products
        * pixel_folds
        * filter_words(bits.weight, buffers.weights.port_bits),
        psum=pixels_of_groups * psum_words * (channel_tiles - 1),
        ofm_writes=pixels_of_groups * filter_words(bits.ofm, buffers.ofm.port_bits),
    )


def cut_evenly(extent: int, size: int) -> Counts:
    """Sizes of the pieces of an extent, the last perhaps smaller."""
    return np.minimum(size, extent - np.arange(0, extent, size))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """Equal pieces of every candidate: their size and how many there are; int64[n] each."""

    size: Counts
    count: Counts


def _pixel_pieces(nest: LoopNest, space: TileSpace, candidates: Counts) -> list[_Pieces]:
    """Output pixels of the pieces of each candidate, by size.

    Along batch, rows and cols all pieces but the last are equal, so there are at most
    eight sizes.
    """
    _, batch, rows, cols, _, _ = space.feasible[candidates].T
    axes = (
        (nest.batch, space.batch[batch]),
        (nest.output_rows, np.array([cut.outputs[0] for cut in space.rows])[rows]),
        (nest.output_cols, np.array([cut.outputs[0] for cut in space.cols])[cols]),
    )
    pieces = [_Pieces(size=np.ones_like(batch), count=np.ones_like(batch))]
    for extent, size in axes:
        whole = -(-extent // size) - 1
        pieces = [
            _Pieces(size=piece.size * its_size, count=piece.count * its_count)
            for piece in pieces
            for its_size, its_count in ((size, whole), (extent - whole * size, 1))
        ]
    return pieces


def _sum_pieces(pieces: list[_Pieces], count: Callable[[Counts], Counts]) -> Counts:
    total: Counts = sum(
        (piece.count * count(piece.size) for piece in pieces), np.zeros_like(pieces[0].size)
    )
    return total
