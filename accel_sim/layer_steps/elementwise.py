"""Steps of layers that compute each output from one value of each operand."""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from accel_sim.kernels import elementwise
from accel_sim.layer_steps.feature_map import (
    channels_first,
    channels_last,
    from_channels_last,
    storage,
)
from accel_sim.layer_steps.output_stage import align_bias
from accel_sim.layer_steps.step import Events, Maps, Raw, Step, find_bounds
from quantizer.errors import InputError
from quantizer.network.layers import Add, BatchNorm, ElementwiseLayer, Mul, PRelu, Shape
from quantizer.quantized import QuantizedNetwork

_MAX_PLACES_APART = 40
"""Aligned by so many places, two sums of 17 bits stay well within 61."""


def prepare_add(network: QuantizedNetwork, layer: Add) -> Step:
    """Prepare a sum or difference."""
    fmt, rounding = network.formats[layer.ofm], network.rules.requantize_rounding
    lengths = _operand_frac_bits(network, layer)
    finest = max(lengths)
    apart = finest - min(lengths)
    if apart > _MAX_PLACES_APART:
        raise InputError(
            f"layer {layer.name!r}",
            f"adds formats {apart} binary places apart; expected at most {_MAX_PLACES_APART}",
        )
    left_scale, right_scale = (
        sign << (finest - length) for sign, length in zip(layer.signs, lengths, strict=True)
    )
    bounds = find_bounds(fmt, layer.clamp, rounding)
    operands, shape = _prepare_operands(network, layer), network.network.shapes[layer.ofm]

    def step(maps: Maps) -> tuple[Raw, Events]:
        left, right = operands(maps)
        ofm = np.empty(left.size, storage(fmt))
        saturations = elementwise.add(
            left,
            left_scale,
            right,
            right_scale,
            finest - fmt.frac_bits,
            int(rounding),
            bounds,
            ofm,
        )
        return from_channels_last(ofm, shape), Events(output_saturations=int(saturations))

    return step


def prepare_mul(network: QuantizedNetwork, layer: Mul) -> Step:
    """Prepare a product."""
    fmt, rounding = network.formats[layer.ofm], network.rules.requantize_rounding
    shift = sum(_operand_frac_bits(network, layer)) - fmt.frac_bits
    bounds = find_bounds(fmt, layer.clamp, rounding)
    operands, shape = _prepare_operands(network, layer), network.network.shapes[layer.ofm]

    def step(maps: Maps) -> tuple[Raw, Events]:
        left, right = operands(maps)
        ofm = np.empty(left.size, storage(fmt))
        saturations = elementwise.multiply(left, right, shift, int(rounding), bounds, ofm)
        return from_channels_last(ofm, shape), Events(output_saturations=int(saturations))

    return step


def _operand_frac_bits(network: QuantizedNetwork, layer: ElementwiseLayer) -> list[int]:
    lengths = [network.formats[name].frac_bits for name in layer.inputs]
    if layer.constant is not None:
        lengths.append(int(network.weights[layer.constant].frac_bits[0]))
    return lengths


def _prepare_operands(
    network: QuantizedNetwork, layer: ElementwiseLayer
) -> Callable[[Maps], list[Raw]]:
    """Make the function that gives both operands, broadcast to the output and flat."""
    shape = network.network.shapes[layer.ofm]
    kept = {name: storage(network.formats[name]) for name in layer.inputs}
    constants = []
    if layer.constant is not None:
        constants.append(_spread(network.weights[layer.constant].raw, shape, np.int32))

    def operands(maps: Maps) -> list[Raw]:
        return [_spread(maps[name], shape, kept[name]) for name in layer.inputs] + constants

    return operands


def _spread(raw: Raw, shape: Shape, dtype: DTypeLike) -> Raw:
    return channels_last(raw if raw.shape == shape else np.broadcast_to(raw, shape), dtype).reshape(
        -1
    )


def prepare_batch_norm(network: QuantizedNetwork, layer: BatchNorm) -> Step:
    """Prepare a scale and offset per channel."""
    fmt, rounding = network.formats[layer.ofm], network.rules.requantize_rounding
    weights = network.weights[layer.weights].raw.astype(np.int64)
    bias = align_bias(network, layer)
    shift = network.accumulator_frac_bits(layer) - fmt.frac_bits
    bounds = find_bounds(fmt, layer.clamp, rounding)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = channels_first(maps[layer.ifm]).reshape(len(weights), -1)
        ofm = np.empty(ifm.shape, np.int32)
        saturations = elementwise.scale_channels(
            ifm, weights, bias, shift, int(rounding), bounds, ofm
        )
        return ofm, Events(output_saturations=int(saturations))

    return step


def prepare_prelu(network: QuantizedNetwork, layer: PRelu) -> Step:
    """Prepare a slope for negative values."""
    fmt, rounding = network.formats[layer.ofm], network.rules.requantize_rounding
    slopes = network.weights[layer.slopes]
    shape = network.network.shapes[layer.ofm]
    raw = _spread(slopes.raw, shape, np.int32)
    slope_frac_bits = int(slopes.frac_bits[0])
    ifm_format = network.formats[layer.ifm]
    shift, kept = ifm_format.frac_bits - fmt.frac_bits, storage(ifm_format)
    bounds = find_bounds(fmt, layer.clamp, rounding)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = _spread(maps[layer.ifm], shape, kept)
        ofm = np.empty(ifm.size, storage(fmt))
        saturations = elementwise.prelu(
            ifm, raw, slope_frac_bits, shift, int(rounding), bounds, ofm
        )
        return from_channels_last(ofm, shape), Events(output_saturations=int(saturations))

    return step
