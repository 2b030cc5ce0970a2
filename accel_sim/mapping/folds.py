"""The folds of a layer, one by one, in the order in which the machine runs them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import MacArray
from accel_sim.mapping.array_axes import ArrayAxes, ReductionLayout, array_axes, lay_out_reduction
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.tile import LayerMapping, Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One filling of the array: which part of a layer it works on.

    Attributes
    ----------
    tile
        Number of its tile, in the order in which tiles run.
    images, output_rows, output_cols
        Of the tile.
    pixels
        Part of the tile's pixels, counted along images, rows and columns, in this order.
    group
        Of the loops, in which `blocks` groups of the layer may lie side by side.
    filters
        Within the group.
    reduction
        Products within the group's ``[C, R, S]``, as places in the order in which they are
        added (`accel_sim.accumulation.AdditionOrder.products`); of one block where these
        are apart.
    """

    tile: int
    images: range
    output_rows: range
    output_cols: range
    pixels: range
    group: int
    filters: range
    reduction: range

    def place_pixels(self) -> NDArray[np.int64]:
        """Image, output row and output column of each pixel, int64[n, 3]."""
        extents = (len(self.images), len(self.output_rows), len(self.output_cols))
        place = np.stack(np.unravel_index(np.array(self.pixels), extents), axis=1)
        first = [self.images.start, self.output_rows.start, self.output_cols.start]
        places: NDArray[np.int64] = place + np.array(first)
        return places

    def extent(self, loop: Loop) -> int:
        """Positions along a loop; channels stand for the whole reduction."""
        sizes = {
            Loop.GROUPS: 1,
            Loop.PIXELS: len(self.pixels),
            Loop.FILTERS: len(self.filters),
            Loop.CHANNELS: len(self.reduction),
        }
        return sizes[loop]


def list_folds(nest: LoopNest, mapping: LayerMapping, array: MacArray) -> Iterator[Fold]:
    """Walk a mapped layer tile by tile and fold by fold.

    Folds of one sum follow one another within a tile.
    """
    tile = mapping.tile
    taps = nest.filter_rows * nest.filter_cols
    axes = array_axes(array.dataflow)
    layout = lay_out_reduction(nest, axes)
    sum_channels = nest.channels // layout.blocks_apart
    tile_channels = tile.channels // layout.blocks_apart
    pieces: dict[Loop, list[tuple[range, ...]]] = {
        Loop.GROUPS: [(piece,) for piece in _cut(range(nest.groups), tile.groups)],
        Loop.PIXELS: list(
            product(
                _cut(range(nest.batch), tile.batch),
                _cut(range(nest.output_rows), tile.output_rows),
                _cut(range(nest.output_cols), tile.output_cols),
            )
        ),
        Loop.FILTERS: [(piece,) for piece in _cut(range(nest.filters), tile.filters)],
        Loop.CHANNELS: [(piece,) for piece in _cut(range(sum_channels), tile_channels)],
    }
    visits = product(*(pieces[loop] for loop in mapping.loop_order))
    for number, visit in enumerate(visits):
        piece = dict(zip(mapping.loop_order, visit, strict=True))
        images, rows, cols = piece[Loop.PIXELS]
        (channels,) = piece[Loop.CHANNELS]
        spans = {
            Loop.PIXELS: range(len(images) * len(rows) * len(cols)),
            Loop.FILTERS: piece[Loop.FILTERS][0],
            Loop.CHANNELS: range(channels.start * taps, channels.stop * taps),
        }
        for group in piece[Loop.GROUPS][0]:
            for part in _fill_array(spans, axes, array, nest, layout):
                yield Fold(
                    tile=number,
                    images=images,
                    output_rows=rows,
                    output_cols=cols,
                    pixels=part[Loop.PIXELS],
                    group=group,
                    filters=part[Loop.FILTERS],
                    reduction=part[Loop.CHANNELS],
                )


def _fill_array(
    spans: dict[Loop, range],
    axes: ArrayAxes,
    array: MacArray,
    nest: LoopNest,
    layout: ReductionLayout,
) -> Iterator[dict[Loop, range]]:
    per_pe = {Loop.FILTERS: nest.filters_per_pe, Loop.CHANNELS: layout.products_per_pe}
    taps_in_turn = layout.taps_in_turn
    rows, cols = (
        lanes * per_pe.get(loop, 1)
        for lanes, loop in ((array.rows, axes.rows), (array.cols, axes.cols))
    )
    in_rows, in_cols = _cut(spans[axes.rows], rows), _cut(spans[axes.cols], cols)
    if taps_in_turn > 1:
        # The rows take channels, whose taps follow one another.
        channels = _cut(spans[axes.rows], rows * taps_in_turn)
        in_rows = [part for block in channels for part in _cut(block, len(block) // taps_in_turn)]
    if axes.keeps_sums:
        for of_rows, of_cols in product(in_rows, in_cols):
            yield spans | {axes.rows: of_rows, axes.cols: of_cols}
    else:
        for of_cols, of_rows in product(in_cols, in_rows):
            yield spans | {axes.rows: of_rows, axes.cols: of_cols}


def _cut(whole: range, size: int) -> list[range]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]
