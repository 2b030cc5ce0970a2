"""A closer bound on a layer's cycles: each kind of step by itself.

Steps differ by which loop over tiles advances after them. All steps of one kind load the
same operands, so the sum over them of ``max(compute, load)`` is bounded by the larger of
two sums, and each of those is a product over the loops.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.choices import Drain, EdgeTiles, FoldOverlap
from accel_sim.hardware.config import HardwareConfig, MacArray
from accel_sim.mapping.access_counts import TileCounts
from accel_sim.mapping.array_axes import array_axes, count_filter_places, lay_out_reduction
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.stored_bits import moved_bits
from accel_sim.mapping.tile import Loop, LoopOrder
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import count_least_inputs
from accel_sim.timing.dram import DramTiming

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A quantity of the tiles of one loop: their sum, the first and the last; int64[n] each."""

    total: Counts
    first: Counts
    last: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSeries:
    """Quantities of the tiles of each loop.

    Attributes
    ----------
    trips
        One for each tile, by loop.
    pixels, inputs
        Output positions, and input positions of one channel.
    least_inputs
        Input positions of the tile that reads the fewest.
    filter_places
        What the filters take of their axis.
    reduction
        Places of channels, filter rows and columns.
    row_elements
        Elements along rows of the array, of one pass.
    row_folds, col_folds
        Folds along rows and columns of the array.
    """

    trips: Mapping[Loop, Series]
    groups: Series
    pixels: Series
    inputs: Series
    least_inputs: Counts
    filters: Series
    filter_places: Series
    channels: Series
    reduction: Series
    row_elements: Series
    row_folds: Series
    col_folds: Series

    def along(self, loop: Loop) -> Series:
        """Elements of one loop as the array takes them."""
        match loop:
            case Loop.GROUPS:
                return self.groups
            case Loop.PIXELS:
                return self.pixels
            case Loop.FILTERS:
                return self.filter_places
            case Loop.CHANNELS:
                return self.reduction


