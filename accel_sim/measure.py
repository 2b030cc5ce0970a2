"""What the exact run says about a quantized network: SQNR, top-1, events, activity."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accel_sim.functional import ExactNetwork, Trace
from accel_sim.sqnr import Sqnr
from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import MacLayer
from quantizer.network.images import ImageSet
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
        Events, summed over all images.
    zero_ifm_fraction
        Zeros among the raw values that the layer reads.
    """

    sqnr_dB: float | None
    local_sqnr_dB: float | None
    exact: bool
    accumulator_overflows: int
    output_saturations: int
    zero_ifm_fraction: float


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
    """

    layers: Mapping[str, LayerValues]
    sqnr_dB: float | None
    exact: bool
    top1_agreement_fraction: float | None
    top1_accuracy_fraction: float | None
    float_top1_accuracy_fraction: float | None
    top1_tie_fraction: float | None
    images: int


@dataclass(slots=True)
class _LayerSums:
    sqnr: Sqnr = field(default_factory=Sqnr)
    local: Sqnr = field(default_factory=Sqnr)
    overflows: int = 0
    saturations: int = 0
    zeros: int = 0
    elements: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageRun:
    """One image, three ways: exact integers, float, float with quantized constants."""

    trace: Trace
    reference: Mapping[str, NDArray[np.float32]]
    quantized_weights: Mapping[str, NDArray[np.float32]]


def _no_progress(done: int, total: int) -> None:
    del done, total


def _no_saving(index: int, tensors: Mapping[str, NDArray[np.int32]]) -> None:
    del index, tensors


def measure_values(
    network: QuantizedNetwork,
    images: ImageSet,
    *,
    progress: Progress = _no_progress,
    save: Callable[[int, Mapping[str, NDArray[np.int32]]], None] = _no_saving,
) -> ValueReport:
    """Run all images exactly and compare them with the float network.

    Parameters
    ----------
    network
        What to run.
    images
        What to run it on; labels are used if there.
    progress
        Called with images done and images in all.
    save
        Called per image, in order, with its index and the raw integers of every feature
        map by tensor name.

    Raises
    ------
    InputError
        A label is no output of the network.
    """
    graph = network.network
    exact = ExactNetwork(network)
    reference = FloatRunner(graph)
    quantized_weights = FloatRunner(graph, _decoded_constants(network))
    output_shape = graph.shapes[graph.output]
    is_classifier = math.prod(output_shape) == output_shape[0] > 1
    if is_classifier:
        images.check_labels(output_shape[0])

    def run(index: int) -> _ImageRun:
        image = images.real(index)
        return _ImageRun(
            trace=exact.run(image),
            reference=reference.run(image),
            quantized_weights=quantized_weights.run(image),
        )

    sums = {layer.name: _LayerSums() for layer in graph.layers}
    scores: list[NDArray[np.int32]] = []
    float_best: list[int] = []
    for index, one in enumerate(map_in_order(run, len(images))):
        _add_image(network, sums, one)
        scores.append(one.trace.tensors[graph.output].reshape(-1))
        float_best.append(int(np.argmax(one.reference[graph.output])))
        save(index, one.trace.tensors)
        progress(index + 1, len(images))
    last = next(layer for layer in graph.layers if layer.ofm == graph.output)
    end_to_end = sums[last.name].sqnr
    best = [int(np.argmax(score)) for score in scores]
    ties = [int((score == score.max()).sum() > 1) for score in scores]
    labels = None if images.labels is None else images.labels.tolist()
    return ValueReport(
        layers={name: _finish(layer_sums) for name, layer_sums in sums.items()},
        sqnr_dB=end_to_end.dB,
        exact=end_to_end.is_exact,
        top1_agreement_fraction=_fraction_equal(best, float_best) if is_classifier else None,
        top1_accuracy_fraction=_fraction_equal(best, labels) if is_classifier else None,
        float_top1_accuracy_fraction=(
            _fraction_equal(float_best, labels) if is_classifier else None
        ),
        top1_tie_fraction=sum(ties) / len(ties) if is_classifier else None,
        images=len(images),
    )


def _decoded_constants(network: QuantizedNetwork) -> dict[str, NDArray[np.float64]]:
    constants = {name: constant.decode() for name, constant in network.weights.items()}
    for layer in network.network.layers:
        if isinstance(layer, MacLayer) and layer.bias is not None:
            constants[layer.bias] = network.biases[layer.name].decode()
    return constants


def _add_image(network: QuantizedNetwork, sums: Mapping[str, _LayerSums], one: _ImageRun) -> None:
    rounding = network.rules.requantize_rounding
    for layer in network.network.layers:
        state, fmt = sums[layer.name], network.formats[layer.ofm]
        raw = one.trace.tensors[layer.ofm]
        state.sqnr.add(one.reference[layer.ofm], raw, fmt.step)
        own = one.quantized_weights[layer.ofm]
        state.local.add(own, fmt.encode(own, rounding).astype(np.int32), fmt.step)
        events = one.trace.events[layer.name]
        state.overflows += events.accumulator_overflows
        state.saturations += events.output_saturations
        for name in layer.inputs:
            ifm = one.trace.tensors[name]
            state.zeros += ifm.size - int(np.count_nonzero(ifm))
            state.elements += ifm.size


def _finish(sums: _LayerSums) -> LayerValues:
    return LayerValues(
        sqnr_dB=sums.sqnr.dB,
        local_sqnr_dB=sums.local.dB,
        exact=sums.sqnr.is_exact,
        accumulator_overflows=sums.overflows,
        output_saturations=sums.saturations,
        zero_ifm_fraction=sums.zeros / sums.elements,
    )


def _fraction_equal(found: list[int], expected: list[int] | None) -> float | None:
    if expected is None:
        return None
    return sum(a == b for a, b in zip(found, expected, strict=True)) / len(found)
