"""All tiles of a layer that fit the buffers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.buffers import Buffer, OperandName
from accel_sim.hardware.choices import Reduction
from accel_sim.hardware.config import HardwareConfig, MacArray
from accel_sim.hardware.mapping_options import Pin, PinnedTile
from accel_sim.mapping.accumulation import plan_accumulation
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.input_extent import Axis, Pieces, cut_axis
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import loop_orders
from accel_sim.mapping.stored_bits import BITS_PER_BYTE, moved_bits, stored_bits
from accel_sim.mapping.tile import Loop, LoopOrder, Tile
from quantizer.errors import InputError

MORE_THAN_ANY = 1 << 62


def streams_weights(hardware: HardwareConfig) -> bool:
    """Whether the weights of a tile of MACs need not fit their buffer.

    On a row-stationary array the weights of a pass move on to the elements, and leave a buffer
    of their own for those of the next.
    """
    has_passes = array_axes(hardware.mac_array.dataflow).has_passes
    return has_passes and "weights" not in hardware.buffers.shared


def most_kept_weight_bits(hardware: HardwareConfig) -> int:
    """Most weights of a tile that stay in their buffer from tile to tile.

    If those of a tile are more, every tile brings its own.
    """
    if not streams_weights(hardware):
        return MORE_THAN_ANY
    return hardware.buffers.weights.tile_bytes * BITS_PER_BYTE


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
            enough_KiB = -(-needed_bytes * halves // 1024)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bits that tiles take in a memory, over all combinations.

    Attributes
    ----------
    operand
        What lies there, in words.
    name
        Key of the buffer that describes the memory.
    room_bits
        What the memory has for one tile.
    """

    operand: str
    name: OperandName
    buffer: Buffer
    room_bits: int
    bits: NDArray[np.int64]


def needed_bits(nest: LoopNest, hardware: HardwareConfig, space: TileSpace) -> tuple[Need, ...]:
    """Bits that tiles take in each memory, feasible or not."""
    buffers = hardware.buffers
    needs: dict[OperandName, Need] = {}
    for operand, bits in _tile_bits(nest, hardware, space).items():
        key = buffers.memory_key(operand)
        if key in needs:
            before = needs[key]
            joined = f"{before.operand} and {operand}"
            needs[key] = replace(before, operand=joined, bits=before.bits + bits)
            continue
        buffer = buffers.memories[key]
        resident_bytes = nest.resident_bytes if key == buffers.memory_key("ifm") else 0
        room_bits = buffer.tile_bytes_beside(resident_bytes) * BITS_PER_BYTE
        needs[key] = Need(operand=operand, name=key, buffer=buffer, room_bits=room_bits, bits=bits)
    return tuple(needs.values())


def _tile_bits(
    nest: LoopNest, hardware: HardwareConfig, space: TileSpace
) -> dict[OperandName, NDArray[np.int64]]:
    """Bits of the tiles of each operand that has any; maps that stay have none."""
    bits, moved = stored_bits(nest, hardware), moved_bits(nest, hardware)
    groups = space.groups[:, None, None, None, None, None]
    batch = space.batch[None, :, None, None, None, None]
    input_rows, output_rows = (
        np.array([getattr(cut, name).max() for cut in space.rows])[None, None, :, None, None, None]
        for name in ("touched", "outputs")
    )
    input_cols, output_cols = (
        np.array([getattr(cut, name).max() for cut in space.cols])[None, None, None, :, None, None]
        for name in ("span", "outputs")
    )
    filters = space.filters[None, None, None, None, :, None]
    channels = space.channels[None, None, None, None, None, :]
    pixels = groups * batch * output_rows * output_cols
    residual = (groups if nest.shares_residual else pixels) * moved.residual
    outputs = pixels * filters
    tile_bits: dict[OperandName, NDArray[np.int64]] = {
        "ifm": groups * batch * input_rows * input_cols * channels * moved.ifm + residual
    }
    keeps_partial_sums = channels < nest.channels
    if nest.kind is Kind.MAC and not array_axes(hardware.mac_array.dataflow).keeps_sums:
        axes = array_axes(hardware.mac_array.dataflow)
        layout = lay_out_reduction(nest, axes)
        in_rows = layout.count_places(channels // layout.blocks_apart)
        keeps_partial_sums |= (in_rows > hardware.mac_array.rows) | (layout.taps_in_turn > 1)
        # All sums of a pass leave the array, whether it is the last of them or not.
        keeps_partial_sums |= axes.has_passes
    if nest.has_weights and not (nest.kind is Kind.MAC and streams_weights(hardware)):
        of_filter = channels * nest.channel_weights // nest.blocks * bits.weight + bits.bias
        tile_bits["weights"] = groups * filters * of_filter
    if hardware.buffers.psum == "in_ofm":
        widest = np.where(keeps_partial_sums, np.maximum(bits.psum, moved.ofm), moved.ofm)
        tile_bits["ofm"] = outputs * widest
    else:
        tile_bits["psum"] = np.where(keeps_partial_sums, outputs * bits.psum, 0)
        tile_bits["ofm"] = outputs * moved.ofm
    return tile_bits


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
