"""Does the output stage wrap, add, round, clamp, saturate and count as the contract says?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.kernels import output_stage
from quantizer.fixedpoint.qformat import Rounding
from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version, oracle_name
from tests.kernels.drawing import (
    PER_KERNEL,
    ROUNDING,
    SELDOM,
    UNTOUCHED,
    activation_bounds,
    formats,
    kernel_bounds,
    raw_integers,
)
from tests.oracles import layers_bigint
from tests.oracles.fixed_point import Format, wrap
from tests.oracles.layers_bigint import Bounds

S8 = Format(bits=8, frac_bits=0, signed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Arguments of `output_stage.finish`; the ofm takes the first `out_width` columns."""

    acc: NDArray[Any]
    out_width: int
    acc_bits: int
    bias: NDArray[np.int64]
    shift: NDArray[np.int64]
    rounding: Rounding
    form: Format
    bounds: Bounds


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    """Sums, biases and shifts per channel of any size, so that the ofm is seldom all zero."""
    filters, height, width = (draw(st.integers(1, most)) for most in (3, 4, 6))
    beyond = draw(st.integers(0, 2))
    acc_bits = draw(st.integers(8, 48))
    # In some stages none, in others most sums wrap.
    sum_bits = acc_bits + (2 if draw(st.booleans()) else -draw(st.integers(0, 7)))
    is_narrow = sum_bits <= 32 and draw(st.booleans())
    largest = 2 ** (sum_bits - 1)
    acc = draw(raw_integers((filters, height, width + beyond), -largest, largest - 1))
    bias_bits = draw(st.integers(1, 61)) if draw(SELDOM) else sum_bits
    form = draw(formats(frac_bits=st.just(0)))
    excess_bits = max(sum_bits, bias_bits) - form.bits
    into_range = st.integers(excess_bits - 3, excess_bits + 2)
    shift = [draw(st.integers(-64, 70) if draw(SELDOM) else into_range) for _ in range(filters)]
    return Stage(
        acc=acc.astype(np.int32 if is_narrow else np.int64),
        out_width=width,
        acc_bits=acc_bits,
        bias=draw(raw_integers((filters,), -(2 ** (bias_bits - 1)), 2 ** (bias_bits - 1))),
        shift=np.array(shift),
        rounding=draw(ROUNDING),
        form=form,
        bounds=draw(activation_bounds(form)),
    )


def run_kernel(stage: Stage, version: Version) -> tuple[NDArray[np.int32], int, int]:
    ofm = np.full((*stage.acc.shape[:2], stage.out_width), UNTOUCHED, np.int32)
    overflows, saturations = version(output_stage.finish)(
        stage.acc,
        stage.acc_bits,
        stage.bias,
        stage.shift,
        int(stage.rounding),
        kernel_bounds(stage.form, stage.bounds),
        ofm,
    )
    return ofm, overflows, saturations


@JITTED_AND_PLAIN
@PER_KERNEL
@given(stage=stages())
def test_the_output_stage_equals_big_integers(version: Version, stage: Stage) -> None:
    exact = layers_bigint.integers(stage.acc[:, :, : stage.out_width])
    wrapped = np.vectorize(wrap, otypes=[object])(exact, stage.acc_bits)
    expected = layers_bigint.output_stage(
        wrapped[None],
        aligned_bias=stage.bias.tolist(),
        shifts=stage.shift.tolist(),
        form=stage.form,
        mode=oracle_name(stage.rounding),
        bounds=stage.bounds,
    )
    ofm, overflows, saturations = run_kernel(stage, version)
    assert ofm.tolist() == expected.raw[0].tolist()
    assert overflows == (wrapped != exact).sum()
    assert saturations == expected.output_saturations


@JITTED_AND_PLAIN
def test_two_channels_by_hand(version: Version) -> None:
    stage = Stage(
        # The third column lies between the rows of the ofm: it must not count.
        acc=np.array([[[90, -2000, 4000]], [[2500, 2047, 4000]]], np.int32),
        out_width=2,
        acc_bits=12,
        bias=np.array([6, -2]),
        shift=np.array([4, 3]),
        rounding=Rounding.TIES_POS,
        form=S8,
        bounds=Bounds(),
    )
    ofm, overflows, saturations = run_kernel(stage, version)
    # Channel 0: 96 / 16, -1994 / 16 = -124.6; channel 1: 2500 wraps to -1596, -1598 / 8
    # = -199.75 saturates, 2045 / 8 = 255.6 too.
    assert ofm.tolist() == [[[6, -125]], [[-128, 127]]]
    assert overflows == 1
    assert saturations == 2


@JITTED_AND_PLAIN
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("rounding", Rounding)
def test_the_widest_accumulator_takes_the_largest_bias(
    version: Version, rounding: Rounding, sign: int
) -> None:
    acc, bias = sign * (2**47 - 1), sign * 2**60
    shifts = [-64, 0, 45, 46, 47, 52, 60, 61, 62, 63, 64, 100]
    stage = Stage(
        acc=np.full((len(shifts), 1, 1), acc),
        out_width=1,
        acc_bits=48,
        bias=np.full(len(shifts), bias),
        shift=np.array(shifts),
        rounding=rounding,
        form=Format(bits=16, frac_bits=0, signed=True),
        bounds=Bounds(),
    )
    expected = layers_bigint.output_stage(
        [[acc] * len(shifts)],
        aligned_bias=stage.bias.tolist(),
        shifts=shifts,
        form=stage.form,
        mode=oracle_name(rounding),
    )
    ofm, overflows, saturations = run_kernel(stage, version)
    assert ofm.ravel().tolist() == expected.raw[0].tolist()
    assert overflows == 0
    assert saturations == expected.output_saturations


@JITTED_AND_PLAIN
@pytest.mark.parametrize(
    ("bounds", "raw", "clipped"),
    [
        (Bounds(), [-128, -128, 0, 127, 127], [1, 0, 0, 0, 1]),
        # Relu: its zero is not clipped by the format.
        (Bounds(lower=0), [0, 0, 0, 127, 127], [0, 0, 0, 0, 1]),
        # Relu6 with 6.0 inside the range, at its end, and beyond it.
        (Bounds(lower=0, upper=96), [0, 0, 0, 96, 96], [0, 0, 0, 0, 0]),
        (Bounds(lower=0, upper=127), [0, 0, 0, 127, 127], [0, 0, 0, 0, 0]),
        (Bounds(lower=0, upper=128), [0, 0, 0, 127, 127], [0, 0, 0, 0, 1]),
        (Bounds(lower=-128, upper=5), [-128, -128, 0, 5, 5], [0, 0, 0, 0, 0]),
        (Bounds(lower=-129, upper=5), [-128, -128, 0, 5, 5], [1, 0, 0, 0, 0]),
    ],
)
def test_what_an_activation_holds_inside_the_range_is_not_clipped(
    version: Version, bounds: Bounds, raw: list[int], clipped: list[int]
) -> None:
    values = [-129, -128, 0, 127, 128]
    found = [
        version(output_stage.bound)(np.int64(value), kernel_bounds(S8, bounds)) for value in values
    ]
    assert found == list(zip(raw, clipped, strict=True))
