"""What tuning maximises: how near the exact run's output comes to the float network's."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import NO_PLANS, Plans
from accel_sim.incremental_run import IncrementalRun
from accel_sim.sqnr import compare
from quantizer.calibrate import Progress, check_finite
from quantizer.errors import InputError
from quantizer.formats_file import GivenFormat
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.network.layers import Dense, WeightedLayer
from quantizer.ordered_map import map_in_order
from quantizer.quantized import QuantizedNetwork, TuneMeasure, Tuning
from quantizer.tune import Score, tune


def _no_progress(done: int, total: int) -> None:
    del done, total


def tune_on(
    network: QuantizedNetwork,
    images: ImageSet,
    tuning: Tuning,
    *,
    plans: Plans = NO_PLANS,
    pinned: Mapping[str, GivenFormat] | None = None,
    progress: Progress = _no_progress,
) -> QuantizedNetwork:
    """Tune a network by the exact run on some images; see `quantizer.tune.tune`.

    Parameters
    ----------
    network
        As `quantize` made it, under the rules of the machine.
    images
        Those of calibration, or others that will not judge the result.
    plans
        As `ExactNetwork` takes them.
    pinned
        Formats that were given to `quantize`, by tensor name; they stay.

    Raises
    ------
    InputError
        See `TuningScore`.
    """
    by_accuracy = tuning.measure is TuneMeasure.TOP1
    evaluator = TuningScore(network, images, by_accuracy=by_accuracy, plans=plans)
    return tune(network, evaluator, tuning, pinned=pinned or {}, progress=progress)


class TuningScore:
    """Scores candidates by the exact run on the tuning images (a `quantizer.tune.Evaluator`).

    A score is the number of images of a wrong class, 0 unless `by_accuracy`, then the
    noise energy at the first output, both negated. As the signal is that of the float
    network, the noise orders candidates as the SQNR does (NUMBERS.md 14).

    Parameters
    ----------
    network
        The network that tuning starts from.
    images
        What to tune on.
    by_accuracy
        Whether top-1 accuracy goes before SQNR.
    plans
        As `ExactNetwork` takes them; tuning moves no width, so that they stay the machine's.
    memory_limit_bytes
        For the integers of the feature maps of the accepted network.

    Raises
    ------
    InputError
        `by_accuracy` without labels, or a label or network that has none to match; an
        image makes the output NaN or infinite; the network cannot be run.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        images: ImageSet,
        *,
        by_accuracy: bool,
        plans: Plans = NO_PLANS,
        memory_limit_bytes: int = 1 << 30,
    ) -> None:
        graph = network.network
        output = graph.output
        self._labels = _labels(network, images) if by_accuracy else None
        self._exact = IncrementalRun(
            network, images, memory_limit_bytes=memory_limit_bytes, plans=plans
        )
        self._images = images
        self._float = FloatRunner(graph)
        self._references = list(
            map_in_order(lambda index: self._float.run(images.real(index))[output], len(images))
        )
        for index, reference in enumerate(self._references):
            check_finite(images, index, output, reference)

    def score(self, candidate: QuantizedNetwork, to_beat: Score) -> Score:
        """Score a network; larger is better.

        Ends at the image at which even no further noise, and no further wrong class,
        would leave it at or below `to_beat`, and returns that bound.

        Raises
        ------
        InputError
            It cannot be run.
        """
        step = candidate.formats[candidate.network.output].step
        noise: list[float] = []
        wrong = 0
        bound: Score = (-wrong, 0.0)
        with closing(self._exact.outputs(candidate)) as outputs:
            for index, raw in enumerate(outputs):
                noise.append(compare(self._references[index], raw, step).noise)
                if self._labels is not None:
                    wrong += int(np.argmax(raw)) != self._labels[index]
                bound = (-wrong, -math.fsum(noise))
                if bound <= to_beat:
                    break
        return bound

    def channel_noise(
        self, candidates: Sequence[QuantizedNetwork], constant: str
    ) -> NDArray[np.float64]:
        """Measure the outputs of the layers with some weights against the float network's.

        Every layer reads what the accepted network gives it, on the images whose maps are
        kept.

        Returns
        -------
        float64[candidates, K]
            Squared errors, summed by output channel.

        Raises
        ------
        InputError
            A layer cannot be run.
        """
        graph = candidates[0].network
        noise = np.zeros((len(candidates), len(graph.constants[constant])))
        for layer in graph.layers:
            if isinstance(layer, WeightedLayer) and layer.weights == constant:
                measure = self._measure_channels(candidates, layer)
                for one in map_in_order(measure, self._exact.kept_images):
                    noise += one
        return noise

    def _measure_channels(
        self, candidates: Sequence[QuantizedNetwork], layer: WeightedLayer
    ) -> Callable[[int], NDArray[np.float64]]:
        runs = [self._exact.run_layer(candidate, layer) for candidate in candidates]
        steps = [candidate.formats[layer.ofm].step for candidate in candidates]

        def measure(index: int) -> NDArray[np.float64]:
            reference = self._float.run(self._images.real(index))[layer.ofm]
            errors = np.stack(
                [run(index) * step - reference for run, step in zip(runs, steps, strict=True)]
            )
            by_channel = np.moveaxis(errors, -1, 1) if isinstance(layer, Dense) else errors
            flat = by_channel.reshape(*by_channel.shape[:2], -1)
            return np.asarray(np.sum(flat * flat, axis=2))

        return measure

    def accept(self, candidate: QuantizedNetwork) -> None:
        """Make this network the one that the next candidates differ from."""
        self._exact.accept(candidate)


def _labels(network: QuantizedNetwork, images: ImageSet) -> list[int]:
    graph = network.network
    shape = graph.shapes[graph.output]
    if images.labels is None:
        raise InputError(
            images.source, "has no labels to tune top-1 accuracy by; expected an array 'labels'"
        )
    if not math.prod(shape) == shape[0] > 1:
        raise InputError(
            f"output {graph.output!r}",
            f"has shape {list(shape)}, so no top-1 accuracy to tune by; "
            "expected one score per class",
        )
    images.check_labels(shape[0])
    labels: list[int] = images.labels.tolist()
    return labels
