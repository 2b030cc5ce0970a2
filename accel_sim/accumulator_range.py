"""What an accumulator must hold: bounds on sums of products, proved from the weights."""

import numpy as np
from numpy.typing import NDArray

from quantizer.network.layers import ConvTranspose, MacLayer
from quantizer.quantized import QuantizedNetwork

Weights = NDArray[np.int16] | NDArray[np.int64]


def sum_range(
    network: QuantizedNetwork, layer: MacLayer
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bound the accumulator of each output channel, whatever the input map holds.

    ``sum(w+) * xmin + sum(w-) * xmax`` and ``sum(w+) * xmax + sum(w-) * xmin`` with the
    extremes of the input's format, over the weights that can meet in one output. Zero lies
    between these, so every partial sum, in any order of additions, is within the bounds too.

    Returns
    -------
    tuple
        Lowest and highest sum, int64[K] each.
    """
    ifm = network.formats[layer.ifm]
    lows, highs = [], []
    for weights in _meeting_weights(network, layer):
        flat = weights.reshape(len(weights), -1)
        positive = np.maximum(flat, 0).sum(axis=1, dtype=np.int64)
        negative = np.minimum(flat, 0).sum(axis=1, dtype=np.int64)
        lows.append(positive * ifm.raw_min + negative * ifm.raw_max)
        highs.append(positive * ifm.raw_max + negative * ifm.raw_min)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _meeting_weights(network: QuantizedNetwork, layer: MacLayer) -> list[Weights]:
    """Parts of the filters whose products one output adds up."""
    weights = network.weights[layer.weights].raw
    if not isinstance(layer, ConvTranspose):
        return [weights]
    # Output rows that are equal modulo the stride read the same taps; columns likewise.
    row_phase, col_phase = (
        np.arange(taps) * dilation % stride
        for taps, dilation, stride in zip(
            weights.shape[2:], layer.dilation, layer.stride, strict=True
        )
    )
    return [
        weights[:, :, row_phase == i][:, :, :, col_phase == j]
        for i in np.unique(row_phase)
        for j in np.unique(col_phase)
    ]


def bits_needed(network: QuantizedNetwork, layer: MacLayer) -> int:
    """Width of the narrowest accumulator in which no sum of the layer can overflow."""
    low, high = sum_range(network, layer)
    # Two's complement of A bits holds -2**(A-1) .. 2**(A-1) - 1.
    return 1 + max(int(~low.min()).bit_length(), int(high.max()).bit_length())


def find_proven_channels(
    network: QuantizedNetwork, layer: MacLayer, bits: int
) -> NDArray[np.bool_]:
    """Tell which output channels no sum can overflow, whatever the input map holds; bool[K]."""
    low, high = sum_range(network, layer)
    return (low >= -(1 << (bits - 1))) & (high < 1 << (bits - 1))
