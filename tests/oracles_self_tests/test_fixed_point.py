"""Do the exact rules say what the number contract says, and the arrays what the rules say?"""

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tests.oracles import real_grids
from tests.oracles.fixed_point import (
    ROUNDINGS,
    Format,
    average,
    encode,
    encode_array,
    requantize,
    requantize_array,
    round_fraction,
    round_quotient_array,
    shift_and_round_array,
    wrap,
    wrap_array,
)

# What each mode makes of these numbers, written out by hand.
NUMBERS = ("-5/2", "-9/4", "-3/2", "-5/4", "-1/2", "-1/4", "0", "1/4", "1/2", "3/2", "7/4", "5/2")
BY_HAND = {
    "ties_pos": (-2, -2, -1, -1, 0, 0, 0, 0, 1, 2, 2, 3),
    "ties_even": (-2, -2, -2, -1, 0, 0, 0, 0, 0, 2, 2, 2),
    "ties_away": (-3, -2, -2, -1, -1, 0, 0, 0, 1, 2, 2, 3),
    "to_neg": (-3, -3, -2, -2, -1, -1, 0, 0, 0, 1, 1, 2),
    "to_zero": (-2, -2, -1, -1, 0, 0, 0, 0, 0, 1, 1, 2),
}
SIGNED_8 = Format(bits=8, frac_bits=0, signed=True)
UNSIGNED_4 = Format(bits=4, frac_bits=0, signed=False)

# Where rounding by adding a half, or by subtracting the floor, goes wrong in float64.
NEARLY_HALF = (0.5 - 2.0**-54, 0.5 + 2.0**-53, 1.5 - 2.0**-52, 2.0**-300, 2.0**52 + 1)


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_rounding_by_hand(mode: str) -> None:
    rounded = tuple(round_fraction(Fraction(number), mode) for number in NUMBERS)
    assert rounded == BY_HAND[mode]


@pytest.mark.parametrize(
    "rounding",
    [
        lambda mode: round_fraction(Fraction(1), mode),
        lambda mode: round_quotient_array(np.ones(1, np.int64), 1, mode),
        lambda mode: encode_array(np.ones(1), 0, SIGNED_8, mode),
        lambda mode: real_grids.round_float(np.ones(1), mode),
    ],
)
def test_an_unknown_rounding_is_refused(rounding: Callable[[str], object]) -> None:
    expected = (
        "rounding must be one of ties_pos, ties_even, ties_away, to_neg, to_zero; got 'nearest'"
    )
    with pytest.raises(ValueError, match=f"^{expected}$"):
        rounding("nearest")


def test_a_format_ends_where_its_bits_end() -> None:
    assert (SIGNED_8.raw_min, SIGNED_8.raw_max) == (-128, 127)
    assert (UNSIGNED_4.raw_min, UNSIGNED_4.raw_max) == (0, 15)


def test_requantize_by_hand() -> None:
    # 1000 / 16 = 62.5, a tie; -1000 / 4 saturates; a negative shift multiplies.
    assert requantize(1000, 4, "ties_pos", -128, 127) == 63
    assert requantize(1000, 4, "ties_even", -128, 127) == 62
    assert requantize(-1000, 2, "ties_pos", -128, 127) == -128
    assert requantize(-3, -5, "ties_pos", -128, 127) == -96
    assert requantize(5, -5, "ties_pos", -128, 127) == 127


def test_the_rounder_is_wider_than_the_accumulator() -> None:
    # The largest 32-bit accumulator plus half of 2**24 does not fit in 32 bits.
    assert requantize(2**31 - 1, 24, "ties_pos", -1000, 1000) == 128


