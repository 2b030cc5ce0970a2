"""From a float network and calibration images to integers of known format.

The paper's order: weights and biases first; then the samples of feature maps, from the
network that already carries the quantized weights; then the formats of the feature maps.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quantizer import fraction_length
from quantizer.calibrate import (
    Progress,
    TensorStatistics,
    collect_statistics,
    compare_formats,
)
from quantizer.errors import InputError, nearest
from quantizer.fixedpoint.qformat import MIN_FRAC_BITS, QFormat, Rounding
from quantizer.format_classes import FormatClasses, find_format_classes, never_negative
from quantizer.formats_file import GivenFormat
from quantizer.ggd import GeneralizedGamma, fit_moments
from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import Add, MacLayer, Network
from quantizer.network.images import ImageSet
from quantizer.quantized import BitWidths, NumericRules, QuantizedConstant, QuantizedNetwork
from quantizer.step_size import Side, optimum_step

METHODS: Mapping[str, str] = {
    "ggd": "generalized gamma fit by moments, end-corrected closed-form step",
}
"""Names of the rules for feature maps, and what each does."""

_MAX_BIAS_MAGNITUDE = 2**60
"""Bias plus a 48-bit accumulator must stay within what the output stage adds exactly."""


def _no_progress(done: int, total: int) -> None:
    del done, total


def quantize(
    network: Network,
    calibration: ImageSet | None,
    bits: BitWidths,
    rules: NumericRules | None = None,
    *,
    method: str = "ggd",
    formats: Mapping[str, GivenFormat] | None = None,
    signed_only: bool = False,
    progress: Progress = _no_progress,
) -> QuantizedNetwork:
    """Choose a format for every tensor and encode weights and biases.

    Parameters
    ----------
    network
        The float network.
    calibration
        Images whose feature maps the formats are fitted to. May be None if `formats`
        names every feature map that has a format of its own.
    bits
        Word lengths.
    rules
        Of the machine that will run it; the default where none is known.
    method
        One of `METHODS`.
    formats
        Formats to obey exactly, by tensor name. A given `signed` wins over the rule
        that a map which cannot be negative is unsigned.
    signed_only
        For machines without unsigned operands: every format is signed.
    progress
        Called with images done and images in all, over both passes.

    Raises
    ------
    InputError
        A given format names no tensor, contradicts another or does not fit; a bias
        saturates; calibration images are missing or make a map NaN or infinite.
    """
    if method not in METHODS:
        known = list(METHODS)
        raise InputError("--method", f"unknown method {method!r}{nearest(method, known)}")
    rules = rules or NumericRules()
    given = _Given(network, formats or {})
    weights = {
        name: _encode_weights(name, values, width, given.constant(name))
        for name, values, width in _weight_tensors(network, bits)
    }
    classes = find_format_classes(network, given.maps)
    maps = _given_maps(network, given, classes)
    open_roots = sorted(set(classes.roots.values()) - set(maps))
    if open_roots:
        if calibration is None:
            raise InputError(
                "--calibration",
                f"feature map {open_roots[0]!r} has no given format; expected calibration images",
            )
        maps |= _calibrate(
            network, calibration, bits, rules, weights, given, open_roots, signed_only, progress
        )
    formats_of_all = {
        name: maps[source if source in maps else classes.roots[name]]
        for name, source in classes.sources.items()
    }
    return QuantizedNetwork(
        network=network,
        rules=rules,
        bits=bits,
        method=method,
        formats=formats_of_all,
        weights=weights,
        biases=_encode_biases(network, formats_of_all, weights, bits, given),
    )


class _Given:
    """The formats of a formats file, checked against the network's tensors."""

    def __init__(self, network: Network, formats: Mapping[str, GivenFormat]) -> None:
        self._formats = formats
        known = [*network.shapes, *network.constants]
        for name, fmt in formats.items():
            if name not in known:
                raise InputError(
                    fmt.where,
                    "the network has no such tensor with a format of its own"
                    f"{nearest(name, known)}",
                )
            if name in network.shapes and len(fmt.frac_bits) != 1:
                raise InputError(
                    fmt.where, "frac_bits: a feature map has one fraction length, got a list"
                )
            if name in network.constants:
                channels = network.constants[name].shape[0]
                if not fmt.signed:
                    raise InputError(fmt.where, "signed: weights and biases are signed, got false")
                if len(fmt.frac_bits) not in (1, channels):
                    raise InputError(
                        fmt.where,
                        f"frac_bits: expected one integer or {channels}, one per output "
                        f"channel; got {len(fmt.frac_bits)}",
                    )
        sources = find_format_classes(network, ()).sources
        self.maps = {sources[name] for name in formats if name in network.shapes}

    def constant(self, name: str) -> GivenFormat | None:
        return self._formats.get(name)

    def map_formats(self) -> Mapping[str, GivenFormat]:
        return self._formats


