"""What the exact run says about a quantized network: SQNR, top-1, events, activity."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import NO_PLANS, Plans
from accel_sim.accumulator_range import bits_needed, find_proven_channels
from accel_sim.functional import ExactNetwork
from accel_sim.kernels import zero_rle
from accel_sim.layer_steps.feature_map import channels_first, encode
from accel_sim.layer_steps.step import Events
from accel_sim.mapping.coded_maps import PairCounts
from accel_sim.sqnr import Energies, Sqnr, compare
from quantizer.calibrate import check_finite
from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.network.layers import Layer, MacLayer, WeightedLayer
from quantizer.ordered_map import map_in_order
from quantizer.quantized import QuantizedNetwork

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerValues:
    """What was measured at one layer's output, over all images.

    Attributes
    ----------
    sqnr_dB
        Against the float network, end to end. None where there is no noise (`exact`).
    local_sqnr_dB
        Of the format alone: the samples of the network with quantized weights against
        their own encoding. None where there is no noise.
    exact
        Whether the output equals the float network's everywhere.
    accumulator_overflows, output_saturations
        Events, summed over all images. Overflows are outputs whose exact sum leaves an
        accumulator that wraps, or additions that a saturating one clamps.
    accumulator_bits_needed
        Width in which no sum can overflow, whatever the images; None without MACs.
    accumulator_channels, accumulator_proven_channels
        Output channels, and how many of them cannot overflow, whatever the images; None
        without MACs.
    zero_ifm_fraction
        Zeros among the raw values that the layer reads.
    zero_weight_fraction
        Zeros among its raw weights; None where it has none.
    """

    sqnr_dB: float | None
    local_sqnr_dB: float | None
    exact: bool
    accumulator_overflows: int
    accumulator_bits_needed: int | None
    accumulator_channels: int | None
    accumulator_proven_channels: int | None
    output_saturations: int
    zero_ifm_fraction: float
    zero_weight_fraction: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueReport:
    """What the exact run of a whole network measured.

    Attributes
    ----------
    layers
        By layer name.
    sqnr_dB, exact
        Of the network's output, end to end.
    top1_agreement_fraction
        Images whose best class is that of the float network; None for an output that is
        not one score per class.
    top1_accuracy_fraction, float_top1_accuracy_fraction
        Against the labels; None without labels.
    top1_tie_fraction
        Images whose best score stands more than once (the lowest index wins).
    images
        How many there were.
    zero_run_pairs
        In the codes of what the layers write; None where the machine has no codes.
    """

    layers: Mapping[str, LayerValues]
    sqnr_dB: float | None
    exact: bool
    top1_agreement_fraction: float | None
    top1_accuracy_fraction: float | None
    float_top1_accuracy_fraction: float | None
    top1_tie_fraction: float | None
    images: int
    zero_run_pairs: PairCounts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _LayerOnImage:
    """What one image shows of one layer; `pairs` are those of its ofm's code."""

    end_to_end: Energies
    local: Energies
    events: Events
    zeros: int
    elements: int
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageRun:
    """What one image shows of the network; `float_best` is the float network's best class."""

    tensors: Mapping[str, NDArray[np.int32]]
    layers: Mapping[str, _LayerOnImage]
    float_best: int


def _no_progress(done: int, total: int) -> None:
    del done, total


def measure_values(
    network: QuantizedNetwork,
    images: ImageSet,
    *,
    plans: Plans = NO_PLANS,
    zero_run_bits: int | None = None,
    progress: Progress = _no_progress,
    save: Callable[[int, Mapping[str, NDArray[np.int32]]], None] | None = None,
) -> ValueReport:
    """Run all images exactly and compare them with the float network.

    Parameters
    ----------
    network
        What to run.
    images
        What to run it on; labels are used if there.
    plans
        How the machine adds up every layer on its array; needed where accumulators saturate.
    zero_run_bits
        Of the runs in the codes of feature maps; None where the machine has none.
    progress
        Called with images done and images in all.
    save
        Called per image, in order, with its index and the raw integers of every feature
        map by tensor name.

    Raises
    ------
    InputError
        A label is no output of the network, an image makes a map NaN or infinite, or
        accumulators saturate and a plan is missing.
    """
    graph = network.network
    output_shape = graph.shapes[graph.output]
    is_classifier = math.prod(output_shape) == output_shape[0] > 1
    if is_classifier:
        images.check_labels(output_shape[0])
    run = _prepare_run(network, images, plans, zero_run_bits, keeps_maps=save is not None)
    shown: dict[str, list[_LayerOnImage]] = {layer.name: [] for layer in graph.layers}
    scores: list[NDArray[np.int32]] = []
    float_best: list[int] = []
    for index, one in enumerate(map_in_order(run, len(images))):
        for name, layer in one.layers.items():
            shown[name].append(layer)
        scores.append(one.tensors[graph.output].reshape(-1))
        float_best.append(one.float_best)
        if save is not None:
            save(index, one.tensors)
        progress(index + 1, len(images))
    last = next(layer for layer in graph.layers if layer.ofm == graph.output)
    end_to_end = Sqnr([one.end_to_end for one in shown[last.name]])
    best = [int(np.argmax(score)) for score in scores]
    ties = [int((score == score.max()).sum() > 1) for score in scores]
    labels = None if images.labels is None else images.labels.tolist()
    return ValueReport(
        layers={layer.name: _sum_up(network, layer, shown[layer.name]) for layer in graph.layers},
        sqnr_dB=end_to_end.dB,
        exact=end_to_end.is_exact,
        top1_agreement_fraction=_fraction_equal(best, float_best) if is_classifier else None,
        top1_accuracy_fraction=_fraction_equal(best, labels) if is_classifier else None,
        float_top1_accuracy_fraction=(
            _fraction_equal(float_best, labels) if is_classifier else None
        ),
        top1_tie_fraction=sum(ties) / len(ties) if is_classifier else None,
        images=len(images),
        zero_run_pairs=None if zero_run_bits is None else _sum_pairs(graph, shown, len(images)),
    )


