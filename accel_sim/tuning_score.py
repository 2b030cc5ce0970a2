"""What tuning maximises: how near the exact run's output comes to the float network's."""

import math
from collections.abc import Mapping
from contextlib import closing

import numpy as np

from accel_sim.accumulation import NO_PLANS, Plans
from accel_sim.incremental_run import IncrementalRun
from accel_sim.sqnr import compare
from quantizer.calibrate import Progress, check_finite
from quantizer.errors import InputError
from quantizer.formats_file import GivenFormat
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.ordered_map import map_in_order
from quantizer.quantized import QuantizedNetwork, TuneMeasure, Tuning
from quantizer.tune import Score, tune


def tune_on(
    network: QuantizedNetwork,
    images: ImageSet,
    tuning: Tuning,
    *,
    plans: Plans,
    pinned: Mapping[str, GivenFormat],
    progress: Progress,
) -> QuantizedNetwork:
    """Tune a network by the exact run on some images; see `quantizer.tune.tune`.

    Parameters
    ----------
    plans
        As `ExactNetwork` takes them.

    Raises
    ------
    InputError
        See `TuningScore`.
    """
    by_accuracy = tuning.measure is TuneMeasure.TOP1
    evaluator = TuningScore(network, images, by_accuracy=by_accuracy, plans=plans)
    return tune(network, evaluator, tuning, pinned=pinned, progress=progress)


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
        runner = FloatRunner(graph)
        self._references = list(
            map_in_order(lambda index: runner.run(images.real(index))[output], len(images))
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
