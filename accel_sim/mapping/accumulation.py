"""In which order a machine adds up a layer: the accumulation plan of a mapping."""

from accel_sim.accumulation import (
    AccumulationLevel,
    AccumulationPlan,
    Adder,
    Dimension,
    ReductionLoop,
    Start,
)
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.loop_nest import LoopNest
from quantizer.fixedpoint.qformat import Overflow

EVERY_PRODUCT: tuple[ReductionLoop, ...] = (
    ReductionLoop(dimension=Dimension.CHANNELS, step=1),
    ReductionLoop(dimension=Dimension.FILTER_ROWS, step=1),
    ReductionLoop(dimension=Dimension.FILTER_COLS, step=1),
)
"""The order in which operands stream: all taps of a channel, then the next channel."""


def plan_accumulation(nest: LoopNest, hardware: HardwareConfig, channels: int) -> AccumulationPlan:
    """Derive the plan of a layer on the array.

    Parameters
    ----------
    channels
        Of a tile, as `Tile.channels` counts them.

    Notes
    -----
    Plans are equal where they give the same sums: a cut into tiles that no sum can tell
    leaves no trace in the plan.

    Output stationary: one chain per output. A tile that goes on with a reduction finds the
    stored sum in its accumulator, so that the chain is one however the reduction is cut.

    Weight and input stationary: a column adds up to ``rows`` products from zero, and the
    psum memory adds the folds. The last fold of a tile may be shorter. Blocks side by side
    are one fold, in which an output meets its own block's channels and zeros.
    """
    array, precision = hardware.mac_array, hardware.precision
    bits = precision.accumulator_bits
    saturates = precision.accumulator_overflow is Overflow.SAT
    if array_axes(array.dataflow).keeps_sums:
        chain = AccumulationLevel(
            loops=EVERY_PRODUCT,
            max_terms=None,
            adder=Adder.CHAIN,
            start=Start.ZERO,
            bits=bits,
            saturates=saturates,
        )
        return AccumulationPlan(levels=(chain,))
    tiles: tuple[ReductionLoop, ...] = ()
    products = EVERY_PRODUCT
    if channels < nest.channels and channels * nest.channel_weights % array.rows:
        tiles = (ReductionLoop(dimension=Dimension.CHANNELS, step=channels),)
        products = EVERY_PRODUCT if channels > 1 else EVERY_PRODUCT[1:]
    column = AccumulationLevel(
        loops=products,
        max_terms=array.rows,
        adder=Adder.CHAIN,
        start=Start.ZERO,
        bits=bits,
        saturates=saturates,
    )
    folds = AccumulationLevel(
        loops=tiles,
        max_terms=None,
        adder=Adder.CHAIN,
        start=Start.LEVEL_BELOW,
        bits=bits,
        saturates=saturates,
    )
    return AccumulationPlan(levels=(column, folds))
