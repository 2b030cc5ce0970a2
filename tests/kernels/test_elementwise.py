"""Do additions, clips and changes of format equal big integers?"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.kernels import elementwise
from quantizer.fixedpoint.qformat import Rounding
from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version, oracle_name
from tests.kernels.drawing import (
    PER_KERNEL,
    ROUNDING,
    SELDOM,
    UNBOUNDED,
    UNTOUCHED,
    activation_bounds,
    formats,
    formats_near,
    kernel_bounds,
    raw_maps,
)
from tests.oracles import layers_bigint
from tests.oracles.fixed_point import Format
from tests.oracles.layers_bigint import Bounds

SIZE = st.integers(1, 40)
CLOSE = st.integers(-3, 3)
FAR = st.integers(-20, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A flat map and its format."""

    raw: NDArray[Any]
    form: Format


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How a result is rounded and stored."""

    rounding: Rounding
    form: Format
    bounds: Bounds


@st.composite
def operands(draw: st.DrawFn, size: int, frac_bits: st.SearchStrategy[int]) -> Operand:
    form = draw(formats(frac_bits=frac_bits))
    return Operand(raw=draw(raw_maps((size,), form)), form=form)


@st.composite
def targets(draw: st.DrawFn, *sources: Operand) -> Target:
    magnitude = max(source.form.bits - source.form.frac_bits for source in sources)
    is_far = draw(SELDOM)
    form = draw(formats(frac_bits=st.integers(-64, 64)) if is_far else formats_near(magnitude))
    return Target(rounding=draw(ROUNDING), form=form, bounds=draw(activation_bounds(form)))


@st.composite
def additions(draw: st.DrawFn) -> tuple[Operand, Operand, Target]:
    """Formats mostly close together, at times as far apart as is allowed."""
    size = draw(SIZE)
    frac_bits = FAR if draw(SELDOM) else CLOSE
    left, right = (draw(operands(size, frac_bits)) for _ in range(2))
    return left, right, draw(targets(left, right))


def run_add(
    left: Operand, right: Operand, target: Target, version: Version
) -> tuple[NDArray[np.int32], int]:
    finest = max(left.form.frac_bits, right.form.frac_bits)
    ofm = np.full(left.raw.shape, UNTOUCHED, np.int32)
    saturations = version(elementwise.add)(
        left.raw,
        1 << (finest - left.form.frac_bits),
        right.raw,
        1 << (finest - right.form.frac_bits),
        finest - target.form.frac_bits,
        int(target.rounding),
        kernel_bounds(target.form, target.bounds),
        ofm,
    )
    return ofm, saturations


def add_by_oracle(left: Operand, right: Operand, target: Target) -> layers_bigint.Requantized:
    return layers_bigint.add(
        left.raw,
        right.raw,
        first_frac_bits=left.form.frac_bits,
        second_frac_bits=right.form.frac_bits,
        form=target.form,
        mode=oracle_name(target.rounding),
        bounds=target.bounds,
    )


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=additions())
def test_adding_equals_big_integers(
    version: Version, case: tuple[Operand, Operand, Target]
) -> None:
    expected = add_by_oracle(*case)
    ofm, saturations = run_add(*case, version)
    assert ofm.tolist() == expected.raw.tolist()
    assert saturations == expected.output_saturations


@JITTED_AND_PLAIN
@pytest.mark.parametrize("rounding", Rounding)
def test_adding_the_widest_maps_40_places_apart_is_exact(
    version: Version, rounding: Rounding
) -> None:
    coarse = Format(bits=16, frac_bits=-20, signed=False)
    fine = Format(bits=16, frac_bits=20, signed=True)
    ends = [2**16 - 1, 1, 0, 2**16 - 1], [-(2**15), -(2**15), 2**15 - 1, 2**15 - 1]
    widest, finest = (
        Operand(raw=np.array(raw, np.int32), form=form)
        for raw, form in zip(ends, (coarse, fine), strict=True)
    )
    for frac_bits in (-40, -21, -20, -19, 0, 20, 40):
        target = Target(
            rounding=rounding,
            form=Format(bits=16, frac_bits=frac_bits, signed=True),
            bounds=Bounds(),
        )
        for left, right in ((widest, finest), (finest, widest)):
            expected = add_by_oracle(left, right, target)
            ofm, saturations = run_add(left, right, target, version)
            assert ofm.tolist() == expected.raw.tolist()
            assert saturations == expected.output_saturations


@JITTED_AND_PLAIN
def test_an_addition_by_hand(version: Version) -> None:
    # 5/4 + 3/2 = 11/4: with one fraction bit 5.5, a tie. The ends sum to -96 and 95.25.
    left = Operand(
        raw=np.array([5, -128, 127], np.int32), form=Format(bits=8, frac_bits=2, signed=True)
    )
    right = Operand(
        raw=np.array([3, -128, 127], np.int32), form=Format(bits=8, frac_bits=1, signed=True)
    )
    target = Target(
        rounding=Rounding.TIES_POS,
        form=Format(bits=8, frac_bits=1, signed=True),
        bounds=Bounds(lower=-100),
    )
    ofm, saturations = run_add(left, right, target, version)
    assert ofm.tolist() == [6, -100, 127]
    assert saturations == 1


@st.composite
def changes_of_format(draw: st.DrawFn) -> tuple[Operand, Target]:
    """No activation function stands at a Concat."""
    operand = draw(operands(draw(SIZE), FAR))
    return operand, replace(draw(targets(operand)), bounds=Bounds())


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=changes_of_format())
def test_changing_a_format_equals_big_integers(
    version: Version, case: tuple[Operand, Target]
) -> None:
    operand, target = case
    expected = layers_bigint.concat(
        [operand.raw[None]], [operand.form], form=target.form, mode=oracle_name(target.rounding)
    )
    ofm = np.full(operand.raw.shape, UNTOUCHED, np.int32)
    saturations = version(elementwise.change_format)(
        operand.raw,
        operand.form.frac_bits - target.form.frac_bits,
        int(target.rounding),
        kernel_bounds(target.form, target.bounds),
        ofm,
    )
    assert ofm.tolist() == expected.raw[0].tolist()
    assert saturations == expected.output_saturations


@JITTED_AND_PLAIN
def test_a_difference_by_hand(version: Version) -> None:
    # 3/4 - 5/2 and 127/4 - (-64) in halves: -1.75 * 2 = -3.5, a tie, and 191.5, clipped.
    left, right = np.array([3, 127], np.int32), np.array([5, -128], np.int32)
    ofm = np.full(2, UNTOUCHED, np.int32)
    saturations = version(elementwise.add)(
        left, 1, right, -2, 1, int(Rounding.TIES_POS), (-128, 127, -UNBOUNDED, UNBOUNDED), ofm
    )
    assert ofm.tolist() == [-3, 127]
    assert saturations == 1