def test_a_tie_is_decided_on_all_discarded_bits() -> None:
    assert requantize(2**39 + 1, 40, "ties_even", -128, 127) == 1
    assert requantize(2**39, 40, "ties_even", -128, 127) == 0


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("form", [SIGNED_8, UNSIGNED_4], ids=["s8", "u4"])
def test_requantizing_arrays_equals_fractions_for_8_bit_accumulators(
    mode: str, form: Format
) -> None:
    accumulators = np.arange(-128, 128)
    for shift in range(-8, 17):
        expected = [
            requantize(int(acc), shift, mode, form.raw_min, form.raw_max) for acc in accumulators
        ]
        got = requantize_array(accumulators, shift, mode, form.raw_min, form.raw_max)
        assert got.tolist() == expected, shift


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_requantizing_arrays_equals_fractions_at_the_extremes_of_48_bits(mode: str) -> None:
    edge, bias = 2**47, 2**58
    corners = [0, 1, 2, 3, edge // 3, edge - 1, edge, edge + bias, bias + 1, 2**60 - 1]
    halves = [2**power + offset for power in (15, 31, 46) for offset in (-1, 0, 1)]
    accumulators = [sign * acc for acc in corners + halves for sign in (-1, 1)]
    for bits, shift in itertools.product((2, 8, 16), (-60, -31, -16, -1, 0, 1, 16, 32, 47, 61, 90)):
        form = Format(bits=bits, frac_bits=0, signed=True)
        expected = [
            requantize(acc, shift, mode, form.raw_min, form.raw_max) for acc in accumulators
        ]
        got = requantize_array(np.array(accumulators), shift, mode, form.raw_min, form.raw_max)
        assert got.tolist() == expected, (bits, shift)


def test_what_would_saturate_is_still_seen_one_outside_the_format() -> None:
    accumulators = np.array([-300, -129, -128, 127, 128, 300])
    limited = shift_and_round_array(accumulators, 0, "ties_pos", -128, 127)
    assert limited.tolist() == [-129, -129, -128, 127, 128, 128]


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_rounding_quotients_equals_fractions(mode: str) -> None:
    numerators = np.arange(-60, 61)
    for denominator in range(1, 26):
        expected = [round_fraction(Fraction(int(n), denominator), mode) for n in numerators]
        assert round_quotient_array(numerators, denominator, mode).tolist() == expected


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_rounding_in_float_equals_fractions(mode: str) -> None:
    numbers = [eighths / 8 for eighths in range(-50, 51)]
    numbers += [sign * number for number in NEARLY_HALF for sign in (-1, 1)]
    expected = [round_fraction(Fraction(number), mode) for number in numbers]
    assert real_grids.round_float(np.array(numbers), mode).tolist() == expected


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_wrapping_keeps_the_residue_and_lands_in_range(bits: int) -> None:
    totals = np.arange(-3 * 2**bits, 3 * 2**bits)
    for total in totals:
        wrapped = wrap(int(total), bits)
        assert (wrapped - total) % 2**bits == 0
        assert -(2 ** (bits - 1)) <= wrapped < 2 ** (bits - 1)
    assert wrap_array(totals, bits).tolist() == [wrap(int(total), bits) for total in totals]


def test_wrapping_arrays_at_the_extremes_of_48_bits() -> None:
    totals = [-(2**60), -(2**47) - 1, -(2**47), 2**47 - 1, 2**47, 2**60 + 5]
    assert wrap_array(np.array(totals), 48).tolist() == [wrap(total, 48) for total in totals]


def test_encoding_by_hand() -> None:
    # 0.3 * 16 = 4.8; 0.15625 * 16 = 2.5 is a tie; 9 * 16 = 144 saturates 8 signed bits.
    assert encode(0.3, 4, 8, True, "ties_even") == 5
    assert encode(0.15625, 4, 8, True, "ties_even") == 2
    assert encode(0.15625, 4, 8, True, "ties_pos") == 3
    assert encode(9.0, 4, 8, True, "ties_even") == 127
    assert encode(-0.3, 4, 8, False, "ties_even") == 0
    assert encode(96.0, -5, 8, True, "ties_even") == 3


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("form", [SIGNED_8, UNSIGNED_4], ids=["s8", "u4"])
def test_encoding_arrays_equals_fractions(mode: str, form: Format) -> None:
    reals = [eighths / 8 for eighths in range(-1100, 1101)]
    reals += [sign * number for number in NEARLY_HALF for sign in (-1, 1)]
    for frac_bits in (-3, 0, 2, 40):
        expected = [encode(real, frac_bits, form.bits, form.signed, mode) for real in reals]
        assert encode_array(np.array(reals), frac_bits, form, mode).tolist() == expected


def test_encoding_takes_a_fraction_length_per_channel() -> None:
    reals = np.array([[0.5, 1.0], [0.5, 1.0]])
    raw = encode_array(reals, np.array([[1], [3]]), SIGNED_8, "ties_even")
    assert raw.tolist() == [[1, 2], [4, 8]]


def test_averages_by_hand() -> None:
    # 7 / 2 is a tie; in a format of two more fraction bits it is exact.
    assert average(7, 2, 0, "ties_pos", -128, 127) == 4
    assert average(-7, 2, 0, "ties_pos", -128, 127) == -3
    assert average(7, 2, 2, "ties_pos", -128, 127) == 14
    # 25 / 9 / 2 = 1.39: rounding 25 / 9 first would give 3 / 2 and then 2.
    assert average(25, 9, -1, "ties_pos", -128, 127) == 1
    assert average(1000, 3, 0, "ties_pos", -128, 127) == 127
