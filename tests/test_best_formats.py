"""Does the generalized gamma step find the best format of every feature map of real networks?

Four networks, every map that decides on a format, 3 to 16 bits: about 700 pairs. The best
format is that of an exhaustive search over fraction lengths on the same samples; their
errors are exact (`tests/test_format_errors.py`). What is claimed of the real-valued step and of
rivals is measured at some of the widths, for time. The same step doubled or halved has to fail.

Where some format holds a map without any error (pixels, in as many bits as they have), losses
are over nothing: such pairs count for the best format and for nothing else.

An Add is judged like any other map here, by its samples: what its operands' grid changes
(NUMBERS.md 13) is another rule, and has its own test.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from accel_sim.builtin import TrainedNetwork, find_builtin
from quantizer.baselines.mse import mse_step
from quantizer.calibrate import CalibratedMap
from quantizer.estimators import Estimator
from quantizer.fixedpoint.qformat import QFormat
from quantizer.format_classes import never_negative
from quantizer.ggd_steps import ChosenStep
from quantizer.grid import Grid
from quantizer.histogram_error import squared_errors
from quantizer.map_formats import FormatMethod, choose_format
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import calibrate
from quantizer.quantized import BitWidths, MapChoice
from quantizer.step_rules import NamedRule, StepRounding, find_step_rule, step_rules

pytestmark = pytest.mark.slow

WIDTHS = range(3, 17)
SOME_WIDTHS = (3, 4, 6, 8, 12, 16)
GGD = find_step_rule("ggd", Estimator.MOMENTS)
MAX_RANGE = find_step_rule("max_range", Estimator.MOMENTS)
ON_DISK = {
    "resnet8": ("resnet8_cifar10", "cifar10_calib_jpeg", "cifar10_test_jpeg_a", Preprocessing()),
    "squeezenet": (
        "squeezenet1_1",
        "imagenet_calib",
        "imagenet_photos_a",
        Preprocessing(mean=(123.0, 117.0, 104.0)),
    ),
    "cmsis_q7": (
        "cmsis_q7_cifar10",
        "cifar10_calib_jpeg",
        "cifar10_test_jpeg_a",
        Preprocessing(mean=(125.0, 123.0, 114.0), scale=(1 / 256,)),
    ),
}
MOST_UNSEEN_IMAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A network's maps on the images of calibration, and on others."""

    network: str
    maps: Mapping[str, CalibratedMap]
    unseen: Mapping[str, CalibratedMap]
    signed: frozenset[str]


def load_networks(folder: Path) -> Iterator[tuple[str, Network, ImageSet, ImageSet]]:
    for name, (file, *image_files, preprocessing) in ON_DISK.items():
        network = load_onnx(folder / "networks" / f"{file}.onnx")
        shape = network.shapes[network.input]
        known, unseen = (
            load_images(
                folder / "images" / f"{images}.npz",
                shape=shape,
                preprocessing=preprocessing,
                limit=MOST_UNSEEN_IMAGES,
            )
            for images in image_files
        )
        yield name, network, known, unseen
    digits = find_builtin("digits")
    assert isinstance(digits, TrainedNetwork)
    network = load_onnx(digits.onnx_path)
    shape = network.shapes[network.input]
    own = Preprocessing(mean=digits.mean, scale=digits.scale)
    known, unseen = (
        load_images(path, shape=shape, preprocessing=own, limit=MOST_UNSEEN_IMAGES)
        for path in (digits.calibration_path, digits.test_path)
    )
    yield "digits", network, known, unseen


@pytest.fixture(scope="module")
def calibrated(reference_data: Path) -> list[Calibrated]:
    made = []
    for name, network, known, unseen in load_networks(reference_data):
        maps = calibrate(network, known, BitWidths())
        is_positive = maps[network.input].statistics.negative.count == 0
        made.append(
            Calibrated(
                network=name,
                maps=maps,
                unseen=calibrate(network, unseen, BitWidths()),
                signed=frozenset(maps) - never_negative(network, is_positive),
            )
        )
    return made


