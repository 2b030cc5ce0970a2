"""The fixed-point rules of the number contract, on exact numbers.

The scalar functions work on Python integers and `fractions.Fraction` and are the
definition. The array functions below them do the same on int64 where whole networks
would take too long; the self-tests hold each against its scalar.

Rounding modes are named as in the contract: ``ties_pos`` (half up, towards plus
infinity), ``ties_even``, ``ties_away``, ``to_neg`` (floor), ``to_zero`` (truncate).
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDINGS = ("ties_pos", "ties_even", "ties_away", "to_neg", "to_zero")
HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Meaning of a stored integer: ``value = raw * 2**-frac_bits``."""

    bits: int
    frac_bits: int
    signed: bool

    @property
    def raw_min(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def raw_max(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


def power_of_two(exponent: int) -> Fraction:
    """``2**exponent`` exactly, also for negative exponents."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def clip(value: int, lowest: int, highest: int) -> int:
    return min(max(value, lowest), highest)


def round_fraction(value: Fraction, mode: str) -> int:
    """Round to an integer by the given tie rule."""
    below = value.numerator // value.denominator
    rest = value - below
    match mode:
        case "ties_pos":
            goes_up = rest >= HALF
        case "ties_even":
            goes_up = rest > HALF or (rest == HALF and below % 2 == 1)
        case "ties_away":
            goes_up = rest > HALF or (rest == HALF and value > 0)
        case "to_neg":
            goes_up = False
        case "to_zero":
            goes_up = rest > 0 and value < 0
        case _:
            raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}; got {mode!r}")
    return below + int(goes_up)


def requantize(acc: int, shift: int, mode: str, raw_min: int, raw_max: int) -> int:
    """``clip(round(acc * 2**-shift))`` as with unbounded width; shift of either sign."""
    return clip(round_fraction(acc * power_of_two(-shift), mode), raw_min, raw_max)


def wrap(total: int, bits: int) -> int:
    """The two's-complement number of ``bits`` bits congruent to ``total``."""
    modulus = 1 << bits
    residue = total % modulus
    return residue - modulus if residue >= modulus // 2 else residue


def encode(real: float, frac_bits: int, bits: int, signed: bool, mode: str) -> int:
    """Raw integer nearest to a real number by the tie rule, saturated at the format's ends."""
    form = Format(bits=bits, frac_bits=frac_bits, signed=signed)
    scaled = Fraction(real) * power_of_two(frac_bits)
    return clip(round_fraction(scaled, mode), form.raw_min, form.raw_max)


def average(total: int, count: int, frac_shift: int, mode: str, raw_min: int, raw_max: int) -> int:
    """``clip(round(total * 2**frac_shift / count))``: one rounding of the exact rational.

    ``frac_shift`` is the ofm's frac_bits minus the ifm's.
    """
    mean = Fraction(total, count) * power_of_two(frac_shift)
    return clip(round_fraction(mean, mode), raw_min, raw_max)


def round_quotient_array(
    numerator: NDArray[np.int64], denominator: ArrayLike, mode: str
) -> NDArray[np.int64]:
    """Round ``numerator / denominator`` element by element; denominators positive.

    Exact while ``denominator <= 2**62``: the remainder is compared with what is left to
    the denominator, never doubled.
    """
    divisor = np.asarray(denominator, np.int64)
    below = numerator // divisor
    rest = numerator - below * divisor
    left = divisor - rest
    match mode:
        case "ties_pos":
            goes_up = rest >= left
        case "ties_even":
            goes_up = (rest > left) | ((rest == left) & (below % 2 == 1))
        case "ties_away":
            goes_up = (rest > left) | ((rest == left) & (numerator > 0))
        case "to_neg":
            goes_up = np.zeros(rest.shape, np.bool_)
        case "to_zero":
            goes_up = (rest > 0) & (numerator < 0)
        case _:
            raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}; got {mode!r}")
    return np.asarray(below + goes_up, np.int64)


def shift_and_round_array(
    acc: NDArray[np.int64], shift: ArrayLike, mode: str, raw_min: int, raw_max: int
) -> NDArray[np.int64]:
    """``round(acc * 2**-shift)``, limited to ``raw_min - 1 .. raw_max + 1``.

    The limits lie one outside the format, so the caller still sees what would saturate.
    ``shift`` broadcasts against ``acc``. Accumulators stay below ``2**61``.
    """
    assert abs(acc).max(initial=0) < 2**61, "accumulator too wide for int64 rounding"
    shifts = np.asarray(shift, np.int64)
    # An accumulator below 2**61 is less than half of 2**62: any larger divisor rounds alike.
    right = np.clip(shifts, 0, 62)
    # Multiplying by more than this takes every nonzero integer out of the range anyway, and
    # an integer already outside stays outside.
    width = max(raw_max, -raw_min).bit_length() + 1
    left = np.clip(-shifts, 0, width)
    rounded = round_quotient_array(acc, np.int64(1) << right, mode)
    limited = np.clip(rounded, raw_min - 1, raw_max + 1)
    return np.asarray(np.clip(limited << left, raw_min - 1, raw_max + 1), np.int64)


def requantize_array(
    acc: NDArray[np.int64], shift: ArrayLike, mode: str, raw_min: int, raw_max: int
) -> NDArray[np.int64]:
    """Do `requantize` on every element."""
    return np.clip(shift_and_round_array(acc, shift, mode, raw_min, raw_max), raw_min, raw_max)


def wrap_array(total: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Do `wrap` on every element."""
    modulus = 1 << bits
    residue = total % modulus
    return np.where(residue >= modulus // 2, residue - modulus, residue)


def encode_array(
    real: NDArray[np.float64], frac_bits: ArrayLike, form: Format, mode: str
) -> NDArray[np.int64]:
    """Do `encode` on every element, with ``frac_bits`` broadcast against ``real``.

    ``form`` gives width and sign only. Exact: scaling by a power of two is, and `numpy.modf`
    splits a float64 into two exact parts (a subtraction of the floor would not be exact).
    """
    exponents = np.asarray(frac_bits, np.int64)
    scaled = np.ldexp(real, exponents)
    assert np.array_equal(np.ldexp(scaled, -exponents), real), "scaling left float64's range"
    rest, whole = np.modf(scaled)
    size = abs(rest)
    match mode:
        case "ties_pos":
            goes_out = (size > 0.5) | (rest == 0.5)
        case "ties_even":
            goes_out = (size > 0.5) | ((size == 0.5) & (whole % 2 != 0))
        case "ties_away":
            goes_out = size >= 0.5
        case "to_neg":
            goes_out = rest < 0
        case "to_zero":
            goes_out = np.zeros(rest.shape, np.bool_)
        case _:
            raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}; got {mode!r}")
    rounded = whole + np.copysign(goes_out, rest)
    clipped = np.clip(rounded, form.raw_min, form.raw_max)
    return np.asarray(clipped, np.int64)
