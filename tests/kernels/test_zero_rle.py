"""Does the code of a map give the map back, and is it the one that an independent coder writes?"""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accel_sim.kernels import zero_rle
from tests.kernels.drawing import PER_KERNEL
from tests.oracles import zero_rle as oracle


def write_bits(runs, levels, run_bits, level_bits):
    return "".join(
        f"{run:0{run_bits}b}{level % 2**level_bits:0{level_bits}b}"
        for run, level in zip(runs.tolist(), levels.tolist(), strict=True)
    )


@st.composite
def maps(draw):
    """Values of 2 to 16 bits, between runs of zeros of any length around the longest."""
    run_bits, bits = draw(st.integers(1, 7)), draw(st.integers(2, 16))
    is_signed = draw(st.booleans())
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed else (0, (1 << bits) - 1)
    longest = (1 << run_bits) - 1
    run = st.one_of(st.integers(0, 3), st.integers(max(longest - 1, 0), 2 * longest + 4))
    parts = draw(st.lists(st.tuples(run, st.integers(low, high)), max_size=12))
    values = [value for zeros, level in parts for value in [0] * zeros + [level]]
    values += [0] * draw(run)
    return values, run_bits, bits, is_signed


@PER_KERNEL
@given(drawn=maps())
@example(drawn=([], 5, 8, True))
@example(drawn=([0], 5, 8, True))
@example(drawn=([0] * 31, 5, 8, False))
@example(drawn=([0] * 32, 5, 8, False))
@example(drawn=([0] * 33, 5, 8, False))
@example(drawn=([0] * 31 + [7], 5, 8, False))
@example(drawn=([0] * 32 + [7], 5, 8, False))
@example(drawn=([-8, 7, 1, -1], 3, 4, True))
def test_a_code_is_that_of_the_oracle_and_gives_the_map_back(drawn):
    values, run_bits, level_bits, is_signed = drawn
    runs, levels = zero_rle.encode(np.array(values, np.int32), run_bits)
    code = write_bits(runs, levels, run_bits, level_bits)
    assert code == oracle.encode(values, run_bits, level_bits)
    assert len(code) == len(runs) * (run_bits + level_bits)
    assert oracle.decode(code, len(values), run_bits, level_bits, is_signed) == values


@PER_KERNEL
@given(drawn=maps())
def test_the_kernel_says_the_same_as_plain_python(drawn):
    values, run_bits, _, _ = drawn
    found = []
    for version in (zero_rle._encode, zero_rle._encode.py_func):
        runs, levels = np.full((2, len(values)), -99, np.int32)
        n_pairs = version(np.array(values, np.int32), (1 << run_bits) - 1, runs, levels)
        assert (runs[n_pairs:] == -99).all()
        found.append((n_pairs, runs.tolist(), levels.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("values", "pairs"),
    [
        ([], []),
        ([3, 4], [(0, 3), (0, 4)]),
        ([0, 0, 5, 0, -6], [(2, 5), (1, -6)]),
        # At most three zeros in a run of two bits.
        ([0, 0, 0, 9], [(3, 9)]),
        ([0, 0, 0, 0, 9], [(3, 0), (0, 9)]),
        # At the end the last zero is a level.
        ([9, 0], [(0, 9), (0, 0)]),
        ([0] * 4, [(3, 0)]),
        ([0] * 5, [(3, 0), (0, 0)]),
    ],
)
def test_codes_by_hand(values, pairs):
    runs, levels = zero_rle.encode(np.array(values, np.int32), 2)
    assert list(zip(runs.tolist(), levels.tolist(), strict=True)) == pairs


@PER_KERNEL
@given(drawn=maps(), seed=st.integers(0, 2**32 - 1))
def test_one_more_zero_never_makes_a_code_longer(drawn, seed):
    values, run_bits, _, _ = drawn
    if values:
        place = int(np.random.default_rng(seed).integers(len(values)))
        fewer = [*values[:place], 0, *values[place + 1 :]]
        (few, _), (many, _) = (
            zero_rle.encode(np.array(each, np.int32), run_bits) for each in (fewer, values)
        )
        assert len(few) <= len(many)


def test_a_code_that_ends_early_or_late_is_no_code():
    code = oracle.encode([0, 0, 5], 2, 8)
    for wrong in (code + code, oracle.encode([0, 0, 0, 5], 2, 8)):
        with pytest.raises(ValueError, match="does not end with the map"):
            oracle.decode(wrong, 3, 2, 8, is_signed=False)


def count_pairs(values, run_bits):
    return np.count_nonzero(values) + zero_rle.count_zero_levels(values, run_bits)


@st.composite
def shaped_maps(draw):
    """Maps of few channels and pixels, mostly zeros, in either order of memory."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5)))
    size = int(np.prod(shape))
    few = st.sampled_from([0, 0, 0, 0, 1, -1, 100])
    values = np.array(draw(st.lists(few, min_size=size, max_size=size)), np.int8).reshape(shape)
    if draw(st.booleans()):
        values = values.transpose(1, 2, 0).copy().transpose(2, 0, 1)
    return values, draw(st.integers(1, 4))


@PER_KERNEL
@given(drawn=shaped_maps())
def test_pairs_are_counted_as_they_are_written(drawn):
    values, run_bits = drawn
    level_bits = 8
    code = oracle.encode(values.reshape(-1).tolist(), run_bits, level_bits)
    n_pairs = len(code) // (run_bits + level_bits)
    assert count_pairs(values, run_bits) == n_pairs
    assert len(zero_rle.encode(values.reshape(-1).astype(np.int32), run_bits)[0]) == n_pairs


@pytest.mark.parametrize("run_bits", [1, 5, 8, 9, 16])
@pytest.mark.parametrize("zeros", [0, 1, 31, 32, 33, 64, 255, 256, 1000])
def test_pairs_of_a_vector_are_counted_too(zeros, run_bits):
    values = np.array([3] + [0] * zeros + [5] + [0] * zeros, np.int16)
    code = oracle.encode(values.tolist(), run_bits, 16)
    assert count_pairs(values, run_bits) == len(code) // (run_bits + 16)


@pytest.mark.parametrize("run_bits", [1, 2, 5, 8])
def test_pairs_of_many_pixels_are_counted(run_bits):
    """More than the bytes that count them hold, in rows that neither begin nor end with a level."""
    rng = np.random.default_rng(run_bits)
    values = (rng.random((5, 40, 30)) < 0.02).astype(np.uint8)
    values[2], values[4, 10:] = 0, 0
    code = oracle.encode(values.reshape(-1).tolist(), run_bits, 8)
    kept = values.transpose(1, 2, 0).copy().transpose(2, 0, 1)
    assert count_pairs(kept, run_bits) == len(code) // (run_bits + 8)
