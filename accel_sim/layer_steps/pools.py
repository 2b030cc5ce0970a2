"""Steps of pools."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels import pool
from accel_sim.layer_steps.feature_map import channels_last, from_channels_last, storage
from accel_sim.layer_steps.step import Events, Maps, Raw, Step, find_bounds
from quantizer.errors import InputError
from quantizer.network.graph import as_image
from quantizer.network.layers import AveragePool, MaxPool
from quantizer.quantized import QuantizedNetwork

_MAX_EXACT = 1 << 61
"""Largest magnitude of a sum or a count that is divided exactly."""


def prepare_max_pool(network: QuantizedNetwork, layer: MaxPool) -> Step:
    """Prepare a maximum over windows."""
    image, ofm_image = (as_image(network.network.shapes[name]) for name in (layer.ifm, layer.ofm))
    raw_min, kept = network.formats[layer.ifm].raw_min, storage(network.formats[layer.ifm])
    pooled = (*ofm_image[1:], ofm_image[0])

    def step(maps: Maps) -> tuple[Raw, Events]:
        ofm = np.empty(pooled, kept)
        ifm = channels_last(maps[layer.ifm].reshape(image), kept)
        pool.max_pool(ifm, layer.kernel, layer.stride, layer.pads[:2], layer.dilation, raw_min, ofm)
        return from_channels_last(ofm, ofm_image), Events()

    return step


def _count_positions(layer: AveragePool, axis: int, size: int, windows: int) -> NDArray[np.int64]:
    """Positions along an axis that each window counts: inside the map, or the padded map."""
    before, after = (layer.pads[axis], layer.pads[axis + 2]) if layer.counts_padding else (0, 0)
    starts = np.arange(windows) * layer.stride[axis] - layer.pads[axis]
    positions = starts[:, np.newaxis] + np.arange(layer.kernel[axis]) * layer.dilation[axis]
    counts = np.count_nonzero((positions >= -before) & (positions < size + after), axis=1)
    if counts.min() == 0:
        raise InputError(
            f"layer {layer.name!r}",
            f"window {int(np.argmin(counts))} along its {('rows', 'columns')[axis]} lies outside "
            "the map; expected less padding",
        )
    return np.asarray(counts, np.int64)


def prepare_average_pool(network: QuantizedNetwork, layer: AveragePool) -> Step:
    """Prepare a mean over windows."""
    rules = network.rules
    image, ofm_image = (as_image(network.network.shapes[name]) for name in (layer.ifm, layer.ofm))
    ifm_format, fmt = network.formats[layer.ifm], network.formats[layer.ofm]
    scale = fmt.frac_bits - ifm_format.frac_bits
    positions = layer.kernel[0] * layer.kernel[1]
    if positions << (abs(scale) + ifm_format.bits) > _MAX_EXACT:
        raise InputError(
            f"layer {layer.name!r}",
            f"its mean over {positions} positions between formats {abs(scale)} binary places "
            "apart needs more than 61 bits; expected formats closer together",
        )
    row_counts, col_counts = (
        _count_positions(layer, axis, image[1 + axis], ofm_image[1 + axis]) for axis in (0, 1)
    )
    bounds = find_bounds(fmt, layer.clamp, rules.requantize_rounding)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ofm = np.empty((*ofm_image[1:], ofm_image[0]), storage(fmt))
        saturations = pool.average_pool(
            channels_last(maps[layer.ifm].reshape(image), storage(ifm_format)),
            layer.kernel,
            layer.stride,
            layer.pads[:2],
            layer.dilation,
            row_counts,
            col_counts,
            scale,
            int(rules.average_pool_rounding),
            bounds,
            ofm,
        )
        return from_channels_last(ofm, ofm_image), Events(output_saturations=int(saturations))

    return step
