"""Is every entry of a table the exact value, rounded once?

Held against `fractions` for rational functions, and against mpmath with 1000 bits for the
others: enough to tell every tail of the formats below from its asymptote.
"""

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.lookup_table import BEYOND, round_function
from quantizer.network.layers import Function, FunctionKind
from tests.fixedpoint.versions import ROUNDINGS
from tests.oracles.fixed_point import round_fraction

BITS = 1000


def single(value: float) -> float:
    return float(np.float32(value))


FUNCTIONS = [
    Function(kind=FunctionKind.ABS),
    Function(kind=FunctionKind.CELU, alpha=1.0),
    Function(kind=FunctionKind.CELU, alpha=single(0.3)),
    Function(kind=FunctionKind.ELU, alpha=single(0.7)),
    Function(kind=FunctionKind.ELU, alpha=0.0),
    Function(kind=FunctionKind.ERF),
    Function(kind=FunctionKind.EXP),
    Function(kind=FunctionKind.GELU),
    Function(kind=FunctionKind.GELU_TANH),
    Function(kind=FunctionKind.HARD_SIGMOID, alpha=single(0.2), beta=0.5),
    Function(kind=FunctionKind.HARD_SIGMOID, alpha=0.25, beta=0.5),
    Function(kind=FunctionKind.HARD_SWISH),
    Function(kind=FunctionKind.MISH),
    Function(kind=FunctionKind.NEG),
    Function(kind=FunctionKind.SELU, alpha=single(1.6732632), beta=single(1.050701)),
    Function(kind=FunctionKind.SIGMOID),
    Function(kind=FunctionKind.SOFTPLUS),
    Function(kind=FunctionKind.SOFTSIGN),
    Function(kind=FunctionKind.SQRT),
    Function(kind=FunctionKind.SWISH, alpha=1.0),
    Function(kind=FunctionKind.SWISH, alpha=single(1.702)),
    Function(kind=FunctionKind.SWISH, alpha=0.0),
    Function(kind=FunctionKind.TANH),
    Function(kind=FunctionKind.THRESHOLDED_RELU, alpha=1.0),
]

# Input format and fraction length of the output: near 0, over the bend, far into the tails,
# steps above 1, steps that vanish.
FORMATS = [
    (QFormat(bits=8, frac_bits=4), 7),
    (QFormat(bits=7, frac_bits=2), 8),
    (QFormat(bits=7, frac_bits=3), 11),
    (QFormat(bits=6, frac_bits=2, signed=False), 4),
    (QFormat(bits=5, frac_bits=0), -2),
    (QFormat(bits=5, frac_bits=20), 40),
    (QFormat(bits=3, frac_bits=64), 64),
    (QFormat(bits=3, frac_bits=64), -64),
]


def rational(function: Function, x: Fraction) -> Fraction | None:
    alpha, beta = Fraction(function.alpha), Fraction(function.beta)
    match function.kind:
        case FunctionKind.ABS:
            return abs(x)
        case FunctionKind.NEG:
            return -x
        case FunctionKind.THRESHOLDED_RELU:
            return x if x > alpha else Fraction(0)
        case FunctionKind.HARD_SIGMOID:
            return max(Fraction(0), min(Fraction(1), alpha * x + beta))
        case FunctionKind.HARD_SWISH:
            return x * max(Fraction(0), min(Fraction(1), (x + 3) / 6))
        case FunctionKind.SOFTSIGN:
            return x / (1 + abs(x))
    return None


def irrational(function: Function, x: Any) -> Any:
    """Value by the formula in the ONNX standard, in the working precision."""
    alpha, beta = mpmath.mpf(function.alpha), mpmath.mpf(function.beta)
    exp, zero = mpmath.exp, mpmath.mpf(0)
    match function.kind:
        case FunctionKind.CELU:
            return max(zero, x) + min(zero, alpha * (exp(x / alpha) - 1))
        case FunctionKind.ELU:
            return x if x >= 0 else alpha * (exp(x) - 1)
        case FunctionKind.ERF:
            return mpmath.erf(x)
        case FunctionKind.EXP:
            return exp(x)
        case FunctionKind.GELU:
            return x * (1 + mpmath.erf(x / mpmath.sqrt(2))) / 2
        case FunctionKind.GELU_TANH:
            cubic = mpmath.mpf(44715) / 10**6
            return x * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + cubic * x**3))) / 2
        case FunctionKind.MISH:
            return x * mpmath.tanh(mpmath.log(1 + exp(x)))
        case FunctionKind.SELU:
            return beta * x if x > 0 else beta * (alpha * exp(x) - alpha)
        case FunctionKind.SIGMOID:
            return 1 / (1 + exp(-x))
        case FunctionKind.SOFTPLUS:
            return mpmath.log(1 + exp(x))
        case FunctionKind.SQRT:
            return mpmath.sqrt(max(x, 0))
        case FunctionKind.SWISH:
            return x / (1 + exp(-alpha * x))
        case FunctionKind.TANH:
            return mpmath.tanh(x)
    raise AssertionError(function)


