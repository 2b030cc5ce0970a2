"""Tuning: fraction lengths moved one by one, judged by the whole network.

The formats that `quantize` chooses are best for each tensor by itself. Here the network as
it will run decides: coordinate descent from the last layer backwards, one place coarser and
one place finer at a time. Channels that have a fraction length each are too many to judge
so; they are moved before, by what their own layer gives.

Notes
-----
Source: Kim et al. 2018 (arXiv 1810.13329) report the gain of a pass from the last layer
backwards; its order and stopping rule are in patent US11694073. That weights and biases move
too, by one place, and how channels do, is this project's choice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quantizer.calibrate import Progress
from quantizer.errors import InputError
from quantizer.formats_file import GivenFormat
from quantizer.move_formats import (
    Constant,
    Movable,
    Variant,
    find_movables,
    find_weights_per_channel,
    unmoved,
)
from quantizer.quantized import QuantizedNetwork, Tuning

Score = tuple[float, ...]
"""How good a network is: larger is better, the first entry that differs decides."""

_COARSER, _FINER = -1, 1


class Evaluator(Protocol):
    """Judges networks that differ little from the one it accepted last.

    It has accepted the network that tuning starts from.
    """

    def score(self, candidate: QuantizedNetwork, to_beat: Score) -> Score:
        """Score a network; raise `InputError` if it cannot be run.

        A score that is not above `to_beat` may be an upper bound: enough to turn the
        candidate down.
        """

    def channel_noise(
        self, candidates: Sequence[QuantizedNetwork], constant: str
    ) -> NDArray[np.float64]:
        """Measure the outputs of the layers with some weights against the float network's.

        Every layer reads what the accepted network gives it. Raises `InputError` if one
        cannot be run.

        Returns
        -------
        float64[candidates, K]
            Squared errors, summed by output channel.
        """

    def accept(self, candidate: QuantizedNetwork) -> None:
        """Take note that the next candidates differ from this one."""


def _no_progress(done: int, total: int) -> None:
    del done, total


def tune(
    network: QuantizedNetwork,
    evaluator: Evaluator,
    tuning: Tuning,
    *,
    pinned: Mapping[str, GivenFormat],
    progress: Progress = _no_progress,
) -> QuantizedNetwork:
    """Move fraction lengths wherever that makes the whole network better.

    For every layer from the last to the first, its output map, its weights (or slopes, or
    constant operand) and its bias are tried one place coarser and one place finer, each
    with all else as it stands; the best stays, on equal scores the current one. Ends when
    everything was tried since the last change, after all passes, or when the budget is used.

    If weights have a fraction length per output channel, there is a pass before, from the
    first layer to the last: each channel goes where its layer's output is nearest to the
    float network's, and all channels of a layer stay there if the whole network is better.
    After that they move together.

    Parameters
    ----------
    network
        As `quantize` made it.
    evaluator
        What judges; `network` is what it accepted last.
    tuning
        How far to go. What the evaluator measures is its own matter.
    pinned
        Formats that the user fixed, by tensor name, as given to `quantize`.
    progress
        Called with tensors tried and tensors to try at most, over all passes.

    Raises
    ------
    InputError
        The network itself cannot be run.
    """
    descent = _Descent(unmoved(network, pinned), evaluator, tuning.budget)
    weights = find_weights_per_channel(network, pinned)
    movables = find_movables(network, pinned)
    total = len(weights) + tuning.passes * len(movables)
    for index, constant in enumerate(weights):
        descent.step(_channels_moved(descent.current, constant, evaluator))
        progress(index + 1, total)
    unchanged = 0
    for index in range(tuning.passes * len(movables)):
        if unchanged == len(movables) or descent.is_over:
            break
        what = movables[index % len(movables)]
        unchanged = 0 if descent.step(_moved(descent.current, what)) else unchanged + 1
        progress(len(weights) + index + 1, total)
    if total:
        progress(total, total)
    return replace(descent.current.network, tuning=tuning)


class _Descent:
    """The best variant so far, its score, and how many candidates may still be scored."""

    def __init__(self, start: Variant, evaluator: Evaluator, budget: int | None) -> None:
        self.current = start
        self._evaluator = evaluator
        self._score = evaluator.score(start.network, ())
        self._left = budget

    @property
    def is_over(self) -> bool:
        """Whether the budget is used."""
        return self._left == 0

    def step(self, candidates: Iterable[Variant]) -> bool:
        """Go to the best of some candidates if it beats the current one, and tell so."""
        best = None
        for candidate in candidates:
            if self.is_over:
                break
            if self._left is not None:
                self._left -= 1
            try:
                reached = self._evaluator.score(candidate.network, self._score)
            except InputError:
                continue  # formats too far apart for the machine: no candidate
            if reached > self._score:
                best, self._score = candidate, reached
        if best is None:
            return False
        self._evaluator.accept(best.network)
        self.current = best
        return True


def _moved(current: Variant, what: Movable) -> Iterator[Variant]:
    """Yield the networks one place away, those that there are."""
    for places in (_COARSER, _FINER):
        with suppress(InputError):
            yield current.move(what, places)


def _channels_moved(current: Variant, weights: Constant, evaluator: Evaluator) -> Iterator[Variant]:
    """Yield the network with every channel where its layer's output is best, if it is another."""
    places, variants = [0], [current]  # first, so that it wins where all are equal
    for one in (_COARSER, _FINER):
        with suppress(InputError):
            variants.append(current.move(weights, one))
            places.append(one)
    with suppress(InputError):
        noise = evaluator.channel_noise([variant.network for variant in variants], weights.name)
        best = np.array(places)[np.argmin(noise, axis=0)]
        if best.any():
            yield current.move_channels(weights, best)
