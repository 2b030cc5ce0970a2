"""The hand-over from quantizer to simulator: integers, and what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.qformat import Overflow, QFormat, Rounding
from quantizer.network.graph import Network
from quantizer.network.layers import WeightedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericRules:
    """How a machine rounds and accumulates.

    Attributes
    ----------
    requantize_rounding, average_pool_rounding
        Rounding of the output stage and of average pools.
    accumulator_bits
        Width of the accumulators, 8 to 48.
    accumulator_overflow
        What a sum outside that width becomes.
    """

    requantize_rounding: Rounding = Rounding.TIES_POS
    average_pool_rounding: Rounding = Rounding.TIES_POS
    accumulator_bits: int = 32
    accumulator_overflow: Overflow = Overflow.WRAP

    def __post_init__(self) -> None:
        if not 8 <= self.accumulator_bits <= 48:
            raise ValueError(f"accumulator_bits must be 8 to 48, got {self.accumulator_bits}")


DEFAULT_BIAS_BITS = 16


def _check_widths(widths: object, *fields: str) -> None:
    for name in fields:
        bits = getattr(widths, name)
        if bits is not None and not 2 <= bits <= 16:
            raise ValueError(f"{name} must be 2 to 16 bits, got {bits}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBits:
    """Word lengths of one layer, 2 to 16; None is that of the network.

    Attributes
    ----------
    weights
        Of its weights or slopes.
    activations
        Of its output, with every feature map that shares the output's format, and of a
        constant that it adds or multiplies.
    biases
        Of its bias.
    """

    weights: int | None = None
    activations: int | None = None
    biases: int | None = None

    def __post_init__(self) -> None:
        _check_widths(self, "weights", "activations", "biases")


@dataclass(frozen=True, slots=True, kw_only=True)
class BitWidths:
    """Word lengths of a quantized network, 2 to 16.

    Attributes
    ----------
    inputs
        Of the network input; None is ``max(8, activations)``.
    layers
        Of single layers, by layer name, where they differ from those of the network.
    source
        Where `layers` stand, for messages.
    """

    weights: int = 8
    activations: int = 8
    inputs: int | None = None
    biases: int = DEFAULT_BIAS_BITS
    layers: Mapping[str, LayerBits] = field(default_factory=dict, hash=False)
    source: str = field(default="layers", compare=False)

    def __post_init__(self) -> None:
        _check_widths(self, "weights", "activations", "inputs", "biases")

    @property
    def input_bits(self) -> int:
        """Word length of the network input."""
        return max(8, self.activations) if self.inputs is None else self.inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedConstant:
    """Stored integers of a constant (weights, bias, slopes, operand); always signed.

    Attributes
    ----------
    raw
        int16[K, ...] or wider: what is computed from it is widened first. The first axis
        is the output channel, but in an added or multiplied constant.
    bits
        Word length, 2 to 16.
    frac_bits
        int64[K], one per entry of the first axis; all equal where the format is per tensor.
    """

    raw: NDArray[np.int16] | NDArray[np.int64]
    bits: int
    frac_bits: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.frac_bits.shape != self.raw.shape[:1]:
            raise ValueError("one fraction length per entry of the first axis is needed")
        for array in (self.raw, self.frac_bits):
            array.setflags(write=False)

    @property
    def is_per_channel(self) -> bool:
        """Whether the channels differ in their fraction length."""
        return bool((self.frac_bits != self.frac_bits[0]).any())

    def decode(self) -> NDArray[np.float32]:
        """Real values; exact in float32, which holds 24 bits and steps from 2**-149."""
        steps = np.ldexp(np.float32(1.0), -self.frac_bits)
        real = self.raw.astype(np.float32)
        real *= steps.reshape((-1,) + (1,) * (self.raw.ndim - 1))
        return real


@dataclass(frozen=True, slots=True, kw_only=True)
class MapChoice:
    """Why a feature map has its format.

    Attributes
    ----------
    shapes
        Shapes (k, p) of the generalized gamma distribution of the positive and of the
        negative samples, of those signs that there are. Empty where none was fitted.
    step
        Real-valued step before it was rounded to a power of two; None where all samples
        are zero.
    predicted_sqnr_dB
        Of the fitted distribution in the chosen format, zeros left out; None without one.
    """

    shapes: tuple[tuple[float, float], ...]
    step: float | None
    predicted_sqnr_dB: float | None


class TuneMeasure(StrEnum):
    """What tuning makes better."""

    SQNR = "sqnr"
    """Signal to quantization noise ratio of the first output, end to end."""
    TOP1 = "top1"
    """Top-1 accuracy; of equal accuracies, the SQNR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How fraction lengths are tuned.

    Attributes
    ----------
    passes
        How often to go through all layers, at most.
    budget
        How many candidates to try, at most; None is all.
    """

    measure: TuneMeasure = TuneMeasure.SQNR
    passes: int = 1
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.passes < 1 or (self.budget is not None and self.budget < 1):
            raise ValueError(f"passes and budget must be 1 or more, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedNetwork:
    """A network whose every number is an integer of known format.

    Attributes
    ----------
    network
        The float network, with its float constants.
    rules
        Rounding and accumulation under which the integers are defined.
    bits
        The widths that were asked for (a formats file may have overridden some).
    method
        How the feature-map formats were chosen.
    formats
        Of every feature map, inherited ones included.
    weights
        By constant name: weights, slopes, and constants that are added or multiplied.
    biases
        By layer name, because the format follows the layer's accumulator. Layers
        without a bias have no entry.
    choices
        By feature map whose samples decided on a format: how they did. Maps that share its
        format, and maps whose format was given, have no entry.
    per_channel
        Whether weights and biases were given a fraction length per output channel.
    tuning
        How fraction lengths were moved afterwards; None if they were not.
    """

    network: Network
    rules: NumericRules
    bits: BitWidths
    method: str
    formats: Mapping[str, QFormat]
    weights: Mapping[str, QuantizedConstant]
    biases: Mapping[str, QuantizedConstant]
    choices: Mapping[str, MapChoice] = field(default_factory=dict)
    per_channel: bool = False
    tuning: Tuning | None = None

    def accumulator_frac_bits(self, layer: WeightedLayer) -> NDArray[np.int64]:
        """Fraction length of a layer's products, int64[K]."""
        return self.formats[layer.ifm].frac_bits + self.weights[layer.weights].frac_bits
