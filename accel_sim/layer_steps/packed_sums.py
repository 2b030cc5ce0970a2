"""Layers of the array on micro-kernels: their sums proved, packed and finished."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulator_range import sum_range
from accel_sim.kernels.micro_bands import Band, Shape, cut_bands
from accel_sim.kernels.micro_drivers import PLANE_BITS, Carries, Workspace, convolve
from accel_sim.kernels.micro_kernels import RUNS, Family, MicroKernel, Path
from accel_sim.kernels.micro_layout import (
    Layout,
    aligned,
    find_family,
    find_offset,
    lay_out,
)
from accel_sim.kernels.micro_order import Order, OrderWorkspace
from accel_sim.kernels.micro_stage import Stage
from accel_sim.layer_steps.feature_map import channels_last, storage
from accel_sim.layer_steps.output_stage import prepare_output_stage
from accel_sim.layer_steps.packed_stage import arrange_stage, fits_32_bits
from accel_sim.layer_steps.step import Events, Raw
from quantizer.network.layers import MacLayer
from quantizer.quantized import QuantizedNetwork

_MOST_LANES = 1 << 16
"""Whose upper halves fit 32 bits together."""
_CARRY_LANES = 3
"""What it takes to carry, in lanes."""

Packed = NDArray[np.integer[Any]]


class Rooms(threading.local):
    """Room for one tile of a layer; every thread makes its own.

    Parameters
    ----------
    stage, order, is_carried
        How the layer is added up and finished.
    size
        Bytes of an output.
    """

    def __init__(
        self, kernel: MicroKernel, stage: Stage, order: Order | None, is_carried: bool, size: int
    ) -> None:
        shape = (RUNS * kernel.run_pixels, kernel.filters)
        sums = aligned(shape, stage.constants.dtype.type)
        self.work = Workspace(
            sums=sums,
            lower=aligned(shape, np.int32) if is_carried else sums,
            upper=aligned(shape, np.int32) if is_carried else sums,
            order=None if order is None else _make_room(shape, order),
            spare=np.empty(kernel.run_pixels * kernel.filters * size, np.uint8),
        )


def _make_room(shape: tuple[int, int], order: Order) -> OrderWorkspace:
    return OrderWorkspace(
        levels=aligned((len(order.bits), *shape), np.int32),
        counted=np.empty(shape[0], np.int64),
        waits=np.zeros((len(order.is_quick), len(order.spans), 2), np.int64),
        is_tense=np.zeros(len(order.closes), np.bool_),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBand:
    """Filters of a layer ready for their micro-kernel.

    Attributes
    ----------
    order
        None where additions may take any.
    carries
        None where sums and output stage fit 32 bits.
    """

    layout: Layout
    stage: Stage
    order: Order | None
    carries: Carries | None
    rooms: Rooms


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedLayer:
    """A layer ready for its micro-kernels.

    Attributes
    ----------
    bands
        Of all filters; they read the same packed map.
    layout
        Of the band that reads farthest.
    offset
        What packed maps are shifted by.
    ifm, ofm
        Integers that maps are kept in.
    """

    bands: tuple[PackedBand, ...]
    layout: Layout
    offset: int
    ifm: np.dtype[np.integer[Any]]
    ofm: np.dtype[np.integer[Any]]

    def pack(self, ifm: Raw) -> Packed:
        """Store a map [C, H, W] for the micro-kernel; as it is, where that will do."""
        layout = self.layout
        kept = channels_last(ifm.reshape(layout.shape.ifm), self.ifm)
        if self._is_packed(kept):
            return kept.reshape(-1)
        packed, (rows, cols, channels) = self._empty(), layout.padded
        (height, width, _), (top, left) = kept.shape, layout.shape.first_pads
        inner = packed[: rows * cols * channels].reshape(rows, cols, channels)
        self._store(kept, inner[top : top + height, left : left + width])
        return packed

    def pack_rows(self, ifm: Raw) -> Packed:
        """Store vectors [M, C] for the micro-kernel."""
        kept = np.ascontiguousarray(ifm, self.ifm).reshape(-1)
        if self._is_packed(kept):
            return kept
        packed = self._empty()
        self._store(kept, packed[: kept.size])
        return packed

    def _is_packed(self, kept: Raw) -> bool:
        """Tell whether a map is what the micro-kernel reads: no padding, nothing behind it."""
        layout = self.layout
        return not self.offset and kept.size == layout.size and kept.dtype == layout.maps

    def _empty(self) -> Packed:
        return np.full(self.layout.size, self.offset, self.layout.maps)

    def _store(self, ifm: Raw, target: Packed) -> None:
        """Copy a map in its own integers to where it is packed."""
        if not self.offset:
            target[:] = ifm
        else:
            # Only integers as wide as those of the packed map need it: modulo their width.
            np.add(ifm.view(target.dtype), target.dtype.type(self.offset), out=target)

    def run(self, packed: Packed) -> tuple[Packed, Events]:
        """Run one image; give the ofm as [P*Q, K] in integers as narrow as its format."""
        channels, rows, cols = self.layout.shape.ofm
        ofm = np.empty((rows * cols, channels), self.ofm)
        return ofm, self.run_into(packed, ofm, 0)

    def run_into(self, packed: Packed, joined: Packed, first: int) -> Events:
        """Run one image; write channels from `first` on of a C-contiguous map, channels last."""
        ofm = joined.reshape(-1)[first:].view(np.uint8)
        overflows = saturations = 0
        for band in self.bands:
            layout = band.layout
            events = convolve(
                layout.kernel,
                packed,
                layout.filters._replace(step=joined.shape[-1]),
                band.order,
                band.carries,
                layout.tiles,
                band.stage,
                band.rooms.work,
                self.ofm.itemsize,
                ofm,
            )
            overflows += int(events[0])
            saturations += int(events[1])
        return Events(accumulator_overflows=overflows, output_saturations=saturations)


def find_farthest(bands: Sequence[PackedBand]) -> Layout:
    """Give the layout of the band that reads farthest."""
    return max((band.layout for band in bands), key=lambda layout: layout.size)


def pack_layer(
    network: QuantizedNetwork, layer: MacLayer, shape: Shape, path: Path
) -> PackedLayer | None:
    """Prepare a layer of which no sum has to be added up in order.

    Parameters
    ----------
    shape
        Of the layer, whose weights are ``[K, C/groups, R, S]`` or ``[K, C]``.
    path
        Whose micro-kernels to use.

    Returns
    -------
    PackedLayer or None
        None where the micro-kernels cannot hold the operands, or an output stage shifts left.
    """
    raw = network.weights[layer.weights].raw
    raw = raw.reshape(*raw.shape[:2], *shape.window)
    ifm = network.formats[layer.ifm]
    rules = prepare_output_stage(network, layer)
    low, high = sum_range(network, layer)
    wraps = not _holds(rules.acc_bits, low, high)
    fits = _holds(32, low, high)
    is_narrow = fits and fits_32_bits(rules, wraps, low, high)
    family = find_family(path, ifm.bits, raw, is_narrow)
    if family is None or (rules.shift < 0).any():
        return None
    raw = raw.astype(np.int16, copy=False)
    offset = find_offset(family.maps, ifm.raw_min, ifm.raw_max)
    dtype = np.int32 if is_narrow else np.int64
    ofm = storage(network.formats[layer.ofm])
    shape, bands = cut_bands(family, shape)
    packed = []
    for band in bands:
        carries = None
        if is_narrow:
            layout = lay_out(family, band, shape, [raw])
        else:
            x_min, x_max = ifm.raw_min + offset, ifm.raw_max + offset
            found = _lay_out_wide(family, band, shape, raw, x_min, x_max)
            if found is None:
                return None
            layout, carries = found
        sums = layout.packed_weights.sum(axis=(2, 3, 5), dtype=np.int64)
        powers = PLANE_BITS * np.arange(len(sums)).reshape(-1, 1, 1)
        starts = -offset * (sums << powers).sum(axis=0)
        stage = arrange_stage(layout, rules, wraps, starts.astype(dtype), dtype)
        rooms = Rooms(layout.kernel, stage, None, not is_narrow, ofm.itemsize)
        packed.append(
            PackedBand(layout=layout, stage=stage, order=None, carries=carries, rooms=rooms)
        )
    return PackedLayer(
        bands=tuple(packed), layout=find_farthest(packed), offset=offset, ifm=storage(ifm), ofm=ofm
    )


def _holds(bits: int, low: NDArray[np.int64], high: NDArray[np.int64]) -> bool:
    half = 1 << (bits - 1)
    return bool(((low >= -half) & (high < half)).all())


def _lay_out_wide(
    family: Family, band: Band, shape: Shape, raw: NDArray[np.int16], x_min: int, x_max: int
) -> tuple[Layout, Carries] | None:
    """Lay out sums that are carried: of one plane, unless two take less time.

    Gives None where the products of a lane need more than 32 bits in either, or are too many.
    """
    layout = lay_out(family, band, shape, [raw])
    lanes = layout.packed_weights[..., 0, 0].size
    carries = _find_carries(layout, x_min, x_max, lanes // _CARRY_LANES)
    if carries is None:
        half = 1 << (PLANE_BITS - 1)
        low = ((raw + np.int32(half)) & (2 * half - 1)) - half
        layout = lay_out(family, band, shape, [low, (raw - low) >> PLANE_BITS])
        carries = _find_carries(layout, x_min, x_max, 2 * lanes)
    return None if carries is None else (layout, carries)


def _find_carries(layout: Layout, x_min: int, x_max: int, limit: int) -> Carries | None:
    """Carry as seldom as sums fit 32 bits, whatever the packed map holds; so often at most."""
    planes, blocks, segments, lanes, filters, values = layout.packed_weights.shape
    lanes *= segments
    if lanes > _MOST_LANES:
        return None
    weights = layout.packed_weights.reshape(planes, blocks, lanes, filters, values)
    # What is left of a sum is less than 2**16.
    most = (1 << 31) - (1 << 16)
    is_cut = np.zeros((planes, blocks, lanes), np.bool_)
    low = high = np.zeros((planes, blocks, filters), np.int64)
    for lane in range(lanes):
        of_lane = weights[:, :, lane].astype(np.int64)
        positive, total = np.maximum(of_lane, 0).sum(axis=3), of_lane.sum(axis=3)
        # Zero lies between them, as in `sum_range`.
        lowest = positive * (x_min - x_max) + total * x_max
        highest = positive * (x_max - x_min) + total * x_min
        low, high = low + lowest, high + highest
        cut = np.maximum(high, -low).max(axis=2) > most
        if cut.any():
            low[cut], high[cut] = lowest[cut], highest[cut]
            is_cut[:, :, lane] = cut
            limit -= int(cut.sum())
            if limit < 0 or np.maximum(high, -low).max() > most:
                return None
    return _arrange_carries(layout, is_cut)


def _arrange_carries(layout: Layout, is_cut: NDArray[np.bool_]) -> Carries:
    """Cut the segments of a layout where sums are carried.

    Parameters
    ----------
    is_cut
        Whether sums are carried before a lane; [planes, blocks, lanes of all segments].
    """
    filters, values = layout.filters, layout.kernel.lane_values
    offsets = (filters.segments[:, np.newaxis] + np.arange(filters.lanes) * values).reshape(-1)
    is_first = np.arange(offsets.size) % filters.lanes == 0
    segments = []
    for cut in is_cut.reshape(-1, offsets.size):
        begins = np.flatnonzero(cut | is_first)
        lanes = np.diff(begins, append=offsets.size)
        segments.append(np.stack([offsets[begins], lanes, np.append(cut[begins[1:]], False)], 1))
    bounds = np.cumsum([0, *map(len, segments)])
    ends = np.stack([bounds[:-1], bounds[1:]], axis=1)
    return Carries(np.concatenate(segments), ends.reshape(*is_cut.shape[:2], 2))
