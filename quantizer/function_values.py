"""Values of the functions of one value, as exactly as a rounding decision needs them.

Float64 cannot tell sigmoid(40) from 1, nor gelu(30) from 30, but a rounding towards minus
infinity must. So a value is given as ``base + rest``: `base` is exact, and `rest`, however
small, has its right sign and a small relative error. Near an asymptote `base` is the
asymptote.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from quantizer.network.layers import Function, FunctionKind

Reals = NDArray[np.float64]

REST_ERROR = 2.0**-30
"""Bound on the relative error of a `rest`, a generous one.

The functions of numpy and scipy are good to some units in the last of 53 places. A rounded
argument of an exponential, at most 485 in magnitude before `_TINY`, costs 10 bits more.
"""

_TINY = 2.0**-700
"""Stands for smaller tails, whose sign is all that matters.

What a tail is compared with is a difference of dyadic numbers that are not so fine.
"""

_TANH_GELU_CUBIC = Fraction(44715, 1_000_000)


def split_values(function: Function, x: Reals) -> tuple[Reals, Reals]:
    """Evaluate a function as ``base + rest``, with `rest` good to `REST_ERROR`.

    Parameters
    ----------
    x : float64[n]
        Dyadic numbers of at most 17 significant bits, magnitude at most ``2**80``.

    Returns
    -------
    tuple
        `base`, exact, and `rest`, float64[n] each. Infinite where float64 ends.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        base, rest = _split(function, x)
    return np.broadcast_to(base, x.shape), np.broadcast_to(rest, x.shape)


def _split(function: Function, x: Reals) -> tuple[Any, Any]:
    alpha, beta = function.alpha, function.beta
    match function.kind:
        case FunctionKind.ABS:
            return np.abs(x), 0.0
        case FunctionKind.NEG:
            return -x, 0.0
        case FunctionKind.THRESHOLDED_RELU:
            return np.where(x > alpha, x, 0.0), 0.0
        case FunctionKind.HARD_SIGMOID:
            return 0.0, np.clip(alpha * x + beta, 0.0, 1.0)
        case FunctionKind.HARD_SWISH:
            inner = np.abs(x) < 3
            return np.where(x >= 3, x, 0.0), np.where(inner, x * (x + 3) / 6, 0.0)
        case FunctionKind.SOFTSIGN:
            tail = np.sign(x) / (1 + np.abs(x))
            is_far = np.abs(x) > 1
            return np.where(is_far, np.sign(x), 0.0), np.where(is_far, -tail, x / (1 + np.abs(x)))
        case FunctionKind.SQRT:
            return 0.0, np.sqrt(np.maximum(x, 0.0))
        case FunctionKind.EXP:
            return 0.0, _exp(x)
        case FunctionKind.ELU:
            return _exponential_below_zero(x, x, alpha, x)
        case FunctionKind.CELU:
            return _exponential_below_zero(x, x, alpha, x / alpha)
        case FunctionKind.SELU:
            return _exponential_below_zero(x, beta * x, alpha * beta, x)
        case FunctionKind.ERF:
            sign = np.sign(x)
            tail = np.maximum(special.erfc(np.abs(x)), _TINY)
            is_far = np.abs(x) > 0.5
            return np.where(is_far, sign, 0.0), np.where(is_far, -sign * tail, special.erf(x))
        case FunctionKind.TANH:
            sign = np.sign(x)
            tail = 2 * _expit(-2 * np.abs(x))
            is_far = np.abs(x) > 0.5
            return np.where(is_far, sign, 0.0), np.where(is_far, -sign * tail, np.tanh(x))
        case FunctionKind.SIGMOID:
            is_above = x > 0
            tail = _expit(-np.abs(x))
            return np.where(is_above, 1.0, 0.0), np.where(is_above, -tail, tail)
        case FunctionKind.SOFTPLUS:
            return np.maximum(x, 0.0), np.log1p(_exp(-np.abs(x)))
        case FunctionKind.SWISH:
            return _gated(x, alpha * x > 0, _expit(-np.abs(alpha * x)))
        case FunctionKind.GELU:
            return _gated(x, x > 0, np.maximum(special.ndtr(-np.abs(x)), _TINY))
        case FunctionKind.GELU_TANH:
            argument = np.sqrt(8 / np.pi) * (x + float(_TANH_GELU_CUBIC) * x**3)
            return _gated(x, x > 0, _expit(-np.abs(argument)))
        case FunctionKind.MISH:
            # tanh(log(1 + e**x)) = ((1 + e**x)**2 - 1) / ((1 + e**x)**2 + 1)
            small = _exp(-np.abs(x))
            below = small * (small + 2) / (small * (small + 2) + 2)
            above = 2 * _exp(-2 * np.abs(x)) / (1 + 2 * small + 2 * small**2)
            return _gated(x, x > 0, np.where(x > 0, above, below))


