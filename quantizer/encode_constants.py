"""Weights, biases and added constants: their formats and their integers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantizer import fraction_length
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MIN_FRAC_BITS, QFormat, Rounding
from quantizer.formats_file import GivenFormat
from quantizer.given_formats import GivenFormats
from quantizer.network.graph import Network
from quantizer.network.layers import Add, MacLayer
from quantizer.quantized import BitWidths, QuantizedConstant

_MAX_BIAS_MAGNITUDE = 2**60
"""Bias plus a 48-bit accumulator must stay within what the output stage adds exactly."""


def encode_weights(
    network: Network, bits: BitWidths, given: GivenFormats
) -> dict[str, QuantizedConstant]:
    """Encode every weight tensor and added constant, ties to even, by constant name.

    The fraction length is the given one, or that of least squared error.
    """
    return {
        name: _encode_weights(name, values, width, given.constant(name))
        for name, values, width in _weight_tensors(network, bits)
    }


def _weight_tensors(
    network: Network, bits: BitWidths
) -> list[tuple[str, NDArray[np.float64], int]]:
    """Name, values and width of every weight tensor and added constant, each once."""
    widths: dict[str, int] = {}
    for layer in network.layers:
        if isinstance(layer, MacLayer):
            widths[layer.weights] = bits.weights
        elif isinstance(layer, Add) and layer.constant is not None:
            widths[layer.constant] = bits.activations
    return [
        (name, network.constants[name].astype(np.float64), width) for name, width in widths.items()
    ]


def _encode_weights(
    name: str, values: NDArray[np.float64], bits: int, given: GivenFormat | None
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
    values: NDArray[np.float64], bits: int, frac_bits: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Encode each channel in its own fraction length, ties to even, saturating."""
    raw = np.empty(values.shape, np.int64)
    for channel, length in enumerate(frac_bits):
        fmt = QFormat(bits=bits, frac_bits=int(length))
        raw[channel] = fmt.encode(values[channel], Rounding.TIES_EVEN)
    return raw


def calibration_constants(
    network: Network,
    bits: BitWidths,
    weights: Mapping[str, QuantizedConstant],
    given: GivenFormats,
) -> dict[str, NDArray[np.float64]]:
    """Real values of quantized weights, constants and biases (each in its own format)."""
    constants = {name: constant.decode() for name, constant in weights.items()}
    for layer in network.layers:
        if isinstance(layer, MacLayer) and layer.bias is not None:
            values = network.constants[layer.bias].astype(np.float64)
            width, lengths = _bias_format(layer, values, bits, given)
            raw = _encode_channels(values, width, lengths)
            constants[layer.bias] = np.ldexp(raw.astype(np.float64), -lengths)
    return constants


def _bias_format(
    layer: MacLayer, values: NDArray[np.float64], bits: BitWidths, given: GivenFormats
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
        if isinstance(layer, MacLayer)
    }
    coarsest: dict[str, NDArray[np.int64]] = {}
    for layer in network.layers:
        if isinstance(layer, MacLayer) and layer.bias is not None:
            own = accumulators[layer.name]
            coarsest[layer.bias] = np.minimum(coarsest.get(layer.bias, own), own)
    biases = {}
    for layer in network.layers:
        if not isinstance(layer, MacLayer) or layer.bias is None:
            continue
        values = network.constants[layer.bias].astype(np.float64)
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
    values: NDArray[np.float64],
    raw: NDArray[np.int64],
    width: int,
    lengths: NDArray[np.int64],
    accumulator: NDArray[np.int64],
) -> None:
    exact = np.rint(np.ldexp(values, lengths))
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