def _prepare_run(
    network: QuantizedNetwork,
    images: ImageSet,
    plans: Plans,
    zero_run_bits: int | None,
    *,
    keeps_maps: bool,
) -> Callable[[int], _ImageRun]:
    """Make the function that runs one image three ways.

    As exact integers; in float; and in float with the quantized constants, which gives
    the samples that local SQNR is about.
    """
    graph, rounding = network.network, network.rules.requantize_rounding
    exact = ExactNetwork(network, plans)
    float_network = FloatRunner(graph)
    quantized_constants = FloatRunner(graph, decoded_constants(network))

    def run(index: int) -> _ImageRun:
        image = images.real(index)
        trace = exact.run(image)
        reference = float_network.run(image)
        samples = quantized_constants.run(image)
        nonzeros = {name: int(np.count_nonzero(raw)) for name, raw in trace.tensors.items()}
        layers = {}
        for layer in graph.layers:
            fmt, own = network.formats[layer.ofm], samples[layer.ofm]
            for maps in (reference, samples):
                check_finite(images, index, layer.ofm, maps[layer.ofm])
            elements = sum(trace.tensors[name].size for name in layer.inputs)
            raw = trace.tensors[layer.ofm]
            zero_levels = 0
            if zero_run_bits is not None:
                zero_levels = zero_rle.count_zero_levels(raw, zero_run_bits)
            layers[layer.name] = _LayerOnImage(
                end_to_end=compare(reference[layer.ofm], channels_first(raw), fmt.step),
                local=compare(own, encode(own, fmt, rounding), fmt.step),
                events=trace.events[layer.name],
                zeros=elements - sum(nonzeros[name] for name in layer.inputs),
                elements=elements,
                pairs=nonzeros[layer.ofm] + zero_levels,
            )
        return _ImageRun(
            tensors={
                name: channels_first(raw)
                for name, raw in trace.tensors.items()
                if keeps_maps or name == graph.output
            },
            layers=layers,
            float_best=int(np.argmax(reference[graph.output])),
        )

    return run


def decoded_constants(network: QuantizedNetwork) -> dict[str, NDArray[np.float32]]:
    """Real values of all quantized weights and biases, by the names of the float constants."""
    constants = {name: constant.decode() for name, constant in network.weights.items()}
    for layer in network.network.layers:
        if isinstance(layer, WeightedLayer) and layer.bias is not None:
            constants[layer.bias] = network.biases[layer.name].decode()
    return constants


def _sum_pairs(graph: Network, shown: Mapping[str, list[_LayerOnImage]], images: int) -> PairCounts:
    by_map = {layer.ofm: sum(one.pairs for one in shown[layer.name]) for layer in graph.layers}
    return PairCounts(by_map=by_map, images=images)


def _sum_up(network: QuantizedNetwork, layer: Layer, images: list[_LayerOnImage]) -> LayerValues:
    end_to_end = Sqnr([one.end_to_end for one in images])
    proven = None
    if isinstance(layer, MacLayer):
        proven = find_proven_channels(network, layer, network.rules.accumulator_bits)
    return LayerValues(
        sqnr_dB=end_to_end.dB,
        local_sqnr_dB=Sqnr([one.local for one in images]).dB,
        exact=end_to_end.is_exact,
        accumulator_overflows=sum(one.events.accumulator_overflows for one in images),
        accumulator_bits_needed=(
            bits_needed(network, layer) if isinstance(layer, MacLayer) else None
        ),
        accumulator_channels=None if proven is None else len(proven),
        accumulator_proven_channels=None if proven is None else int(proven.sum()),
        output_saturations=sum(one.events.output_saturations for one in images),
        zero_ifm_fraction=sum(one.zeros for one in images) / sum(one.elements for one in images),
        zero_weight_fraction=_zero_weight_fraction(network, layer),
    )


def _zero_weight_fraction(network: QuantizedNetwork, layer: Layer) -> float | None:
    if not isinstance(layer, WeightedLayer):
        return None
    raw = network.weights[layer.weights].raw
    return 1 - np.count_nonzero(raw) / raw.size


def _fraction_equal(found: list[int], expected: list[int] | None) -> float | None:
    if expected is None:
        return None
    return sum(a == b for a, b in zip(found, expected, strict=True)) / len(found)
