"""Do the pools equal big integers, over any windows?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.kernels import pool
from quantizer.fixedpoint.qformat import Rounding
from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version, oracle_name
from tests.kernels.drawing import (
    PER_KERNEL,
    ROUNDING,
    SELDOM,
    UNTOUCHED,
    Windows,
    activation_bounds,
    formats,
    formats_near,
    kernel_bounds,
    pixels_first,
    raw_maps,
    windows,
)
from tests.oracles import layers_bigint
from tests.oracles.fixed_point import Format
from tests.oracles.layers_bigint import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A map, its format and the windows over it."""

    ifm: NDArray[Any]
    ifm_form: Format
    windows: Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """What an average pool has besides: how it counts, rounds and stores."""

    pool: Pool
    counts_padding: bool
    rounding: Rounding
    form: Format
    bounds: Bounds


@st.composite
def pools(draw: st.DrawFn, frac_bits: st.SearchStrategy[int]) -> Pool:
    channels, height, width = (draw(st.integers(1, most)) for most in (3, 8, 8))
    ifm_form = draw(formats(frac_bits=frac_bits))
    return Pool(
        ifm=draw(raw_maps((channels, height, width), ifm_form)),
        ifm_form=ifm_form,
        windows=draw(windows(height, width)),
    )


@st.composite
def averages(draw: st.DrawFn) -> Average:
    pool = draw(pools(st.integers(-5, 5)))
    magnitude = pool.ifm_form.bits - pool.ifm_form.frac_bits
    is_far = draw(SELDOM)
    form = draw(formats(frac_bits=st.integers(-25, 25)) if is_far else formats_near(magnitude))
    return Average(
        pool=pool,
        counts_padding=draw(st.booleans()),
        rounding=draw(ROUNDING),
        form=form,
        bounds=draw(activation_bounds(form)),
    )


def run_max_pool(case: Pool, version: Version) -> NDArray[Any]:
    ofm = np.full((*case.windows.out_shape, len(case.ifm)), UNTOUCHED, case.ifm.dtype)
    version(pool.max_pool)(
        pixels_first(case.ifm),
        case.windows.kernel,
        case.windows.stride,
        case.windows.pads[:2],
        (1, 1),
        case.ifm_form.raw_min,
        ofm,
    )
    return np.moveaxis(ofm, -1, 0)


def count_positions(case: Average, axis: int) -> NDArray[np.int64]:
    """Positions that each window counts along one axis."""
    geometry = case.pool.windows
    size = case.pool.ifm.shape[1 + axis]
    counts = []
    for window in range(geometry.out_shape[axis]):
        start = window * geometry.stride[axis] - geometry.pads[axis]
        inside = set(range(start, start + geometry.kernel[axis]))
        counts.append(len(inside if case.counts_padding else inside & set(range(size))))
    return np.array(counts, np.int64)


def run_average_pool(case: Average, version: Version) -> tuple[NDArray[np.int32], int]:
    geometry = case.pool.windows
    ofm = np.full((*geometry.out_shape, len(case.pool.ifm)), UNTOUCHED, np.int32)
    counts = [count_positions(case, axis) for axis in (0, 1)]
    saturations = version(pool.average_pool)(
        pixels_first(case.pool.ifm),
        geometry.kernel,
        geometry.stride,
        geometry.pads[:2],
        (1, 1),
        *counts,
        case.form.frac_bits - case.pool.ifm_form.frac_bits,
        int(case.rounding),
        kernel_bounds(case.form, case.bounds),
        ofm,
    )
    return np.moveaxis(ofm, -1, 0), saturations


def average_by_oracle(case: Average) -> layers_bigint.Requantized:
    geometry = case.pool.windows
    return layers_bigint.average_pool(
        case.pool.ifm[None],
        ifm_frac_bits=case.pool.ifm_form.frac_bits,
        kernel=geometry.kernel,
        form=case.form,
        mode=oracle_name(case.rounding),
        strides=geometry.stride,
        pads=geometry.pads,
        count_include_pad=case.counts_padding,
        bounds=case.bounds,
    )


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=pools(st.just(0)))
def test_max_pool_equals_big_integers(version: Version, case: Pool) -> None:
    expected = layers_bigint.max_pool(
        case.ifm[None],
        kernel=case.windows.kernel,
        raw_min=case.ifm_form.raw_min,
        strides=case.windows.stride,
        pads=case.windows.pads,
    )
    assert run_max_pool(case, version).tolist() == expected[0].tolist()


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=averages())
def test_average_pool_equals_big_integers(version: Version, case: Average) -> None:
    expected = average_by_oracle(case)
    ofm, saturations = run_average_pool(case, version)
    assert ofm.tolist() == expected.raw[0].tolist()
    assert saturations == expected.output_saturations