def loss_dB(error: float, least: float) -> float:
    """Nothing between equal errors, also where both are zero; infinite over none."""
    if error <= least:
        return 0.0
    return 10 * math.log10(error / least) if least > 0 else math.inf


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A map at a width: what every format costs, and the step that the rule gives."""

    network: str
    tensor: str
    bits: int
    is_signed: bool
    known: CalibratedMap
    chosen: ChosenStep
    losses: Mapping[int, float]
    """By fraction length, in dB over the best, on the images of calibration."""
    losses_unseen: Mapping[int, float]
    """The same on other images."""

    @cached_property
    def least_real_error(self) -> float:
        """Of any real-valued step, on the histogram."""
        best = mse_step(self.known.statistics, self.bits, self.grid)
        assert best is not None
        return self._real_error(best)

    @property
    def can_be_exact(self) -> bool:
        return math.isinf(max(self.losses.values()))

    @property
    def grid(self) -> Grid:
        return Grid.TWOS_COMPLEMENT if self.is_signed else Grid.UNSIGNED

    def pick(self, factor: float, rounding: StepRounding) -> int:
        """Fraction length that the rule ends at with its step multiplied."""
        assert self.chosen.step is not None
        changed = replace(self.chosen, step=factor * self.chosen.step)
        return self.choose(replace(GGD, rule=lambda *_: changed), rounding)

    def choose(self, rule: NamedRule, rounding: StepRounding) -> int:
        return self.format(FormatMethod(rule=rule, rounding=rounding, headroom_bits=0))[0].frac_bits

    def format(self, method: FormatMethod) -> tuple[QFormat, MapChoice]:
        return choose_format(self.tensor, self.known, self.bits, self.is_signed, method, ())

    def real_loss_dB(self, factor: float) -> float:
        assert self.chosen.step is not None
        return loss_dB(self._real_error(factor * self.chosen.step), self.least_real_error)

    def _real_error(self, step: float) -> float:
        histogram = self.known.statistics.histogram
        (error,) = squared_errors(histogram, np.array([step]), self.bits, self.grid)
        return float(error)


def make_pair(network: Calibrated, tensor: str, bits: int) -> Pair:
    is_signed = tensor in network.signed
    known, grid = network.maps[tensor], Grid.TWOS_COMPLEMENT if is_signed else Grid.UNSIGNED

    def losses(maps: Mapping[str, CalibratedMap]) -> dict[int, float]:
        errors = {
            n: maps[tensor].errors.of(QFormat(bits=bits, frac_bits=n, signed=is_signed)).total
            for n in range(-16, 25)
        }
        least = min(errors.values())
        return {n: loss_dB(error, least) for n, error in errors.items()}

    return Pair(
        network=network.network,
        tensor=tensor,
        bits=bits,
        is_signed=is_signed,
        known=known,
        chosen=GGD.rule(known.statistics, bits, grid),
        losses=losses(network.maps),
        losses_unseen=losses(network.unseen),
    )


@pytest.fixture(scope="module")
def pairs(calibrated: list[Calibrated]) -> list[Pair]:
    return [
        make_pair(network, tensor, bits)
        for network in calibrated
        for tensor in network.maps
        for bits in WIDTHS
    ]


@pytest.fixture(scope="module")
def some_pairs(pairs: list[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.bits in SOME_WIDTHS and not pair.can_be_exact]


def judge_formats(pairs: list[Pair], factor: float) -> dict[str, float]:
    """What formats lose with the step multiplied by a factor."""
    losses = [pair.losses[pair.pick(factor, StepRounding.SAMPLE_ERROR)] for pair in pairs]
    return {
        "mean loss": float(np.mean(losses)),
        "worst loss": max(losses),
        "worse format": float(np.mean(np.array(losses) > 0)),
    }


def judge_steps(pairs: list[Pair], factor: float) -> dict[str, float]:
    """What is lost without the samples' own rounding to a power of two."""
    by_model = [pair.losses[pair.pick(factor, StepRounding.MODEL_ERROR)] for pair in pairs]
    real = [pair.real_loss_dB(factor) for pair in pairs]
    return {
        "mean loss of the real step": float(np.mean(real)),
        "worst loss of the real step": max(real),
        "mean loss by the model alone": float(np.mean(by_model)),
    }


AT_MOST = {
    "mean loss": 0.002,
    "worst loss": 0.10,
    "worse format": 0.03,
    "mean loss of the real step": 0.8,
    "worst loss of the real step": 4.0,
    "mean loss by the model alone": 0.25,
}
"""In dB, but for a fraction of the pairs."""

