"""Is the proved accumulator width enough for every input, and the next narrower one not?"""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from accel_sim.accumulator_range import bits_needed, sum_range
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.graph import Network
from quantizer.network.layers import ConvTranspose, Dense
from quantizer.quantized import BitWidths, NumericRules, QuantizedConstant, QuantizedNetwork


def dense(weights: np.ndarray, bits: int, signed: bool) -> tuple[QuantizedNetwork, Dense]:
    layer = Dense(name="fc", ifm="x", ofm="y", weights="w", bias=None, clamp=None)
    network = Network(
        name="made", digest="", input="x", outputs=("y",), layers=(layer,),
        shapes={"x": (weights.shape[1],), "y": (len(weights),)},
        constants={"w": weights.astype(np.float32)},
    )  # fmt: skip
    constant = QuantizedConstant(
        raw=weights.astype(np.int64), bits=8, frac_bits=np.zeros(len(weights), np.int64)
    )
    formats = {
        "x": QFormat(bits=bits, frac_bits=0, signed=signed), "y": QFormat(bits=8, frac_bits=0)
    }  # fmt: skip
    quantized = QuantizedNetwork(
        network=network, rules=NumericRules(), bits=BitWidths(), method="given",
        formats=formats, weights={"w": constant}, biases={},
    )  # fmt: skip
    return quantized, layer


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_the_bounds_are_reached_and_no_partial_sum_passes_them(seed: int, signed: bool) -> None:
    """All inputs of two bits, all orders of three additions."""
    weights = np.random.default_rng(seed).integers(-8, 8, (2, 3))
    network, layer = dense(weights, 2, signed)
    low, high = sum_range(network, layer)
    values = range(-2, 2) if signed else range(4)
    for channel, row in enumerate(weights.tolist()):
        partial = [
            sum(row[i] * x[i] for i in order[:length])
            for x in itertools.product(values, repeat=3)
            for order in itertools.permutations(range(3))
            for length in range(1, 4)
        ]
        assert (min(0, *partial), max(0, *partial)) == (low[channel], high[channel])
    bits = bits_needed(network, layer)
    assert -(1 << (bits - 1)) <= low.min()
    assert high.max() < 1 << (bits - 1)
    if bits > 1:
        assert low.min() < -(1 << (bits - 2)) or high.max() >= 1 << (bits - 2)


def test_only_taps_that_meet_in_one_output_count_in_a_transposed_convolution() -> None:
    """Four taps, a stride of two: taps 0 and 2 meet, and taps 1 and 3."""
    layer = ConvTranspose(
        name="up", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 2), pads=(0, 0, 0, 0),
        dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    network, _ = dense(np.array([[[[3, 100, -4, 20]]], [[[-1, -50, -2, 7]]]]), 4, False)
    low, high = sum_range(network, layer)
    assert low.tolist() == [-4 * 15, -50 * 15]
    assert high.tolist() == [120 * 15, 7 * 15]
    assert bits_needed(network, layer) == 12
    for stride, dilation, expected in (((1, 1), (1, 1), 123), ((1, 2), (1, 2), 123)):
        spread = replace(layer, stride=stride, dilation=dilation)
        assert sum_range(network, spread)[1][0] == expected * 15
