"""Does tuning move only what it may, reach what it should, and end when it must?"""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.formats_file import formats_to_json
from quantizer.move_formats import find_movables
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, QuantizedNetwork, Tuning
from quantizer.tune import Score, tune
from tests.tuning.networks import (
    MAP,
    assert_same,
    branched,
    branched_at,
    frac_bits,
    normal_images,
    pinned_at,
)


class Distance:
    """Scores a network by how far its fraction lengths are from wanted ones."""

    def __init__(self, wanted: Mapping[str, int]) -> None:
        self._wanted = wanted
        self.calls = 0
        self.accepted: list[QuantizedNetwork] = []

    def score(self, candidate: QuantizedNetwork, to_beat: Score) -> Score:
        del to_beat
        self.calls += 1
        found = frac_bits(candidate)
        return (-sum(abs(found[name] - wanted) for name, wanted in self._wanted.items()),)

    def channel_noise(
        self, candidates: Sequence[QuantizedNetwork], constant: str
    ) -> NDArray[np.float64]:
        raise AssertionError("no channels to move")

    def accept(self, candidate: QuantizedNetwork) -> None:
        self.accepted.append(candidate)


def test_every_tensor_reaches_the_fraction_length_that_is_wanted() -> None:
    start = branched_at()
    before = frac_bits(start)
    wanted = {
        "y": before["y"] - 2, "offset": before["offset"] + 1, "scaled": before["scaled"] + 2,
        "slopes": before["slopes"] - 1, "c.w": before["c.w"] + 1, "joined": before["joined"] - 2,
        "x": before["x"] + 1,
    }  # fmt: skip
    tuned = tune(start, Distance(wanted), Tuning(passes=3), pinned={})
    after = frac_bits(tuned)
    assert {name: after[name] for name in wanted} == wanted
    assert tuned.tuning == Tuning(passes=3)
    assert start.tuning is None
    biases = {"a.b", "c.b"}
    assert {name for name in before if after[name] != before[name]} - biases == {
        *wanted, "a.out", "b.out", "pooled",
    }  # fmt: skip


def test_widths_and_signs_stay() -> None:
    start = branched_at(5)
    wanted = {name: length + 1 for name, length in frac_bits(start).items()}
    tuned = tune(start, Distance(wanted), Tuning(passes=1), pinned={})
    for name, entry in formats_to_json(start).items():
        found = formats_to_json(tuned)[name]
        assert (found["bits"], found["signed"]) == (entry["bits"], entry["signed"])


def test_given_formats_stay() -> None:
    """Of a map, of constants and of a bias; a pinned branch leaves the rest of its class free."""
    start = branched_at()
    names = ("y", "c.w", "factor", "a.b", "pooled")
    pinned = pinned_at(start, *names)
    before = frac_bits(start)
    wanted = {name: length - 3 for name, length in before.items()}
    tuned = tune(start, Distance(wanted), Tuning(passes=3), pinned=pinned)
    after = frac_bits(tuned)
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert after["b.out"] == before["b.out"]
    assert after["joined"] == after["a.out"] == before["joined"] - 3
    np.testing.assert_array_equal(tuned.biases["a"].raw, start.biases["a"].raw)


def test_maps_of_a_concat_move_together() -> None:
    start = branched_at()
    for wanted in ("a.out", "b.out", "joined"):
        goal = {wanted: frac_bits(start)[wanted] + 2}
        after = frac_bits(tune(start, Distance(goal), Tuning(passes=3), pinned={}))
        assert {after[name] for name in ("a.out", "b.out", "pooled", "joined")} == set(
            goal.values()
        )


