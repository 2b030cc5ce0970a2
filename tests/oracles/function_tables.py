"""Functions of one value as tables over raw integers (rule 11).

Each entry is the exact real value, rounded once. Functions that are rational are computed in
fractions. The others have an irrational value at every rational argument but a few at which
mpmath is exact (0 above all), so enough digits decide every rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from tests.oracles.fixed_point import (
    Format,
    clip,
    power_of_two,
    round_fraction,
    round_quotient_array,
)

IntegerArray = NDArray[np.int64]
LARGEST_FULL_TABLE_BITS = 12

# Attributes that a node leaves out (ONNX operator specification). HardSwish has none: its
# 1/6 is no attribute, and exact.
DEFAULTS = {
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Elu": {"alpha": 1.0},
    "Celu": {"alpha": 1.0},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "Swish": {"alpha": 1.0},
    "ThresholdedRelu": {"alpha": 1.0},
}

# Where exp(-|x|) is below 2**-288 it only says on which side of its limit a function lies:
# formats have no step below 2**-64. Beyond this |x|, the value at it rounds alike.
FLAT_BEYOND = 200
# The same for erfc(|x|), below 2**-208 here.
ERF_FLAT_BEYOND = 12
# Shows 1 - tanh(200), about 2**-577, with more than 200 bits.
PRECISION_BITS = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """An operator of one value, with attributes as the standard completes them."""

    operator: str
    alpha: Fraction
    beta: Fraction
    gamma: Fraction
    has_tanh_approximation: bool


def function(operator: str, attributes: Mapping[str, Any]) -> Function:
    """Complete a node's attributes; all are float32 values."""
    given = {**DEFAULTS.get(operator, {}), **attributes}
    alpha, beta, gamma = (
        Fraction(float(np.float32(given.get(key, 0.0)))) for key in ("alpha", "beta", "gamma")
    )
    return Function(
        operator=operator,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        has_tanh_approximation=given.get("approximate", b"none") == b"tanh",
    )


def exact_value(of: Function, x: Fraction) -> Fraction:
    """The function at ``x``, close enough to its real value to round alike."""
    rational = _rational_value(of, x)
    if rational is not None:
        return rational
    if of.operator == "Sqrt" and x < 0:
        return Fraction(0)
    with mpmath.workprec(PRECISION_BITS):
        value = _irrational_value(of, _real(x))
        mantissa, exponent = value.man_exp
        magnitude = int(mantissa) * power_of_two(int(exponent))
        return -magnitude if value < 0 else magnitude


def _rational_value(of: Function, x: Fraction) -> Fraction | None:
    match of.operator:
        case "Abs":
            return abs(x)
        case "Neg":
            return -x
        case "HardSigmoid":
            return max(Fraction(0), min(Fraction(1), of.alpha * x + of.beta))
        case "HardSwish":
            return x * max(Fraction(0), min(Fraction(1), x / 6 + Fraction(1, 2)))
        case "Softsign":
            return x / (1 + abs(x))
        case "ThresholdedRelu":
            return x if x > of.alpha else Fraction(0)
        case "Elu" | "Celu" if x >= 0:
            return x
        case "Selu" if x >= 0:
            return of.gamma * x
    return None


def _irrational_value(of: Function, x: mpmath.mpf) -> mpmath.mpf:
    half = mpmath.mpf(1) / 2
    match of.operator:
        case "Sigmoid":
            return _sigmoid(x)
        case "Tanh":
            return mpmath.tanh(_near(x))
        case "Elu":
            return _real(of.alpha) * mpmath.expm1(_near(x))
        case "Selu":
            return _real(of.gamma) * _real(of.alpha) * mpmath.expm1(_near(x))
        case "Celu":
            alpha = _real(of.alpha)
            return min(mpmath.mpf(0), alpha * mpmath.expm1(_near(x / alpha)))
        case "Gelu" if of.has_tanh_approximation:
            inner = mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf(44715) / 10**6 * x**3)
            return half * x * (1 + mpmath.tanh(_near(inner)))
        case "Gelu":
            return half * x * mpmath.erfc(_near(-x / mpmath.sqrt(2), ERF_FLAT_BEYOND))
        case "Softplus":
            return _softplus(x)
        case "Mish":
            return x * mpmath.tanh(_softplus(_near(x)))
        case "Swish":
            return x * _sigmoid(_real(of.alpha) * x)
        case "Erf":
            return mpmath.erf(_near(x, ERF_FLAT_BEYOND))
        case "Exp":
            return mpmath.exp(_near(x))
        case "Sqrt":
            return mpmath.sqrt(x)
    raise ValueError(f"{of.operator} is not a function of one value")


def _real(value: Fraction) -> mpmath.mpf:
    return mpmath.mpf(value.numerator) / value.denominator


def _near(x: mpmath.mpf, limit: int = FLAT_BEYOND) -> mpmath.mpf:
    return min(max(x, mpmath.mpf(-limit)), mpmath.mpf(limit))


def _sigmoid(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-_near(x)))


def _softplus(x: mpmath.mpf) -> mpmath.mpf:
    return max(x, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(_near(x))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Raw integers out of a table.

    ``raw`` lies in the format, or one beyond it where a single entry was clipped. ``below`` and
    ``above`` say which values come from an entry that the format clipped at that end.
    """

    raw: IntegerArray
    below: NDArray[np.bool_]
    above: NDArray[np.bool_]


def look_up(of: Function, raw: IntegerArray, ifm: Format, ofm: Format, mode: str) -> Looked:
    """Apply a function to raw integers, by its table and between its entries.

    Raises
    ------
    ValueError
        Where the function has no value.
    """
    step_bits = max(0, ifm.bits - LARGEST_FULL_TABLE_BITS)
    step = 1 << step_bits
    # The last entry of an interpolated table stands one step beyond the largest raw value.
    n_entries = (1 << ifm.bits) // step + (1 if step > 1 else 0)
    position = raw - ifm.raw_min
    index, rest = position // step, position % step
    following = np.where(rest > 0, index + 1, index)
    table = np.zeros(n_entries, np.int64)
    for entry in np.union1d(index, following):
        x = (ifm.raw_min + int(entry) * step) * power_of_two(-ifm.frac_bits)
        table[entry] = _entry(of, x, ofm, mode)
    first, second = table[index], table[following]
    below = (first < ofm.raw_min) | (second < ofm.raw_min)
    above = (first > ofm.raw_max) | (second > ofm.raw_max)
    if step == 1:
        return Looked(raw=first, below=below, above=above)
    held_first, held_second = (np.clip(e, ofm.raw_min, ofm.raw_max) for e in (first, second))
    weighted = held_first * (step - rest) + held_second * rest
    between = round_quotient_array(weighted, step, mode)
    return Looked(raw=between, below=below, above=above)


@cache
def _entry(of: Function, x: Fraction, ofm: Format, mode: str) -> int:
    """One entry, limited to one beyond the format."""
    rounded = round_fraction(exact_value(of, x) * power_of_two(ofm.frac_bits), mode)
    return clip(rounded, ofm.raw_min - 1, ofm.raw_max + 1)
