"""Tuning: fraction lengths moved one by one, judged by the whole network.

The formats that `quantize` chooses are best for each tensor by itself. Here the network as
it will run decides: coordinate descent from the last layer backwards, one place coarser and
one place finer at a time.

Notes
-----
Source: Kim et al. 2018 (arXiv 1810.13329) report the gain of such a pass; its order and
stopping rule are in patent US11694073. That weights and biases move too, and by one place,
is this project's choice.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from quantizer.calibrate import Progress
from quantizer.errors import InputError
from quantizer.formats_file import GivenFormat
from quantizer.move_formats import Movable, Variant, find_movables, unmoved
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
    movables = find_movables(network, pinned)
    current = unmoved(network, pinned)
    score = evaluator.score(network, ())
    total = tuning.passes * len(movables)
    scored = since_change = 0
    for index in range(total):
        if since_change == len(movables) or scored == tuning.budget:
            break
        best = None
        for candidate in _candidates(current, movables[index % len(movables)]):
            if scored == tuning.budget:
                break
            scored += 1
            try:
                reached = evaluator.score(candidate.network, score)
            except InputError:
                continue  # formats too far apart for the machine: no candidate
            if reached > score:
                best, score = candidate, reached
        since_change += 1
        if best is not None:
            evaluator.accept(best.network)
            current, since_change = best, 0
        progress(index + 1, total)
    if total:
        progress(total, total)
    return replace(current.network, tuning=tuning)


def _candidates(current: Variant, what: Movable) -> Iterator[Variant]:
    """Yield the networks one place away, those that there are."""
    for places in (_COARSER, _FINER):
        with suppress(InputError):
            yield current.move(what, places)
