"""Networks of one or two layers, quantized by hand: every integer can be followed."""

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from accel_sim.accumulation import NO_PLANS, Plans
from accel_sim.functional import ExactNetwork, Trace
from accel_sim.layer_steps.step import Events
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.graph import Network
from quantizer.network.layers import Add, AveragePool, Clamp, Clip, Conv, Dense, Layer
from quantizer.quantized import BitWidths, NumericRules, QuantizedConstant, QuantizedNetwork
from tests.oracles.fixed_point import round_fraction

RELU = Clamp(low=0.0, high=np.inf)
WIDE = NumericRules(accumulator_bits=48)
QUIET = Events()


def signed(bits: int, frac_bits: int) -> QFormat:
    return QFormat(bits=bits, frac_bits=frac_bits)


def unsigned(bits: int, frac_bits: int) -> QFormat:
    return QFormat(bits=bits, frac_bits=frac_bits, signed=False)


def constant(raw: ArrayLike, *frac_bits: int, bits: int = 16) -> QuantizedConstant:
    """Stored integers, with one fraction length for all channels or one for each."""
    array = np.array(raw, np.int64)
    lengths = np.broadcast_to(np.array(frac_bits, np.int64), array.shape[:1]).copy()
    return QuantizedConstant(raw=array, bits=bits, frac_bits=lengths)


def quantized(
    *layers: Layer,
    maps: Mapping[str, tuple[QFormat, tuple[int, ...]]],
    weights: Mapping[str, QuantizedConstant] | None = None,
    biases: Mapping[str, QuantizedConstant] | None = None,
    rules: NumericRules = WIDE,
) -> QuantizedNetwork:
    """A network from input ``x``, with format and shape of every map."""
    return QuantizedNetwork(
        network=Network(
            name="by hand",
            digest="",
            input="x",
            outputs=(layers[-1].ofm,),
            layers=layers,
            shapes={name: shape for name, (_, shape) in maps.items()},
            constants={},
        ),
        rules=rules,
        bits=BitWidths(),
        method="given",
        formats={name: fmt for name, (fmt, _) in maps.items()},
        weights=weights or {},
        biases=biases or {},
    )


def run(network: QuantizedNetwork, raw: ArrayLike, plans: Plans = NO_PLANS) -> Trace:
    """Run on stored integers of the input."""
    return ExactNetwork(network, plans).run(network.formats["x"].decode(raw))


def conv(ofm: str = "y", *, bias: bool = False, clamp: Clamp | None = None) -> Conv:
    """A convolution of one pixel, without padding."""
    return Conv(
        name="conv",
        ifm="x",
        ofm=ofm,
        weights="w",
        bias="b" if bias else None,
        stride=(1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        clamp=clamp,
    )


def dense(*, bias: bool = False) -> Dense:
    return Dense(
        name="dense", ifm="x", ofm="y", weights="w", bias="b" if bias else None, clamp=None
    )


def add(*inputs: str, plus: str | None = None, clamp: Clamp | None = None) -> Add:
    return Add(name="add", inputs=inputs, constant=plus, signs=(1, 1), ofm="y", clamp=clamp)


def average_pool(*, clamp: Clamp | None = None) -> AveragePool:
    return AveragePool(
        name="mean",
        ifm="x",
        ofm="y",
        kernel=(2, 2),
        stride=(2, 2),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        counts_padding=False,
        clamp=clamp,
    )


def relu_copy() -> Clip:
    """A second map ``r`` beside ``x``: its Relu."""
    return Clip(name="relu", ifm="x", ofm="r", clamp=RELU)


def exactly(
    value: Fraction, fmt: QFormat, rounding: Rounding, clamp: Clamp | None = None
) -> tuple[int, int]:
    """Encode an exact value as the output of a layer: raw integer, and 1 if it saturates."""
    mode = rounding.name.lower()
    raw = round_fraction(value * Fraction(2) ** fmt.frac_bits, mode)
    if clamp is not None:
        low, high = (
            bound if math.isinf(bound) else round_fraction(Fraction(bound) * 2**fmt.frac_bits, mode)
            for bound in (clamp.low, clamp.high)
        )
        raw = int(min(max(raw, low), high))
    held = min(max(raw, fmt.raw_min), fmt.raw_max)
    return held, int(held != raw)


def real(raw: int, fmt: QFormat | QuantizedConstant, channel: int = 0) -> Fraction:
    """Exact value of a stored integer."""
    length = fmt.frac_bits if isinstance(fmt, QFormat) else int(fmt.frac_bits[channel])
    return raw * Fraction(2) ** -length
