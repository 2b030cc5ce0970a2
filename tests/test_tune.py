"""Does tuning move only what it may, keep what follows consistent, and never lose?"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from accel_sim.accumulation import AccumulationPlan, Dimension
from accel_sim.measure import measure_values
from accel_sim.tuning_score import TuningScore
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow, QFormat, Rounding
from quantizer.formats_file import GivenFormat, formats_to_json, read_formats
from quantizer.fraction_length import search
from quantizer.move_formats import Bias, Constant, MapClass, find_movables, unmoved
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import Add, Clamp, Concat, Conv, Layer, MaxPool, Mul, PRelu
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork, Tuning
from quantizer.tune import Evaluator, Score, tune
from tests.accumulation_plans import level
from tests.oracles.networks import random_network

RELU = Clamp(low=0.0, high=math.inf)
MAP = (2, 3, 3)


def conv(name: str, ifm: str, clamp: Clamp | None = None, bias: str | None = None) -> Conv:
    """A 1x1 convolution with weights ``<name>.w``."""
    return Conv(
        name=name, ifm=ifm, ofm=f"{name}.out", weights=f"{name}.w", bias=bias, stride=(1, 1),
        pads=(0, 0, 0, 0), dilation=(1, 1), groups=1, clamp=clamp,
    )  # fmt: skip


def images(values: Any, labels: Any = None) -> ImageSet:
    return ImageSet(
        images=np.asarray(values, np.float32), labels=labels, preprocessing=Preprocessing(),
        source="made",
    )  # fmt: skip


def normal_images(shape: tuple[int, ...], count: int, seed: int = 0) -> ImageSet:
    return images(np.random.default_rng(seed).normal(size=(count, *shape)))


def made(
    layers: tuple[Layer, ...],
    shapes: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Any],
    output: str,
) -> Network:
    return Network(
        name="made", digest="", input="x", outputs=(output,), layers=layers, shapes=shapes,
        constants={name: np.asarray(value, np.float32) for name, value in constants.items()},
    )  # fmt: skip


def branched() -> Network:
    """Two branches into a Concat, one of them through a pool; then every kind of constant."""
    joined = (4, 3, 3)
    rng = np.random.default_rng(3)
    layers = (
        conv("a", "x", RELU, "a.b"),
        conv("b", "x", RELU),
        MaxPool(name="pool", ifm="b.out", ofm="pooled", kernel=(1, 1), stride=(1, 1),
                pads=(0, 0, 0, 0), dilation=(1, 1)),
        Concat(name="join", inputs=("a.out", "pooled"), ofm="joined", axis=0),
        conv("c", "joined", bias="c.b"),
        PRelu(name="prelu", ifm="c.out", ofm="leaky", slopes="slopes", clamp=None),
        Mul(name="scale", inputs=("leaky",), constant="factor", ofm="scaled", clamp=None),
        Add(name="shift", inputs=("scaled",), constant="offset", signs=(1, 1), ofm="y",
            clamp=None),
    )  # fmt: skip
    return made(
        layers,
        {**dict.fromkeys(("x", "a.out", "b.out", "pooled"), MAP), "joined": joined,
         **dict.fromkeys(("c.out", "leaky", "scaled", "y"), MAP)},
        {"a.w": rng.normal(size=(2, 2, 1, 1)), "b.w": rng.normal(size=(2, 2, 1, 1)),
         "a.b": [0.3, -1.2], "c.w": rng.normal(size=(2, 4, 1, 1)), "c.b": [0.11, 0.7],
         "slopes": [[[0.25]], [[0.3]]], "factor": [[[0.7]], [[1.9]]], "offset": [[[-0.03]]]},
        "y",
    )  # fmt: skip


def branched_at(bits: int = 6) -> QuantizedNetwork:
    return quantize(branched(), normal_images(MAP, 6), BitWidths(weights=bits, activations=bits))


def frac_bits(network: QuantizedNetwork) -> dict[str, int]:
    """The fraction length of every tensor; of a constant per channel, that of the first."""
    entries = formats_to_json(network)
    return {
        name: entry["frac_bits"] if isinstance(entry["frac_bits"], int) else entry["frac_bits"][0]
        for name, entry in entries.items()
    }


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

    def accept(self, candidate: QuantizedNetwork) -> None:
        self.accepted.append(candidate)


def pinned_at(network: QuantizedNetwork, *names: str) -> dict[str, GivenFormat]:
    entries = formats_to_json(network)
    return {
        name: GivenFormat(
            bits=entries[name]["bits"], frac_bits=(entries[name]["frac_bits"],),
            signed=entries[name]["signed"], where=name,
        )
        for name in names
    }  # fmt: skip


def assert_same(one: QuantizedNetwork, other: QuantizedNetwork) -> None:
    assert one.formats == other.formats
    for mine, theirs in ((one.weights, other.weights), (one.biases, other.biases)):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name].frac_bits, theirs[name].frac_bits)
            np.testing.assert_array_equal(mine[name].raw, theirs[name].raw)


def test_what_may_move_stands_from_the_last_layer_backwards_each_once() -> None:
    assert find_movables(branched_at(), {}) == [
        MapClass(names=("y",)),
        Constant(name="offset"),
        MapClass(names=("scaled",)),
        Constant(name="factor"),
        MapClass(names=("leaky",)),
        Constant(name="slopes"),
        MapClass(names=("c.out",)),
        Constant(name="c.w"),
        Bias(name="c.b"),
        MapClass(names=("a.out", "b.out", "pooled", "joined")),
        Constant(name="b.w"),
        Constant(name="a.w"),
        Bias(name="a.b"),
        MapClass(names=("x",)),
    ]


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


def test_a_bias_follows_the_accumulator_and_is_encoded_from_its_float_values() -> None:
    start = branched_at()
    joined, values = MapClass(names=("a.out", "b.out", "pooled", "joined")), [0.11, 0.7]
    own = search("c.b", np.array(values, np.float32), 16, may_clip=False)
    variant = unmoved(start, {})
    for _ in range(9):
        variant = variant.move(joined, -1)
        network = variant.network
        length = min(own, network.formats["joined"].frac_bits + network.weights["c.w"].frac_bits[0])
        fmt = QFormat(bits=16, frac_bits=int(length))
        assert network.biases["c"].frac_bits.tolist() == [length] * 2
        expected = fmt.encode(np.array(values, np.float32), Rounding.TIES_EVEN)
        np.testing.assert_array_equal(network.biases["c"].raw, expected)
    assert length < 2, "so coarse that the bias has lost most of its bits"
    for _ in range(9):
        variant = variant.move(joined, 1)
    assert_same(variant.network, start)


def test_a_moved_bias_keeps_its_own_fraction_length_where_the_accumulator_lets_it() -> None:
    joined = MapClass(names=("a.out", "b.out", "pooled", "joined"))
    variant = unmoved(branched_at(), {}).move(Bias(name="c.b"), -1)
    own = int(variant.network.biases["c"].frac_bits[0])
    assert own == frac_bits(branched_at())["c.b"] - 1
    lengths = []
    for places in (-1, -1, -1, 1, 1, 1, 1):
        variant = variant.move(joined, places)
        weights = variant.network.weights["c.w"].frac_bits[0]
        limit = int(variant.network.formats["joined"].frac_bits + weights)
        assert variant.network.biases["c"].frac_bits[0] == min(own, limit)
        lengths.append(limit < own)
    assert {*lengths} == {True, False}


def test_there_is_no_bias_finer_than_its_accumulator_or_saturated() -> None:
    fine = unmoved(branched_at(), {})
    with pytest.raises(InputError, match="is as fine as its accumulators"):
        fine.move(Bias(name="c.b"), 1)
    wide = quantize(
        branched(), normal_images(MAP, 6), BitWidths(weights=16, activations=16, biases=4)
    )
    with pytest.raises(InputError, match="saturates at channel"):
        unmoved(wide, {}).move(Bias(name="c.b"), 1)
    goal = {"c.b": frac_bits(wide)["c.b"] + 5}
    tuned = tune(wide, Distance(goal), Tuning(passes=2), pinned={})
    assert_same(tuned, wide)


def test_a_format_out_of_range_is_no_candidate() -> None:
    variant = unmoved(branched_at(), {})
    with pytest.raises(InputError, match=r"feature map 'y': its values need a step of 2\*\*-"):
        variant.move(MapClass(names=("y",)), 64)
    with pytest.raises(InputError, match=r"constant 'factor': its values need a step of 2\*\*-"):
        variant.move(Constant(name="factor"), 64)


def test_all_channels_of_a_constant_move_by_as_many_places() -> None:
    given = GivenFormat(bits=6, frac_bits=(3, 4), signed=True, where="c.w")
    start = quantize(
        branched(), normal_images(MAP, 6), BitWidths(weights=6, activations=6),
        formats={"c.w": given},
    )  # fmt: skip
    moved = unmoved(start, {}).move(Constant(name="c.w"), -1).network
    assert moved.weights["c.w"].frac_bits.tolist() == [2, 3]
    for channel, length in enumerate((2, 3)):
        fmt = QFormat(bits=6, frac_bits=length)
        values = start.network.constants["c.w"][channel]
        expected = fmt.encode(values, Rounding.TIES_EVEN)
        np.testing.assert_array_equal(moved.weights["c.w"].raw[channel], expected)


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


def test_a_known_optimum_is_found() -> None:
    """Only what is below 1 counts behind the second layer, in steps of 1/8.

    The least squared error of the first map lets it reach its outliers of 8; the network is
    exact if it has steps of 1/8 and saturates.
    """
    network = made(
        (conv("a", "x", RELU), conv("b", "a.out", Clamp(low=0.0, high=1.0))),
        dict.fromkeys(("x", "a.out", "b.out"), (1, 3, 3)),
        {"a.w": [[[[1.0]]]], "b.w": [[[[1.0]]]]},
        "b.out",
    )
    eighths = images([[[[0, 0.125, 0.25], [0.375, 8, 0.625], [8, 8, 8]]],
                      [[[0.5, 0.75, 0.875], [1, 8, 0.125], [8, 8, 8]]]])  # fmt: skip
    start = quantize(network, eighths, BitWidths(weights=4, activations=4))
    assert start.formats["a.out"].frac_bits < 3
    assert start.formats["x"].frac_bits >= 3
    before = measure_values(start, eighths)
    judge = TuningScore(start, eighths, by_accuracy=False)
    tuned = tune(start, judge, Tuning(passes=4), pinned={})
    assert before.sqnr_dB is not None
    assert before.sqnr_dB < 25
    assert measure_values(tuned, eighths).exact
    assert tuned.formats["a.out"].frac_bits == 3


def loaded(seed: int, folder: Path) -> Network:
    path = folder / "random.onnx"
    onnx.save(random_network(seed), path)
    return load_onnx(path)


@pytest.mark.parametrize("seed", range(12))
def test_tuning_never_loses_and_its_formats_are_those_of_a_formats_file(
    tmp_path: Path, seed: int
) -> None:
    """The tuned network equals what `quantize` makes of its formats, to the bit."""
    graph = loaded(seed, tmp_path)
    rng = np.random.default_rng(seed)
    pictures = normal_images(graph.shapes[graph.input], 4, seed)
    bits = BitWidths(
        weights=int(rng.integers(3, 9)),
        activations=int(rng.integers(3, 9)),
        biases=int(rng.integers(8, 17)),
    )
    rules = NumericRules(requantize_rounding=Rounding(int(rng.integers(5))), accumulator_bits=48)
    start = quantize(graph, pictures, bits, rules)

    def run() -> QuantizedNetwork:
        judge = TuningScore(start, pictures, by_accuracy=False)
        return tune(start, judge, Tuning(passes=2, budget=60), pinned={})

    tuned = run()
    assert_same(tuned, run())
    before, after = (measure_values(network, pictures) for network in (start, tuned))
    assert after.exact or (after.sqnr_dB or -math.inf) >= (before.sqnr_dB or -math.inf)
    file = tmp_path / "formats.json"
    file.write_text(json.dumps(formats_to_json(tuned)))
    assert_same(tuned, quantize(graph, None, bits, rules, formats=read_formats(file)))


def scores(*labels: int) -> tuple[QuantizedNetwork, ImageSet]:
    """Two classes; the scores are the pixels."""
    network = made(
        (conv("a", "x"),),
        {"x": (2, 1, 1), "a.out": (2, 1, 1)},
        {"a.w": np.eye(2).reshape(2, 2, 1, 1)},
        "a.out",
    )
    values = np.array([[1.0, 0.9], [0.2, 0.4], [-0.4, -0.2], [7.0, 0.1]]).reshape(4, 2, 1, 1)
    pictures = images(values, np.array(labels) if labels else None)
    bits = BitWidths(weights=4, activations=4)
    return quantize(network, pictures, bits, NumericRules()), pictures


def test_the_score_is_the_noise_that_is_measured() -> None:
    network, pictures = scores(0, 1, 1, 0)
    judge: Evaluator = TuningScore(network, pictures, by_accuracy=False)
    report = measure_values(network, pictures)
    wrong, noise = judge.score(network, ())
    assert wrong == 0
    signal = float(np.sum(pictures.images.astype(np.float64) ** 2))
    assert 10 * math.log10(signal / -noise) == pytest.approx(report.sqnr_dB, abs=1e-9)


def test_candidates_saturate_in_the_order_of_the_machine() -> None:
    """7 is 14 in u4f1: in 8 bits, 98 + 98 + 98 - 98 clamps twice, 98 - 98 + 98 + 98 once."""
    graph = made(
        (conv("a", "x"),),
        {"x": (4, 1, 1), "a.out": (2, 1, 1)},
        {"a.w": np.array([[7, 7, 7, -7], [7, -7, 7, 7]]).reshape(2, 4, 1, 1) / 8},
        "a.out",
    )
    pictures = images(np.full((1, 4, 1, 1), 7.0))
    rules = NumericRules(accumulator_bits=8, accumulator_overflow=Overflow.SAT)
    network = quantize(graph, pictures, BitWidths(weights=4, activations=4, inputs=4), rules)
    plans = {"a": AccumulationPlan(levels=(level(*((d, 1) for d in Dimension), bits=8),))}
    report = measure_values(network, pictures, plans=plans)
    assert report.layers["a"].accumulator_overflows == 3
    judge = TuningScore(network, pictures, by_accuracy=False, plans=plans)
    _, noise = judge.score(network, ())
    reference = np.array([7.0 * 14 / 8, 7.0 * 14 / 8])
    assert 10 * math.log10(np.sum(reference**2) / -noise) == pytest.approx(report.sqnr_dB)


def test_with_labels_the_images_of_a_wrong_class_count_first() -> None:
    network, pictures = scores(0, 1, 1, 0)
    wrong, _ = TuningScore(network, pictures, by_accuracy=True).score(network, ())
    accuracy = measure_values(network, pictures).top1_accuracy_fraction
    assert accuracy is not None
    assert -wrong == (1 - accuracy) * 4 > 0
    judge = TuningScore(network, pictures, by_accuracy=True)
    tuned = tune(network, judge, Tuning(passes=3), pinned={})
    after = measure_values(tuned, pictures)
    assert after.top1_accuracy_fraction is not None
    assert after.top1_accuracy_fraction > accuracy


def test_a_candidate_is_given_up_once_it_cannot_win() -> None:
    """What is returned then is a bound: above the score, not above what was to beat."""
    network, pictures = scores(0, 1, 1, 0)
    judge = TuningScore(network, pictures, by_accuracy=False)
    score = judge.score(network, ())
    bound = judge.score(network, (0.0, -1e-9))
    assert score < bound <= (0.0, -1e-9)
    assert judge.score(network, (0.0, score[1] - 1e-9)) == score


def test_accuracy_needs_labels_and_classes() -> None:
    network, pictures = scores()
    with pytest.raises(InputError) as error:
        TuningScore(network, pictures, by_accuracy=True)
    assert str(error.value) == (
        "made: has no labels to tune top-1 accuracy by; expected an array 'labels'"
    )
    network, pictures = scores(0, 1, 2, 0)
    with pytest.raises(InputError, match="label 2 of image 2 is out of range"):
        TuningScore(network, pictures, by_accuracy=True)
    start = branched_at()
    labelled = replace(normal_images(MAP, 2), labels=np.array([0, 1]))
    with pytest.raises(InputError) as error:
        TuningScore(start, labelled, by_accuracy=True)
    assert str(error.value) == (
        "output 'y': has shape [2, 3, 3], so no top-1 accuracy to tune by; "
        "expected one score per class"
    )