def _given_maps(network: Network, given: _Given, classes: FormatClasses) -> dict[str, QFormat]:
    """Collect the formats that the user gave to sources, or to maps that inherit from them."""
    maps: dict[str, QFormat] = {}
    first: dict[str, str] = {}
    for name, fmt in given.map_formats().items():
        if name not in network.shapes:
            continue
        source = classes.sources[name]
        value = QFormat(bits=fmt.bits, frac_bits=fmt.frac_bits[0], signed=fmt.signed)
        if maps.setdefault(source, value) != value:
            raise InputError(
                fmt.where,
                f"is {value}, but {first[source]!r} is {maps[source]}; the two share one format",
            )
        first.setdefault(source, name)
    return maps


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


def _calibrate(
    network: Network,
    images: ImageSet,
    bits: BitWidths,
    rules: NumericRules,
    weights: Mapping[str, QuantizedConstant],
    given: _Given,
    roots: list[str],
    signed_only: bool,
    progress: Progress,
) -> dict[str, QFormat]:
    """Choose the formats of the named maps, on the network with quantized weights."""
    total = 2 * len(images)
    runner = FloatRunner(network, _calibration_constants(network, bits, weights, given))
    statistics = collect_statistics(
        runner, images, {*roots, network.input}, lambda done, _: progress(done, total)
    )
    positive = never_negative(network, statistics[network.input].negative.count == 0)
    candidates: dict[str, list[QFormat]] = {}
    for name in roots:
        is_input = name == network.input
        width = bits.input_bits if is_input else bits.activations
        is_signed = signed_only or name not in positive
        candidates[name] = candidate_formats(name, statistics[name], width, is_signed)
    return compare_formats(
        runner,
        images,
        candidates,
        rules.requantize_rounding,
        lambda done, _: progress(len(images) + done, total),
    )


def _calibration_constants(
    network: Network,
    bits: BitWidths,
    weights: Mapping[str, QuantizedConstant],
    given: _Given,
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
    layer: MacLayer, values: NDArray[np.float64], bits: BitWidths, given: _Given
) -> tuple[int, NDArray[np.int64]]:
    """Width and fraction length of a bias by itself, before the accumulator limits it."""
    assert layer.bias is not None
    fmt = given.constant(layer.bias)
    if fmt is not None:
        return fmt.bits, np.broadcast_to(np.array(fmt.frac_bits, np.int64), values.shape).copy()
    where = f"layer {layer.name!r}: bias {layer.bias!r}"
    found = fraction_length.search(where, values, bits.biases, may_clip=False)
    return bits.biases, np.full(values.shape, found, np.int64)


def candidate_formats(
    name: str, statistics: TensorStatistics, bits: int, is_signed: bool
) -> list[QFormat]:
    """List the formats of a feature map to compare on its samples, by rising fraction length.

    The two powers of two around the closed-form step. Where no distribution fits (a
    constant map, a handful of samples) the max-range format and three finer ones.
    """
    where = f"feature map {name!r}"
    high = (1 << (bits - is_signed)) - 1
    low = (1 << (bits - 1)) if is_signed else 0
    positive, negative = statistics.positive, statistics.negative
    if statistics.largest == 0.0 or (not is_signed and positive.count == 0):
        return [QFormat(bits=bits, frac_bits=bits - is_signed, signed=is_signed)]
    # The clamp to max / R: a coarser step than the one that just covers the samples
    # only loses resolution.
    coarsest = max(positive.largest / high, negative.largest / low if low else 0.0)
    sides = []
    used = [(positive, high), (negative, low)] if is_signed else [(positive, high)]
    count = sum(side.count for side, _ in used)
    for side, levels in used:
        if side.count:
            fit = fit_moments(side.mean, side.mean_square, side.mean_fourth)
            sides.append((side.count / count, fit, levels))
    step = _step(sides, bits)
    if step is None:
        finest = math.floor(-math.log2(coarsest))
        lengths = list(range(finest, finest + 4))
    else:
        exponent = -math.log2(min(step, coarsest))
        lengths = sorted({math.floor(exponent), math.ceil(exponent)})
    return [
        QFormat(bits=bits, frac_bits=fraction_length.in_range(where, length), signed=is_signed)
        for length in lengths
    ]


def _step(sides: list[tuple[float, GeneralizedGamma | None, int]], bits: int) -> float | None:
    fitted = [
        Side(share=share, distribution=fit, levels=levels)
        for share, fit, levels in sides
        if fit is not None
    ]
    return optimum_step(fitted, bits) if len(fitted) == len(sides) else None


def _encode_biases(
    network: Network,
    formats: Mapping[str, QFormat],
    weights: Mapping[str, QuantizedConstant],
    bits: BitWidths,
    given: _Given,
) -> dict[str, QuantizedConstant]:
    """Encode every bias once, in the coarser of its own format and the accumulator's."""
    biases = {}
    for layer in network.layers:
        if not isinstance(layer, MacLayer) or layer.bias is None:
            continue
        values = network.constants[layer.bias].astype(np.float64)
        accumulator = formats[layer.ifm].frac_bits + weights[layer.weights].frac_bits
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
        lengths = np.maximum(np.minimum(own, accumulator), MIN_FRAC_BITS)
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
