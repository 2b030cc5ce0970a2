"""Do wrapping and the rounding of quotients and real numbers equal exact arithmetic?"""

from fractions import Fraction

import numpy as np
import pytest

from quantizer.fixedpoint.arith import round_divided, round_real_scalar, wrap
from quantizer.fixedpoint.qformat import Rounding, round_real
from tests.fixedpoint.versions import JITTED_AND_PLAIN, ROUNDINGS, Version, oracle_name
from tests.oracles import fixed_point
from tests.oracles.fixed_point import round_fraction

HALVES = [halves / 2 for halves in range(-9, 10)] + [2.0**51 + 0.5, -(2.0**51) - 0.5]
REALS = [
    *(eighths / 8 for eighths in range(-40, 41)),
    *(float(np.nextafter(half, towards)) for half in HALVES for towards in (-np.inf, np.inf)),
    *HALVES,
    *(sign * tiny for tiny in (5e-324, 2.0**-300, 2.0**-54) for sign in (-1, 1)),
    *(sign * (2.0**52 + odd) for odd in (-1.5, -0.5, 1, 3) for sign in (-1, 1)),
    *(sign * huge for huge in (2.0**53, 2.0**63, 1e300) for sign in (-1, 1)),
]


@JITTED_AND_PLAIN
@pytest.mark.parametrize("bits", range(1, 63))
def test_wrapping_is_exact_at_every_boundary(version: Version, bits: int) -> None:
    near = [
        quarters * 2**bits // 4 + offset
        for quarters in (*range(-8, 9), -4001, 4001)
        for offset in range(-2, 3)
    ]
    totals = [total for total in near if abs(total) <= 2**62] + [-(2**62), 2**62]
    found = [version(wrap)(np.int64(total), bits) for total in totals]
    assert found == [fixed_point.wrap(total, bits) for total in totals]


@JITTED_AND_PLAIN
def test_wrapping_to_8_bits_is_exact_for_every_total_of_12(version: Version) -> None:
    totals = range(-(2**11), 2**11)
    found = [version(wrap)(np.int64(total), 8) for total in totals]
    assert found == [fixed_point.wrap(total, 8) for total in totals]


@pytest.mark.parametrize("bits", [8, 32, 48, 62])
def test_wrapping_is_exact_up_to_the_ends_of_int64(bits: int) -> None:
    # Jitted only: NumPy would warn where the hardware's addition comes around.
    totals = [-(2**63), -(2**63) + 1, 2**63 - 2**47, 2**63 - 1]
    assert [wrap(total, bits) for total in totals] == [
        fixed_point.wrap(total, bits) for total in totals
    ]


@pytest.mark.parametrize("seed", range(5))
def test_wrapping_once_equals_wrapping_every_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = int(rng.integers(8, 49))
    products = rng.integers(-(2**31), 2**31, 500)
    stepwise = 0
    for product in products:
        stepwise = wrap(stepwise + product, bits)
    assert wrap(products.sum(), bits) == stepwise


@ROUNDINGS
@JITTED_AND_PLAIN
def test_rounding_a_quotient_is_exact(version: Version, rounding: Rounding) -> None:
    function = version(round_divided)
    numerators = range(-150, 151)
    for denominator in range(1, 41):
        divisor = np.int64(denominator)
        found = [function(np.int64(n), divisor, int(rounding)) for n in numerators]
        assert found == [
            round_fraction(Fraction(n, denominator), oracle_name(rounding)) for n in numerators
        ]


@ROUNDINGS
@JITTED_AND_PLAIN
def test_rounding_a_quotient_is_exact_at_the_extremes(version: Version, rounding: Rounding) -> None:
    """Up to ``|numerator| + denominator < 2**62``, ties and their neighbours."""
    function = version(round_divided)
    denominators = [1, 2, 3, 49, 2**31 - 1, 2**32, 3 * 2**40, 2**60, 2**61 - 1, 2**61, 2**62 - 1]
    for denominator in denominators:
        room = 2**62 - 1 - denominator
        ties = [odd * denominator // 2 + offset for odd in (1, 3, 5, 1001) for offset in (-1, 0, 1)]
        magnitudes = {n for n in [0, 1, room - 1, room, *ties] if 0 <= n <= room}
        for numerator in sorted({sign * n for n in magnitudes for sign in (-1, 1)}):
            found = function(np.int64(numerator), np.int64(denominator), int(rounding))
            exact = round_fraction(Fraction(numerator, denominator), oracle_name(rounding))
            assert found == exact, f"{numerator} / {denominator}"


@ROUNDINGS
@JITTED_AND_PLAIN
def test_rounding_a_real_number_is_exact(version: Version, rounding: Rounding) -> None:
    found = [version(round_real_scalar)(np.float64(real), int(rounding)) for real in REALS]
    assert found == [round_fraction(Fraction(real), oracle_name(rounding)) for real in REALS]


@ROUNDINGS
def test_rounding_an_array_of_real_numbers_is_exact(rounding: Rounding) -> None:
    found = round_real(np.array(REALS), rounding)
    assert found.dtype == np.float64
    assert found.tolist() == [
        round_fraction(Fraction(real), oracle_name(rounding)) for real in REALS
    ]


def test_adding_a_half_would_round_the_number_below_it_up() -> None:
    """The trap that `round_real` avoids, on both sides of zero."""
    below_half = 0.49999999999999994
    assert np.floor(below_half + 0.5) == 1.0
    nearest = (Rounding.TIES_POS, Rounding.TIES_EVEN, Rounding.TIES_AWAY)
    for rounding in nearest:
        assert round_real(np.array([below_half, -below_half]), rounding).tolist() == [0, 0]
        assert round_real_scalar(below_half, rounding) == 0
        assert round_real_scalar(-below_half, rounding) == 0
