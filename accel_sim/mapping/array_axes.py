"""Which loop of a layer runs along which axis of the array."""

from dataclasses import dataclass

from accel_sim.hardware.choices import Dataflow
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
    """

    taps_together: int
    taps_in_turn: int
    blocks_apart: int


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
        return ReductionLayout(taps_together=1, taps_in_turn=taps, blocks_apart=1)
    apart = nest.blocks if nest.blocks_are_apart else 1
    return ReductionLayout(taps_together=taps, taps_in_turn=1, blocks_apart=apart)
