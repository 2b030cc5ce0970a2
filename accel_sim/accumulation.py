"""What an accumulator must hold: bounds on sums of products, proved from the weights."""

import numpy as np
from numpy.typing import NDArray

from quantizer.network.layers import MacLayer
from quantizer.quantized import QuantizedNetwork


def sum_range(
    network: QuantizedNetwork, layer: MacLayer
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bound the accumulator of each output channel, whatever the input map holds.

    ``sum(w+) * xmin + sum(w-) * xmax`` and ``sum(w+) * xmax + sum(w-) * xmin`` with the
    extremes of the input's format. Zero lies between these, so every partial sum, in any
    order of additions, is within the bounds too.

    Returns
    -------
    tuple
        Lowest and highest sum, int64[K] each.
    """
    ifm = network.formats[layer.ifm]
    weights = network.weights[layer.weights].raw
    weights = weights.reshape(len(weights), -1)
    positive = np.maximum(weights, 0).sum(axis=1)
    negative = np.minimum(weights, 0).sum(axis=1)
    low = positive * ifm.raw_min + negative * ifm.raw_max
    high = positive * ifm.raw_max + negative * ifm.raw_min
    return low, high


def bits_needed(network: QuantizedNetwork, layer: MacLayer) -> int:
    """Width of the narrowest accumulator in which no sum of the layer can overflow."""
    low, high = sum_range(network, layer)
    # Two's complement of A bits holds -2**(A-1) .. 2**(A-1) - 1.
    return 1 + max(int(~low.min()).bit_length(), int(high.max()).bit_length())
