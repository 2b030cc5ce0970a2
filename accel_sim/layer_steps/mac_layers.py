"""Steps of the layers that run on the array: exact sums, then the output stage."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import AccumulationPlan
from accel_sim.kernels import conv, dense, transposed_conv
from accel_sim.kernels.micro_bands import Shape
from accel_sim.kernels.micro_kernels import HOST_PATHS, Path
from accel_sim.kernels.ordered_sums import Sums
from accel_sim.layer_steps.feature_map import channels_first, channels_last, from_channels_last
from accel_sim.layer_steps.joined_maps import Placement
from accel_sim.layer_steps.ordered_filters import (
    Indices,
    OpenFilters,
    OrderedFilters,
    Taps,
    arrange_filters,
    find_open_filters,
)
from accel_sim.layer_steps.output_stage import prepare_output_stage
from accel_sim.layer_steps.packed_order import pack_in_order
from accel_sim.layer_steps.packed_sums import PackedLayer, pack_layer
from accel_sim.layer_steps.step import Events, Maps, Raw, Step
from quantizer.network.graph import as_image
from quantizer.network.layers import Conv, ConvTranspose, Dense
from quantizer.quantized import QuantizedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class _ConvSums:
    """The sums of a convolution: exact, and where the order may matter, in order.

    Attributes
    ----------
    ordered
        None where it cannot matter to any filter.
    """

    taps: Taps
    ordered: OrderedFilters | None

    def run(self, ifm: NDArray[np.int32], acc: Sums) -> int:
        """Add up one image; return how many additions clamped.

        Parameters
        ----------
        ifm : int32[C, phases, pixels]
        acc : [K, L]
            Every element is overwritten; those that are no output mean nothing.
        """
        taps = self.taps
        if self.ordered is None or self.ordered.count < len(acc):
            conv.accumulate(ifm, taps.weights, taps.phases, taps.offsets, taps.groups, acc)
        return 0 if self.ordered is None else self.ordered.run(ifm, acc)


def prepare_conv(
    network: QuantizedNetwork,
    layer: Conv,
    plan: AccumulationPlan | None,
    path: Path = HOST_PATHS[0],
    placement: Placement | None = None,
) -> Step:
    """Prepare a convolution, on the micro-kernels of a path where these take it."""
    shapes = network.network.shapes
    image, ofm_image = as_image(shapes[layer.ifm]), as_image(shapes[layer.ofm])
    raw = network.weights[layer.weights].raw
    window = (raw.shape[2], raw.shape[3])
    geometry = conv.plan_conv(
        image[1:], ofm_image[1:], window, layer.stride, layer.pads, layer.dilation
    )
    taps = Taps(
        weights=np.ascontiguousarray(raw.reshape(*raw.shape[:2], -1), np.int32),
        phases=geometry.tap_phase,
        offsets=geometry.tap_offset,
        window=window,
        groups=layer.groups,
    )
    shape = Shape(
        ifm=image,
        ofm=ofm_image,
        window=window,
        stride=layer.stride,
        first_pads=layer.pads[:2],
        dilation=layer.dilation,
        groups=layer.groups,
    )
    found = None if plan is None else find_open_filters(network, layer, plan, window)
    packed = _pack(network, layer, shape, found, path)
    if packed is not None:
        return _run_packed_conv(packed, layer.ifm, ofm_image, placement)
    rows, cols = geometry.acc_shape
    pixels = _flat_pixels(ofm_image[1:], cols)
    sums = _ConvSums(
        taps=taps, ordered=None if found is None else arrange_filters(found, taps, pixels)
    )
    stage = prepare_output_stage(network, layer)

    def step(maps: Maps) -> tuple[Raw, Events]:
        acc = np.empty((len(raw), rows * cols), stage.acc_type)
        phases = conv.split_phases(channels_first(maps[layer.ifm].reshape(image)), geometry)
        clamps = sums.run(phases, acc)
        return stage.run(acc.reshape(-1, rows, cols), clamps, np.empty(ofm_image, np.int32))

    return step


def _pack(
    network: QuantizedNetwork,
    layer: Conv | Dense,
    shape: Shape,
    found: OpenFilters | None,
    path: Path,
) -> PackedLayer | None:
    """Prepare a layer for its micro-kernel; None where none takes it."""
    if found is None:
        return pack_layer(network, layer, shape, path)
    return pack_in_order(network, layer, shape, found.sums, path)


def _run_packed_conv(
    packed: PackedLayer, ifm: str, shape: tuple[int, int, int], placement: Placement | None
) -> Step:
    def run_alone(maps: Maps) -> tuple[Raw, Events]:
        kept, events = packed.run(packed.pack(maps[ifm]))
        return from_channels_last(kept, shape), events

    if placement is None:
        return run_alone

    def run_in_place(maps: Maps) -> tuple[Raw, Events]:
        joined = channels_last(maps[placement.joined], packed.ofm)
        events = packed.run_into(packed.pack(maps[ifm]), joined, placement.first)
        return placement.find(maps), events

    return run_in_place


def _flat_pixels(shape: tuple[int, int], row_length: int) -> Indices:
    """Places of (rows, cols) in a flat map of longer rows."""
    rows, cols = shape
    return (np.arange(rows)[:, None] * row_length + np.arange(cols)).reshape(-1)


def prepare_transposed_conv(
    network: QuantizedNetwork, layer: ConvTranspose, plan: AccumulationPlan | None
) -> Step:
    """Prepare a transposed convolution."""
    shapes = network.network.shapes
    image, ofm_image = as_image(shapes[layer.ifm]), as_image(shapes[layer.ofm])
    raw = network.weights[layer.weights].raw
    geometry = transposed_conv.plan_transposed_conv(
        image[1:],
        ofm_image[1:],
        (raw.shape[2], raw.shape[3]),
        layer.stride,
        layer.pads[:2],
        layer.dilation,
    )
    filters = raw.reshape(*raw.shape[:2], -1)
    phases = []
    for phase in geometry.phases:
        taps = Taps(
            weights=np.ascontiguousarray(filters[:, :, phase.taps], np.int32),
            phases=np.zeros(len(phase.taps), np.int64),
            offsets=phase.offsets,
            window=(1, len(phase.taps)),
            groups=layer.groups,
        )
        ordered = None
        if plan is not None:
            whole = _fill_window(taps, phase.places, geometry.window)
            pixels = _flat_pixels(phase.shape, geometry.padded_cols)
            found = find_open_filters(network, layer, plan, geometry.window)
            ordered = None if found is None else arrange_filters(found, whole, pixels)
        phases.append((phase, _ConvSums(taps=taps, ordered=ordered)))
    stage = prepare_output_stage(network, layer)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = channels_first(maps[layer.ifm].reshape(image))
        padded = transposed_conv.pad_map(ifm, geometry)
        acc = np.empty(ofm_image, stage.acc_type)
        clamps = 0
        for phase, sums in phases:
            rows, cols = phase.shape
            part = np.empty((len(filters), rows * geometry.padded_cols), stage.acc_type)
            clamps += sums.run(padded, part)
            part = part.reshape(-1, rows, geometry.padded_cols)[:, :, :cols]
            acc[:, phase.first[0] :: layer.stride[0], phase.first[1] :: layer.stride[1]] = part
        return stage.run(acc, clamps, np.empty(ofm_image, np.int32))

    return step


def _fill_window(taps: Taps, places: Indices, window: tuple[int, int]) -> Taps:
    """Put the taps of a phase in their places of a window; the others are zero.

    The machine multiplies with these zeros, which shifts what the fold after them holds.
    """
    size = window[0] * window[1]
    weights = np.zeros((*taps.weights.shape[:2], size), np.int32)
    offsets = np.zeros(size, np.int64)
    weights[:, :, places] = taps.weights
    offsets[places] = taps.offsets
    return Taps(
        weights=weights,
        phases=np.zeros(size, np.int64),
        offsets=offsets,
        window=window,
        groups=taps.groups,
    )


def prepare_dense(
    network: QuantizedNetwork,
    layer: Dense,
    plan: AccumulationPlan | None,
    path: Path = HOST_PATHS[0],
) -> Step:
    """Prepare a matrix product: a convolution of pixels that are vectors."""
    weights = np.ascontiguousarray(network.weights[layer.weights].raw, np.int16)
    filters, channels = weights.shape
    positions = math.prod(network.network.shapes[layer.ofm]) // filters
    one_tap = np.zeros(1, np.int64)
    taps = Taps(
        weights=weights.astype(np.int32)[:, :, None],
        phases=one_tap,
        offsets=one_tap,
        window=(1, 1),
        groups=1,
    )
    shape = Shape(
        ifm=(channels, 1, positions),
        ofm=(filters, 1, positions),
        window=(1, 1),
        stride=(1, 1),
        first_pads=(0, 0),
        dilation=(1, 1),
        groups=1,
    )
    found = None if plan is None else find_open_filters(network, layer, plan, (1, 1))
    packed = _pack(network, layer, shape, found, path)
    if packed is not None:
        return _run_packed_dense(packed, layer.ifm)
    ordered = None if found is None else arrange_filters(found, taps, np.arange(positions))
    stage = prepare_output_stage(network, layer)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = np.ascontiguousarray(maps[layer.ifm].reshape(-1, channels), np.int32)
        acc = np.empty((filters, 1, len(ifm)), np.int64)
        dense.accumulate(ifm, weights, acc[:, 0])
        clamps = 0
        if ordered is not None:
            as_rows = np.ascontiguousarray(ifm.T)[:, None]
            clamps = ordered.run(as_rows, acc[:, 0])
        ofm, events = stage.run(acc, clamps, np.empty(acc.shape, np.int32))
        return np.ascontiguousarray(ofm[:, 0].T), events

    return step


def _run_packed_dense(packed: PackedLayer, ifm: str) -> Step:
    return lambda maps: packed.run(packed.pack_rows(maps[ifm]))
