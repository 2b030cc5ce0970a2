"""Do the table kernels read the right entries, and divide exactly between them?"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.kernels import lookup
from quantizer.fixedpoint.qformat import Rounding
from tests.fixedpoint.versions import JITTED_AND_PLAIN, ROUNDINGS, Version, oracle_name
from tests.kernels.drawing import PER_KERNEL, ROUNDING, SEED, UNTOUCHED
from tests.oracles.fixed_point import round_fraction


@JITTED_AND_PLAIN
@PER_KERNEL
@given(bits=st.integers(2, 12), is_signed=st.booleans(), seed=SEED)
def test_every_value_becomes_its_entry(
    version: Version, bits: int, is_signed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    raw_min = -(1 << (bits - 1)) if is_signed else 0
    table = rng.integers(-(2**15), 2**16, 1 << bits).astype(np.int32)
    clips = rng.integers(0, 2, 1 << bits).astype(np.int32)
    places = rng.integers(0, 1 << bits, 20)
    ofm = np.full(20, UNTOUCHED, np.int32)
    saturations = version(lookup.look_up)(
        (places + raw_min).astype(np.int32), raw_min, table, clips, ofm
    )
    assert ofm.tolist() == [int(table[place]) for place in places]
    assert saturations == sum(int(clips[place]) for place in places)


@JITTED_AND_PLAIN
@PER_KERNEL
@given(rest_bits=st.integers(1, 4), is_signed=st.booleans(), rounding=ROUNDING, seed=SEED)
def test_values_between_entries_equal_fractions(
    version: Version, rest_bits: int, is_signed: bool, rounding: Rounding, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    span = 1 << rest_bits
    raw_min = -2048 * span if is_signed else 0
    table = rng.integers(-(2**15), 2**16, 4097).astype(np.int32)
    clips = rng.integers(0, 2, 4097).astype(np.int32)
    places = [0, span - 1, span, 4096 * span - 1, *rng.integers(0, 4096 * span, 20).tolist()]
    ofm = np.full(len(places), UNTOUCHED, np.int32)
    saturations = version(lookup.interpolate)(
        np.array(places, np.int32) + np.int32(raw_min),
        raw_min,
        rest_bits,
        table,
        clips,
        int(rounding),
        ofm,
    )
    expected, count = [], 0
    for place in places:
        entry, rest = divmod(place, span)
        low, high = int(table[entry]), int(table[entry + 1])
        value = low + (high - low) * Fraction(rest, span)
        expected.append(round_fraction(value, oracle_name(rounding)))
        count += int(bool(clips[entry]) or (rest > 0 and bool(clips[entry + 1])))
    assert ofm.tolist() == expected
    assert saturations == count


@JITTED_AND_PLAIN
@ROUNDINGS
@pytest.mark.parametrize("sign", [1, -1])
def test_a_tie_between_two_entries_by_hand(version: Version, rounding: Rounding, sign: int) -> None:
    table = np.zeros(4097, np.int32)
    table[1] = 5 * sign
    ofm = np.full(1, UNTOUCHED, np.int32)
    clips = np.zeros(4097, np.int32)
    version(lookup.interpolate)(np.array([1], np.int32), 0, 1, table, clips, int(rounding), ofm)
    halves = {  # of 2.5 and of -2.5
        Rounding.TIES_POS: (3, -2),
        Rounding.TIES_EVEN: (2, -2),
        Rounding.TIES_AWAY: (3, -3),
        Rounding.TO_NEG: (2, -3),
        Rounding.TO_ZERO: (2, -2),
    }
    assert ofm[0] == halves[rounding][0 if sign > 0 else 1]
