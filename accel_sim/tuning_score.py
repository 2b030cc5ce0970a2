"""What tuning maximises: how near the exact run's output comes to the float network's."""

import math

import numpy as np

from accel_sim.incremental_run import IncrementalRun
from accel_sim.sqnr import compare
from quantizer.calibrate import check_finite
from quantizer.errors import InputError
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.ordered_map import map_in_order
from quantizer.quantized import QuantizedNetwork
from quantizer.tune import Score


class TuningScore:
    """Scores candidates by the exact run on the tuning images (a `quantizer.tune.Evaluator`).

    The score is the noise energy at the first output, negated: as the signal is that of
    the float network, it orders candidates as the SQNR does (NUMBERS.md 14). With
    `by_accuracy` the number of images whose best class is the label comes first.

    Parameters
    ----------
    network
        The network that tuning starts from.
    images
        What to tune on.
    by_accuracy
        Whether top-1 accuracy goes before SQNR.
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
        memory_limit_bytes: int = 1 << 30,
    ) -> None:
        graph = network.network
        output = graph.output
        self._labels = _labels(network, images) if by_accuracy else None
        self._exact = IncrementalRun(network, images, memory_limit_bytes=memory_limit_bytes)
        runner = FloatRunner(graph)
        self._references = list(
            map_in_order(lambda index: runner.run(images.real(index))[output], len(images))
        )
        for index, reference in enumerate(self._references):
            check_finite(images, index, output, reference)

    def score(self, candidate: QuantizedNetwork) -> Score:
        """Score a network; larger is better.

        Raises
        ------
        InputError
            It cannot be run.
        """
        step = candidate.formats[candidate.network.output].step
        noise, best = [], []
        for reference, raw in zip(self._references, self._exact.outputs(candidate), strict=True):
            noise.append(compare(reference, raw, step).noise)
            best.append(int(np.argmax(raw)))
        if self._labels is None:
            return (-math.fsum(noise),)
        right = sum(one == label for one, label in zip(best, self._labels, strict=True))
        return (right, -math.fsum(noise))

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
