"""What the exact run of a network gives to all points that have its integers."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accel_sim.accumulation import Plans
from accel_sim.sweep.points import Experiment, SweepPoint
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.graph import Network
from quantizer.quantized import (
    BitWidths,
    NumericRules,
    QuantizedConstant,
    QuantizedNetwork,
    Tuning,
)

if TYPE_CHECKING:
    from accel_sim.measure import ValueReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantFormat:
    """Format of a constant whose integers are not here.

    Attributes
    ----------
    frac_bits
        One for the tensor, or one per entry of the first axis.
    """

    bits: int
    frac_bits: tuple[int, ...]
    shape: tuple[int, ...]

    def fill(self) -> QuantizedConstant:
        """Give a constant of this format; all its integers are 0 and take no memory."""
        lengths = np.array(self.frac_bits, dtype=np.int64)
        return QuantizedConstant(
            raw=np.broadcast_to(np.int16(0), self.shape),
            bits=self.bits,
            frac_bits=np.broadcast_to(lengths, self.shape[:1]).copy(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFormats:
    """A quantized network without its integers: all that costs depend on.

    Attributes are those of `QuantizedNetwork`.
    """

    bits: BitWidths
    method: str
    formats: Mapping[str, QFormat]
    weights: Mapping[str, ConstantFormat]
    biases: Mapping[str, ConstantFormat]
    per_channel: bool
    tuning: Tuning | None

    def without_integers(self, network: Network, rules: NumericRules) -> QuantizedNetwork:
        """Give the network in these formats, as it costs; its integers are all 0."""
        return QuantizedNetwork(
            network=network,
            rules=rules,
            bits=self.bits,
            method=self.method,
            formats=self.formats,
            weights={name: constant.fill() for name, constant in self.weights.items()},
            biases={name: constant.fill() for name, constant in self.biases.items()},
            per_channel=self.per_channel,
            tuning=self.tuning,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactRun:
    """Formats of a network, and what was measured on its images.

    Attributes
    ----------
    values
        None where there are no images.
    """

    formats: NumberFormats
    values: "ValueReport | None"


def find_formats(network: QuantizedNetwork) -> NumberFormats:
    """Give the formats of a network."""
    return NumberFormats(
        bits=network.bits,
        method=network.method,
        formats=network.formats,
        weights={name: _format_of(constant) for name, constant in network.weights.items()},
        biases={name: _format_of(constant) for name, constant in network.biases.items()},
        per_channel=network.per_channel,
        tuning=network.tuning,
    )


def _format_of(constant: QuantizedConstant) -> ConstantFormat:
    lengths = tuple(constant.frac_bits.tolist())
    return ConstantFormat(
        bits=constant.bits,
        frac_bits=lengths if constant.is_per_channel else lengths[:1],
        shape=constant.raw.shape,
    )


def digest_plans(plans: Plans) -> str:
    """SHA-256 of the order in which a machine adds, in hexadecimal."""
    return hashlib.sha256(repr(sorted(plans.items())).encode()).hexdigest()


def exact_settings(point: SweepPoint, experiment: Experiment, order: str | None) -> dict[str, Any]:
    """Give everything that determines an exact run, as JSON values.

    Parameters
    ----------
    order
        Of additions that saturate; None where it does not matter.
    """
    return {
        **formats_settings(point, experiment, order),
        "experiment": dict(experiment.settings),
        "order": order,
        "zero_run_bits": point.hardware.zero_run_bits,
    }


def formats_settings(
    point: SweepPoint, experiment: Experiment, order: str | None
) -> dict[str, Any]:
    """Give everything of a point that determines formats within its experiment, as JSON values."""
    rules, bits = point.hardware.numeric_rules, point.bits
    return {
        "bits": {
            "weights": bits.weights,
            "activations": bits.activations,
            "inputs": bits.input_bits,
            "biases": bits.biases,
            "layers": {name: asdict(widths) for name, widths in bits.layers.items()},
        },
        "rules": {name: str(value) for name, value in asdict(rules).items()},
        "activations": point.hardware.precision.activations.value,
        "tuned_for": order if experiment.is_tuned else None,
    }
