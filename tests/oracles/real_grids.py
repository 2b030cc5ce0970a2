"""Fixed-point rounding on real numbers in float64: what `fake_quant` means by a format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RealArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The real numbers a format can hold: multiples of ``step`` from ``lowest`` to ``highest``."""

    step: float
    lowest: float
    highest: float


def grid(entry: Mapping[str, Any], frac_bits: int) -> Grid:
    """The grid of one entry of a formats file, for one of its fraction lengths."""
    step = 2.0**-frac_bits
    if entry["signed"]:
        half = 2.0 ** (entry["bits"] - 1)
        return Grid(step=step, lowest=-half * step, highest=(half - 1) * step)
    return Grid(step=step, lowest=0.0, highest=(2.0 ** entry["bits"] - 1) * step)


def round_float(value: RealArray, mode: str) -> RealArray:
    """Round to integers; exact, since doubling, halving and the NumPy roundings are."""
    match mode:
        case "ties_pos":
            return np.ceil(np.floor(2 * value) / 2)
        case "ties_even":
            return np.rint(value)
        case "ties_away":
            return np.copysign(np.ceil(np.floor(2 * abs(value)) / 2), value)
        case "to_neg":
            return np.floor(value)
        case "to_zero":
            return np.trunc(value)
    raise ValueError(
        f"rounding must be one of ties_pos, ties_even, ties_away, to_neg, to_zero; got {mode!r}"
    )


def quantize(value: RealArray, onto: Grid, mode: str) -> RealArray:
    """Round real numbers onto a grid and saturate at its ends."""
    return np.clip(round_float(value / onto.step, mode) * onto.step, onto.lowest, onto.highest)
