"""What a formats file says: stored maps, and constants encoded by it (rules 4, 5, 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles.fixed_point import (
    Format,
    clip,
    encode_array,
    power_of_two,
    round_fraction,
)

IntegerArray = NDArray[np.int64]
Formats = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Stored integers ``[N, C, ...]`` and what they mean."""

    raw: IntegerArray
    form: Format


def map_format(formats: Formats, name: str) -> Format:
    if name not in formats:
        raise ValueError(f"{name}: no format is given for this feature map")
    entry = formats[name]
    return Format(bits=entry["bits"], frac_bits=entry["frac_bits"], signed=entry["signed"])


def encode_constant(formats: Formats, name: str, real: NDArray[np.float64]) -> Map:
    """Encode an added or multiplied constant, or slopes: one fraction length for all."""
    form = map_format(formats, name)
    return Map(raw=encode_array(real, form.frac_bits, form, "ties_even"), form=form)


def encode_channels(
    formats: Formats, name: str, real: NDArray[np.float64]
) -> tuple[IntegerArray, IntegerArray]:
    """Encode ``real[K, ...]``; return raw integers and their frac_bits ``[K]``."""
    if name not in formats:
        raise ValueError(f"{name}: no format is given for this constant")
    entry = formats[name]
    frac_bits = np.broadcast_to(np.asarray(entry["frac_bits"], np.int64), len(real))
    form = Format(bits=entry["bits"], frac_bits=0, signed=entry["signed"])
    per_channel = frac_bits.reshape(-1, *[1] * (real.ndim - 1))
    return encode_array(real, per_channel, form, "ties_even"), frac_bits


def align_bias(
    formats: Formats, name: str, real: NDArray[np.float64], acc_frac_bits: IntegerArray
) -> IntegerArray:
    """Biases ``[K]`` shifted left into the accumulator's format."""
    raw, frac_bits = encode_channels(formats, name, real)
    unlimited = Format(bits=48, frac_bits=0, signed=True)
    if not np.array_equal(raw, encode_array(real, frac_bits, unlimited, "ties_even")):
        raise ValueError(f"{name}: a bias does not fit its format")
    shifts = acc_frac_bits - frac_bits
    if (shifts < 0).any():
        raise ValueError(f"{name}: more fraction bits than the accumulator's")
    exact = [int(value) << int(shift) for value, shift in zip(raw, shifts, strict=True)]
    assert max(map(abs, exact)) < 2**60, "a bias could leave int64"
    return np.array(exact, np.int64)


def encode_bound(bound: float, form: Format, mode: str) -> int:
    """A bound as a raw integer; one beyond the format where it lies outside."""
    if np.isinf(bound):
        return form.raw_max + 1 if bound > 0 else form.raw_min - 1
    rounded = round_fraction(Fraction(bound) * power_of_two(form.frac_bits), mode)
    return clip(rounded, form.raw_min - 1, form.raw_max + 1)
