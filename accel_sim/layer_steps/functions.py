"""Steps of functions from tables, and of the one layer that the host computes."""

import numpy as np

from accel_sim.kernels import lookup
from accel_sim.layer_steps.feature_map import channels_last, from_channels_last, storage
from accel_sim.layer_steps.step import (
    Events,
    Maps,
    Raw,
    Step,
    bound_all,
    find_bounds,
    round_scaled,
)
from quantizer.errors import InputError
from quantizer.lookup_table import rest_bits, round_function
from quantizer.network.layers import LocalResponseNorm, Lookup
from quantizer.quantized import QuantizedNetwork


def prepare_lookup(network: QuantizedNetwork, layer: Lookup) -> Step:
    """Prepare a function of one value: its table."""
    ifm_format, fmt = network.formats[layer.ifm], network.formats[layer.ofm]
    rounding = network.rules.requantize_rounding
    rounded = round_function(layer.function, ifm_format, fmt.frac_bits, rounding)
    bounds = find_bounds(fmt, layer.clamp, rounding)
    bounded, is_clipped = bound_all(rounded, bounds)
    clips = is_clipped.astype(np.int32)
    raw_min, rest = ifm_format.raw_min, rest_bits(ifm_format)
    # An activation function holds what was interpolated, not the entries.
    table = bound_all(rounded, find_bounds(fmt, None, rounding))[0] if rest else bounded
    low, high = bounds[2:]
    shape = network.network.shapes[layer.ofm]

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = channels_last(maps[layer.ifm], storage(ifm_format)).reshape(-1)
        ofm = np.empty(ifm.size, storage(fmt))
        if rest:
            saturations = lookup.interpolate(ifm, raw_min, rest, table, clips, int(rounding), ofm)
            np.clip(ofm, low, high, out=ofm)
        else:
            saturations = lookup.look_up(ifm, raw_min, table, clips, ofm)
        return from_channels_last(ofm, shape), Events(output_saturations=int(saturations))

    return step


def prepare_local_response_norm(network: QuantizedNetwork, layer: LocalResponseNorm) -> Step:
    """Prepare what the host computes in float64, channel by channel in rising order."""
    ifm_format, fmt = network.formats[layer.ifm], network.formats[layer.ofm]
    rounding = network.rules.requantize_rounding
    bounds = find_bounds(fmt, layer.clamp, rounding)
    below, above = (layer.size - 1) // 2, layer.size // 2

    def step(maps: Maps) -> tuple[Raw, Events]:
        raw = maps[layer.ifm].astype(np.int64)
        squares = np.cumsum(np.pad(raw**2, [(below + 1, above)] + [(0, 0)] * (raw.ndim - 1)), 0)
        # Sums of squares of raw values are exact.
        sums = np.ldexp(
            (squares[layer.size :] - squares[: -layer.size]).astype(np.float64),
            -2 * ifm_format.frac_bits,
        )
        with np.errstate(all="ignore"):
            norm = (layer.bias + layer.alpha / layer.size * sums) ** layer.beta
            real = ifm_format.decode(raw) / norm
        if np.isnan(real).any():
            raise InputError(
                f"layer {layer.name!r}",
                "its result is not a number; expected bias and alpha that keep the base of its "
                "power above 0",
            )
        ofm, is_clipped = bound_all(round_scaled(real, fmt, rounding).astype(np.int64), bounds)
        return ofm, Events(output_saturations=int(np.count_nonzero(is_clipped)))

    return step
