"""All tiles of a layer that fit the buffers."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.choices import Reduction
from accel_sim.hardware.config import HardwareConfig, MacArray
from accel_sim.hardware.mapping_options import Pin, PinnedTile
from accel_sim.mapping.accumulation import plan_accumulation
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.buffer_needs import needed_bits
from accel_sim.mapping.input_extent import cut_axis
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import loop_orders
from accel_sim.mapping.stored_bits import BITS_PER_BYTE
from accel_sim.mapping.tile import Loop
from accel_sim.mapping.tile_space import TileSpace, col_axis, row_axis
from quantizer.errors import InputError


def check_smallest_tile(nest: LoopNest, hardware: HardwareConfig) -> None:
    """Refuse a layer of which not even the smallest tile fits the buffers.

    Raises
    ------
    InputError
        Layer, operand, bytes needed, bytes there.
    """
    one = np.ones(1, np.int64)
    smallest = TileSpace(
        groups=one,
        batch=one,
        filters=one * nest.filters if nest.blocks > 1 else one,
        channels=one * min(_channel_cuts(nest, hardware)),
        rows=(cut_axis(row_axis(nest), 1),),
        cols=(cut_axis(col_axis(nest), 1),),
        fitting=np.zeros(1, np.int64),
        orders=loop_orders(nest),
    )
    for need in needed_bits(nest, hardware, smallest):
        needed_bytes = -(-int(need.bits.max()) // BITS_PER_BYTE)
        if needed_bytes > need.buffer.tile_bytes:
            halves = 2 if need.buffer.double_buffered else 1
            halved = " in each of its halves" if need.buffer.double_buffered else ""
            # Banks are of whole bytes.
            step_KiB = need.buffer.banks // math.gcd(need.buffer.banks, 1024)
            enough_KiB = -(-needed_bytes * halves // (1024 * step_KiB)) * step_KiB
            is_free = hardware.mapping.reduction is Reduction.FREE
            which = "" if is_free else " that keeps the reduction fixed"
            raise InputError(
                f"layer {nest.layer!r}",
                f"the smallest tile{which} needs {needed_bytes} bytes of {need.operand}, "
                f"buffers.{need.name} holds {need.buffer.tile_bytes}{halved}; "
                f"--set buffers.{need.name}.capacity_KiB={enough_KiB} would hold it",
            )


def enumerate_tiles(nest: LoopNest, hardware: HardwareConfig, pin: Pin | None = None) -> TileSpace:
    """Find all tiles of a layer that fit the buffers.

    There are none if `check_smallest_tile` refuses the layer, or if nothing that the pin leaves
    open fits.

    Parameters
    ----------
    pin
        Extents and an order that `mapping.pins.check_pin` has passed.
    """
    array = hardware.mac_array
    filters, channels = _cuts(nest.filters), _channel_cuts(nest, hardware)
    if nest.blocks > 1:
        # Groups that lie on the array together stay together.
        filters = {nest.filters}
    elif nest.kind is Kind.MAC and _has_filters_in_cols(array):
        columns = array.cols * nest.filters_per_pe
        whole_columns = {-(-size // columns) * columns for size in filters}
        filters |= {size for size in whole_columns if size < nest.filters}
    pinned, orders = PinnedTile(), loop_orders(nest)
    if pin is not None:
        pinned = pin.tile
        if pin.loop_order:
            orders = tuple(order for order in orders if order == pin.loop_order)

    def sizes(given: int | None, cuts: set[int]) -> NDArray[np.int64]:
        return _descending(cuts if given is None else {given})

    rows = sizes(pinned.output_rows, _cuts(nest.output_rows))
    cols = sizes(pinned.output_cols, _cuts(nest.output_cols))
    space = TileSpace(
        groups=sizes(pinned.groups, _cuts(nest.groups)),
        batch=sizes(pinned.batch, _cuts(nest.batch)),
        filters=sizes(pinned.filters, filters),
        channels=sizes(pinned.channels, channels),
        rows=tuple(cut_axis(row_axis(nest), size) for size in rows.tolist()),
        cols=tuple(cut_axis(col_axis(nest), size) for size in cols.tolist()),
        fitting=np.empty(0, np.int64),
        orders=orders,
    )
    fits = np.ones((), np.bool_)
    for need in needed_bits(nest, hardware, space):
        fits = fits & (need.bits <= need.room_bits)
    return replace(space, fitting=np.flatnonzero(np.broadcast_to(fits, space.shape)))


def _has_filters_in_cols(array: MacArray) -> bool:
    axes = array_axes(array.dataflow)
    return axes.cols is Loop.FILTERS and not axes.has_passes


def _channel_cuts(nest: LoopNest, hardware: HardwareConfig) -> set[int]:
    """Sizes that a tile of channels may have.

    Groups that lie on the array together stay together. A fixed reduction takes the sizes
    that leave the order of additions as it is without a cut, rounding the others up.
    """
    cuts = {nest.channels} if nest.blocks > 1 else _cuts(nest.channels)
    if nest.kind is not Kind.MAC or hardware.mapping.reduction is Reduction.FREE:
        return cuts

    def keeps_order(size: int) -> bool:
        return keeps_reduction(nest, hardware, size)

    unit = next(size for size in range(1, nest.channels + 1) if keeps_order(size))
    rounded = {min(-(-size // unit) * unit, nest.channels) for size in cuts}
    return {size for size in rounded if keeps_order(size)}


def keeps_reduction(nest: LoopNest, hardware: HardwareConfig, channels: int) -> bool:
    """Whether tiles of so many channels are added up as `mapping.reduction` asks for."""
    if nest.kind is not Kind.MAC or hardware.mapping.reduction is Reduction.FREE:
        return True
    uncut = plan_accumulation(nest, hardware, nest.channels)
    return plan_accumulation(nest, hardware, channels) == uncut


def _cuts(extent: int) -> set[int]:
    """Distinct values of ``ceil(extent / i)``, each found once."""
    sizes = set()
    pieces = 1
    while pieces < extent:
        size = -(-extent // pieces)
        sizes.add(size)
        # The fewest pieces that are smaller than these.
        pieces = -(-extent // (size - 1))
    return sizes | {1}


def _descending(sizes: Iterable[int]) -> NDArray[np.int64]:
    return np.array(sorted(sizes, reverse=True), np.int64)
