"""Steps of the layers that run on the array: exact sums, then the output stage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import bits_needed
from accel_sim.kernels import conv, dense, output_stage, transposed_conv
from accel_sim.layer_steps.step import Bounds, Events, Maps, Raw, Step, find_bounds
from quantizer.network.graph import as_image
from quantizer.network.layers import Conv, ConvTranspose, Dense, MacLayer, WeightedLayer
from quantizer.quantized import QuantizedNetwork

Accumulators = NDArray[np.int32 | np.int64]


def align_bias(network: QuantizedNetwork, layer: WeightedLayer) -> NDArray[np.int64]:
    """Bias in the format of the layer's products, int64[K]; zeros where there is none."""
    if layer.bias is None:
        return np.zeros(len(network.weights[layer.weights].raw), np.int64)
    bias = network.biases[layer.name]
    shift = network.accumulator_frac_bits(layer) - bias.frac_bits
    return np.asarray(bias.raw.astype(np.int64) << shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputStage:
    """Arguments of `output_stage.finish`, and the accumulator type that holds all sums."""

    acc_type: type[np.int32] | type[np.int64]
    acc_bits: int
    bias: NDArray[np.int64]
    shift: NDArray[np.int64]
    rounding: int
    bounds: Bounds

    def run(self, acc: Accumulators, ofm: Raw) -> tuple[Raw, Events]:
        overflows, saturations = output_stage.finish(
            acc, self.acc_bits, self.bias, self.shift, self.rounding, self.bounds, ofm
        )
        return ofm, Events(
            accumulator_overflows=int(overflows), output_saturations=int(saturations)
        )


def _prepare_output_stage(network: QuantizedNetwork, layer: MacLayer) -> _OutputStage:
    rules, fmt = network.rules, network.formats[layer.ofm]
    return _OutputStage(
        acc_type=np.int32 if bits_needed(network, layer) <= 32 else np.int64,
        acc_bits=rules.accumulator_bits,
        bias=align_bias(network, layer),
        shift=network.accumulator_frac_bits(layer) - fmt.frac_bits,
        rounding=int(rules.requantize_rounding),
        bounds=find_bounds(fmt, layer.clamp, rules.requantize_rounding),
    )


def prepare_conv(network: QuantizedNetwork, layer: Conv) -> Step:
    """Prepare a convolution."""
    shapes = network.network.shapes
    image, ofm_image = as_image(shapes[layer.ifm]), as_image(shapes[layer.ofm])
    raw = network.weights[layer.weights].raw
    geometry = conv.plan_conv(
        image[1:],
        ofm_image[1:],
        (raw.shape[2], raw.shape[3]),
        layer.stride,
        layer.pads,
        layer.dilation,
    )
    weights = np.ascontiguousarray(raw.reshape(*raw.shape[:2], -1), np.int32)
    stage = _prepare_output_stage(network, layer)
    rows, cols = geometry.acc_shape

    def step(maps: Maps) -> tuple[Raw, Events]:
        acc = np.empty((len(weights), rows * cols), stage.acc_type)
        phases = conv.split_phases(maps[layer.ifm].reshape(image), geometry)
        conv.accumulate(phases, weights, geometry.tap_phase, geometry.tap_offset, layer.groups, acc)
        return stage.run(acc.reshape(-1, rows, cols), np.empty(ofm_image, np.int32))

    return step


def prepare_transposed_conv(network: QuantizedNetwork, layer: ConvTranspose) -> Step:
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
    weights = [
        np.ascontiguousarray(filters[:, :, phase.taps], np.int32) for phase in geometry.phases
    ]
    stage = _prepare_output_stage(network, layer)

    def step(maps: Maps) -> tuple[Raw, Events]:
        padded = transposed_conv.pad_map(maps[layer.ifm].reshape(image), geometry)
        acc = np.empty(ofm_image, stage.acc_type)
        for phase, phase_weights in zip(geometry.phases, weights, strict=True):
            rows, cols = phase.shape
            part = np.empty((len(filters), rows * geometry.padded_cols), stage.acc_type)
            conv.accumulate(
                padded,
                phase_weights,
                np.zeros(len(phase.taps), np.int64),
                phase.offsets,
                layer.groups,
                part,
            )
            part = part.reshape(-1, rows, geometry.padded_cols)[:, :, :cols]
            acc[:, phase.first[0] :: layer.stride[0], phase.first[1] :: layer.stride[1]] = part
        return stage.run(acc, np.empty(ofm_image, np.int32))

    return step


def prepare_dense(network: QuantizedNetwork, layer: Dense) -> Step:
    """Prepare a matrix product."""
    weights = np.ascontiguousarray(network.weights[layer.weights].raw, np.int16)
    filters, channels = weights.shape
    stage = _prepare_output_stage(network, layer)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ifm = maps[layer.ifm].reshape(-1, channels)
        acc = np.empty((filters, 1, len(ifm)), np.int64)
        dense.accumulate(ifm, weights, acc[:, 0])
        ofm, events = stage.run(acc, np.empty(acc.shape, np.int32))
        return np.ascontiguousarray(ofm[:, 0].T), events

    return step
