"""Layers of the array on micro-kernels: their sums proved, packed and finished."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulator_range import sum_range
from accel_sim.kernels.micro_bands import Band, Shape, cut_bands
from accel_sim.kernels.micro_drivers import Parts, Workspace, convolve
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
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.layers import MacLayer
from quantizer.quantized import QuantizedNetwork

_NO_LIMIT = 1 << 30
_PART_LANES = 64
"""Of a segment where sums are taken apart: with 8-bit weights each fits 32 bits."""
_PLANE_BITS = 8

Packed = NDArray[np.integer[Any]]


class Rooms(threading.local):
    """Room for one tile of a layer; every thread makes its own.

    Parameters
    ----------
    stage, order, has_parts
        How the layer is added up and finished.
    size
        Bytes of an output.
    """

    def __init__(
        self, kernel: MicroKernel, stage: Stage, order: Order | None, has_parts: bool, size: int
    ) -> None:
        shape = (RUNS * kernel.run_pixels, kernel.filters)
        sums = aligned(shape, stage.constants.dtype.type)
        self.work = Workspace(
            sums=sums,
            part=aligned(shape, np.int32) if has_parts else sums,
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
    parts
        None where sums and output stage fit 32 bits.
    """

    layout: Layout
    stage: Stage
    order: Order | None
    parts: Parts | None
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
                band.parts,
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
    # Plain loops compute in 64 bits whatever they store.
    is_narrow = fits and bool(path.features) and fits_32_bits(rules, wraps, low, high)
    family = find_family(path, ifm.bits, raw, is_narrow)
    if family is None or (rules.shift < 0).any():
        return None
    raw = raw.astype(np.int16, copy=False)
    offset = find_offset(family.maps, ifm.raw_min, ifm.raw_max)
    ofm = storage(network.formats[layer.ofm])
    shape, bands = cut_bands(family, shape)
    packed = []
    for band in bands:
        found = _lay_out_whole(family, band, shape, raw, offset) if fits else None
        if found is None:
            found = _lay_out_parts(family, band, shape, raw, ifm, offset)
        if found is None:
            return None
        layout, parts = found
        starts = parts.starts[0] if is_narrow else np.zeros_like(parts.starts[0])
        stage = arrange_stage(layout, rules, wraps, starts, np.int32 if is_narrow else np.int64)
        packed.append(
            PackedBand(
                layout=layout,
                stage=stage,
                order=None,
                parts=None if is_narrow else parts,
                rooms=Rooms(layout.kernel, stage, None, not is_narrow, ofm.itemsize),
            )
        )
    return PackedLayer(
        bands=tuple(packed), layout=find_farthest(packed), offset=offset, ifm=storage(ifm), ofm=ofm
    )


def _holds(bits: int, low: NDArray[np.int64], high: NDArray[np.int64]) -> bool:
    half = 1 << (bits - 1)
    return bool(((low >= -half) & (high < half)).all())


def _lay_out_whole(
    family: Family, band: Band, shape: Shape, raw: NDArray[np.int16], offset: int
) -> tuple[Layout, Parts]:
    """Lay out sums that fit 32 bits."""
    layout = lay_out(family, band, shape, [raw], _NO_LIMIT)
    (sums,) = layout.packed_weights.sum(axis=(2, 3, 5), dtype=np.int64)
    ranges = np.array([(0, 0, len(layout.filters.segments), 0)])
    return layout, Parts(ranges=ranges, starts=(-offset * sums).astype(np.int32)[np.newaxis])


def _lay_out_parts(
    family: Family, band: Band, shape: Shape, raw: NDArray[np.int16], ifm: QFormat, offset: int
) -> tuple[Layout, Parts] | None:
    """Lay out sums in parts that fit 32 bits; give None if a few products do not fit."""
    half = 1 << (_PLANE_BITS - 1)
    low = ((raw + np.int32(half)) & (2 * half - 1)) - half
    for planes in ([raw], [low, (raw - low) >> _PLANE_BITS]):
        layout = lay_out(family, band, shape, planes, _PART_LANES)
        parts = _take_apart(layout, ifm, offset)
        if parts is not None:
            return layout, parts
    return None


def _take_apart(layout: Layout, ifm: QFormat, offset: int) -> Parts | None:
    """Cut the segments of every plane where the sum might leave 32 bits.

    Gives None where one segment does.
    """
    weights = layout.packed_weights
    # [planes, blocks, segments, filters]; zero lies between them, as in `sum_range`.
    positive = np.maximum(weights, 0).sum(axis=(3, 5), dtype=np.int64)
    negative = np.minimum(weights, 0).sum(axis=(3, 5), dtype=np.int64)
    lowest = positive * ifm.raw_min + negative * ifm.raw_max
    highest = positive * ifm.raw_max + negative * ifm.raw_min
    segments = len(layout.filters.segments)
    ranges, starts = [], []
    for plane in range(len(weights)):
        first = 0
        while first < segments:
            low = lowest[plane, :, first:].cumsum(axis=1).min(axis=(0, 2))
            high = highest[plane, :, first:].cumsum(axis=1).max(axis=(0, 2))
            count = int(((low >= -(1 << 31)) & (high < 1 << 31)).sum())
            if not count:
                return None
            last = first + count
            ranges.append((plane, first, last, plane * _PLANE_BITS))
            sums = (positive + negative)[plane, :, first:last].sum(axis=1)
            starts.append((-offset * sums).astype(np.int32))
            first = last
    return Parts(ranges=np.array(ranges), starts=np.array(starts))
