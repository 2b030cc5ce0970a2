"""Is what tuning maximises what is measured, and does tuning never lose of it?"""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.accumulation import AccumulationPlan, Dimension
from accel_sim.functional import ExactNetwork
from accel_sim.measure import measure_values
from accel_sim.tuning_score import TuningScore
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow, Rounding
from quantizer.formats_file import formats_to_json, read_formats
from quantizer.move_formats import Constant, unmoved
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.network.layers import Clamp, Conv, Dense, Reshape
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork, Tuning
from quantizer.tune import Evaluator, tune
from tests.accumulation_plans import level
from tests.tuning.networks import (
    MAP,
    RELU,
    assert_same,
    branched,
    branched_at,
    conv,
    images,
    loaded,
    made,
    normal_images,
)


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


@pytest.mark.parametrize("seed", range(16))
def test_tuning_never_loses_and_its_formats_are_those_of_a_formats_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The tuned network equals what `quantize` makes of its formats, to the bit.

    And what another run on one thread gives. Every other network has its weights per channel.
    """
    graph = loaded(seed, tmp_path)
    rng = np.random.default_rng(seed)
    pictures = normal_images(graph.shapes[graph.input], 4, seed)
    bits = BitWidths(
        weights=int(rng.integers(3, 9)),
        activations=int(rng.integers(3, 9)),
        biases=int(rng.integers(8, 17)),
    )
    rules = NumericRules(requantize_rounding=Rounding(int(rng.integers(5))), accumulator_bits=48)
    start = quantize(graph, pictures, bits, rules, per_channel=seed % 2 == 1)

    def run() -> QuantizedNetwork:
        judge = TuningScore(start, pictures, by_accuracy=False)
        return tune(start, judge, Tuning(passes=2, budget=60), pinned={})

    tuned = run()
    with monkeypatch.context() as patched:
        patched.setattr("os.sched_getaffinity", lambda _: {0})
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


def by_channel(errors: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.square(errors).sum(axis=tuple(i for i in range(errors.ndim) if i != axis))


@pytest.mark.parametrize(("constant", "layer", "axis"), [("a.w", "a", 0), ("d.w", "d", 1)])
def test_noise_by_channel_is_that_of_the_layer_alone(constant: str, layer: str, axis: int) -> None:
    """Of a convolution on the input, and of a matrix product whose channels stand last.

    Both read maps that no candidate changes, so a full run of each shows the same.
    """
    rng = np.random.default_rng(5)
    graph = made(
        (
            conv("a", "x", RELU),
            Reshape(name="rows", ifm="x", ofm="x.rows"),
            Dense(name="d", ifm="x.rows", ofm="d.out", weights="d.w", bias=None, clamp=None),
        ),
        {"x": MAP, "a.out": (3, 3, 3), "x.rows": (6, 3), "d.out": (6, 4)},
        {"a.w": rng.normal(size=(3, 2, 1, 1)), "d.w": rng.normal(size=(4, 3))},
        "a.out",
    )
    pictures = normal_images(MAP, 7)
    start = quantize(graph, pictures, BitWidths(weights=4, activations=5), per_channel=True)
    candidates = [start]
    for places in (-1, 1):
        candidates.append(unmoved(start, {}).move(Constant(name=constant), places).network)
    found = TuningScore(start, pictures, by_accuracy=False).channel_noise(candidates, constant)
    runner = FloatRunner(graph)
    for candidate, noise in zip(candidates, found, strict=True):
        exact, ofm = ExactNetwork(candidate), f"{layer}.out"
        expected = sum(
            by_channel(
                candidate.formats[ofm].decode(exact.run(image).tensors[ofm])
                - runner.run(image)[ofm],
                axis,
            )
            for image in (pictures.real(index) for index in range(7))
        )
        # The two add up the same terms in other orders: float64 leaves 1e-13 of them.
        np.testing.assert_allclose(noise, expected, rtol=1e-12)
    assert (found[0] != found[1]).all()


def test_layers_that_share_weights_share_their_noise() -> None:
    graph = branched()
    one, other = graph.layers[:2]
    assert isinstance(one, Conv)
    assert isinstance(other, Conv)
    twice = replace(graph, layers=(one, replace(other, weights="a.w"), *graph.layers[2:]))
    pictures = normal_images(MAP, 3)
    widths = BitWidths(weights=4, activations=5)
    shared = quantize(twice, pictures, widths, per_channel=True)
    found = TuningScore(shared, pictures, by_accuracy=False).channel_noise([shared], "a.w")
    exact, runner = ExactNetwork(shared), FloatRunner(twice)
    expected = np.zeros(2)
    for image in (pictures.real(index) for index in range(3)):
        maps, reference = exact.run(image).tensors, runner.run(image)
        for ofm in ("a.out", "b.out"):
            errors = shared.formats[ofm].decode(maps[ofm]) - reference[ofm]
            expected += by_channel(errors, 0)
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_channels_gain_what_their_layer_shows() -> None:
    """All inputs are near 1, so the errors of a channel's weights add up, sign and all.

    The least squared error of the weights does not see that; the layer's output does.
    """
    rng = np.random.default_rng(2)
    values = rng.normal(size=(8, 6, 1, 1))
    graph = made((conv("a", "x"),), {"x": (6, 4, 4), "a.out": (8, 4, 4)}, {"a.w": values}, "a.out")
    pictures = images(1 + 0.05 * rng.normal(size=(4, 6, 4, 4)))
    widths = BitWidths(weights=3, activations=8)
    start = quantize(graph, pictures, widths, per_channel=True)
    judge = TuningScore(start, pictures, by_accuracy=False)
    tuned = tune(start, judge, Tuning(budget=1), pinned={})
    before, after = (measure_values(one, pictures).sqnr_dB for one in (start, tuned))
    assert before is not None
    assert after is not None
    assert after > before + 1
    assert tuned.weights["a.w"].is_per_channel
