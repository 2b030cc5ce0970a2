"""Cycles of one tile on the array."""

from typing import NamedTuple

from accel_sim.hardware.choices import Drain, EdgeTiles, FoldOverlap
from accel_sim.hardware.config import MacArray
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.tile import Loop
from quantizer.fixedpoint.jit import jit


class ArrayRules(NamedTuple):
    """What the kernel needs to know of the array (Numba reads named tuples).

    Attributes
    ----------
    keeps_sums
        Whether sums stay in the array (output stationary); otherwise an operand is loaded
        into it before each fold.
    has_pixels_in_cols
        Whether pixels run along columns (input stationary); otherwise filters do.
    has_trees
        Whether all rows and columns take their operands in one cycle, without skew, because
        trees add up the columns.
    delay
        Cycles from the last product to the output stage, besides skew and drain.
    has_used_skew
        Whether idle rows and columns cost no skew.
    drains_rows
        Whether the array waits while sums leave it, one row per cycle.
    is_overlapped
        Whether the next fold enters while the present one runs out.
    hides_preload
        Whether the next fold's operand is loaded while the present fold runs.
    """

    rows: int
    cols: int
    keeps_sums: bool
    has_pixels_in_cols: bool
    has_trees: bool
    delay: int
    has_used_skew: bool
    drains_rows: bool
    is_overlapped: bool
    hides_preload: bool


class Extents(NamedTuple):
    """Extents of one group of a tile along the axes of the array, in places.

    What a processing element works on at once has one place.

    Attributes
    ----------
    passes
        Times that the rows take as many elements, in folds of their own.
    """

    rows: int
    cols: int
    time: int
    passes: int


def array_rules(array: MacArray) -> ArrayRules:
    """Resolve the array's keys."""
    axes = array_axes(array.dataflow)
    return ArrayRules(
        rows=array.rows,
        cols=array.cols,
        keeps_sums=axes.keeps_sums,
        has_pixels_in_cols=axes.cols is Loop.PIXELS,
        has_trees=axes.has_trees,
        delay=array.pipeline_cycles + array.output_register_cycles,
        has_used_skew=array.edge_tiles is EdgeTiles.USED_SKEW,
        drains_rows=array.drain is Drain.ROWS,
        is_overlapped=array.fold_overlap is FoldOverlap.FULL,
        hides_preload=array.fold_overlap is FoldOverlap.WEIGHT_PRELOAD,
    )


@jit
def count_places(elements: int, blocks: int, per_pe: int) -> int:
    """Places that elements of an axis take, of which `per_pe` of one block share one."""
    places: int = blocks * -(-(elements // blocks) // per_pe)
    return places


@jit
def lay_on_array(
    rules: ArrayRules, pixels: int, filters: int, reduction: int, passes: int
) -> Extents:
    """Lay one group of a tile on the array, whose reduction comes in so many equal passes."""
    if rules.keeps_sums:
        return Extents(pixels, filters, reduction, passes)
    if rules.has_pixels_in_cols:
        return Extents(reduction, pixels, filters, passes)
    return Extents(reduction, filters, pixels, passes)


@jit
def fill_drain_cycles(rules: ArrayRules, groups: int, tile: Extents) -> int:
    """Cycles of a tile in which the array takes no operands.

    A fold of `time` steps on ``R`` rows and ``C`` columns takes ``time + R + C - 2``
    cycles to its last product, ``delay`` more to the output stage, and ``R`` to drain its
    sums or to load its operand, whichever the dataflow asks for. Overlapped folds pay the
    skew and the delay once per tile; a hidden drain still occupies its registers for
    ``R`` cycles, so that shorter folds wait for it. With trees there is no skew.
    """
    row_folds = tile.passes * -(-tile.rows // rules.rows)
    col_folds = -(-tile.cols // rules.cols)
    folds = row_folds * col_folds
    if rules.has_used_skew:
        # Sums over all folds of the rows, and of the columns, that each one uses.
        drained_rows = tile.passes * tile.rows * col_folds
        skew = drained_rows + tile.cols * row_folds - 2 * folds
        last_skew = min(tile.rows, rules.rows) + min(tile.cols, rules.cols) - 2
    else:
        drained_rows = folds * rules.rows
        skew = folds * (rules.rows + rules.cols - 2)
        last_skew = rules.rows + rules.cols - 2
    if rules.has_trees:
        skew, last_skew = 0, 0
    beside = groups * drained_rows if rules.drains_rows else 0
    if not rules.keeps_sums:
        beside = preload_cycles(rules, groups, tile)
    if not rules.is_overlapped:
        return groups * (skew + folds * rules.delay) + beside
    wait = 0
    if rules.keeps_sums and not rules.drains_rows:
        wait = max(0, rules.rows - tile.time)
    return beside + last_skew + rules.delay + (groups * folds - 1) * wait


@jit
def preload_cycles(rules: ArrayRules, groups: int, tile: Extents) -> int:
    """Cycles of a tile in which the array waits for the operand that stays in it.

    Loading takes a cycle per row. The first fold of a tile always pays; the folds behind
    it pay what does not hide behind the fold before: nothing hides with ``none``, as
    much as the fold takes operands with ``full``, all of the fold with ``weight_preload``.
    Folds along rows, which are parts of one sum, follow one another; those of the same rows
    come pass by pass.
    """
    row_folds = -(-tile.rows // rules.rows)
    col_folds = -(-tile.cols // rules.cols)
    first, last, last_cols = rules.rows, rules.rows, rules.cols
    if rules.has_used_skew:
        first = min(tile.rows, rules.rows)
        last = tile.rows - (row_folds - 1) * rules.rows
        last_cols = tile.cols - (col_folds - 1) * rules.cols
    if rules.hides_preload and not rules.has_trees:
        # A fold is at least as long as its rows, so only a load behind fewer rows shows:
        # that of a sum's first fold, behind the last fold of the sum before.
        short = first - (tile.time + last - 2 + rules.delay)
        shown = groups * (
            (col_folds - 1) * max(0, short - rules.cols) + max(0, short - last_cols)
        )  # fmt: skip
        return first + shown - max(0, short - last_cols)
    hidden = 0
    if rules.is_overlapped:
        hidden = tile.time
    elif rules.hides_preload:
        hidden = tile.time + rules.delay
    shown = groups * col_folds * tile.passes * (
        (row_folds - 1) * max(0, rules.rows - hidden) + max(0, last - hidden)
    )  # fmt: skip
    return first + shown - max(0, first - hidden)


@jit
def compute_cycles(rules: ArrayRules, groups: int, tile: Extents) -> int:
    """Cycles of a tile in which the array takes operands: `time` per fold."""
    folds = tile.passes * -(-tile.rows // rules.rows) * -(-tile.cols // rules.cols)
    return groups * folds * tile.time
