"""Cycles that a layer takes at least, for many tiles at once.

Never above what the schedule takes, so that a search may leave out what the bound rules
out; close to it, because busy time, the first load and the last store are exact for most
machines.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.buffers import OPERANDS, Buffer, OperandName
from accel_sim.hardware.choices import Drain, EdgeTiles, FoldOverlap, Ports
from accel_sim.hardware.config import HardwareConfig, MacArray
from accel_sim.mapping.access_counts import DramBits, TileCounts
from accel_sim.mapping.array_axes import array_axes, count_filter_places, lay_out_reduction
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.stored_bits import moved_bits, stored_bits
from accel_sim.mapping.tile import Loop
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.dram import DramTiming

Counts = NDArray[np.int64]


def bound_busy_cycles(nest: LoopNest, hardware: HardwareConfig, tiles: TileCounts) -> Counts:
    """Cycles for which the tiles compute at least, whatever DRAM does; int64[n].

    The slowest of array, lanes and ports, and the fixed cycles of every tile.
    """
    buffers = hardware.buffers
    lanes = hardware.post_processing.lanes
    if nest.kind is Kind.MAC:
        least = np.maximum(
            _array_cycles(nest, hardware.mac_array, tiles), -(-nest.outputs // lanes)
        )
        networks = hardware.mac_array.networks
        if networks is not None:
            ifm_bits = tiles.ifm_reads * buffers.ifm.port_bits
            least = np.maximum(least, ifm_bits // networks.ifm_bits)
            # Of the sums that leave, those that come back.
            psum_bits = tiles.psum_writes * buffers.psum_memory.port_bits
            least = np.maximum(least, psum_bits // networks.psum_bits)
    else:
        least = np.full_like(tiles.steps, -(-nest.outputs * nest.reduction // lanes))
    none = np.zeros_like(least)
    by_operand: dict[OperandName, tuple[Counts, Counts]] = {
        "ifm": (tiles.ifm_reads, none),
        "weights": (tiles.weight_reads, none),
        "psum": (tiles.psum_reads, tiles.psum_writes),
        "ofm": (none, tiles.ofm_writes),
    }
    for key, memory in buffers.memories.items():
        here = [name for name in OPERANDS if buffers.memory_key(name) == key]
        reads, writes = (sum(by_operand[name][way] for name in here) + none for way in (0, 1))
        least = np.maximum(least, _port_cycles(memory, reads, writes))
    busy: Counts = least + tiles.steps * hardware.mac_array.tile_overhead_cycles
    return busy


def count_read_batches(nest: LoopNest, space: TileSpace, tiles: TileCounts) -> Counts:
    """Batches of reads that a layer waits for at least; int64[n].

    One before each tile that differs in an operand from the tile before: on the array all
    do, on the lanes those that are not the same values written elsewhere. A tile that
    lies in the padding reads nothing, so then only the first batch is sure. Where the ifm
    stays on chip, every tile reads its part of the second operand, or else each that has
    weights of its own reads these.
    """
    if nest.ifm_stays and not nest.reads_residual:
        weight_tiles = tiles.group_tiles * tiles.filter_tiles * tiles.channel_tiles
        return weight_tiles if nest.has_weights else 0 * weight_tiles
    loads = tiles.steps if nest.kind is Kind.MAC else tiles.group_tiles * tiles.pixel_tiles
    return np.where(count_least_inputs(space) > 0, loads, 1)


def count_least_inputs(space: TileSpace) -> Counts:
    """Input positions of the tile that reads the fewest, 0 where one lies in the padding."""
    _, _, rows, cols, _, _ = space.feasible.T
    by_row = np.array([cut.touched.min() for cut in space.rows])
    least: Counts = by_row[rows] * np.array([cut.span.min() for cut in space.cols])[cols]
    return least


def bound_cycles(
    timing: DramTiming,
    busy: Counts,
    edges: Counts,
    batches: Counts,
    moved: DramBits,
    waits: Counts | int = 0,
) -> Counts:
    """Cycles that a layer takes at least; int64[n], or int64[order, n] as `moved`.

    Either all computation and what comes before and after it, or all that DRAM moves and
    its waits.

    Parameters
    ----------
    busy, edges, batches, waits
        int64[n], from `bound_busy_cycles`, `edge_cycles`, `count_read_batches` and
        `count_waits`.
    moved
        Under the loop order in question, or under some.
    """
    read, write = timing.read_cycles_per_bit, timing.write_cycles_per_bit
    stream = moved.read * read.numerator // read.denominator
    stream += moved.write * write.numerator // write.denominator
    bound: Counts = np.maximum(busy + edges, stream + batches * timing.latency_cycles + waits)
    return bound


def count_waits(
    nest: LoopNest,
    hardware: HardwareConfig,
    timing: DramTiming,
    space: TileSpace,
    tiles: TileCounts,
) -> Counts:
    """Cycles for which DRAM waits at least for the first and the last computation; int64[n].

    Beside the first one, DRAM loads a tile and stores nothing; beside the last one, it stores
    a tile and loads nothing. Layers on the lanes, which keep DRAM as busy as themselves, are
    told apart by this; on the array it is left out.
    """
    if nest.kind is Kind.MAC:
        return np.zeros_like(tiles.steps)
    read, write = timing.read_cycles_per_bit, timing.write_cycles_per_bit
    first, last = _edge_outputs(nest, space)
    # No tile has more outputs than the first; near the padding one may have fewer inputs.
    most_loaded = _tile_load_bits(nest, hardware, space, max)
    most_stored = first * moved_bits(nest, hardware).ofm
    load = timing.latency_cycles - (-most_loaded * read.numerator // read.denominator)
    store = -(-most_stored * write.numerator // write.denominator)
    waits: Counts = np.maximum(0, _lane_cycles(nest, hardware, first) - load)
    waits = waits + np.maximum(0, _lane_cycles(nest, hardware, last) - store)
    return np.where(tiles.steps > 1, waits, 0)


def _lane_cycles(nest: LoopNest, hardware: HardwareConfig, outputs: Counts) -> Counts:
    """Cycles that a tile of so many outputs takes on the lanes at least."""
    ifm, bits = hardware.buffers.ifm, stored_bits(nest, hardware)
    cycles: Counts = outputs * nest.reduction // hardware.post_processing.lanes
    if nest.kind is not Kind.COPY:
        operands = outputs // nest.filters
        reads = operands * nest.reduction * bits.ifm // ifm.port_bits
        if not nest.shares_residual:
            reads = reads + operands * bits.residual // ifm.port_bits
        cycles = np.maximum(cycles, _port_cycles(ifm, reads, np.zeros_like(reads)))
    return cycles + hardware.mac_array.tile_overhead_cycles


def edge_cycles(
    nest: LoopNest, hardware: HardwareConfig, timing: DramTiming, space: TileSpace
) -> Counts:
    """Cycles of the first load and the last store at least; int64[n]."""
    read, write = timing.read_cycles_per_bit, timing.write_cycles_per_bit
    first_load = _tile_load_bits(nest, hardware, space, _get_first)
    _, last_outputs = _edge_outputs(nest, space)
    last_store = last_outputs * moved_bits(nest, hardware).ofm
    cycles: Counts = first_load * read.numerator // read.denominator
    cycles = cycles + (first_load > 0) * timing.latency_cycles
    return cycles + last_store * write.numerator // write.denominator


def _array_cycles(nest: LoopNest, array: MacArray, tiles: TileCounts) -> Counts:
    axes = array_axes(array.dataflow)
    if axes.has_passes:
        beats = nest.groups * nest.batch * nest.output_cols
        return beats * tiles.row_folds * tiles.col_folds
    layout = lay_out_reduction(nest, axes)
    # Places of whole extents: never more than those of their pieces.
    extents = {
        Loop.PIXELS: nest.batch * nest.output_rows * nest.output_cols,
        Loop.FILTERS: count_filter_places(nest, nest.filters),
        Loop.CHANNELS: layout.taps_in_turn
        * layout.count_places(nest.channels // layout.blocks_apart),
    }
    passes = nest.groups * tiles.trips(axes.time)
    folds = passes * tiles.row_folds * tiles.col_folds
    compute = nest.groups * tiles.row_folds * tiles.col_folds * extents[axes.time]
    if array.edge_tiles is EdgeTiles.USED_SKEW:
        drained_rows = passes * extents[axes.rows] * tiles.col_folds
        skew = drained_rows + passes * extents[axes.cols] * tiles.row_folds - 2 * folds
    else:
        drained_rows = folds * array.rows
        skew = folds * (array.rows + array.cols - 2)
    if axes.has_trees:
        skew = np.zeros_like(folds)
    cycles: Counts = compute
    has_preload = not axes.keeps_sums and array.fold_overlap is FoldOverlap.NONE
    if array.drain is Drain.ROWS or has_preload:
        cycles = cycles + drained_rows
    if array.fold_overlap is FoldOverlap.FULL:
        if not axes.keeps_sums:
            cycles = cycles + np.maximum(0, drained_rows - folds * extents[axes.time])
    else:
        cycles = cycles + skew + folds * (array.pipeline_cycles + array.output_register_cycles)
    return cycles


def _port_cycles(buffer: Buffer, reads: Counts, writes: Counts) -> Counts:
    is_single = buffer.ports is Ports.ONE_SHARED
    accesses: Counts = reads + writes if is_single else np.maximum(reads, writes)
    return accesses // buffer.array_banks


def _get_first(pieces: Counts) -> int:
    return int(pieces[0])


def _tile_load_bits(
    nest: LoopNest, hardware: HardwareConfig, space: TileSpace, pick: Callable[[Counts], int]
) -> Counts:
    """Bits of all operands of the first tile, with the inputs of the pieces that `pick` picks."""
    bits = moved_bits(nest, hardware)
    groups, batch, rows, cols, filters, channels = space.feasible.T
    in_groups, images = space.groups[groups], space.batch[batch]
    weights = space.channels[channels] * nest.channel_weights // nest.blocks
    inputs = (
        np.array([pick(cut.touched) for cut in space.rows])[rows]
        * np.array([pick(cut.span) for cut in space.cols])[cols]
    )
    outputs = (
        np.array([cut.outputs[0] for cut in space.rows])[rows]
        * np.array([cut.outputs[0] for cut in space.cols])[cols]
    )
    of_filter = weights * bits.weight + (space.channels[channels] == nest.channels) * bits.bias
    residuals = 1 if nest.shares_residual else images * outputs
    loaded: Counts = in_groups * (
        images * inputs * space.channels[channels] * bits.ifm
        + residuals * bits.residual
        + space.filters[filters] * of_filter
    )
    return loaded


def _edge_outputs(nest: LoopNest, space: TileSpace) -> tuple[Counts, Counts]:
    """Count the outputs of the first tile and of the last."""
    groups, batch, rows, cols, filters, _ = space.feasible.T
    first, last = (
        np.array([cut.outputs[at] for cut in space.rows])[rows]
        * np.array([cut.outputs[at] for cut in space.cols])[cols]
        for at in (0, -1)
    )
    for extent, size in (
        (nest.groups, space.groups[groups]),
        (nest.batch, space.batch[batch]),
        (nest.filters, space.filters[filters]),
    ):
        first = first * size
        last = last * (extent - (-(-extent // size) - 1) * size)
    return first, last
