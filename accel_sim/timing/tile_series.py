"""What the tiles along each loop of a layer come to: their sum, the first and the last."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig, MacArray
from accel_sim.mapping import pass_counts
from accel_sim.mapping.access_counts import TileCounts
from accel_sim.mapping.array_axes import array_axes, count_filter_places, lay_out_reduction
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.pass_counts import sum_pass_series
from accel_sim.mapping.tile import Loop
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.cycle_bound import count_least_inputs
from accel_sim.timing.tile_walk import N_LOOPS
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]


# Quantities of tiles, by their place; Numba reads plain numbers. The first four are a one for
# each tile along the loops, in the order of `tile_walk`.
GROUP_TRIPS, PIXEL_TRIPS, FILTER_TRIPS, CHANNEL_TRIPS = 0, 1, 2, 3
# Output positions, and input positions of one channel.
GROUPS, PIXELS, INPUTS, FILTERS, CHANNELS = 4, 5, 6, 7, 8
# Places that filters, and all products of an output, take on their axes of the array.
FILTER_PLACES, REDUCTION = 9, 10
# Elements along rows of the array, of one pass; folds along rows and along columns.
ROW_ELEMENTS, ROW_FOLDS, COL_FOLDS = 11, 12, 13
# One: of the tiles along channels, the last finishes its outputs.
LAST_CHANNELS = 14
# Input positions of the tile that reads the fewest, three times.
LEAST_INPUTS = 15
# Of a row-stationary array the beats that a tile of pixels takes, where places of filters and of
# products are its steps along filters and its cycles along channels; words of the ifm that a pass
# of filters reads, and those passes; words of the sums of one output position, and the parts in
# which a sum leaves the array.
BEATS, IFM_WORDS, FILTER_PASSES, PSUM_WORDS, SUM_PARTS, N_QUANTITIES = 16, 17, 18, 19, 20, 21

# Parts of a series.
TOTAL, FIRST, LAST, N_PARTS = 0, 1, 2, 3

ALONG = {Loop.PIXELS: PIXELS, Loop.FILTERS: FILTER_PLACES, Loop.CHANNELS: REDUCTION}
"""Elements of a loop as the array takes them."""


class CutTables(NamedTuple):
    """Series of all cuts of the dimensions of a space, int64[n, 3] each.

    Attributes
    ----------
    output_rows, input_rows, output_cols, input_cols
        Positions; of the inputs those of one channel.
    filter_places, channel_places
        What filters, and channels, take of an axis of the array, in one pass.
    """

    groups: Counts
    batch: Counts
    output_rows: Counts
    input_rows: Counts
    output_cols: Counts
    input_cols: Counts
    filters: Counts
    filter_places: Counts
    channels: Counts
    channel_places: Counts


def cut_tables(nest: LoopNest, array: MacArray, space: TileSpace) -> CutTables:
    """Tabulate all cuts of the dimensions of a space."""
    layout = lay_out_reduction(nest, array_axes(array.dataflow))
    own_channels, own_sizes = (
        nest.channels // layout.blocks_apart,
        space.channels // layout.blocks_apart,
    )
    return CutTables(
        groups=_cut(nest.groups, space.groups),
        batch=_cut(nest.batch, space.batch),
        output_rows=_tabulate([cut.outputs for cut in space.rows]),
        input_rows=_tabulate([cut.touched for cut in space.rows]),
        output_cols=_tabulate([cut.outputs for cut in space.cols]),
        input_cols=_tabulate([cut.span for cut in space.cols]),
        filters=_cut(nest.filters, space.filters),
        filter_places=_cut(nest.filters, space.filters, partial(count_filter_places, nest)),
        channels=_cut(nest.channels, space.channels),
        channel_places=_cut(own_channels, own_sizes, layout.count_places),
    )


def _cut(extent: int, sizes: Counts, count: Callable[[Counts], Counts] = np.asarray) -> Counts:
    """Cut an extent into pieces of each size, the last perhaps smaller, and count of each."""
    whole = -(-extent // sizes) - 1
    first, last = count(sizes), count(extent - whole * sizes)
    return np.stack([whole * first + last, first, last], axis=1)


def _tabulate(cuts: Sequence[Counts]) -> Counts:
    return np.array([(cut.sum(), cut[0], cut[-1]) for cut in cuts], np.int64)


def tile_series(
    nest: LoopNest,
    hardware: HardwareConfig,
    tables: CutTables,
    space: TileSpace,
    tiles: TileCounts,
) -> Counts:
    """Quantities of the tiles of every feasible candidate of a space.

    Parameters
    ----------
    tables
        Of this space, or of one that it is a part of.

    Returns
    -------
    int64[n, quantity, 3]
    """
    array = hardware.mac_array
    axes = array_axes(array.dataflow)
    series = np.empty((len(space.fitting), N_QUANTITIES, N_PARTS), np.int64)
    trips = np.stack([tiles.trips(loop) for loop in Loop], axis=1)
    folds = np.stack([tiles.row_folds, tiles.col_folds], axis=1)
    _fill(
        tables, space.feasible, trips, folds, count_least_inputs(space), ALONG[axes.rows],
        ALONG[axes.cols], array.rows, array.cols, lay_out_reduction(nest, axes).taps_in_turn,
        series,
    )  # fmt: skip
    if axes.has_passes and nest.kind is Kind.MAC:
        passes = sum_pass_series(nest, hardware, space)
        series[:, BEATS] = passes[:, pass_counts.BEATS]
        series[:, FILTER_PLACES] = passes[:, pass_counts.FILTER_STEPS]
        series[:, REDUCTION] = passes[:, pass_counts.CHANNEL_CYCLES]
        series[:, IFM_WORDS] = passes[:, pass_counts.IFM_WORDS]
        series[:, FILTER_PASSES] = passes[:, pass_counts.FILTER_PASSES]
        series[:, PSUM_WORDS] = passes[:, pass_counts.PSUM_WORDS]
        series[:, SUM_PARTS] = passes[:, pass_counts.SUM_PARTS]
    return series


@jit
def _fill(
    tables: CutTables,
    feasible: Counts,
    trips: Counts,
    folds: Counts,
    least_inputs: Counts,
    along_rows: int,
    along_cols: int,
    rows: int,
    cols: int,
    taps_in_turn: int,
    all_series: Counts,
) -> None:
    """Fill all series.

    Parameters
    ----------
    trips
        int64[n, loop]
    folds
        int64[n, 2], along rows and columns of the array.
    along_rows, along_cols
        Which quantity runs there.
    """
    for tile in range(len(all_series)):
        series = all_series[tile]
        group, image, row, col, each, channel = feasible[tile]
        for part in range(N_PARTS):
            batch = tables.batch[image, part]
            for loop in range(N_LOOPS):
                series[loop, part] = trips[tile, loop] if part == TOTAL else 1
            series[GROUPS, part] = tables.groups[group, part]
            outputs = tables.output_rows[row, part] * tables.output_cols[col, part]
            series[PIXELS, part] = batch * outputs
            series[BEATS, part] = batch * outputs
            inputs = tables.input_rows[row, part] * tables.input_cols[col, part]
            series[INPUTS, part] = batch * inputs
            series[FILTERS, part] = tables.filters[each, part]
            series[FILTER_PLACES, part] = tables.filter_places[each, part]
            series[CHANNELS, part] = tables.channels[channel, part]
            series[REDUCTION, part] = tables.channel_places[channel, part]
            series[ROW_ELEMENTS, part] = series[along_rows, part]
            in_rows, in_cols = series[along_rows, part], series[along_cols, part]
            series[ROW_FOLDS, part] = taps_in_turn * -(-in_rows // rows)
            series[COL_FOLDS, part] = -(-in_cols // cols)
            series[LAST_CHANNELS, part] = 1
            series[LEAST_INPUTS, part] = least_inputs[tile]
        series[ROW_FOLDS, TOTAL], series[COL_FOLDS, TOTAL] = folds[tile]
        for part in range(N_PARTS):
            series[REDUCTION, part] *= taps_in_turn
