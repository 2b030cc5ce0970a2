"""What a tiled loop nest accesses: the only source of counts.

Everything is a whole number of bits, port words or folds, in closed form and for many
tiles at once. Ragged edges and halos are exact; totals are rounded up to bytes and words
once per layer, not per tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.buffers import Buffers
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.array_counts import count_array
from accel_sim.mapping.buffer_needs import most_kept_weight_bits
from accel_sim.mapping.lane_counts import count_lanes
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.pass_counts import count_passes
from accel_sim.mapping.stored_bits import BITS_PER_BYTE, moved_bits
from accel_sim.mapping.tile import LOOP_NUMBERS, Loop, LoopOrder
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.mapping.traffic import Accesses, BufferAccesses, DramBytes

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileCounts:
    """Counts of one layer for each of ``n`` tiles, whatever the loop order; int64[n] each.

    Attributes
    ----------
    group_tiles, pixel_tiles, filter_tiles, channel_tiles
        Number of tiles of each loop.
    row_folds, col_folds
        Folds along rows and columns of the array, summed over the tiles of one group; 0
        off the array.
    ifm_bits, residual_bits, weight_bits, psum_bits, ofm_bits
        Of all tiles of an operand, each brought in or taken away once.
    ifm_reads, weight_reads, psum_reads, psum_writes, ofm_writes
        Words through buffer ports on the array's side.
    drained_psums
        Sums that leave the array, finished or not.
    keeps_weights
        bool[n], whether weights stay in their buffer until other ones are needed.
    """

    group_tiles: Counts
    pixel_tiles: Counts
    filter_tiles: Counts
    channel_tiles: Counts
    row_folds: Counts
    col_folds: Counts
    ifm_bits: Counts
    residual_bits: Counts
    weight_bits: Counts
    psum_bits: Counts
    ofm_bits: Counts
    ifm_reads: Counts
    weight_reads: Counts
    psum_reads: Counts
    psum_writes: Counts
    ofm_writes: Counts
    drained_psums: Counts
    keeps_weights: NDArray[np.bool_]

    @property
    def steps(self) -> Counts:
        """Tiles of the whole layer."""
        return self.group_tiles * self.pixel_tiles * self.filter_tiles * self.channel_tiles

    def cut_loops(self) -> Counts:
        """Find the loops that run more than once: a bit for each, by its number; int64[n]."""
        cut = np.zeros(len(self.group_tiles), np.int64)
        for loop, number in LOOP_NUMBERS.items():
            cut |= (self.trips(loop) > 1).astype(np.int64) << number
        return cut

    def trips(self, loop: Loop) -> Counts:
        """Return the number of tiles of one loop."""
        match loop:
            case Loop.GROUPS:
                return self.group_tiles
            case Loop.PIXELS:
                return self.pixel_tiles
            case Loop.FILTERS:
                return self.filter_tiles
            case Loop.CHANNELS:
                return self.channel_tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class DramBits:
    """Bits over the DRAM bus for each of ``n`` tiles under one loop order; int64[n] each."""

    ifm_read: Counts
    weights_read: Counts
    residual_read: Counts
    psum_read: Counts
    psum_write: Counts
    ofm_write: Counts

    @property
    def read(self) -> Counts:
        """All bits read."""
        return self.ifm_read + self.weights_read + self.residual_read + self.psum_read

    @property
    def write(self) -> Counts:
        """All bits written."""
        return self.psum_write + self.ofm_write


def count_tiles(
    nest: LoopNest,
    hardware: HardwareConfig,
    space: TileSpace,
    *,
    words_span_folds: bool = False,
) -> TileCounts:
    """Count what a layer accesses, for each tile of a space.

    Parameters
    ----------
    words_span_folds
        See `count_array`.
    """
    groups, batch, rows, cols, filters, channels = space.feasible.T
    bits = moved_bits(nest, hardware)
    input_rows = np.array([cut.touched.sum() for cut in space.rows])[rows]
    input_cols = np.array([cut.span.sum() for cut in space.cols])[cols]
    ifm = nest.batch * nest.groups * nest.channels * input_rows * input_cols
    of_filter = nest.channels * nest.channel_weights // nest.blocks * bits.weight + bits.bias
    weights = nest.groups * nest.filters * of_filter
    of_tile = space.groups[groups] * space.filters[filters] * space.channels[channels]
    of_tile = of_tile * nest.channel_weights * bits.weight
    outputs = np.full(len(groups), nest.outputs)
    pixel_tiles = (
        -(-nest.batch // space.batch[batch])
        * np.array([len(cut.outputs) for cut in space.rows])[rows]
        * np.array([len(cut.outputs) for cut in space.cols])[cols]
    )
    filter_tiles = -(-nest.filters // space.filters[filters])
    if nest.kind is not Kind.MAC:
        array = count_lanes(nest, hardware, ifm, pixel_tiles, filter_tiles)
    elif array_axes(hardware.mac_array.dataflow).has_passes:
        array = count_passes(nest, hardware, space, words_span_folds=words_span_folds)
    else:
        array = count_array(nest, hardware, space, words_span_folds=words_span_folds)
    return TileCounts(
        group_tiles=-(-nest.groups // space.groups[groups]),
        pixel_tiles=pixel_tiles,
        filter_tiles=filter_tiles,
        channel_tiles=-(-nest.channels // space.channels[channels]),
        row_folds=array.row_folds,
        col_folds=array.col_folds,
        ifm_bits=ifm * bits.ifm,
        residual_bits=np.full(len(groups), nest.residual_elements * bits.residual),
        weight_bits=np.full(len(groups), weights),
        psum_bits=outputs * bits.psum,
        ofm_bits=outputs * bits.ofm,
        ifm_reads=array.ifm_reads,
        weight_reads=array.weight_reads,
        psum_reads=array.psum,
        psum_writes=array.psum,
        ofm_writes=array.ofm_writes,
        drained_psums=outputs * array.sum_parts,
        keeps_weights=of_tile <= most_kept_weight_bits(hardware),
    )


def count_dram_bits(tiles: TileCounts, loop_order: LoopOrder) -> DramBits:
    """Bits over the DRAM bus when the loops over tiles run in some order."""
    bits = count_dram_bits_by_order(tiles, (loop_order,))
    return DramBits(**{each.name: getattr(bits, each.name)[0] for each in fields(DramBits)})


def count_dram_bits_by_order(tiles: TileCounts, loop_orders: Sequence[LoopOrder]) -> DramBits:
    """Bits over the DRAM bus under each of some orders; int64[order, n] each."""
    cut = tiles.cut_loops()
    weight_visits = np.where(
        tiles.keeps_weights,
        _count_visits(tiles, cut, loop_orders, Loop.PIXELS),
        tiles.trips(Loop.PIXELS),
    )
    sum_visits = _count_visits(tiles, cut, loop_orders, Loop.CHANNELS)
    spills = tiles.psum_bits * (sum_visits - 1)
    return DramBits(
        ifm_read=tiles.ifm_bits * _count_visits(tiles, cut, loop_orders, Loop.FILTERS),
        weights_read=tiles.weight_bits * weight_visits,
        residual_read=np.broadcast_to(tiles.residual_bits, spills.shape),
        psum_read=spills,
        psum_write=spills,
        ofm_write=np.broadcast_to(tiles.ofm_bits, spills.shape),
    )


def total_dram_bytes(bits: DramBits, index: int) -> DramBytes:
    """Bytes of one of the tiles, each operand rounded up once."""

    def to_bytes(counts: Counts) -> int:
        return -(-int(counts[index]) // BITS_PER_BYTE)

    return DramBytes(
        ifm_read=to_bytes(bits.ifm_read),
        weights_read=to_bytes(bits.weights_read),
        residual_read=to_bytes(bits.residual_read),
        psum_read=to_bytes(bits.psum_read),
        psum_write=to_bytes(bits.psum_write),
        ofm_write=to_bytes(bits.ofm_write),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferWords:
    """Words read from and written to each buffer for each of ``n`` tiles; int64[n] each."""

    ifm_reads: Counts
    ifm_writes: Counts
    weight_reads: Counts
    weight_writes: Counts
    psum_reads: Counts
    psum_writes: Counts
    ofm_reads: Counts
    ofm_writes: Counts


def count_buffer_words(tiles: TileCounts, bits: DramBits, buffers: Buffers) -> BufferWords:
    """Add up the words of the array's side and of DRAM's.

    Partial sums that live in the ofm buffer are counted there.
    """
    psum_port, ofm_port = buffers.psum_memory.port_bits, buffers.ofm.port_bits
    psum_reads = tiles.psum_reads + -(-bits.psum_write // psum_port)
    psum_writes = tiles.psum_writes + -(-bits.psum_read // psum_port)
    ofm_reads, ofm_writes = -(-bits.ofm_write // ofm_port), tiles.ofm_writes
    if buffers.psum == "in_ofm":
        ofm_reads, psum_reads = ofm_reads + psum_reads, np.zeros_like(psum_reads)
        ofm_writes, psum_writes = ofm_writes + psum_writes, np.zeros_like(psum_writes)
    return BufferWords(
        ifm_reads=tiles.ifm_reads,
        ifm_writes=-(-(bits.ifm_read + bits.residual_read) // buffers.ifm.port_bits),
        weight_reads=tiles.weight_reads,
        weight_writes=-(-bits.weights_read // buffers.weights.port_bits),
        psum_reads=psum_reads,
        psum_writes=psum_writes,
        ofm_reads=ofm_reads,
        ofm_writes=ofm_writes,
    )


def total_buffer_accesses(words: BufferWords, index: int) -> BufferAccesses:
    """Pick the accesses of one of the tiles."""

    def accesses(reads: Counts, writes: Counts) -> Accesses:
        return Accesses(reads=int(reads[index]), writes=int(writes[index]))

    return BufferAccesses(
        ifm=accesses(words.ifm_reads, words.ifm_writes),
        weights=accesses(words.weight_reads, words.weight_writes),
        psum=accesses(words.psum_reads, words.psum_writes),
        ofm=accesses(words.ofm_reads, words.ofm_writes),
    )


def _count_visits(
    tiles: TileCounts, cut: Counts, loop_orders: Sequence[LoopOrder], independent: Loop
) -> Counts:
    """How often each tile of an operand is brought in that does not depend on one loop.

    Once per trip of that loop if a loop inside it runs more than once: then other tiles
    of the operand come in between. Otherwise the tile stays.

    Parameters
    ----------
    cut
        int64[n], sets of loops that run more than once.

    Returns
    -------
    int64[order, n]
    """
    inside = np.array([
        sum(1 << LOOP_NUMBERS[loop] for loop in order[order.index(independent) + 1 :])
        for order in loop_orders
    ])  # fmt: skip
    visits: Counts = np.where(cut & inside[:, np.newaxis], tiles.trips(independent), 1)
    return visits
