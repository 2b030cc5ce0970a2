"""Elementwise layers of a quantized network over Python integers, as those of `layers_bigint`."""

from numpy.typing import ArrayLike

from tests.oracles.fixed_point import Format
from tests.oracles.layers_bigint import (
    NO_BOUNDS,
    Bounds,
    Requantized,
    add,
    finish,
    integers,
    rounded,
)


def subtract(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_frac_bits: int,
    second_frac_bits: int,
    form: Format,
    mode: str,
    bounds: Bounds = NO_BOUNDS,
) -> Requantized:
    """Subtract the second map from the first: a sum with its exact negative."""
    return add(
        first,
        -integers(second),
        first_frac_bits=first_frac_bits,
        second_frac_bits=second_frac_bits,
        form=form,
        mode=mode,
        bounds=bounds,
    )


def multiply(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_frac_bits: int,
    second_frac_bits: int,
    form: Format,
    mode: str,
    bounds: Bounds = NO_BOUNDS,
) -> Requantized:
    """Multiply two maps of one shape exactly; requantize once."""
    a, b = integers(first), integers(second)
    assert a.shape == b.shape
    shift = first_frac_bits + second_frac_bits - form.frac_bits
    return finish(a.shape, lambda index: rounded(a[index] * b[index], shift, mode), form, bounds)


def bend(
    ifm: ArrayLike,
    slopes: ArrayLike,
    *,
    ifm_frac_bits: int,
    slope_frac_bits: int,
    form: Format,
    mode: str,
    bounds: Bounds = NO_BOUNDS,
) -> Requantized:
    """PRelu of a map with a slope for each value: negative values times theirs."""
    x, s = integers(ifm), integers(slopes)
    assert x.shape == s.shape

    def value(index: tuple[int, ...]) -> int:
        shift = ifm_frac_bits - form.frac_bits
        if x[index] < 0:
            return rounded(x[index] * s[index], shift + slope_frac_bits, mode)
        return rounded(x[index], shift, mode)

    return finish(x.shape, value, form, bounds)
