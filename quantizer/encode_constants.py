"""Weights, biases and other constants: their formats and their integers."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from quantizer import fraction_length
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MIN_FRAC_BITS, QFormat, Rounding
from quantizer.formats_file import GivenFormat
from quantizer.given_formats import GivenFormats
from quantizer.network.graph import Network
from quantizer.network.layers import ElementwiseLayer, Layer, PRelu, WeightedLayer
from quantizer.quantized import BitWidths, QuantizedConstant

_MAX_BIAS_MAGNITUDE = 2**60
"""Bias plus a 48-bit accumulator must stay within what the output stage adds exactly."""


def encode_weights(
    network: Network, bits: BitWidths, given: GivenFormats
) -> dict[str, QuantizedConstant]:
    """Encode every constant but the biases, ties to even, by constant name.

    The fraction length is the given one, or that of least squared error.

    Raises
    ------
    InputError
        One tensor is used in two ways that ask for formats of different kinds.
    """
    return {
        name: _encode_weights(name, network.constants[name], width, given.constant(name))
        for name, width in _widths(network, bits).items()
    }


class _Use(StrEnum):
    """What a constant is used for, in the words of a message."""

    WEIGHTS = "weights"
    SLOPES = "slopes"
    OPERAND = "an operand"
    BIAS = "a bias"


def _uses(layer: Layer) -> Iterator[tuple[str, _Use]]:
    if isinstance(layer, WeightedLayer):
        yield layer.weights, _Use.WEIGHTS
        if layer.bias is not None:
            yield layer.bias, _Use.BIAS
    elif isinstance(layer, PRelu):
        yield layer.slopes, _Use.SLOPES
    elif isinstance(layer, ElementwiseLayer) and layer.constant is not None:
        yield layer.constant, _Use.OPERAND


def _widths(network: Network, bits: BitWidths) -> dict[str, int]:
    """Word length of every constant but the biases, each once."""
    uses: dict[str, tuple[_Use, str]] = {}
    for layer in network.layers:
        for name, use in _uses(layer):
            first, where = uses.setdefault(name, (use, layer.name))
            if first is not use:
                raise InputError(
                    f"layer {layer.name!r}",
                    f"uses constant {name!r} as {use}, but layer {where!r} as {first}; "
                    "expected a tensor of its own for each",
                )
    return {
        name: bits.activations if use is _Use.OPERAND else bits.weights
        for name, (use, _) in uses.items()
        if use is not _Use.BIAS
    }


def _encode_weights(
    name: str, values: NDArray[np.float32], bits: int, given: GivenFormat | None
) -> QuantizedConstant:
    channels = values.shape[0]
    if given is None:
        found = fraction_length.search(f"weights {name!r}", values, bits)
        frac_bits = np.full(channels, found, np.int64)
    else:
        bits = given.bits
        frac_bits = np.broadcast_to(np.array(given.frac_bits, np.int64), channels).copy()
    raw = _encode_channels(values, bits, frac_bits)
    return QuantizedConstant(raw=raw, bits=bits, frac_bits=frac_bits)


def _encode_channels(
    values: NDArray[np.float32], bits: int, frac_bits: NDArray[np.int64]
) -> NDArray[np.int16]:
    """Encode each channel in its own fraction length, ties to even, saturating."""
    raw = np.empty(values.shape, np.int16)
    for channel, length in enumerate(frac_bits):
        fmt = QFormat(bits=bits, frac_bits=int(length))
        raw[channel] = fmt.encode(values[channel], Rounding.TIES_EVEN)
    return raw


def calibration_constants(
    network: Network,
    bits: BitWidths,
    weights: Mapping[str, QuantizedConstant],
    given: GivenFormats,
) -> dict[str, NDArray[np.float32]]:
    """Real values of quantized constants, the biases each in its own format."""
    constants = {name: constant.decode() for name, constant in weights.items()}
    for layer in network.layers:
        if isinstance(layer, WeightedLayer) and layer.bias is not None:
            values = network.constants[layer.bias]
            width, lengths = _bias_format(layer, values, bits, given)
            raw = _encode_channels(values, width, lengths)
            constant = QuantizedConstant(raw=raw, bits=width, frac_bits=lengths)
            constants[layer.bias] = constant.decode()
    return constants


def _bias_format(
    layer: WeightedLayer, values: NDArray[np.float32], bits: BitWidths, given: GivenFormats
) -> tuple[int, NDArray[np.int64]]:
    """Width and fraction length of a bias by itself, before the accumulator limits it."""
    assert layer.bias is not None
    fmt = given.constant(layer.bias)
    if fmt is not None:
        return fmt.bits, np.broadcast_to(np.array(fmt.frac_bits, np.int64), values.shape).copy()
    where = f"layer {layer.name!r}: bias {layer.bias!r}"
    found = fraction_length.search(where, values, bits.biases, may_clip=False)
    return bits.biases, np.full(values.shape, found, np.int64)


def encode_biases(
    network: Network,
    formats: Mapping[str, QFormat],
    weights: Mapping[str, QuantizedConstant],
    bits: BitWidths,
    given: GivenFormats,
) -> dict[str, QuantizedConstant]:
    """Encode every bias once, in the coarser of its own format and the accumulator's.

    A bias that several layers share has one format, for the coarsest of their accumulators.
    """
    accumulators = {
        layer.name: formats[layer.ifm].frac_bits + weights[layer.weights].frac_bits
        for layer in network.layers
        if isinstance(layer, WeightedLayer)
    }
    coarsest: dict[str, NDArray[np.int64]] = {}
    for layer in network.layers:
        if isinstance(layer, WeightedLayer) and layer.bias is not None:
            own = accumulators[layer.name]
            coarsest[layer.bias] = np.minimum(coarsest.get(layer.bias, own), own)
    biases = {}
    for layer in network.layers:
        if not isinstance(layer, WeightedLayer) or layer.bias is None:
            continue
        values = network.constants[layer.bias]
        accumulator = accumulators[layer.name]
        width, own = _bias_format(layer, values, bits, given)
        where = f"layer {layer.name!r}: bias {layer.bias!r}"
        fmt = given.constant(layer.bias)
        if fmt is not None and (own > accumulator).any():
            channel = int(np.argmax(own > accumulator))
            raise InputError(
                fmt.where,
                f"frac_bits {own[channel]} is finer than the accumulator of layer "
                f"{layer.name!r}; expected at most {accumulator[channel]}",
            )
        lengths = np.maximum(np.minimum(own, coarsest[layer.bias]), MIN_FRAC_BITS)
        raw = _encode_channels(values, width, lengths)
        _check_bias(where, values, raw, width, lengths, accumulator)
        biases[layer.name] = QuantizedConstant(raw=raw, bits=width, frac_bits=lengths)
    return biases


def _check_bias(
    where: str,
    values: NDArray[np.float32],
    raw: NDArray[np.int16],
    width: int,
    lengths: NDArray[np.int64],
    accumulator: NDArray[np.int64],
) -> None:
    exact = np.rint(np.ldexp(values.astype(np.float64), lengths))
    if (exact != raw).any():
        channel = int(np.argmax(exact != raw))
        raise InputError(
            where,
            f"saturates at channel {channel}: {values[channel]:g} does not fit {width} bits "
            f"with frac_bits {lengths[channel]}; expected fewer frac_bits or more bits",
        )
    for channel, (value, shift) in enumerate(zip(raw, accumulator - lengths, strict=True)):
        if abs(int(value)) << int(max(shift, 0)) > _MAX_BIAS_MAGNITUDE or shift < 0:
            raise InputError(
                where,
                f"channel {channel} is {values[channel]:g}, beyond the 64 bits of the output "
                f"stage at the accumulator's 2**{-accumulator[channel]}; "
                "expected weights and bias of more alike magnitudes",
            )
