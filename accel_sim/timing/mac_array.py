"""Cycles of one tile on an output-stationary array."""

from typing import NamedTuple

from accel_sim.hardware.choices import Drain, EdgeTiles, FoldOverlap
from accel_sim.hardware.config import MacArray
from quantizer.fixedpoint.jit import jit


class ArrayRules(NamedTuple):
    """What the kernel needs to know of the array (Numba reads named tuples).

    Attributes
    ----------
    delay
        Cycles from the last product to the output stage, besides skew and drain.
    has_used_skew
        Whether idle rows and columns cost no skew.
    drains_rows
        Whether the array waits while sums leave it, one row per cycle.
    is_overlapped
        Whether the next fold enters while the present one runs out.
    """

    rows: int
    cols: int
    delay: int
    has_used_skew: bool
    drains_rows: bool
    is_overlapped: bool


def array_rules(array: MacArray) -> ArrayRules:
    """Resolve the array's keys."""
    return ArrayRules(
        rows=array.rows,
        cols=array.cols,
        delay=array.pipeline_cycles + array.output_register_cycles,
        has_used_skew=array.edge_tiles is EdgeTiles.USED_SKEW,
        drains_rows=array.drain is Drain.ROWS,
        is_overlapped=array.fold_overlap is FoldOverlap.FULL,
    )


@jit
def fill_drain_cycles(
    rules: ArrayRules, groups: int, pixels: int, filters: int, reduction: int
) -> int:
    """Cycles of a tile in which the array takes no operands.

    A fold of `reduction` products on ``R`` rows and ``C`` columns takes
    ``reduction + R + C - 2`` cycles to its last product, ``delay`` more to the output
    stage, and ``R`` to drain. Overlapped folds pay the skew and the delay once per tile;
    a hidden drain still occupies its registers for ``R`` cycles, so that shorter folds
    wait for it.

    Parameters
    ----------
    groups, pixels, filters, reduction
        Extent of the tile; pixels run on rows, filters on columns.
    """
    pixel_folds = -(-pixels // rules.rows)
    filter_folds = -(-filters // rules.cols)
    folds = pixel_folds * filter_folds
    if rules.has_used_skew:
        # Sums over all folds of the rows, and of the columns, that each one uses.
        drained_rows = pixels * filter_folds
        skew = drained_rows + filters * pixel_folds - 2 * folds
        last_skew = min(pixels, rules.rows) + min(filters, rules.cols) - 2
    else:
        drained_rows = folds * rules.rows
        skew = folds * (rules.rows + rules.cols - 2)
        last_skew = rules.rows + rules.cols - 2
    drain = groups * drained_rows if rules.drains_rows else 0
    if not rules.is_overlapped:
        return groups * (skew + folds * rules.delay) + drain
    wait = 0 if rules.drains_rows else max(0, rules.rows - reduction)
    return drain + last_skew + rules.delay + (groups * folds - 1) * wait


@jit
def compute_cycles(
    rules: ArrayRules, groups: int, pixels: int, filters: int, reduction: int
) -> int:
    """Cycles of a tile in which the array takes operands: `reduction` per fold."""
    return groups * -(-pixels // rules.rows) * -(-filters // rules.cols) * reduction