def test_on_equal_scores_nothing_moves_and_one_pass_ends_it() -> None:
    start = branched_at()
    judge = Distance({})
    steps: list[tuple[int, int]] = []
    tuned = tune(
        start, judge, Tuning(passes=5), pinned={},
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert_same(tuned, start)
    assert judge.accepted == []
    movables = len(find_movables(start, {}))
    biases_at_their_accumulator = 2
    assert judge.calls == 1 + 2 * movables - biases_at_their_accumulator
    assert steps == [(step, 5 * movables) for step in [*range(1, movables + 1), 5 * movables]]


@pytest.mark.parametrize("budget", [1, 2, 7])
def test_no_more_candidates_are_scored_than_the_budget_has(budget: int) -> None:
    start = branched_at()
    judge = Distance({name: length + 3 for name, length in frac_bits(start).items()})
    tuned = tune(start, judge, Tuning(passes=5, budget=budget), pinned={})
    assert judge.calls == 1 + budget
    assert tuned.formats == (judge.accepted[-1] if judge.accepted else start).formats


def test_no_pass_is_made_beyond_the_last() -> None:
    start = branched_at()
    goal = {"y": frac_bits(start)["y"] + 4}
    for passes in range(1, 4):
        tuned = tune(start, Distance(goal), Tuning(passes=passes), pinned={})
        assert frac_bits(tuned)["y"] == frac_bits(start)["y"] + passes


class Refusing(Distance):
    """Cannot run a network with a finer output."""

    def __init__(self, wanted: Mapping[str, int], limit: int) -> None:
        super().__init__(wanted)
        self._limit = limit

    def score(self, candidate: QuantizedNetwork, to_beat: Score) -> Score:
        if candidate.formats["y"].frac_bits > self._limit:
            raise InputError("layer 'shift'", "adds formats too far apart; expected nearer ones")
        return super().score(candidate, to_beat)


def test_a_network_that_cannot_be_run_is_no_candidate_but_an_error_as_the_first() -> None:
    start = branched_at()
    length = frac_bits(start)["y"]
    goal = {"y": length + 2}
    tuned = tune(start, Refusing(goal, length + 1), Tuning(passes=4), pinned={})
    assert frac_bits(tuned)["y"] == length + 1
    with pytest.raises(InputError, match="too far apart"):
        tune(start, Refusing(goal, length - 1), Tuning(passes=4), pinned={})


def test_a_bias_that_would_saturate_stays() -> None:
    wide = quantize(
        branched(), normal_images(MAP, 6), BitWidths(weights=16, activations=16, biases=4)
    )
    goal = {"c.b": frac_bits(wide)["c.b"] + 5}
    assert_same(tune(wide, Distance(goal), Tuning(passes=2), pinned={}), wide)


def test_a_network_without_anything_to_move_stays() -> None:
    start = branched_at()
    pinned = pinned_at(start, *formats_to_json(start))
    steps: list[tuple[int, int]] = []
    tuned = tune(
        start, Distance({}), Tuning(), pinned=pinned,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert_same(tuned, start)
    assert steps == []


class Channels:
    """Wants a fraction length of every channel of some weights; has no opinion on the rest."""

    def __init__(self, wanted: Mapping[str, Sequence[int]], *, is_content: bool = False) -> None:
        self._wanted = wanted
        self._is_content = is_content
        self.calls: list[str] = []

    def _distance(self, network: QuantizedNetwork, name: str) -> NDArray[np.float64]:
        return np.abs(network.weights[name].frac_bits - self._wanted[name]).astype(np.float64)

    def score(self, candidate: QuantizedNetwork, to_beat: Score) -> Score:
        del to_beat
        self.calls.append("score")
        if self._is_content:
            return (0.0,)
        return (-sum(float(self._distance(candidate, name).sum()) for name in self._wanted),)

    def channel_noise(
        self, candidates: Sequence[QuantizedNetwork], constant: str
    ) -> NDArray[np.float64]:
        self.calls.append(constant)
        return np.stack([self._distance(candidate, constant) for candidate in candidates])

    def accept(self, candidate: QuantizedNetwork) -> None:
        del candidate
        self.calls.append("accept")


def channels_wanted(network: QuantizedNetwork) -> dict[str, list[int]]:
    """One channel stays, the other is to move: coarser, finer, and further than it can."""
    places = {"a.w": [0, -1], "b.w": [1, 0], "c.w": [2, -2]}
    return {name: (network.weights[name].frac_bits + by).tolist() for name, by in places.items()}


def test_channels_go_each_where_its_layer_is_best_from_the_first_layer_on() -> None:
    start = branched_at(per_channel=True)
    wanted = channels_wanted(start)
    judge = Channels(wanted)
    tuned = tune(start, judge, Tuning(), pinned={})
    assert judge.calls[:10] == [
        "score", "a.w", "score", "accept", "b.w", "score", "accept", "c.w", "score", "accept",
    ]  # fmt: skip
    for name in ("a.w", "b.w"):
        assert tuned.weights[name].frac_bits.tolist() == wanted[name]
    by_one = start.weights["c.w"].frac_bits + np.array([1, -1])
    assert tuned.weights["c.w"].frac_bits.tolist() == by_one.tolist()


def test_channels_stay_where_the_whole_network_gets_no_better() -> None:
    start = branched_at(per_channel=True)
    judge = Channels(channels_wanted(start), is_content=True)
    assert_same(tune(start, judge, Tuning(), pinned={}), start)
    assert "accept" not in judge.calls


def test_channels_that_are_best_as_they_are_cost_no_candidate() -> None:
    start = branched_at(per_channel=True)
    names = ("a.w", "b.w", "c.w")
    judge = Channels({name: start.weights[name].frac_bits.tolist() for name in names})
    tune(start, judge, Tuning(budget=1), pinned={})
    assert judge.calls == ["score", "a.w", "b.w", "c.w", "score"]


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_moves_of_channels_are_candidates_of_the_budget(budget: int) -> None:
    start = branched_at(per_channel=True)
    judge = Channels(channels_wanted(start))
    tuned = tune(start, judge, Tuning(budget=budget), pinned={})
    assert judge.calls.count("score") == 1 + budget
    moved = [name for name in ("a.w", "b.w", "c.w")
             if (tuned.weights[name].frac_bits != start.weights[name].frac_bits).any()]  # fmt: skip
    assert moved == ["a.w", "b.w", "c.w"][:budget]


def test_given_weights_do_not_move_channel_by_channel() -> None:
    start = branched_at(per_channel=True)
    wanted = channels_wanted(start)
    pinned = pinned_at(branched_at(), "b.w")
    tuned = tune(start, Channels(wanted), Tuning(), pinned=pinned)
    np.testing.assert_array_equal(tuned.weights["b.w"].raw, start.weights["b.w"].raw)
    assert tuned.weights["a.w"].frac_bits.tolist() == wanted["a.w"]


class Unprepared(Channels):
    """Cannot run a layer alone."""

    def channel_noise(
        self, candidates: Sequence[QuantizedNetwork], constant: str
    ) -> NDArray[np.float64]:
        raise InputError("layer 'a'", "has formats too far apart; expected nearer ones")


def test_channels_of_a_layer_that_cannot_be_run_stay() -> None:
    start = branched_at(per_channel=True)
    judge = Unprepared(channels_wanted(start), is_content=True)
    assert_same(tune(start, judge, Tuning(), pinned={}), start)
