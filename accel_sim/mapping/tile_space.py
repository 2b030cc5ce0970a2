"""A set of tiles of a layer: candidates along each dimension, and which combinations of them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel_sim.mapping.input_extent import Axis, Pieces
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.tile import LoopOrder, Tile


@dataclass(frozen=True, kw_only=True)
class TileSpace:
    """Candidates along each dimension, and which combinations fit.

    Each dimension of extent ``D`` is cut at the distinct values of ``ceil(D / i)``,
    largest first, and filters also at multiples of what the array's columns take, where they
    run along these. Filter rows and columns are never cut.

    Attributes
    ----------
    groups, batch, filters, channels
        int64[n], tile sizes.
    rows, cols
        One cut of the output rows (cols) per candidate, largest pieces first.
    fitting
        int64[n], ascending: combinations that fit, as flat indices into ``shape``.
    orders
        Loop orders to try.
    """

    groups: NDArray[np.int64]
    batch: NDArray[np.int64]
    filters: NDArray[np.int64]
    channels: NDArray[np.int64]
    rows: tuple[Pieces, ...]
    cols: tuple[Pieces, ...]
    fitting: NDArray[np.int64]
    orders: tuple[LoopOrder, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of groups, batch, rows, cols, filters, channels."""
        return (
            len(self.groups), len(self.batch), len(self.rows), len(self.cols),
            len(self.filters), len(self.channels),
        )  # fmt: skip

    @cached_property
    def feasible(self) -> NDArray[np.int64]:
        """Indices into groups, batch, rows, cols, filters, channels; int64[n, 6]."""
        return np.stack(np.unravel_index(self.fitting, self.shape), axis=1)

    def take(self, candidates: NDArray[np.int64]) -> "TileSpace":
        """Give a space of some of these combinations, by their places in `fitting`."""
        return replace(self, fitting=self.fitting[candidates])

    def grid(self) -> NDArray[np.bool_]:
        """Whether each combination is one of these, bool with a dimension for each of `shape`."""
        grid = np.zeros(self.shape, np.bool_)
        grid.ravel()[self.fitting] = True
        return grid

    def tile(self, candidate: int) -> Tile:
        """Sizes of one combination, by its place in `fitting`."""
        return self.cut(int(self.fitting[candidate])).tile

    def cut(self, combination: int) -> "Cut":
        """How a combination, fitting or not, cuts a layer; by its flat index into `shape`."""
        index = []
        for size in reversed(self.shape):
            combination, place = divmod(combination, size)
            index.append(place)
        channels, filters, cols, rows, batch, groups = index
        tile = Tile(
            groups=int(self.groups[groups]),
            batch=int(self.batch[batch]),
            output_rows=int(self.rows[rows].outputs[0]),
            output_cols=int(self.cols[cols].outputs[0]),
            filters=int(self.filters[filters]),
            channels=int(self.channels[channels]),
        )
        return Cut(tile=tile, rows=self.rows[rows], cols=self.cols[cols])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One tile, and the pieces that it cuts rows and columns into."""

    tile: Tile
    rows: Pieces
    cols: Pieces


def row_axis(nest: LoopNest) -> Axis:
    """Geometry of the window along rows."""
    return Axis(
        outputs=nest.output_rows,
        inputs=nest.input_rows,
        taps=nest.filter_rows,
        stride=nest.stride[0],
        dilation=nest.dilation[0],
        pad=nest.pads[0],
    )


def col_axis(nest: LoopNest) -> Axis:
    """Geometry of the window along columns."""
    return Axis(
        outputs=nest.output_cols,
        inputs=nest.input_cols,
        taps=nest.filter_cols,
        stride=nest.stride[1],
        dilation=nest.dilation[1],
        pad=nest.pads[1],
    )
