"""One layer of the exact run, from operands in memory to calls of kernels.

Each layer is prepared once (operands packed, shifts and bounds worked out, ranges proved)
and then runs on any number of images, from any number of threads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import bits_needed
from accel_sim.kernels import conv, dense, elementwise, output_stage, pool
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding, round_real
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clamp,
    Clip,
    Concat,
    Conv,
    Dense,
    Layer,
    MacLayer,
    MaxPool,
    Reshape,
)
from quantizer.quantized import QuantizedNetwork

Raw = NDArray[np.int32]
Bounds = tuple[int, int, int, int]

_UNBOUNDED = 1 << 40
"""Stands for an infinite activation bound: beyond every raw value and one more."""
_MAX_EXACT = 1 << 61
"""Largest magnitude that the output stage accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What happened in one layer, counted over one image.

    Attributes
    ----------
    accumulator_overflows
        Outputs whose exact sum left the accumulator's range.
    output_saturations
        Outputs that the format clipped; a Relu's zero is not one.
    """

    accumulator_overflows: int = 0
    output_saturations: int = 0


Maps = Mapping[str, Raw]
Step = Callable[[Maps], tuple[Raw, Events]]


def prepare_step(network: QuantizedNetwork, layer: Layer) -> Step:
    """Make the function that runs one layer: maps by name in, the ofm and events out.

    Raises
    ------
    InputError
        Formats lie so far apart that a sum of the two needs more than 61 bits.
    """
    match layer:
        case Conv():
            return _prepare_conv(network, layer)
        case Dense():
            return _prepare_dense(network, layer)
        case Add():
            return _prepare_add(network, layer)
        case MaxPool():
            return _prepare_max_pool(network, layer)
        case AveragePool():
            return _prepare_average_pool(network, layer)
        case Concat():
            return _prepare_concat(network, layer)
        case Reshape():
            return lambda maps: (maps[layer.ifm], Events())
        case Clip():
            return _prepare_clip(network, layer)


def _bounds(fmt: QFormat, clamp: Clamp | None, rounding: Rounding) -> Bounds:
    """Raw bounds of a format, then of an activation function in that format's scale.

    An activation function whose bounds miss the format's range ends at the range's edge:
    only a rounded value beyond the edge is then clipped by the format.
    """
    clamp = clamp or Clamp(low=-np.inf, high=np.inf)
    scaled = np.ldexp([clamp.low, clamp.high], fmt.frac_bits)
    low, high = round_real(np.clip(scaled, -_UNBOUNDED, _UNBOUNDED), rounding)
    return fmt.raw_min, fmt.raw_max, min(int(low), fmt.raw_max), max(int(high), fmt.raw_min)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputStage:
    """Arguments of `output_stage.finish`, and the accumulator type that holds all sums."""

    acc_type: type[np.int32] | type[np.int64]
    acc_bits: int
    bias: NDArray[np.int64]
    shift: NDArray[np.int64]
    rounding: int
    bounds: Bounds

    def run(self, acc: NDArray[np.int32 | np.int64], ofm: Raw) -> tuple[Raw, Events]:
        overflows, saturations = output_stage.finish(
            acc, self.acc_bits, self.bias, self.shift, self.rounding, self.bounds, ofm
        )
        return ofm, Events(
            accumulator_overflows=int(overflows), output_saturations=int(saturations)
        )


def _prepare_output_stage(network: QuantizedNetwork, layer: MacLayer) -> _OutputStage:
    rules, fmt = network.rules, network.formats[layer.ofm]
    weights = network.weights[layer.weights].raw
    acc_frac_bits = network.accumulator_frac_bits(layer)
    bias = np.zeros(len(weights), np.int64)
    if layer.bias is not None:
        constant = network.biases[layer.name]
        bias = constant.raw << (acc_frac_bits - constant.frac_bits)
    return _OutputStage(
        acc_type=np.int32 if bits_needed(network, layer) <= 32 else np.int64,
        acc_bits=rules.accumulator_bits,
        bias=bias,
        shift=acc_frac_bits - fmt.frac_bits,
        rounding=int(rules.requantize_rounding),
        bounds=_bounds(fmt, layer.clamp, rules.requantize_rounding),
    )


def _prepare_conv(network: QuantizedNetwork, layer: Conv) -> Step:
    shapes = network.network.shapes
    _, height, width = shapes[layer.ifm]
    filters, out_height, out_width = shapes[layer.ofm]
    raw = network.weights[layer.weights].raw
    geometry = conv.plan_conv(
        (height, width),
        (out_height, out_width),
        (raw.shape[2], raw.shape[3]),
        layer.stride,
        layer.pads,
        layer.dilation,
    )
    weights = np.ascontiguousarray(raw.reshape(*raw.shape[:2], -1), np.int32)
    stage = _prepare_output_stage(network, layer)
    rows, cols = geometry.acc_shape

    def step(maps: Maps) -> tuple[Raw, Events]:
        acc = np.empty((filters, rows * cols), stage.acc_type)
        phases = conv.split_phases(maps[layer.ifm], geometry)
        conv.accumulate(phases, weights, geometry.tap_phase, geometry.tap_offset, layer.groups, acc)
        ofm = np.empty((filters, out_height, out_width), np.int32)
        return stage.run(acc.reshape(filters, rows, cols), ofm)

    return step


def _prepare_dense(network: QuantizedNetwork, layer: Dense) -> Step:
    weights = np.ascontiguousarray(network.weights[layer.weights].raw, np.int32)
    filters, channels = weights.shape
    stage = _prepare_output_stage(network, layer)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = maps[layer.ifm].reshape(-1, channels)
        acc = np.empty((filters, 1, len(ifm)), np.int64)
        dense.accumulate(ifm, weights, acc[:, 0])
        ofm = np.empty(acc.shape, np.int32)
        _, events = stage.run(acc, ofm)
        return np.ascontiguousarray(ofm[:, 0].T), events

    return step


def _prepare_add(network: QuantizedNetwork, layer: Add) -> Step:
    fmt, rounding = network.formats[layer.ofm], network.rules.requantize_rounding
    lengths = [network.formats[name].frac_bits for name in layer.inputs]
    constant: list[Raw] = []
    if layer.constant is not None:
        value = network.weights[layer.constant]
        constant = [value.raw.astype(np.int32).reshape(-1)]
        lengths.append(int(value.frac_bits[0]))
    finest = max(lengths)
    shifts = [finest - length for length in lengths]
    if max(shifts) > 40:
        raise InputError(
            f"layer {layer.name!r}",
            f"adds formats {max(shifts)} binary places apart; expected at most 40",
        )
    bounds = _bounds(fmt, layer.clamp, rounding)

    def step(maps: Maps) -> tuple[Raw, Events]:
        left, right = [maps[name].reshape(-1) for name in layer.inputs] + constant
        ofm = np.empty(left.shape, np.int32)
        saturations = elementwise.add(
            left, shifts[0], right, shifts[1], finest - fmt.frac_bits, int(rounding), bounds, ofm
        )
        return ofm, Events(output_saturations=int(saturations))

    return step


def _prepare_max_pool(network: QuantizedNetwork, layer: MaxPool) -> Step:
    shape, fmt = network.network.shapes[layer.ofm], network.formats[layer.ifm]

    def step(maps: Maps) -> tuple[Raw, Events]:
        ofm = np.empty(shape, np.int32)
        ifm = maps[layer.ifm]
        pool.max_pool(ifm, layer.kernel, layer.stride, layer.pads[:2], fmt.raw_min, ofm)
        return ofm, Events()

    return step


def _prepare_average_pool(network: QuantizedNetwork, layer: AveragePool) -> Step:
    shape, rules = network.network.shapes[layer.ofm], network.rules
    ifm_format, fmt = network.formats[layer.ifm], network.formats[layer.ofm]
    scale = fmt.frac_bits - ifm_format.frac_bits
    positions = layer.kernel[0] * layer.kernel[1]
    if positions << (abs(scale) + ifm_format.bits) > _MAX_EXACT:
        raise InputError(
            f"layer {layer.name!r}",
            f"its mean over {positions} positions between formats {abs(scale)} binary places "
            "apart needs more than 61 bits; expected formats closer together",
        )
    bounds = _bounds(fmt, layer.clamp, rules.requantize_rounding)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ofm = np.empty(shape, np.int32)
        saturations = pool.average_pool(
            maps[layer.ifm],
            layer.kernel,
            layer.stride,
            layer.pads[:2],
            layer.counts_padding,
            scale,
            int(rules.average_pool_rounding),
            bounds,
            ofm,
        )
        return ofm, Events(output_saturations=int(saturations))

    return step


def _prepare_concat(network: QuantizedNetwork, layer: Concat) -> Step:
    fmt, rounding = network.formats[layer.ofm], network.rules.requantize_rounding
    bounds = _bounds(fmt, None, rounding)

    def step(maps: Maps) -> tuple[Raw, Events]:
        parts = []
        saturations = 0
        for name in layer.inputs:
            part = np.ascontiguousarray(maps[name])
            if network.formats[name] != fmt:
                shift = network.formats[name].frac_bits - fmt.frac_bits
                changed = np.empty_like(part)
                saturations += int(
                    elementwise.change_format(
                        part.reshape(-1), shift, int(rounding), bounds, changed.reshape(-1)
                    )
                )
                part = changed
            parts.append(part)
        return np.concatenate(parts), Events(output_saturations=saturations)

    return step


def _prepare_clip(network: QuantizedNetwork, layer: Clip) -> Step:
    raw_min, raw_max, low, high = _bounds(
        network.formats[layer.ofm], layer.clamp, network.rules.requantize_rounding
    )
    low, high = (min(max(bound, raw_min), raw_max) for bound in (low, high))

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = maps[layer.ifm].reshape(-1)
        ofm = np.empty_like(ifm)
        elementwise.clip(ifm, low, high, ofm)
        return ofm, Events()

    return step
