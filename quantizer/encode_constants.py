"""Weights, biases and other constants: their formats and their integers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quantizer import fraction_length
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MIN_FRAC_BITS, QFormat, Rounding
from quantizer.given_formats import GivenFormats
from quantizer.network.graph import Network
from quantizer.network.layers import WeightedLayer
from quantizer.quantized import QuantizedConstant
from quantizer.tensor_bits import Use, constants_of

_BLOCK = 1 << 18
"""Values encoded at a time: of large tensors, no second copy in 64 bits."""

_MAX_BIAS_MAGNITUDE = 2**60
"""Bias plus a 48-bit accumulator must stay within what the output stage adds exactly."""


def encode_weights(
    network: Network, bits: Mapping[str, int], given: GivenFormats, *, per_channel: bool
) -> dict[str, QuantizedConstant]:
    """Encode every constant but the biases, ties to even, by constant name.

    The fraction length is the given one, or that of least squared error.

    Parameters
    ----------
    bits
        Word length of every constant.
    per_channel
        Whether each output channel of weights has a fraction length of its own.
    """
    encoded = {}
    uses = {name: use for layer in network.layers for name, use in constants_of(layer)}
    for name, use in uses.items():
        if use is Use.BIAS:
            continue
        values, width, fmt = network.constants[name], bits[name], given.constant(name)
        if fmt is not None:
            width = fmt.bits
            frac_bits = _spread(fmt.frac_bits, len(values))
        elif per_channel and use is Use.WEIGHTS:
            frac_bits = fraction_length.search_channels(f"weights {name!r}", values, width)
        else:
            found = fraction_length.search(f"weights {name!r}", values, width)
            frac_bits = _spread((found,), len(values))
        encoded[name] = encode_constant(values, width, frac_bits)
    return encoded


def encode_constant(
    values: NDArray[np.float32], bits: int, frac_bits: NDArray[np.int64]
) -> QuantizedConstant:
    """Encode each entry of the first axis in its own fraction length, ties to even, saturating."""
    raw = np.empty(values.shape, np.int16)
    for rows in _alike_rows(frac_bits, max(1, _BLOCK // max(1, math.prod(values.shape[1:])))):
        fmt = QFormat(bits=bits, frac_bits=int(frac_bits[rows.start]))
        raw[rows] = fmt.encode(values[rows], Rounding.TIES_EVEN)
    return QuantizedConstant(raw=raw, bits=bits, frac_bits=frac_bits)


def _alike_rows(frac_bits: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Cut rows into runs of one fraction length, of so many rows at most."""
    starts = np.flatnonzero(np.diff(frac_bits, prepend=frac_bits[:1] - 1))
    for first, end in pairwise([*starts.tolist(), len(frac_bits)]):
        for start in range(first, end, most):
            yield slice(start, min(start + most, end))


def _spread(lengths: tuple[int, ...], channels: int) -> NDArray[np.int64]:
    return np.broadcast_to(np.array(lengths, np.int64), channels).copy()


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasFormat:
    """Format of a bias by itself, before accumulators limit it.

    Attributes
    ----------
    frac_bits
        int64[K], one per output channel.
    given_at
        The entry of a formats file that fixes it; None if it may be coarser.
    """

    bits: int
    frac_bits: NDArray[np.int64]
    given_at: str | None


def find_bias_formats(
    network: Network, bits: Mapping[str, int], given: GivenFormats, *, per_channel: bool
) -> dict[str, BiasFormat]:
    """Choose the format of every bias by itself, by constant name.

    Parameters
    ----------
    bits, per_channel
        As for `encode_weights`.
    """
    formats = {}
    for layer in network.layers:
        if not isinstance(layer, WeightedLayer) or layer.bias is None or layer.bias in formats:
            continue
        values, fmt = network.constants[layer.bias], given.constant(layer.bias)
        width = bits[layer.bias] if fmt is None else fmt.bits
        where = f"layer {layer.name!r}: bias {layer.bias!r}"
        if fmt is not None:
            frac_bits = _spread(fmt.frac_bits, len(values))
        elif per_channel:
            frac_bits = fraction_length.search_channels(where, values, width, may_clip=False)
        else:
            found = fraction_length.search(where, values, width, may_clip=False)
            frac_bits = _spread((found,), len(values))
        formats[layer.bias] = BiasFormat(
            bits=width, frac_bits=frac_bits, given_at=None if fmt is None else fmt.where
        )
    return formats


