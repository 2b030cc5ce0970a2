"""Is requantizing exact, as with unbounded width, for every small case and every extreme?"""

from functools import cache

import numpy as np
import pytest

from quantizer.fixedpoint.arith import MAX_ACC_MAGNITUDE, requantize, shift_right_rounded
from quantizer.fixedpoint.qformat import Rounding
from tests.fixedpoint.versions import JITTED_AND_PLAIN, ROUNDINGS, Version, oracle_name
from tests.oracles.fixed_point import clip, power_of_two, round_fraction

ACCUMULATORS_8_BIT = tuple(range(-128, 128))

RANGES = {
    "s8": (-128, 127),
    "u8": (0, 255),
    "s2": (-2, 1),
    "u1": (0, 1),
    "one beyond s8": (-129, 128),
    "one beyond u16": (-1, 2**16),
    "one beyond s32": (-(2**31) - 1, 2**31),
    "one beyond u32": (-1, 2**32),
    "above zero": (5, 20),
    "below zero": (-20, -5),
    "one value": (3, 3),
}
EACH_RANGE = pytest.mark.parametrize(("low", "high"), RANGES.values(), ids=RANGES)

# Every width's ends, alone and with the largest bias, and the end of what is accepted.
ENDS = [2**47, 2**47 + 2**60, 2**60, MAX_ACC_MAGNITUDE - 1, MAX_ACC_MAGNITUDE]
ENDS += [2**power + offset for power in (7, 15, 30, 31, 46, 47) for offset in (-1, 0, 1)]
WIDE_ACCUMULATORS = tuple(sorted({sign * acc for acc in [0, 1, 2, 3, *ENDS] for sign in (-1, 1)}))
WIDE_SHIFTS = (*range(-64, 71), 127, 192)


@cache
def rounded_exactly(accumulators: tuple[int, ...], shift: int, rounding: Rounding) -> list[int]:
    name = oracle_name(rounding)
    return [round_fraction(acc * power_of_two(-shift), name) for acc in accumulators]


def assert_requantizes(
    version: Version,
    accumulators: tuple[int, ...],
    shifts: tuple[int, ...],
    rounding: Rounding,
    low: int,
    high: int,
) -> None:
    function = version(requantize)
    ends = np.int64(low), np.int64(high)
    for shift in shifts:
        exact = rounded_exactly(accumulators, shift, rounding)
        expected = [clip(value, low, high) for value in exact]
        step = np.int64(shift)
        found = [function(np.int64(acc), step, int(rounding), *ends) for acc in accumulators]
        assert found == expected, f"shift {shift}"


@EACH_RANGE
@ROUNDINGS
@JITTED_AND_PLAIN
def test_every_8_bit_accumulator_is_requantized_exactly(
    version: Version, rounding: Rounding, low: int, high: int
) -> None:
    shifts = tuple(range(-8, 17))
    assert_requantizes(version, ACCUMULATORS_8_BIT, shifts, rounding, low, high)


@EACH_RANGE
@ROUNDINGS
@JITTED_AND_PLAIN
def test_the_widest_accumulators_are_requantized_exactly(
    version: Version, rounding: Rounding, low: int, high: int
) -> None:
    assert_requantizes(version, WIDE_ACCUMULATORS, WIDE_SHIFTS, rounding, low, high)


@ROUNDINGS
@JITTED_AND_PLAIN
def test_a_tie_is_decided_on_all_discarded_bits(version: Version, rounding: Rounding) -> None:
    """Each shift with its own ties, and their neighbours one unit off."""
    for shift in range(1, 63):
        half = 2 ** (shift - 1)
        near_ties = [odd * half + offset for odd in (-5, -3, -1, 1, 3, 5) for offset in (-1, 0, 1)]
        accumulators = tuple(acc for acc in near_ties if abs(acc) <= MAX_ACC_MAGNITUDE)
        assert_requantizes(version, accumulators, (shift,), rounding, -128, 127)


@ROUNDINGS
@JITTED_AND_PLAIN
def test_shifting_right_rounds_exactly(version: Version, rounding: Rounding) -> None:
    """Without the clip, which would hide a wrong large result."""
    function = version(shift_right_rounded)
    cases = [(tuple(range(-300, 301)), range(1, 11)), (WIDE_ACCUMULATORS, range(1, 193))]
    for accumulators, shifts in cases:
        for shift in shifts:
            step = np.int64(shift)
            found = [function(np.int64(acc), step, int(rounding)) for acc in accumulators]
            assert found == rounded_exactly(accumulators, shift, rounding), f"shift {shift}"


def test_requantizing_by_hand() -> None:
    # 1000 / 16 = 62.5, a tie.
    assert [requantize(1000, 4, rounding, -128, 127) for rounding in Rounding] == [
        63,
        62,
        63,
        62,
        62,
    ]
    assert requantize(-3, -5, Rounding.TIES_POS, -128, 127) == -96
    assert requantize(5, -5, Rounding.TIES_POS, -128, 127) == 127