def tile_series(nest: LoopNest, array: MacArray, space: TileSpace, tiles: TileCounts) -> TileSeries:
    """Quantities of the tiles of every feasible candidate of a space."""
    groups, batch, rows, cols, filters, channels = space.feasible.T

    def cut(extent: int, size: Counts, count: Callable[[Counts], Counts] = np.asarray) -> Series:
        whole = -(-extent // size) - 1
        first, last = count(size), count(extent - whole * size)
        return Series(total=whole * first + last, first=first, last=last)

    def combine(of_rows: str, of_cols: str) -> Series:
        images = cut(nest.batch, space.batch[batch])

        def at(pick: Callable[[Counts], int]) -> Counts:
            by_row = np.array([pick(getattr(piece, of_rows)) for piece in space.rows])
            by_col = np.array([pick(getattr(piece, of_cols)) for piece in space.cols])
            product: Counts = by_row[rows] * by_col[cols]
            return product

        return Series(
            total=images.total * at(lambda sizes: int(sizes.sum())),
            first=images.first * at(lambda sizes: int(sizes[0])),
            last=images.last * at(lambda sizes: int(sizes[-1])),
        )

    def folds(total: Counts, sizes: Series, lanes: int, passes: int = 1) -> Series:
        first, last = (passes * -(-size // lanes) for size in (sizes.first, sizes.last))
        return Series(total=total, first=first, last=last)

    axes = array_axes(array.dataflow)
    layout = lay_out_reduction(nest, axes)
    ones = np.ones_like(groups)
    own_channels = space.channels[channels] // layout.blocks_apart
    along = {
        Loop.PIXELS: combine("outputs", "outputs"),
        Loop.FILTERS: cut(nest.filters, space.filters[filters], partial(count_filter_places, nest)),
        Loop.CHANNELS: cut(nest.channels // layout.blocks_apart, own_channels, layout.count_places),
    }
    in_rows, in_turn = along[axes.rows], layout.taps_in_turn
    reduction = along[Loop.CHANNELS]
    reduction = Series(
        total=in_turn * reduction.total,
        first=in_turn * reduction.first,
        last=in_turn * reduction.last,
    )
    return TileSeries(
        trips={loop: Series(total=tiles.trips(loop), first=ones, last=ones) for loop in Loop},
        groups=cut(nest.groups, space.groups[groups]),
        pixels=along[Loop.PIXELS],
        inputs=combine("touched", "span"),
        least_inputs=count_least_inputs(space),
        filters=cut(nest.filters, space.filters[filters]),
        filter_places=along[Loop.FILTERS],
        channels=cut(nest.channels, space.channels[channels]),
        reduction=reduction,
        row_elements=in_rows,
        row_folds=folds(tiles.row_folds, in_rows, array.rows, in_turn),
        col_folds=folds(tiles.col_folds, along[axes.cols], array.cols),
    )


def bound_steps(
    nest: LoopNest,
    hardware: HardwareConfig,
    timing: DramTiming,
    series: TileSeries,
    all_busy: Counts,
) -> Callable[[LoopOrder], Counts]:
    """Give what bounds the cycles from the first computation to the last under a loop order.

    Parameters
    ----------
    all_busy
        int64[n], from `cycle_bound.bound_busy_cycles`.
    """
    known: dict[tuple[Loop, frozenset[Loop]], tuple[Counts, Counts]] = {}

    def bound_order(order: LoopOrder) -> Counts:
        """Cycles at least, int64[n]."""
        total = _busy(nest, hardware, series, order, len(order))
        all_apart = np.zeros_like(total)
        for position, loop in enumerate(order):
            # The order of the loops inside does not matter, nor that of those outside.
            kind = loop, frozenset(order[position:])
            if kind not in known:
                known[kind] = _bound_kind(nest, hardware, timing, series, order, position)
            overlapped, apart = known[kind]
            total = total + overlapped + apart
            all_apart = all_apart + apart
        # What nothing hides adds to all computation, however it is spread over the steps.
        bound: Counts = np.maximum(total, all_busy + all_apart)
        return bound

    return bound_order


def _bound_kind(
    nest: LoopNest,
    hardware: HardwareConfig,
    timing: DramTiming,
    series: TileSeries,
    order: LoopOrder,
    position: int,
) -> tuple[Counts, Counts]:
    """Cycles of all steps in which the loop at one position advances, at least; int64[n] each.

    Of computation and what it hides, and of transfers apart from it.
    """
    loop, advanced = order[position], order[position:]
    nothing = np.zeros_like(series.groups.total)
    if (series.trips[loop].total == 1).all():
        return nothing, nothing
    read, write = timing.read_cycles_per_bit, timing.write_cycles_per_bit
    buffers = hardware.buffers
    bits = moved_bits(nest, hardware)
    ifm = {Loop.GROUPS: series.groups, Loop.PIXELS: series.inputs, Loop.CHANNELS: series.channels}
    weights = {
        Loop.GROUPS: series.groups,
        Loop.FILTERS: series.filters,
        Loop.CHANNELS: series.channels,
    }
    residual = {Loop.GROUPS: series.groups, Loop.PIXELS: series.pixels}
    loaded_ifm, loaded_residual, loaded_weights = (
        np.where(
            _is_new(operand, series, advanced),
            _sum_steps(operand, series, order, position, is_load=True) * element_bits // blocks,
            0,
        )
        if element_bits
        else nothing
        for operand, element_bits, blocks in (
            (ifm, bits.ifm, 1),
            (residual, bits.residual * nest.reads_residual, 1),
            (weights, nest.channel_weights * bits.weight, nest.blocks),
        )
    )
    steps = _sum_steps({}, series, order, position, is_load=True)
    streams = []
    for is_hidden in (True, False):
        of_ifm = (loaded_ifm + loaded_residual) * (buffers.ifm.double_buffered is is_hidden)
        of_weights = loaded_weights * (buffers.weights.double_buffered is is_hidden)
        moved = of_ifm + of_weights
        # A tile that lies in the padding reads no ifm; then only one batch is sure.
        is_sure = (of_weights > 0) | (loaded_residual > 0) | (series.least_inputs > 0)
        batches = (moved > 0) * np.where(is_sure, steps, 1)
        stream = moved * read.numerator // read.denominator
        streams.append(stream + batches * timing.latency_cycles)
    hidden, apart = streams
    overlapped = np.maximum(_busy(nest, hardware, series, order, position), hidden)
    if not buffers.ofm.double_buffered:
        stored = _count_finished(series, order, position) * bits.ofm
        apart = apart + stored * write.numerator // write.denominator
    is_cut = series.trips[loop].total > 1
    return np.where(is_cut, overlapped, 0), np.where(is_cut, apart, 0)


def _count_finished(series: TileSeries, order: LoopOrder, position: int) -> Counts:
    """Count the outputs that tiles finish in the steps of one kind."""
    ones = np.ones_like(series.groups.total)
    factors = {
        Loop.GROUPS: series.groups,
        Loop.PIXELS: series.pixels,
        Loop.FILTERS: series.filters,
        # The last tile of channels finishes them.
        Loop.CHANNELS: Series(total=ones, first=ones, last=ones),
    }
    return _sum_steps(factors, series, order, position, is_load=False)


def _busy(
    nest: LoopNest, hardware: HardwareConfig, series: TileSeries, order: LoopOrder, position: int
) -> Counts:
    """Cycles that array and lanes work in the steps of one kind, ports left out."""

    def tiles(factors: Mapping[Loop, Series]) -> Counts:
        return _sum_steps(factors, series, order, position, is_load=False)

    fixed = tiles({}) * hardware.mac_array.tile_overhead_cycles
    elements = _count_finished(series, order, position)
    if nest.kind is not Kind.MAC:
        elements = elements * nest.reduction
        array: Counts = np.zeros_like(elements)
    else:
        array = _array_busy(hardware.mac_array, series, tiles)
    busy: Counts = fixed + np.maximum(array, elements // hardware.post_processing.lanes)
    return busy


def _array_busy(
    array: MacArray, series: TileSeries, tiles: Callable[[Mapping[Loop, Series]], Counts]
) -> Counts:
    """Cycles that the array works in some steps, over which `tiles` sums a product."""
    groups = {Loop.GROUPS: series.groups}
    axes = array_axes(array.dataflow)
    if axes.has_passes:
        # Every PE takes a product a cycle, at best.
        everything = {loop: series.along(loop) for loop in Loop}
        return tiles(everything) // (array.rows * array.cols)
    by_row = groups | {axes.rows: series.row_folds}
    by_col = {axes.cols: series.col_folds}
    folds = tiles(by_row | by_col)
    drained_rows, skew = folds * array.rows, folds * (array.rows + array.cols - 2)
    if array.edge_tiles is EdgeTiles.USED_SKEW:
        drained_rows = tiles(groups | {axes.rows: series.along(axes.rows)} | by_col)
        skew = drained_rows + tiles(by_row | {axes.cols: series.along(axes.cols)}) - 2 * folds
    if axes.has_trees:
        skew = np.zeros_like(folds)
    busy = tiles(by_row | by_col | {axes.time: series.along(axes.time)})
    delay = array.pipeline_cycles + array.output_register_cycles
    has_preload = not axes.keeps_sums and array.fold_overlap is FoldOverlap.NONE
    if array.drain is Drain.ROWS or has_preload:
        busy = busy + drained_rows
    rows, cols = _least_in_use(array, series)
    if not axes.keeps_sums and not has_preload:
        preload = tiles({}) * rows
        is_overlapped = array.fold_overlap is FoldOverlap.FULL
        if is_overlapped or axes.has_trees:
            # No more of a load hides than the longest fold before it takes.
            time = series.along(axes.time)
            longest = time.first + (0 if is_overlapped else delay)
            shown = np.maximum(0, drained_rows - folds * longest)
            preload = np.maximum(preload, tiles({}) * np.minimum(rows, time.last) + shown)
        busy = busy + preload
    if array.fold_overlap is not FoldOverlap.FULL:
        return busy + skew + folds * delay
    last_skew = 0 if axes.has_trees else rows + cols - 2
    busy = busy + tiles({}) * (last_skew + delay)
    if axes.keeps_sums and array.drain is Drain.HIDDEN:
        wait = np.maximum(0, array.rows - series.reduction.first)
        busy = busy + (folds - tiles({})) * wait
    return busy


def _least_in_use(array: MacArray, series: TileSeries) -> tuple[Counts, Counts]:
    """Rows and columns whose skew every tile pays at least; the last tile is the smallest."""
    axes = array_axes(array.dataflow)
    rows: Counts = np.full_like(series.pixels.last, array.rows)
    cols: Counts = np.full_like(series.filters.last, array.cols)
    if array.edge_tiles is EdgeTiles.USED_SKEW:
        rows = np.minimum(rows, series.row_elements.last)
        cols = np.minimum(cols, series.along(axes.cols).last)
    return rows, cols


def _sum_steps(
    factors: Mapping[Loop, Series],
    series: TileSeries,
    order: LoopOrder,
    position: int,
    *,
    is_load: bool,
) -> Counts:
    """Sum of a product of quantities over the steps of one kind.

    Before the loop at `position` advances, all loops inside it stand at their last tile;
    after, when the load is due, at their first. Position 4 is the very last step.
    """
    product: Counts = np.ones_like(series.groups.total)
    for at, loop in enumerate(order):
        factor = factors.get(loop, series.trips[loop])
        edge = factor.first if is_load else factor.last
        if at < position < len(order):
            product = product * factor.total
        elif at == position:
            product = product * (factor.total - edge)
        else:
            product = product * edge
    return product


def _is_new(
    operand: Mapping[Loop, Series], series: TileSeries, advanced: tuple[Loop, ...]
) -> NDArray[np.bool_]:
    """Whether a tile of an operand differs once these loops advanced or began anew."""
    changes = [series.trips[loop].total > 1 for loop in advanced if loop in operand]
    return np.logical_or.reduce(changes) if changes else np.zeros_like(series.groups.total, bool)
