"""From a float network and calibration images to integers of known format.

The paper's order: weights and biases first; then the samples of feature maps, from the
network that already carries the quantized weights; then the formats of the feature maps.
"""

from collections.abc import Mapping

from quantizer.calibrate import FormatError, Progress, collect_statistics, measure_errors
from quantizer.encode_constants import calibration_constants, encode_biases, encode_weights
from quantizer.errors import InputError, nearest
from quantizer.fixedpoint.qformat import QFormat
from quantizer.format_classes import FormatClasses, find_format_classes, never_negative
from quantizer.formats_file import GivenFormat
from quantizer.given_formats import GivenFormats
from quantizer.map_formats import candidate_formats, choose_format, choose_sum_format
from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.network.layers import Add
from quantizer.quantized import BitWidths, NumericRules, QuantizedConstant, QuantizedNetwork

METHODS: Mapping[str, str] = {
    "ggd": "generalized gamma fit by moments, end-corrected closed-form step",
}
"""Names of the rules for feature maps, and what each does."""


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
    """Choose a format for every tensor and encode the constants.

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
    given = GivenFormats(network, formats or {})
    weights = encode_weights(network, bits, given)
    classes = find_format_classes(network, given.pinned)
    maps = given.maps(classes)
    decisive = set(classes.roots.values()) - set(maps)
    open_roots = [name for name in classes.sources if name in decisive]
    if open_roots:
        if calibration is None:
            raise InputError(
                "--calibration",
                f"feature map {open_roots[0]!r} has no given format; expected calibration images",
            )
        runner = FloatRunner(network, calibration_constants(network, bits, weights, given))
        candidates, errors = _measure_candidates(
            runner, network, calibration, bits, rules, open_roots, signed_only, progress
        )
        maps |= _choose_formats(network, rules, classes, weights, maps, candidates, errors)
    formats_of_all = {name: maps[classes.root(name, maps)] for name in classes.sources}
    return QuantizedNetwork(
        network=network,
        rules=rules,
        bits=bits,
        method=method,
        formats=formats_of_all,
        weights=weights,
        biases=encode_biases(network, formats_of_all, weights, bits, given),
    )


def _measure_candidates(
    runner: FloatRunner,
    network: Network,
    images: ImageSet,
    bits: BitWidths,
    rules: NumericRules,
    roots: list[str],
    signed_only: bool,
    progress: Progress,
) -> tuple[dict[str, list[QFormat]], dict[str, list[FormatError]]]:
    """Fit the named maps and measure on the samples what each candidate format does."""
    total = 2 * len(images)
    statistics = collect_statistics(
        runner,
        images,
        dict.fromkeys([network.input, *roots]),
        lambda done, _: progress(done, total),
    )
    positive = never_negative(network, statistics[network.input].negative.count == 0)
    candidates: dict[str, list[QFormat]] = {}
    for name in roots:
        width = bits.input_bits if name == network.input else bits.activations
        is_signed = signed_only or name not in positive
        candidates[name] = candidate_formats(name, statistics[name], width, is_signed)
    errors = measure_errors(
        runner,
        images,
        candidates,
        rules.requantize_rounding,
        lambda done, _: progress(len(images) + done, total),
    )
    return candidates, errors


def _choose_formats(
    network: Network,
    rules: NumericRules,
    classes: FormatClasses,
    weights: Mapping[str, QuantizedConstant],
    given: Mapping[str, QFormat],
    candidates: Mapping[str, list[QFormat]],
    errors: Mapping[str, list[FormatError]],
) -> dict[str, QFormat]:
    """Choose among the candidates of every map, operands of an Add before its output."""
    adds = {layer.ofm: layer for layer in network.layers if isinstance(layer, Add)}
    chosen = dict(given)
    for name in classes.sources:
        if name not in candidates:
            continue
        add = adds.get(name)
        roots = [classes.root(operand, given) for operand in add.inputs] if add else []
        if add is None or not chosen.keys() >= set(roots):
            # An operand that shares the format of a Concat still to come is open here.
            chosen[name] = choose_format(candidates[name], errors[name])
            continue
        operands = [chosen[root].frac_bits for root in roots]
        if add.constant is not None:
            operands.append(int(weights[add.constant].frac_bits[0]))
        chosen[name] = choose_sum_format(
            candidates[name], errors[name], operands, rules.requantize_rounding
        )
    return chosen
