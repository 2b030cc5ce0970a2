"""In which order a machine adds up a layer: the accumulation plan of a mapping."""

from dataclasses import replace

from accel_sim.accumulation import (
    AccumulationLevel,
    AccumulationPlan,
    Adder,
    Dimension,
    ReductionLoop,
    Start,
)
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.row_stationary import kept_channels, row_layer
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

    Channel parallel: see `_plan_trees`. Row stationary: see `_plan_rows`.

    Where a processing element adds up several products, its tree is a level below these; the
    last products of a tile may be fewer.
    """
    array, precision = hardware.mac_array, hardware.precision
    bits = precision.accumulator_bits
    saturates = precision.accumulator_overflow is Overflow.SAT
    axes = array_axes(array.dataflow)
    if axes.has_passes:
        return _plan_rows(nest, hardware, channels)
    if axes.has_trees:
        return _plan_trees(nest, hardware, channels)
    layout = lay_out_reduction(nest, axes)
    products_per_fold = layout.products_per_pe * (1 if axes.keeps_sums else array.rows)
    tiles: tuple[ReductionLoop, ...] = ()
    products = EVERY_PRODUCT
    if channels < nest.channels and channels * nest.channel_weights % products_per_fold:
        tiles = (ReductionLoop(dimension=Dimension.CHANNELS, step=channels),)
        products = EVERY_PRODUCT if channels > 1 else EVERY_PRODUCT[1:]
    trees: tuple[AccumulationLevel, ...] = ()
    if layout.products_per_pe > 1:
        trees = (_plan_tree(nest, hardware, products, layout.products_per_pe),)
        products = ()
    if axes.keeps_sums:
        chain = AccumulationLevel(
            loops=(*tiles, *products),
            max_terms=None,
            adder=Adder.CHAIN,
            start=Start.ZERO,
            bits=bits,
            saturates=saturates,
        )
        return AccumulationPlan(levels=(*trees, chain))
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
    return AccumulationPlan(levels=(*trees, column, folds))


def _plan_rows(nest: LoopNest, hardware: HardwareConfig, channels: int) -> AccumulationPlan:
    """Add up in each processing element first, then along the elements of a column.

    An element adds up its channels' products along a row of a filter, from zero. The partial
    sum from memory runs through the elements of the filter's rows, for these channels, then
    for the next; the last channels of a tile may be fewer.
    """
    bits = hardware.precision.accumulator_bits
    saturates = hardware.precision.accumulator_overflow is Overflow.SAT
    of_pe = kept_channels(row_layer(nest, hardware), channels)
    steps = {1, of_pe}
    if channels < nest.channels and channels % of_pe:
        steps = {1, channels, of_pe}
    *outside, inside = (
        ReductionLoop(dimension=Dimension.CHANNELS, step=step)
        for step in sorted(steps, reverse=True)
    )
    in_pe: tuple[ReductionLoop, ...] = (inside, EVERY_PRODUCT[2])
    _, rows, cols = EVERY_PRODUCT
    if not outside:
        # An element that keeps one channel.
        outside, in_pe = [inside], (cols,)
    element = AccumulationLevel(
        loops=in_pe,
        max_terms=None,
        adder=Adder.CHAIN,
        start=Start.ZERO,
        bits=bits,
        saturates=saturates,
    )
    column = AccumulationLevel(
        loops=(*outside, rows),
        max_terms=None,
        adder=Adder.CHAIN,
        start=Start.ZERO,
        bits=bits,
        saturates=saturates,
    )
    return AccumulationPlan(levels=(element, column))


def _plan_trees(nest: LoopNest, hardware: HardwareConfig, channels: int) -> AccumulationPlan:
    """Trees that lose nothing, whose sums the psum memory adds up from zero.

    A tree takes up to ``rows`` channels at one tap, or as many times more as a processing
    element multiplies. All taps of these come one after another, then the next channels; the
    last of a tile may be fewer. Where blocks are apart, it takes as many products of its
    group as they stream.
    """
    precision = hardware.precision
    layout = lay_out_reduction(nest, array_axes(hardware.mac_array.dataflow))
    rows = hardware.mac_array.rows * layout.products_per_pe
    blocks: tuple[ReductionLoop, ...] = ()
    products = EVERY_PRODUCT
    if not nest.blocks_are_apart:
        steps = {1, rows}
        if channels < nest.channels and channels % rows:
            steps = {1, channels, min(channels, rows)}
        *outside, inside = (
            ReductionLoop(dimension=Dimension.CHANNELS, step=step)
            for step in sorted(steps, reverse=True)
        )
        blocks, products = (*outside, *EVERY_PRODUCT[1:]), (inside,)
        if not outside:
            # A tree of one channel adds nothing.
            blocks, products = (inside, *EVERY_PRODUCT[1:]), ()
    tree = _plan_tree(nest, hardware, products, rows)
    if not nest.blocks_are_apart:
        tree = replace(tree, max_terms=None)
    accumulator = AccumulationLevel(
        loops=blocks,
        max_terms=None,
        adder=Adder.CHAIN,
        start=Start.ZERO,
        bits=precision.accumulator_bits,
        saturates=precision.accumulator_overflow is Overflow.SAT,
    )
    return AccumulationPlan(levels=(tree, accumulator))


def _plan_tree(
    nest: LoopNest, hardware: HardwareConfig, loops: tuple[ReductionLoop, ...], terms: int
) -> AccumulationLevel:
    """Plan a tree of so many products that is wide enough for any of its sums."""
    precision = hardware.precision
    built = nest.mode or precision
    product_bits = precision.port_bits(built.activation_bits) + built.weight_bits
    return AccumulationLevel(
        loops=loops,
        max_terms=terms,
        adder=Adder.TREE,
        start=Start.LEVEL_BELOW,
        bits=product_bits + (terms - 1).bit_length(),
        saturates=False,
    )