def to_fraction(value: Any) -> Fraction:
    """What an mpf holds: sign, mantissa and exponent."""
    sign, mantissa, exponent, _ = value._mpf_
    return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** int(exponent)


def expected_values(function: Function, ifm: QFormat) -> list[Fraction]:
    values = []
    with mpmath.workprec(BITS):
        for raw in range(ifm.raw_min, ifm.raw_max + 1):
            x = raw * Fraction(2) ** -ifm.frac_bits
            value = rational(function, x)
            if value is None:
                real = mpmath.mpf(x.numerator) / x.denominator
                value = to_fraction(mpmath.mpf(irrational(function, real)))
            values.append(value)
    return values


@pytest.mark.parametrize(("ifm", "frac_bits"), FORMATS, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(function.kind))
def test_every_entry_is_the_exact_value_rounded_once(
    function: Function, ifm: QFormat, frac_bits: int
) -> None:
    values = [value * Fraction(2) ** frac_bits for value in expected_values(function, ifm)]
    for rounding in Rounding:
        expected = [round_fraction(value, rounding.name.lower()) for value in values]
        found = round_function(function, ifm, frac_bits, rounding)
        assert found.tolist() == [min(max(raw, -BEYOND), BEYOND) for raw in expected]


# Tails so long that no precision reaches their asymptote: what is left has a sign.
@pytest.mark.parametrize(
    ("kind", "frac_bits", "to_neg", "to_zero", "nearest"),
    [
        # f(-2**21) and f(2**20) in steps of 2**-8 (of 2**4 for what grows with x).
        (FunctionKind.SIGMOID, 8, (0, 255), (0, 255), (0, 256)),
        (FunctionKind.TANH, 8, (-256, 255), (-255, 255), (-256, 256)),
        (FunctionKind.ERF, 8, (-256, 255), (-255, 255), (-256, 256)),
        (FunctionKind.SOFTSIGN, 8, (-256, 255), (-255, 255), (-256, 256)),
        (FunctionKind.SOFTPLUS, -4, (0, 65536), (0, 65536), (0, 65536)),
        (FunctionKind.GELU, -4, (-1, 65535), (0, 65535), (0, 65536)),
        (FunctionKind.GELU_TANH, -4, (-1, 65535), (0, 65535), (0, 65536)),
        (FunctionKind.MISH, -4, (-1, 65535), (0, 65535), (0, 65536)),
        (FunctionKind.EXP, 8, (0, BEYOND), (0, BEYOND), (0, BEYOND)),
        (FunctionKind.HARD_SWISH, -4, (0, 65536), (0, 65536), (0, 65536)),
    ],
)
def test_a_tail_never_reaches_its_asymptote(
    kind: FunctionKind,
    frac_bits: int,
    to_neg: tuple[int, int],
    to_zero: tuple[int, int],
    nearest: tuple[int, int],
) -> None:
    ifm = QFormat(bits=2, frac_bits=-20)  # raw values -2, -1, 0, 1
    for rounding, expected in (
        (Rounding.TO_NEG, to_neg),
        (Rounding.TO_ZERO, to_zero),
        (Rounding.TIES_POS, nearest),
        (Rounding.TIES_EVEN, nearest),
    ):
        found = round_function(Function(kind=kind), ifm, frac_bits, rounding)
        assert (found[0], found[3]) == expected


@ROUNDINGS
def test_a_tail_beside_a_tie_goes_to_its_own_side(rounding: Rounding) -> None:
    """In steps of 2, sigmoid(64) is a little less than one half, softplus(1 + 64) more than 32.5.

    Both by less than float64 sees.
    """
    far = QFormat(bits=2, frac_bits=-6)  # -128, -64, 0, 64
    below = round_function(Function(kind=FunctionKind.SIGMOID), far, -1, rounding)[3]
    assert below == 0
    odd = QFormat(bits=8, frac_bits=0, signed=False)
    above = round_function(Function(kind=FunctionKind.SOFTPLUS), odd, -1, rounding)[65]
    assert above == (33 if rounding.name.startswith("TIES") else 32)


def test_an_input_of_more_than_12_bits_has_4097_entries() -> None:
    neg = Function(kind=FunctionKind.NEG)
    for bits, step in ((12, 1), (13, 2), (16, 16)):
        ifm = QFormat(bits=bits, frac_bits=3)
        found = round_function(neg, ifm, 3, Rounding.TIES_POS)
        last = -ifm.raw_min - (step if bits == 12 else 0)
        assert (-found).tolist() == list(range(ifm.raw_min, last + 1, step))
        assert len(found) == (4096 if bits == 12 else 4097)