AT_LEAST = {4: 4.0, 6: 3.0, 8: 0.8}
"""By how many dB the max-range format is worse, in the mean over maps, by bits."""


def figures(found: Mapping[str, float]) -> str:
    return ", ".join(f"{what} {value:.4f}" for what, value in found.items())


def test_the_step_finds_the_best_format(pairs, some_pairs, record_property):
    found = judge_formats(pairs, 1.0) | judge_steps(some_pairs, 1.0)
    record_property("note", f"{len(pairs)} maps and widths, in dB: {figures(found)}")
    assert len(pairs) > 600
    assert len(some_pairs) > 200
    assert {what: value for what, value in found.items() if value > AT_MOST[what]} == {}


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_another_step_would_not(some_pairs, factor):
    found = judge_formats(some_pairs, factor) | judge_steps(some_pairs, factor)
    assert {what: value for what, value in found.items() if value <= AT_MOST[what]} == {}


def test_the_range_of_the_largest_sample_is_worse(some_pairs, record_property):
    margins = {
        bits: float(
            np.mean(
                [
                    pair.losses[pair.choose(MAX_RANGE, MAX_RANGE.own_rounding)]
                    - pair.losses[pair.pick(1.0, StepRounding.SAMPLE_ERROR)]
                    for pair in some_pairs
                    if pair.bits == bits
                ]
            )
        )
        for bits in AT_LEAST
    }
    record_property("note", f"max range in its own rule is worse, dB by bits: {margins}")
    assert all(margin >= AT_LEAST[bits] for bits, margin in margins.items()), margins


def test_no_rival_is_lower_under_the_same_rule(some_pairs, record_property):
    judged = [pair for pair in some_pairs if pair.bits in AT_LEAST]
    found = {}
    for rule in step_rules(Estimator.MOMENTS):
        if rule.name == "ggd" or not rule.name.startswith("ggd"):
            lengths = [pair.choose(rule, StepRounding.SAMPLE_ERROR) for pair in judged]
            losses = [pair.losses[n] for pair, n in zip(judged, lengths, strict=True)]
            found[rule.name] = float(np.mean(losses))
    record_property("note", f"mean loss in dB, steps rounded alike: {figures(found)}")
    assert len(found) == 13
    assert min(found.values()) == found["ggd"]


@pytest.mark.parametrize("headroom", [0, 1])
def test_losses_on_unseen_images_are_told(some_pairs, headroom, record_property):
    method = FormatMethod(rule=GGD, rounding=StepRounding.SAMPLE_ERROR, headroom_bits=headroom)
    for network in dict.fromkeys(pair.network for pair in some_pairs):
        losses = {
            (pair.tensor, pair.bits): pair.losses_unseen[pair.format(method)[0].frac_bits]
            for pair in some_pairs
            if pair.network == network
        }
        wide = [loss for (_, bits), loss in losses.items() if bits >= 12]
        narrow = [loss for (_, bits), loss in losses.items() if bits < 12]
        record_property(
            "note",
            f"{network}, unseen images, headroom {headroom}: mean loss {np.mean(narrow):.3f} dB "
            f"below 12 bits, {np.mean(wide):.3f} dB from 12 on, "
            f"worst {max(losses.values()):.2f} dB",
        )
        assert np.isfinite(list(losses.values())).all()


def test_the_predicted_sqnr_is_near_the_measured_one(some_pairs, record_property):
    differences = []
    for pair in some_pairs:
        method = FormatMethod(rule=GGD, rounding=StepRounding.SAMPLE_ERROR, headroom_bits=0)
        fmt, choice = pair.format(method)
        statistics = pair.known.statistics
        signal = statistics.mean_square * statistics.count
        measured = 10 * math.log10(signal / pair.known.errors.of(fmt).total)
        if choice.predicted_sqnr_dB is not None:
            differences.append(choice.predicted_sqnr_dB - measured)
    errors = np.abs(differences)
    record_property(
        "note",
        f"predicted SQNR: median error {np.median(errors):.2f} dB, largest {errors.max():.2f} dB, "
        f"{len(errors)} maps and widths",
    )
    assert len(errors) > 0.9 * len(some_pairs)
    assert np.median(errors) < 1.0
