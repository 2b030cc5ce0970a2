"""Layers as they come to the micro-kernels, and what big integers make of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.accumulation import (
    AccumulationLevel,
    AccumulationPlan,
    Adder,
    Dimension,
    ReductionLoop,
    Start,
)
from accel_sim.kernels import micro_bands
from accel_sim.kernels.micro_kernels import HOST_PATHS, Path
from quantizer.fixedpoint.qformat import Overflow, QFormat, Rounding
from quantizer.network.layers import Clamp, Conv, Dense
from quantizer.quantized import NumericRules, QuantizedConstant, QuantizedNetwork
from tests.fixedpoint.versions import oracle_name
from tests.functional.by_hand import quantized
from tests.kernels.drawing import ROUNDING, SELDOM, raw_integers
from tests.oracles import layers_bigint
from tests.oracles.fixed_point import Format
from tests.oracles.layers_bigint import Bounds

Shape = tuple[int, ...]

FILTERS = st.integers(1, 40) | st.sampled_from([15, 16, 17, 32, 48, 49])
"""With all that a block of 32 leaves: less than half of one, half, and more."""


@contextmanager
def narrow_kernels() -> Iterator[None]:
    """Use narrow micro-kernels for all filters they can take: small layers would have none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(micro_bands, "LEAST_SAVED_MACS", -(1 << 40))
        yield


def on_all_kernels() -> Iterator[tuple[str, Path]]:
    """Every path of the host; then once more, where narrow micro-kernels are used at all."""
    for path in HOST_PATHS:
        yield "as wide as pays", path
    with narrow_kernels():
        for path in HOST_PATHS:
            if any(family.narrow is not None for family in path.families):
                yield "as narrow as can be", path


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A layer of the array in a network of its own, and a map to run it on."""

    network: QuantizedNetwork
    ifm: NDArray[np.int32]

    @property
    def layer(self) -> Conv | Dense:
        """The only one."""
        (layer,) = self.network.network.layers
        assert isinstance(layer, Conv | Dense)
        return layer

    @property
    def plan(self) -> AccumulationPlan | None:
        """One chain, where accumulators saturate."""
        rules = self.network.rules
        if rules.accumulator_overflow is Overflow.WRAP:
            return None
        chain = AccumulationLevel(
            loops=tuple(ReductionLoop(dimension=dimension, step=1) for dimension in Dimension),
            max_terms=None,
            adder=Adder.CHAIN,
            start=Start.ZERO,
            bits=rules.accumulator_bits,
            saturates=True,
        )
        return AccumulationPlan(levels=(chain,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Outputs as ``[K, P*Q]``, and the counts of both events."""

    raw: list[list[int]]
    overflows: int
    saturations: int