def calibration_constants(
    network: Network,
    weights: Mapping[str, QuantizedConstant],
    biases: Mapping[str, BiasFormat],
) -> dict[str, NDArray[np.float32]]:
    """Real values of quantized constants, the biases each in its own format."""
    encoded = dict(weights)
    for name, fmt in biases.items():
        encoded[name] = encode_constant(network.constants[name], fmt.bits, fmt.frac_bits)
    return {name: constant.decode() for name, constant in encoded.items()}


def coarsest_accumulators(
    network: Network,
    formats: Mapping[str, QFormat],
    weights: Mapping[str, QuantizedConstant],
) -> dict[str, NDArray[np.int64]]:
    """Fraction length of the coarsest accumulator that each bias is added to, int64[K]."""
    coarsest: dict[str, NDArray[np.int64]] = {}
    for layer in network.layers:
        if isinstance(layer, WeightedLayer) and layer.bias is not None:
            own = formats[layer.ifm].frac_bits + weights[layer.weights].frac_bits
            coarsest[layer.bias] = np.minimum(coarsest.get(layer.bias, own), own)
    return coarsest


def encode_biases(
    network: Network,
    formats: Mapping[str, QFormat],
    weights: Mapping[str, QuantizedConstant],
    biases: Mapping[str, BiasFormat],
) -> dict[str, QuantizedConstant]:
    """Encode every bias once, in the coarser of its own format and the accumulator's.

    A bias that several layers share has one format, for the coarsest of their accumulators.

    Parameters
    ----------
    biases
        Formats by themselves, by constant name.

    Returns
    -------
    dict
        By layer name.

    Raises
    ------
    InputError
        A given format is finer than the accumulator, or a bias does not fit its format or
        the output stage.
    """
    coarsest = coarsest_accumulators(network, formats, weights)
    encoded = {}
    for layer in network.layers:
        if not isinstance(layer, WeightedLayer) or layer.bias is None:
            continue
        own, values = biases[layer.bias], network.constants[layer.bias]
        accumulator = formats[layer.ifm].frac_bits + weights[layer.weights].frac_bits
        if own.given_at is not None and (own.frac_bits > accumulator).any():
            channel = int(np.argmax(own.frac_bits > accumulator))
            raise InputError(
                own.given_at,
                f"frac_bits {own.frac_bits[channel]} is finer than the accumulator of layer "
                f"{layer.name!r}; expected at most {accumulator[channel]}",
            )
        lengths = np.maximum(np.minimum(own.frac_bits, coarsest[layer.bias]), MIN_FRAC_BITS)
        constant = encode_constant(values, own.bits, lengths)
        _check_bias(f"layer {layer.name!r}: bias {layer.bias!r}", values, constant, accumulator)
        encoded[layer.name] = constant
    return encoded


def _check_bias(
    where: str,
    values: NDArray[np.float32],
    bias: QuantizedConstant,
    accumulator: NDArray[np.int64],
) -> None:
    raw, lengths = bias.raw.astype(np.float64), bias.frac_bits
    is_clipped = np.rint(np.ldexp(values.astype(np.float64), lengths)) != raw
    if is_clipped.any():
        channel = int(np.argmax(is_clipped))
        raise InputError(
            where,
            f"saturates at channel {channel}: {values[channel]:g} does not fit {bias.bits} bits "
            f"with frac_bits {lengths[channel]}; expected fewer frac_bits or more bits",
        )
    shift = accumulator - lengths
    is_beyond = (shift < 0) | (np.ldexp(np.abs(raw), shift) > _MAX_BIAS_MAGNITUDE)
    if is_beyond.any():
        channel = int(np.argmax(is_beyond))
        raise InputError(
            where,
            f"channel {channel} is {values[channel]:g}, beyond the 64 bits of the output "
            f"stage at the accumulator's 2**{-accumulator[channel]}; "
            "expected weights and bias of more alike magnitudes",
        )
