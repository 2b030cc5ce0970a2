"""Does the generalized gamma step find the best format of every feature map of real networks?

Four networks, every map that decides on a format, 3 to 16 bits: about 700 pairs. The best
format is that of an exhaustive search over fraction lengths on the same samples; their
errors are exact (`tests/test_format_errors.py`). The same step doubled or halved has to fail.

An Add is judged like any other map here, by its samples: what its operands' grid changes
(NUMBERS.md 13) is another rule, and has its own test.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from quantizer.quantized import BitWidths
from quantizer.step_rules import NamedRule, StepRounding, find_step_rule

pytestmark = pytest.mark.slow

WIDTHS = range(3, 17)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
    least_real_error: float
    """Of any real-valued step, on the histogram."""

    @property
    def grid(self) -> Grid:
        return Grid.TWOS_COMPLEMENT if self.is_signed else Grid.UNSIGNED

    def pick(self, factor: float, rounding: StepRounding) -> int:
        """Fraction length that the rule ends at with its step multiplied."""
        assert self.chosen.step is not None
        changed = replace(self.chosen, step=factor * self.chosen.step)
        return self._choose(replace(GGD, rule=lambda *_: changed), rounding)

    def pick_max_range(self) -> int:
        return self._choose(MAX_RANGE, MAX_RANGE.own_rounding)

    def _choose(self, rule: NamedRule, rounding: StepRounding) -> int:
        method = FormatMethod(rule=rule, rounding=rounding, headroom_bits=0)
        fmt, _ = choose_format(self.tensor, self.known, self.bits, self.is_signed, method, ())
        return fmt.frac_bits

    def real_loss_dB(self, factor: float) -> float:
        assert self.chosen.step is not None
        step, histogram = factor * self.chosen.step, self.known.statistics.histogram
        (error,) = squared_errors(histogram, np.array([step]), self.bits, self.grid)
        return loss_dB(float(error), self.least_real_error)


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

    best = mse_step(known.statistics, bits, grid)
    assert best is not None
    return Pair(
        network=network.network,
        tensor=tensor,
        bits=bits,
        is_signed=is_signed,
        known=known,
        chosen=GGD.rule(known.statistics, bits, grid),
        losses=losses(network.maps),
        losses_unseen=losses(network.unseen),
        least_real_error=float(
            squared_errors(known.statistics.histogram, np.array([best]), bits, grid)[0]
        ),
    )


@pytest.fixture(scope="module")
def pairs(calibrated: list[Calibrated]) -> list[Pair]:
    return [
        make_pair(network, tensor, bits)
        for network in calibrated
        for tensor in network.maps
        for bits in WIDTHS
    ]


def max_range_margin_dB(pairs: list[Pair], losses: list[float], bits: int) -> float:
    """By how much the max-range format is worse than the chosen one, in the mean over maps.

    A map that some format holds without error has no finite ratio to another, and is left out.
    """
    margins = [
        pair.losses[pair.pick_max_range()] - loss
        for pair, loss in zip(pairs, losses, strict=True)
        if pair.bits == bits and math.isfinite(max(pair.losses.values()))
    ]
    return float(np.mean(margins))


def judge(pairs: list[Pair], factor: float) -> dict[str, float]:
    """All that is claimed of the formats, measured with the step multiplied by a factor."""
    losses = [pair.losses[pair.pick(factor, StepRounding.SAMPLE_ERROR)] for pair in pairs]
    by_model = [pair.losses[pair.pick(factor, StepRounding.MODEL_ERROR)] for pair in pairs]
    real = [pair.real_loss_dB(factor) for pair in pairs]
    return {
        "mean loss": float(np.mean(losses)),
        "worst loss": max(losses),
        "worse format": float(np.mean(np.array(losses) > 0)),
        "mean loss of the real step": float(np.mean(real)),
        "worst loss of the real step": max(real),
        "mean loss by the model alone": float(np.mean(by_model)),
        **{
            f"max range at {bits} bits": -max_range_margin_dB(pairs, losses, bits)
            for bits in (4, 6, 8)
        },
    }
