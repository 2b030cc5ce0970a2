"""Groups of a convolution side by side on the array."""

from dataclasses import replace

from accel_sim.hardware.choices import Depthwise
from accel_sim.hardware.config import MacArray
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.tile import Loop


def join_groups(nest: LoopNest, array: MacArray) -> LoopNest:
    """Lay as many groups as one fold holds on the array together.

    They are one dense layer whose weights are zero off the diagonal: its channels take
    the rows, or its filters the columns, of an array on which these lie. With ``native``
    they have no zeros, and share nothing but the array: their filters take the columns.
    The number of groups is the largest divisor of all with which one fold holds them.
    """
    if nest.kind is not Kind.MAC or array.depthwise is Depthwise.SERIAL:
        return nest
    axes = array_axes(array.dataflow)
    is_native = array.depthwise is Depthwise.NATIVE
    layout = lay_out_reduction(nest, axes)
    in_rows = -(-nest.channels * layout.taps_together // layout.products_per_pe)
    in_cols = -(-nest.filters // nest.filters_per_pe)
    blocks = max(
        count
        for count in range(1, nest.groups + 1)
        if nest.groups % count == 0
        and (
            count == 1
            or (
                (is_native or axes.rows is not Loop.CHANNELS or count * in_rows <= array.rows)
                and (axes.cols is not Loop.FILTERS or count * in_cols <= array.cols)
            )
        )
    )
    return replace(
        nest,
        groups=nest.groups // blocks,
        filters=nest.filters * blocks,
        channels=nest.channels * blocks,
        blocks=blocks,
        blocks_are_apart=is_native and blocks > 1,
    )