def expect(case: Case) -> Expected:
    """Run a case of wrapping accumulators by the oracle."""
    network, layer = case.network, case.layer
    weights = network.weights["w"]
    bits = network.rules.accumulator_bits
    if isinstance(layer, Dense):
        sums = layers_bigint.multiply_dense(case.ifm, weights.raw, accumulator_bits=bits)
        acc = sums.wrapped.T[np.newaxis]
    else:
        sums = layers_bigint.convolve(
            case.ifm[np.newaxis],
            weights.raw,
            strides=layer.stride,
            pads=layer.pads,
            dilations=layer.dilation,
            groups=layer.groups,
            accumulator_bits=bits,
        )
        acc = sums.wrapped
    x, y = network.formats["x"], network.formats["y"]
    biases = network.biases[layer.name]
    lengths = weights.frac_bits.tolist()
    clamp = layer.clamp or Clamp(low=-np.inf, high=np.inf)
    low, high = (
        None if np.isinf(bound) else int(bound * 2.0**y.frac_bits)
        for bound in (clamp.low, clamp.high)
    )
    found = layers_bigint.output_stage(
        acc,
        aligned_bias=layers_bigint.align_bias(
            biases.raw.tolist(), x.frac_bits, lengths, biases.frac_bits.tolist()
        ),
        shifts=[x.frac_bits + length - y.frac_bits for length in lengths],
        form=Format(bits=y.bits, frac_bits=y.frac_bits, signed=y.signed),
        mode=oracle_name(network.rules.requantize_rounding),
        bounds=Bounds(lower=low, upper=high),
    )
    return Expected(
        raw=found.raw[0].reshape(len(weights.raw), -1).tolist(),
        overflows=sums.overflows,
        saturations=found.output_saturations,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Formats of operands, and the rules of the machine."""

    ifm: QFormat
    weight_bits: int
    acc_bits: int
    overflow: Overflow
    rounding: Rounding


@st.composite
def numbers(draw: st.DrawFn, overflow: Overflow) -> Numbers:
    """Every width up to 16, as often below 9, where micro-kernels take four to a lane."""
    widths = st.one_of(st.integers(2, 8), st.integers(2, 16), st.just(16))
    return Numbers(
        ifm=QFormat(bits=draw(widths), frac_bits=0, signed=draw(st.booleans())),
        weight_bits=draw(widths),
        acc_bits=draw(st.one_of(st.integers(8, 48), st.sampled_from([24, 32]))),
        overflow=overflow,
        rounding=draw(ROUNDING),
    )


@st.composite
def network_of(
    draw: st.DrawFn, form: Numbers, layer: Conv | Dense, ifm: Shape, shape: Shape, ofm: Shape
) -> QuantizedNetwork:
    """Weights of a shape, and biases and an ofm whose scale the sums reach."""
    half = 1 << (form.weight_bits - 1)
    raw = draw(raw_integers(shape, -half, half - 1))
    lengths = np.array([draw(st.integers(0, 3)) for _ in range(min(len(raw), 3))])
    frac_bits = np.resize(lengths, len(raw))
    sum_bits = form.ifm.bits + form.weight_bits + int(raw[0].size).bit_length() - 1
    ofm_bits = draw(st.integers(2, 16))
    # So that outputs saturate at times, and seldom all vanish; shifts are never below zero.
    shift = max(min(sum_bits, form.acc_bits) - ofm_bits - draw(st.integers(-1, 4)), 0)
    if draw(SELDOM):
        shift = draw(st.integers(0, 60))
    # A bias may be far more than what is added up.
    bias_bits = draw(st.sampled_from([8, 16, 16, 40]))
    biases = draw(raw_integers((len(raw),), -(1 << (bias_bits - 1)), (1 << (bias_bits - 1)) - 1))
    # Relu, Relu6 and the like; powers of two, which every format holds.
    bound = draw(st.sampled_from([np.inf, 2.0 ** (shift + ofm_bits - 2), 2.0 ** (shift + 17)]))
    clamp = draw(st.none() | st.just(Clamp(low=0.0, high=bound)))
    y = QFormat(bits=ofm_bits, frac_bits=-shift, signed=draw(st.booleans()))
    return quantized(
        replace(layer, clamp=clamp),
        maps={"x": (form.ifm, ifm), "y": (y, ofm)},
        weights={"w": QuantizedConstant(raw=raw, bits=form.weight_bits, frac_bits=frac_bits)},
        biases={layer.name: QuantizedConstant(raw=biases, bits=bias_bits, frac_bits=frac_bits)},
        rules=NumericRules(
            accumulator_bits=form.acc_bits,
            accumulator_overflow=form.overflow,
            requantize_rounding=form.rounding,
        ),
    )


def pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw: st.DrawFn, overflow: Overflow = Overflow.WRAP) -> Case:
    """Few products each, but every way to cut channels, filters and pixels."""
    kind = draw(st.sampled_from(["one group", "groups", "depthwise"]))
    if kind == "one group":
        groups, channels, filters = 1, draw(st.integers(1, 9)), draw(FILTERS)
    elif kind == "groups":
        groups, channels = draw(st.integers(2, 3)), draw(st.integers(1, 5))
        filters = groups * draw(st.sampled_from([1, 2, 3, 16, 17]))
    else:
        groups, channels = draw(st.integers(2, 40)), 1
        filters = groups
    rows, cols = draw(pair(1, 6)) if draw(st.booleans()) else (1, draw(st.integers(1, 20)))
    window = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (1, 3), (2, 1), (2, 2)]))
    layer = Conv(
        name="conv",
        ifm="x",
        ofm="y",
        weights="w",
        bias="b",
        stride=draw(st.just((1, 1)) | pair(1, 3)),
        pads=(0, 0, 0, 0) if draw(st.booleans()) else (*draw(pair(0, 2)), *draw(pair(0, 2))),
        dilation=draw(st.just((1, 1)) | pair(1, 2)),
        groups=groups,
        clamp=None,
    )
    return draw(a_convolution(layer, overflow, (groups * channels, rows, cols), filters, window))


@st.composite
def a_convolution(
    draw: st.DrawFn,
    layer: Conv,
    overflow: Overflow,
    ifm: tuple[int, int, int],
    filters: int,
    window: tuple[int, int],
) -> Case:
    out_shape = tuple(
        (size + begin + end - spread * (taps - 1) - 1) // step + 1
        for size, begin, end, spread, taps, step in zip(
            ifm[1:], layer.pads[:2], layer.pads[2:], layer.dilation, window, layer.stride,
            strict=True,
        )
    )  # fmt: skip
    assume(min(out_shape) >= 1)
    form = draw(numbers(overflow))
    weights = (filters, ifm[0] // layer.groups, *window)
    network = draw(network_of(form, layer, ifm, weights, (filters, *out_shape)))
    x = draw(raw_integers(ifm, form.ifm.raw_min, form.ifm.raw_max)).astype(np.int32)
    return Case(network=network, ifm=x)


@st.composite
def dense_layers(draw: st.DrawFn) -> Case:
    positions, channels = draw(st.integers(1, 6)), draw(st.integers(1, 40))
    filters = draw(st.sampled_from([1, 5, 32, 33, 130]))
    layer = Dense(name="dense", ifm="x", ofm="y", weights="w", bias="b", clamp=None)
    form = draw(numbers(Overflow.WRAP))
    shape = (positions, channels)
    network = draw(network_of(form, layer, shape, (filters, channels), (positions, filters)))
    x = draw(raw_integers(shape, form.ifm.raw_min, form.ifm.raw_max)).astype(np.int32)
    return Case(network=network, ifm=x)
