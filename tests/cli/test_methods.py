"""Do the options about the formats of feature maps do what they say, from any verb?"""

import json
import typing

import pytest

from accel_sim.builtin import find_builtin
from accel_sim.cli import options
from accel_sim.cli.inputs import DEFAULT_ESTIMATOR
from quantizer.estimators import Estimator
from quantizer.network.images import Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import calibrate, quantize
from quantizer.quantized import BitWidths
from quantizer.step_rules import step_rules

EDGE = "edge_16x16"
RULES = step_rules(Estimator.MOMENTS)


@pytest.fixture(scope="module")
def digits():
    """The built-in network and its calibration, once for all tests here."""
    builtin = find_builtin("digits")
    network = load_onnx(builtin.onnx_path)
    images = load_images(
        builtin.calibration_path,
        shape=network.shapes[network.input],
        preprocessing=Preprocessing(mean=builtin.mean, scale=builtin.scale),
    )
    return network, calibrate(network, images, BitWidths())


def written_formats(run, tmp_path, *arguments):
    outcome = run("quantize", "digits", "--write-formats", "f.json", *arguments)
    assert (outcome.status, outcome.err) == (0, "")
    formats = json.loads((tmp_path / "f.json").read_text())
    (tmp_path / "f.json").unlink()
    return {name: entry["frac_bits"] for name, entry in formats.items()}


@pytest.mark.parametrize("method", ["max_range", "ggd:leading", "octav"])
def test_the_method_on_the_command_line_is_that_of_the_library(run, tmp_path, digits, method):
    network, calibrated = digits
    made = quantize(network, calibrated, BitWidths(activations=4), method=method)
    found = written_formats(run, tmp_path, "--method", method, "--activation-bits", "4")
    assert {name: found[name] for name in made.formats} == {
        name: fmt.frac_bits for name, fmt in made.formats.items()
    }


def test_methods_differ_in_feature_maps_and_in_nothing_else(digits):
    network, calibrated = digits
    made = [quantize(network, calibrated, BitWidths(activations=4), method=rule.name)
            for rule in RULES]  # fmt: skip
    assert len({tuple(one.formats.items()) for one in made}) > 3
    for one in made:
        for name, constant in one.weights.items():
            assert constant.raw.tobytes() == made[0].weights[name].raw.tobytes()
    assert [one.method for one in made] == [rule.name for rule in RULES]


def test_each_method_can_go_to_a_power_of_two_in_its_own_way(digits):
    network, calibrated = digits
    widths = BitWidths(activations=8)
    for method, differs in (("octav", True), ("max_range", False), ("ggd", False)):
        by_samples, own = (
            quantize(network, calibrated, widths, method=method, **rounding)
            for rounding in ({}, {"step_rounding": None})
        )
        assert (own.formats != by_samples.formats) == differs


def test_the_report_names_the_method(run, tmp_path):
    outcome = run(
        "simulate", EDGE, "--limit-images", "2", "--method", "tensorrt_kl", "--json", "r.json"
    )
    assert outcome.status == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["quantization"]["method"] == "tensorrt_kl"
    assert "--method tensorrt_kl" in outcome.out.split("\nNext:\n")[1]


def test_headroom_moves_the_point_of_wide_maps_alone(run, tmp_path):
    for bits, moved in (("11", 0), ("12", 1)):
        plain, wide = (
            written_formats(run, tmp_path, "--activation-bits", bits, "--headroom-bits", headroom)
            for headroom in ("0", "1")
        )
        # Weights stay as they are; biases follow their accumulators.
        network = load_onnx(find_builtin("digits").onnx_path)
        assert {plain[name] - wide[name] for name in network.shapes} == {moved}
        weights = [layer.weights for layer in network.layers if hasattr(layer, "weights")]
        assert {plain[name] - wide[name] for name in weights} == {0}


def test_the_estimator_changes_the_fit_that_is_shown(run):
    tables = [
        run("quantize", "digits", "--estimator", estimator.value).out for estimator in Estimator
    ]
    assert len(set(tables)) == len(tables)
    assert run("quantize", "digits").out == tables[0]


def test_the_estimators_of_the_command_line_are_those_of_the_library():
    literal, *_ = typing.get_args(options.EstimatorName)
    names = [name for part in typing.get_args(literal) for name in typing.get_args(part)]
    assert names == [estimator.value for estimator in Estimator]
    assert names[0] == DEFAULT_ESTIMATOR


def test_every_method_is_listed_with_its_summary(run):
    lines = run("list", "methods").out.splitlines()[1:]
    assert [line.split(maxsplit=1) for line in lines] == [
        [rule.name, rule.summary] for rule in RULES
    ]
