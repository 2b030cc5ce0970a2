"""Is the error of every format known exactly, though no sample is kept?

Held against the samples themselves, rounded one by one by an oracle.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.map_sums import sum_up
from tests.oracles.real_grids import grid, quantize

_RELATIVE = 1e-14
"""Both sides add some thousand terms of one sign in float64, in different orders."""


def samples(kind: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    sign = rng.choice([-1.0, 1.0], 1500)
    made = {
        "normal": rng.normal(size=1500),
        "behind a ReLU": np.maximum(rng.normal(size=1500), 0.0),
        "never positive": -np.abs(rng.normal(size=1500)),
        "heavy tails": rng.standard_t(2, 1500) ** 3,
        "integers": rng.integers(-123, 133, 1500).astype(float),
        "a coarse grid": rng.integers(-(2**15), 2**15, 1500) / 2**10,
        "powers of two": sign * 2.0 ** rng.integers(-20, 8, 1500),
        "ties and their neighbours": rng.integers(-300, 300, 1500) / 8
        + rng.choice([0.0, 1e-6, -1e-6], 1500),
        "below powers of two": sign * (1 - 2.0 ** -rng.integers(2, 24, 1500)) * 8,
        "denormals": sign * 1e-41 * rng.random(1500),
        "large": 1e12 * rng.normal(size=1500),
        "all scales": sign * 2.0 ** rng.uniform(-140, 60, 1500),
        "one outlier": np.append(rng.normal(size=1500), 1e6),
        "one value": np.full(3, 0.7),
        "zeros": np.zeros(5),
        "empty": np.zeros(0),
    }
    return made[kind].astype(np.float32)


KINDS = (
    "normal", "behind a ReLU", "never positive", "heavy tails", "integers", "a coarse grid",
    "powers of two", "ties and their neighbours", "below powers of two", "denormals", "large",
    "all scales", "one outlier", "one value", "zeros", "empty",
)  # fmt: skip


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_of_a_format_is_that_of_its_samples(kind: str, rounding: Rounding) -> None:
    values = samples(kind)
    errors = sum_up(values, rounding).errors()
    reals = values.astype(np.float64)
    for bits in range(2, 17):
        for signed in (False, True):
            for frac_bits in range(-10 + bits % 3, 25, 3):
                onto = grid({"bits": bits, "signed": signed}, frac_bits)
                expected = float(
                    np.sum((quantize(reals, onto, rounding.name.lower()) - reals) ** 2)
                )
                found = errors.of(QFormat(bits=bits, frac_bits=frac_bits, signed=signed))
                assert found.total == pytest.approx(expected, rel=_RELATIVE, abs=0)
                assert found.granular >= 0
                assert found.overload >= 0


@pytest.mark.parametrize("frac_bits", [-64, -40, 40, 64])
def test_the_ends_of_what_formats_reach_hold_too(frac_bits: int) -> None:
    for kind in KINDS:
        reals = samples(kind).astype(np.float64)
        errors = sum_up(samples(kind), Rounding.TIES_POS).errors()
        onto = grid({"bits": 16, "signed": True}, frac_bits)
        expected = float(np.sum((quantize(reals, onto, "ties_pos") - reals) ** 2))
        found = errors.of(QFormat(bits=16, frac_bits=frac_bits)).total
        assert found == pytest.approx(expected, rel=_RELATIVE, abs=0)


def test_samples_on_the_grid_have_no_error_at_all() -> None:
    values = (np.arange(-128, 128) / 16).astype(np.float32)
    errors = sum_up(values, Rounding.TIES_POS).errors()
    for bits in range(8, 17):
        assert errors.of(QFormat(bits=bits, frac_bits=4)).total == 0.0
    assert errors.of(QFormat(bits=7, frac_bits=4)).total > 0
    assert errors.of(QFormat(bits=16, frac_bits=3)).total > 0


def test_what_lies_beyond_the_range_is_overload_and_the_rest_granular() -> None:
    """On u2f0, levels 0 to 3: 1.25 and 3.25 are rounded, 3.5 and 10 have no level."""
    found = sum_up(np.float32([1.25, 3.25, 3.5, 10.0]), Rounding.TIES_POS).errors()
    error = found.of(QFormat(bits=2, frac_bits=0, signed=False))
    assert (error.granular, error.overload) == (2 * 0.25**2, 0.5**2 + 7.0**2)


def test_negative_samples_are_lost_to_an_unsigned_format() -> None:
    found = sum_up(np.float32([-0.25, -3.0, 1.0]), Rounding.TIES_POS).errors()
    error = found.of(QFormat(bits=8, frac_bits=0, signed=False))
    assert (error.granular, error.overload) == (0.0, 0.25**2 + 3.0**2)


@pytest.mark.parametrize("bits", [1, 17])
def test_widths_that_no_feature_map_has_are_refused(bits: int) -> None:
    errors = sum_up(np.ones(3, np.float32), Rounding.TIES_POS).errors()
    with pytest.raises(ValueError, match=f"errors are known for 2 to 16 bits, got {bits}"):
        errors.of(QFormat(bits=bits, frac_bits=0))


def test_many_samples_do_not_wear_the_sums_out() -> None:
    """Three million equal samples, each a third of a step away: no digit is lost."""
    values = np.full(3_000_000, 1 / 3, np.float32)
    errors = sum_up(values, Rounding.TIES_POS).errors()
    exact = float(np.float64(np.float32(1 / 3)) ** 2) * values.size
    assert errors.of(QFormat(bits=16, frac_bits=0)).total == pytest.approx(exact, rel=1e-15)
    assert math.isfinite(errors.of(QFormat(bits=16, frac_bits=15)).total)
