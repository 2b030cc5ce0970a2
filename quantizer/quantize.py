"""From a float network and calibration images to integers of known format.

The paper's order: weights and biases first; then the samples of feature maps, from the
network that already carries the quantized weights; then the formats of the feature maps.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from quantizer.calibrate import CalibratedMap, Progress, collect_maps
from quantizer.encode_constants import (
    BiasFormat,
    calibration_constants,
    encode_biases,
    encode_weights,
    find_bias_formats,
)
from quantizer.errors import InputError
from quantizer.estimators import Estimator
from quantizer.fixedpoint.qformat import QFormat
from quantizer.format_classes import FormatClasses, find_format_classes, never_negative
from quantizer.formats_file import GivenFormat
from quantizer.given_formats import GivenFormats
from quantizer.map_formats import FormatMethod, choose_format
from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.network.layers import Add
from quantizer.network.memory import check_memory
from quantizer.quantized import (
    BitWidths,
    MapChoice,
    NumericRules,
    QuantizedConstant,
    QuantizedNetwork,
)
from quantizer.step_rules import StepRounding, find_step_rule
from quantizer.tensor_bits import TensorBits, find_tensor_bits

CalibratedMaps = Mapping[str, CalibratedMap]
"""What `calibrate` knows of feature maps, by their names."""


def _no_progress(done: int, total: int) -> None:
    del done, total


def calibrate(
    network: Network,
    images: ImageSet,
    bits: BitWidths,
    rules: NumericRules | None = None,
    *,
    per_channel: bool = False,
    formats: Mapping[str, GivenFormat] | None = None,
    progress: Progress = _no_progress,
) -> dict[str, CalibratedMap]:
    """Collect the samples of every map that decides on a format, from quantized weights.

    `quantize` takes the result in place of the images: any number of methods and widths of
    feature maps then need one pass. (But for networks that add or multiply constants: these
    have the width of feature maps.)

    Parameters
    ----------
    network, bits, rules, per_channel, formats
        As `quantize` takes them.
    progress
        Called with images done and images in all.

    Raises
    ------
    InputError
        A given format names no tensor or does not fit; an image makes a map NaN or infinite.
    """
    given = GivenFormats(network, formats or {})
    constants = _choose_constants(network, bits, given, per_channel)
    roots = _open_roots(network, given)
    return _collect(network, images, roots, constants, rules or NumericRules(), progress)


def quantize(
    network: Network,
    calibration: ImageSet | CalibratedMaps | None,
    bits: BitWidths,
    rules: NumericRules | None = None,
    *,
    method: str = "ggd",
    estimator: Estimator = Estimator.MOMENTS,
    step_rounding: StepRounding | None = StepRounding.SAMPLE_ERROR,
    headroom_bits: int = 0,
    per_channel: bool = False,
    formats: Mapping[str, GivenFormat] | None = None,
    signed_only: bool = False,
    progress: Progress = _no_progress,
) -> QuantizedNetwork:
    """Choose a format for every tensor and encode the constants.

    Parameters
    ----------
    network
        The float network.
    calibration
        Images whose feature maps the formats are fitted to, or what `calibrate` made of
        them. May be None if `formats` names every feature map that has a format of its own.
    bits
        Word lengths.
    rules
        Of the machine that will run it; the default where none is known.
    method
        Name of a rule of `quantizer.step_rules`.
    estimator
        Of the methods that fit a generalized gamma distribution.
    step_rounding
        From the real-valued step to a power of two; None is the method's own way.
    headroom_bits
        By how many bits the range of feature maps of 12 bits and more is widened, 0 or 1:
        for samples larger than any in calibration.
    per_channel
        Whether weights and biases have a fraction length per output channel.
    formats
        Formats to obey exactly, by tensor name. A given `signed` wins over the rule
        that a map which cannot be negative is unsigned.
    signed_only
        For machines without unsigned operands: every format is signed.
    progress
        Called with images done and images in all.

    Raises
    ------
    InputError
        There is no such method; a given format names no tensor, contradicts another or does
        not fit; a bias saturates; calibration images are missing or make a map NaN or
        infinite.
    """
    rule = find_step_rule(method, estimator)
    how = FormatMethod(
        rule=rule, rounding=step_rounding or rule.own_rounding, headroom_bits=headroom_bits
    )
    given = GivenFormats(network, formats or {})
    constants = _choose_constants(network, bits, given, per_channel)
    classes = find_format_classes(network, given.pinned)
    maps = given.maps(classes)
    open_roots = _open_roots(network, given)
    choices: Mapping[str, MapChoice] = {}
    if open_roots:
        if calibration is None:
            raise InputError(
                "--calibration",
                f"feature map {open_roots[0]!r} has no given format; expected calibration images",
            )
        if isinstance(calibration, ImageSet):
            check_memory(network)
            calibration = _collect(
                network, calibration, open_roots, constants, rules or NumericRules(), progress
            )
        request = _MapRequest(
            network=network, signed_only=signed_only, method=how, constants=constants
        )
        maps, choices = _choose_formats(request, classes, maps, calibration, open_roots)
    formats_of_all = {name: maps[classes.root(name, maps)] for name in classes.sources}
    return QuantizedNetwork(
        network=network,
        rules=rules or NumericRules(),
        bits=bits,
        method=method,
        formats=formats_of_all,
        weights=constants.weights,
        biases=encode_biases(network, formats_of_all, constants.weights, constants.biases),
        choices=choices,
        per_channel=per_channel,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constants:
    """Constants as they are before any feature map has a format, and all word lengths."""

    widths: TensorBits
    weights: Mapping[str, QuantizedConstant]
    biases: Mapping[str, BiasFormat]


def _choose_constants(
    network: Network, bits: BitWidths, given: GivenFormats, per_channel: bool
) -> _Constants:
    classes = find_format_classes(network, given.pinned)
    roots = {name: classes.root(name, given.pinned) for name in classes.sources}
    widths = find_tensor_bits(network, bits, roots)
    return _Constants(
        widths=widths,
        weights=encode_weights(network, widths.constants, given, per_channel=per_channel),
        biases=find_bias_formats(network, widths.constants, given, per_channel=per_channel),
    )


def _collect(
    network: Network,
    images: ImageSet,
    open_roots: Collection[str],
    constants: _Constants,
    rules: NumericRules,
    progress: Progress,
) -> dict[str, CalibratedMap]:
    """Run the network with its quantized constants and collect the maps that have no format."""
    return collect_maps(
        FloatRunner(network, calibration_constants(network, constants.weights, constants.biases)),
        images,
        # The input tells which maps are never negative, whatever its own format.
        tuple(dict.fromkeys((network.input, *open_roots))),
        rules.requantize_rounding,
        progress,
    )


def _open_roots(network: Network, given: GivenFormats) -> list[str]:
    """List the maps that decide on a format which is not given, in the order of the network."""
    classes = find_format_classes(network, given.pinned)
    decisive = set(classes.roots.values()) - set(given.maps(classes))
    return [name for name in classes.sources if name in decisive]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapRequest:
    """What formats of feature maps depend on, but for the samples."""

    network: Network
    signed_only: bool
    method: FormatMethod
    constants: _Constants


def _choose_formats(
    request: _MapRequest,
    classes: FormatClasses,
    given: Mapping[str, QFormat],
    calibrated: CalibratedMaps,
    roots: Collection[str],
) -> tuple[dict[str, QFormat], dict[str, MapChoice]]:
    """Choose the format of every root, operands of an Add before its output."""
    network, widths = request.network, request.constants.widths.feature_maps
    input_is_positive = calibrated[network.input].statistics.negative.count == 0
    positive = never_negative(network, input_is_positive)
    adds = {layer.ofm: layer for layer in network.layers if isinstance(layer, Add)}
    formats, choices = dict(given), {}
    for name in roots:
        operands: list[int] = []
        if name in adds:
            operands = _operand_lengths(request, classes, given, formats, adds[name])
        formats[name], choices[name] = choose_format(
            name,
            calibrated[name],
            widths[name],
            request.signed_only or name not in positive,
            request.method,
            operands,
        )
    return formats, choices


def _operand_lengths(
    request: _MapRequest,
    classes: FormatClasses,
    given: Mapping[str, QFormat],
    chosen: Mapping[str, QFormat],
    add: Add,
) -> list[int]:
    """Fraction lengths of what is added.

    Nothing if one is open: an operand that shares the format of a Concat still to come.
    """
    roots = [classes.root(operand, given) for operand in add.inputs]
    if not chosen.keys() >= set(roots):
        return []
    lengths = [chosen[root].frac_bits for root in roots]
    if add.constant is not None:
        lengths.append(int(request.constants.weights[add.constant].frac_bits[0]))
    return lengths
