"""Steps of layers that pass values on."""

import numpy as np

from accel_sim.kernels import elementwise
from accel_sim.layer_steps.feature_map import (
    channels_last,
    from_channels_last,
    kept_axis,
    storage,
)
from accel_sim.layer_steps.step import Events, Maps, Raw, Step, find_bounds, round_scaled
from quantizer.network.layers import Clip, Concat, Pad, Reshape, Slice, Transpose, Upsample
from quantizer.quantized import QuantizedNetwork


def prepare_concat(network: QuantizedNetwork, layer: Concat) -> Step:
    """Prepare a concatenation; inputs of another format are requantized."""
    fmt, rounding = network.formats[layer.ofm], network.rules.requantize_rounding
    bounds = find_bounds(fmt, None, rounding)
    kept, shape = storage(fmt), network.network.shapes[layer.ofm]
    axis = kept_axis(layer.axis, shape)

    def step(maps: Maps) -> tuple[Raw, Events]:
        parts = []
        saturations = 0
        for name in layer.inputs:
            part = channels_last(maps[name], storage(network.formats[name]))
            if network.formats[name] != fmt:
                shift = network.formats[name].frac_bits - fmt.frac_bits
                changed = np.empty(part.shape, kept)
                saturations += int(
                    elementwise.change_format(
                        part.reshape(-1), shift, int(rounding), bounds, changed.reshape(-1)
                    )
                )
                part = changed
            parts.append(part)
        ofm = np.concatenate(parts, axis)
        return from_channels_last(ofm, shape), Events(output_saturations=saturations)

    return step


def prepare_clip(network: QuantizedNetwork, layer: Clip) -> Step:
    """Prepare an activation function that stands alone."""
    raw_min, raw_max, low, high = find_bounds(
        network.formats[layer.ofm], layer.clamp, network.rules.requantize_rounding
    )
    low, high = (min(max(bound, raw_min), raw_max) for bound in (low, high))

    return lambda maps: (np.clip(maps[layer.ifm], low, high), Events())


def prepare_reshape(layer: Reshape) -> Step:
    """Prepare another shape, which `prepare_step` gives to every ofm."""
    return lambda maps: (maps[layer.ifm], Events())


def prepare_transpose(layer: Transpose) -> Step:
    """Prepare another order."""

    def step(maps: Maps) -> tuple[Raw, Events]:
        return maps[layer.ifm].reshape(layer.view).transpose(layer.permutation), Events()

    return step


def prepare_slice(network: QuantizedNetwork, layer: Slice) -> Step:
    """Prepare a part of a map."""
    shape = network.network.shapes[layer.ofm]
    ends = (
        start + step * count
        for start, step, count in zip(layer.starts, layer.steps, shape, strict=True)
    )
    # Counted down past the first value, an end is below 0, which numpy counts from behind.
    part = tuple(
        slice(start, end if end >= 0 else None, step)
        for start, end, step in zip(layer.starts, ends, layer.steps, strict=True)
    )

    def step(maps: Maps) -> tuple[Raw, Events]:
        return maps[layer.ifm][part], Events()

    return step


def prepare_pad(network: QuantizedNetwork, layer: Pad) -> Step:
    """Prepare a constant around a map, encoded as a bound of a Clip is."""
    fmt = network.formats[layer.ofm]
    value = round_scaled(np.array(layer.value), fmt, network.rules.requantize_rounding)
    raw = min(max(int(value), fmt.raw_min), fmt.raw_max)
    widths = [(max(0, low), max(0, high)) for low, high in _zip_pads(layer)]
    kept = tuple(slice(max(0, -low), min(0, high) or None) for low, high in _zip_pads(layer))

    def step(maps: Maps) -> tuple[Raw, Events]:
        return np.pad(maps[layer.ifm][kept], widths, constant_values=raw), Events()

    return step


def _zip_pads(layer: Pad) -> list[tuple[int, int]]:
    return list(zip(layer.before, layer.after, strict=True))


def prepare_upsample(layer: Upsample) -> Step:
    """Prepare repeated values."""

    def step(maps: Maps) -> tuple[Raw, Events]:
        ofm = maps[layer.ifm]
        for axis, factor in enumerate(layer.factors):
            if factor > 1:
                ofm = np.repeat(ofm, factor, axis)
        return ofm, Events()

    return step
