"""Which loop of a layer runs along which axis of the array."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.choices import Along, Dataflow
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.tile import Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayAxes:
    """Loops along rows, along columns and in time; channels stand for the whole reduction.

    Attributes
    ----------
    has_trees
        Whether a tree adds up each column in one step; otherwise the array is systolic.
    has_passes
        Whether the array takes a tile in passes (`accel_sim.mapping.row_stationary`), which fill
        it in more ways than the three axes tell.
    """

    rows: Loop
    cols: Loop
    time: Loop
    has_trees: bool = False
    has_passes: bool = False

    @property
    def keeps_sums(self) -> bool:
        """Whether a sum stays in the array for its fold, or leaves its column in every step.

        In the latter case the array holds an operand that is loaded before the fold.
        """
        return self.time is Loop.CHANNELS


Count = TypeVar("Count", int, NDArray[np.int64])
"""Of one tile, or of many."""


def count_places(elements: Count, blocks: int, per_pe: int) -> Count:
    """Places that elements of an axis take, of which `per_pe` of one block share one."""
    return blocks * -(-(elements // blocks) // per_pe)


def count_filter_places(nest: LoopNest, filters: Count) -> Count:
    """Places that the filters of a tile take."""
    return count_places(filters, nest.blocks, nest.filters_per_pe)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReductionLayout:
    """How the products of a tile's channels lie on the axis of the reduction.

    Attributes
    ----------
    taps_together
        Taps of a channel that lie side by side.
    taps_in_turn
        Taps that take folds of their own, one after another.
    blocks_apart
        Groups whose channels lie on the same rows, each in columns of its own.
    blocks_together
        Groups whose channels lie side by side.
    products_per_pe
        Products of one block that a processing element multiplies, and adds up, at once; they
        share a place on the axis.
    """

    taps_together: int
    taps_in_turn: int
    blocks_apart: int
    blocks_together: int
    products_per_pe: int

    def count_places(self, channels: Count) -> Count:
        """Places that the channels of a tile take, of which those of blocks apart count once."""
        return count_places(
            channels * self.taps_together, self.blocks_together, self.products_per_pe
        )


def array_axes(dataflow: Dataflow) -> ArrayAxes:
    """Axes of an array."""
    match dataflow:
        case Dataflow.OUTPUT_STATIONARY:
            return ArrayAxes(rows=Loop.PIXELS, cols=Loop.FILTERS, time=Loop.CHANNELS)
        case Dataflow.WEIGHT_STATIONARY:
            return ArrayAxes(rows=Loop.CHANNELS, cols=Loop.FILTERS, time=Loop.PIXELS)
        case Dataflow.INPUT_STATIONARY:
            return ArrayAxes(rows=Loop.CHANNELS, cols=Loop.PIXELS, time=Loop.FILTERS)
        case Dataflow.CHANNEL_PARALLEL:
            return ArrayAxes(
                rows=Loop.CHANNELS, cols=Loop.FILTERS, time=Loop.PIXELS, has_trees=True
            )
        case Dataflow.ROW_STATIONARY:
            return ArrayAxes(
                rows=Loop.CHANNELS, cols=Loop.FILTERS, time=Loop.PIXELS, has_passes=True
            )


def lay_out_reduction(nest: LoopNest, axes: ArrayAxes) -> ReductionLayout:
    """Say how the reduction of a layer lies on the array.

    All columns of an adder tree share the ifm, one tap of as many channels as there are
    rows. Where every group has columns and an ifm of its own, rows take any of its products.
    """
    taps = nest.filter_rows * nest.filter_cols
    if axes.has_trees and not nest.blocks_are_apart:
        together, in_turn = 1, taps
    else:
        together, in_turn = taps, 1
    apart = nest.blocks if nest.blocks_are_apart else 1
    products_per_pe = 1
    if nest.mode is not None and nest.mode.along is Along.REDUCTION:
        products_per_pe = min(nest.mode.macs_per_pe, nest.channels // nest.blocks * together)
    return ReductionLayout(
        taps_together=together,
        taps_in_turn=in_turn,
        blocks_apart=apart,
        blocks_together=nest.blocks // apart,
        products_per_pe=products_per_pe,
    )