def _exp(x: Reals) -> Reals:
    return np.maximum(np.exp(x), _TINY)


def _expit(x: Reals) -> Reals:
    return np.maximum(special.expit(x), _TINY)


def _gated(x: Reals, is_open: NDArray[np.bool_], tail: Reals) -> tuple[Reals, Reals]:
    """``x * tail`` where the gate is nearly shut, ``x * (1 - tail)`` where it is nearly open."""
    return np.where(is_open, x, 0.0), np.where(is_open, -x, x) * tail


def _exponential_below_zero(
    x: Reals, above: Reals, scale: float, exponent: Reals
) -> tuple[Reals, Reals]:
    """`above` from 0 up, ``scale * (exp(exponent) - 1)`` below."""
    is_far = exponent < -1
    base = np.where(x >= 0, above, np.where(is_far, -scale, 0.0))
    rest = scale * np.where(is_far, _exp(exponent), np.expm1(exponent))
    return base, np.where(x >= 0, 0.0, rest)


def compare_exactly(function: Function, x: Fraction, boundary: Fraction) -> int:
    """Sign of ``f(x) - boundary``, exactly for rational functions, else to 1024 bits.

    A value that cannot be told from the boundary lies on it, as exp(0) does on 1.
    """
    alpha, beta = Fraction(function.alpha), Fraction(function.beta)
    match function.kind:
        case FunctionKind.HARD_SIGMOID:
            difference = min(max(alpha * x + beta, Fraction(0)), Fraction(1)) - boundary
        case FunctionKind.HARD_SWISH:
            difference = x * min(max(x / 6 + Fraction(1, 2), Fraction(0)), Fraction(1)) - boundary
        case FunctionKind.SOFTSIGN:
            difference = x / (1 + abs(x)) - boundary
        case _:
            return _compare_to_1024_bits(function, x, boundary)
    return (difference > 0) - (difference < 0)


def _compare_to_1024_bits(function: Function, x: Fraction, boundary: Fraction) -> int:
    import mpmath  # slow to import, and seldom needed

    context = mpmath.MPContext()
    context.prec = 1024
    value = _evaluate(context, function, context.mpf(x.numerator) / x.denominator)
    difference = value - context.mpf(boundary.numerator) / boundary.denominator
    if abs(difference) <= context.ldexp(abs(value), -512):
        return 0
    return 1 if difference > 0 else -1


def _evaluate(context: Any, function: Function, x: Any) -> Any:
    """Value of a transcendental function, or of a root, in a context of mpmath."""
    alpha, beta = context.mpf(function.alpha), context.mpf(function.beta)
    match function.kind:
        case FunctionKind.SQRT:
            return context.sqrt(x)
        case FunctionKind.EXP:
            return context.exp(x)
        case FunctionKind.ELU:
            return alpha * context.expm1(x)
        case FunctionKind.CELU:
            return alpha * context.expm1(x / alpha)
        case FunctionKind.SELU:
            return alpha * beta * context.expm1(x)
        case FunctionKind.ERF:
            return context.erf(x)
        case FunctionKind.TANH:
            return context.tanh(x)
        case FunctionKind.SIGMOID:
            return 1 / (1 + context.exp(-x))
        case FunctionKind.SOFTPLUS:
            return context.log1p(context.exp(x))
        case FunctionKind.SWISH:
            return x / (1 + context.exp(-alpha * x))
        case FunctionKind.GELU:
            return x * context.ncdf(x)
        case FunctionKind.GELU_TANH:
            cubic = context.mpf(_TANH_GELU_CUBIC.numerator) / _TANH_GELU_CUBIC.denominator
            argument = context.sqrt(8 / context.pi) * (x + cubic * x**3)
            return x / (1 + context.exp(-argument))
        case FunctionKind.MISH:
            return x * context.tanh(context.log1p(context.exp(x)))
        case _:
            raise ValueError(f"{function.kind} has no irrational values")