@JITTED_AND_PLAIN
@pytest.mark.parametrize("scale", [-41, 41])
@pytest.mark.parametrize("rounding", Rounding)
def test_a_mean_may_need_61_bits(version: Version, rounding: Rounding, scale: int) -> None:
    """Four times four positions, 16 bits and 41 places: ``2**61``."""
    ifm_form = Format(bits=16, frac_bits=0, signed=False)
    rng = np.random.default_rng(0)
    ifm = rng.integers(0, 2**16, (3, 4, 4)).astype(np.int32)
    ifm[0] = 2**16 - 1
    ifm[1, :, :] = np.eye(4)
    case = Average(
        pool=Pool(
            ifm=ifm,
            ifm_form=ifm_form,
            windows=Windows(kernel=(4, 4), stride=(1, 1), pads=(0, 0, 0, 0), out_shape=(1, 1)),
        ),
        counts_padding=False,
        rounding=rounding,
        form=Format(bits=16, frac_bits=scale, signed=True),
        bounds=Bounds(),
    )
    expected = average_by_oracle(case)
    ofm, saturations = run_average_pool(case, version)
    assert ofm.tolist() == expected.raw[0].tolist()
    assert saturations == expected.output_saturations


@JITTED_AND_PLAIN
@pytest.mark.parametrize(("counts_padding", "mean"), [(False, -5), (True, -1)])
def test_a_window_over_the_edge_by_hand(version: Version, counts_padding: bool, mean: int) -> None:
    """One real position of -5 under a window of four."""
    windows = Windows(kernel=(2, 2), stride=(1, 1), pads=(1, 1, 0, 0), out_shape=(1, 1))
    form = Format(bits=8, frac_bits=0, signed=True)
    corner = Pool(ifm=np.array([[[-5]]], np.int32), ifm_form=form, windows=windows)
    average = Average(
        pool=corner,
        counts_padding=counts_padding,
        rounding=Rounding.TIES_POS,
        form=form,
        bounds=Bounds(),
    )
    assert run_max_pool(corner, version).tolist() == [[[-5]]]
    ofm, saturations = run_average_pool(average, version)
    assert ofm.tolist() == [[[mean]]]
    assert saturations == 0


@JITTED_AND_PLAIN
def test_a_window_outside_the_map_holds_the_smallest_raw_value(version: Version) -> None:
    case = Pool(
        ifm=np.full((1, 2, 2), 9, np.int32),
        ifm_form=Format(bits=8, frac_bits=0, signed=True),
        windows=Windows(kernel=(2, 2), stride=(2, 2), pads=(2, 2, 0, 0), out_shape=(2, 2)),
    )
    assert run_max_pool(case, version).tolist() == [[[-128, -128], [-128, 9]]]


@JITTED_AND_PLAIN
@PER_KERNEL
@given(
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pads=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    seed=st.integers(0, 99),
)
def test_dilated_windows_hold_every_nth_position(
    version: Version,
    sizes: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int],
    seed: int,
) -> None:
    """Windows wherever they lie: before the map, across it, behind it."""
    ifm = np.random.default_rng(seed).integers(-99, 100, (*sizes, 2)).astype(np.int32)
    maxima = np.full((4, 3, 2), UNTOUCHED, np.int32)
    sums = maxima.copy()
    version(pool.max_pool)(ifm, kernel, stride, pads, dilation, -100, maxima)
    ones = np.ones(4, np.int64), np.ones(3, np.int64)
    bounds = (-(2**20), 2**20, -(2**20), 2**20)
    version(pool.average_pool)(ifm, kernel, stride, pads, dilation, *ones, 0, 0, bounds, sums)
    for p, q, c in np.ndindex(4, 3, 2):
        rows = [p * stride[0] - pads[0] + r * dilation[0] for r in range(kernel[0])]
        cols = [q * stride[1] - pads[1] + s * dilation[1] for s in range(kernel[1])]
        inside = [
            int(ifm[row, col, c])
            for row in rows
            for col in cols
            if 0 <= row < sizes[0] and 0 <= col < sizes[1]
        ]
        assert maxima[p, q, c] == max(inside, default=-100)
        assert sums[p, q, c] == sum(inside)
