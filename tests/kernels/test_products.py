"""Do products, slopes and scales equal fractions, rounded once?"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.kernels import elementwise
from quantizer.fixedpoint.qformat import Rounding
from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version, oracle_name
from tests.kernels.drawing import (
    PER_KERNEL,
    ROUNDING,
    UNTOUCHED,
    activation_bounds,
    formats,
    kernel_bounds,
    raw_integers,
    raw_maps,
)
from tests.oracles.fixed_point import Format, round_fraction
from tests.oracles.layers_bigint import Bounds

CHANNELS, SIZE = 3, 5
SHIFTS = st.one_of(st.integers(-6, 24), st.integers(-200, 200))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A map of a few channels, and how the results are stored."""

    ifm: NDArray[Any]
    other: NDArray[Any]
    factors: NDArray[np.int64]
    bias: NDArray[np.int64]
    shift: NDArray[np.int64]
    slope_frac_bits: int
    rounding: Rounding
    form: Format
    bounds: Bounds

    def store(self, total: int, shift: int) -> tuple[int, int]:
        """Raw value, and 1 if the format clips it."""
        raw = round_fraction(Fraction(total) / Fraction(2) ** shift, oracle_name(self.rounding))
        if self.bounds.lower is not None:
            raw = max(raw, self.bounds.lower)
        if self.bounds.upper is not None:
            raw = min(raw, self.bounds.upper)
        held = min(max(raw, self.form.raw_min), self.form.raw_max)
        return held, int(held != raw)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    form = draw(formats(frac_bits=st.just(0)))
    return Case(
        ifm=draw(raw_maps((CHANNELS, SIZE), draw(formats(frac_bits=st.just(0))))),
        other=draw(raw_maps((CHANNELS, SIZE), draw(formats(frac_bits=st.just(0))))),
        factors=draw(raw_integers((CHANNELS,), -(2**15), 2**15 - 1)),
        bias=draw(raw_integers((CHANNELS,), -(2**60), 2**60)),
        shift=np.array([draw(SHIFTS) for _ in range(CHANNELS)], np.int64),
        slope_frac_bits=draw(st.integers(-64, 64)),
        rounding=draw(ROUNDING),
        form=form,
        bounds=draw(activation_bounds(form)),
    )


def check(
    case: Case, ofm: NDArray[np.int32], saturations: int, totals: list[list[tuple[int, int]]]
) -> None:
    """Compare with totals and shifts by channel."""
    expected = [[case.store(*total) for total in channel] for channel in totals]
    assert ofm.tolist() == [[raw for raw, _ in channel] for channel in expected]
    assert saturations == sum(clip for channel in expected for _, clip in channel)


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=cases())
def test_multiplying_equals_fractions(version: Version, case: Case) -> None:
    ofm = np.full(SIZE, UNTOUCHED, np.int32)
    shift = int(case.shift[0])
    saturations = version(elementwise.multiply)(
        case.ifm[0],
        case.other[0],
        shift,
        int(case.rounding),
        kernel_bounds(case.form, case.bounds),
        ofm,
    )
    pairs = zip(case.ifm[0].tolist(), case.other[0].tolist(), strict=True)
    check(case, ofm[np.newaxis], saturations, [[(a * b, shift) for a, b in pairs]])


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=cases())
def test_scaling_channels_equals_fractions(version: Version, case: Case) -> None:
    ofm = np.full(case.ifm.shape, UNTOUCHED, np.int32)
    saturations = version(elementwise.scale_channels)(
        case.ifm,
        case.factors,
        case.bias,
        case.shift,
        int(case.rounding),
        kernel_bounds(case.form, case.bounds),
        ofm,
    )
    channels = zip(
        case.ifm.tolist(),
        case.factors.tolist(),
        case.bias.tolist(),
        case.shift.tolist(),
        strict=True,
    )
    totals = [
        [(x * factor + bias, shift) for x in values] for values, factor, bias, shift in channels
    ]
    check(case, ofm, saturations, totals)


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=cases())
def test_a_prelu_equals_fractions(version: Version, case: Case) -> None:
    # Channel 0 alone; its values meet the other's as slopes.
    ifm, slopes = case.ifm[0], case.other[0]
    ofm = np.full(ifm.shape, UNTOUCHED, np.int32)
    shift = int(case.shift[0])
    saturations = version(elementwise.prelu)(
        ifm,
        slopes,
        case.slope_frac_bits,
        shift,
        int(case.rounding),
        kernel_bounds(case.form, case.bounds),
        ofm,
    )
    totals = [
        (x * slope, shift + case.slope_frac_bits) if x < 0 else (x, shift)
        for x, slope in zip(ifm.tolist(), slopes.tolist(), strict=True)
    ]
    check(case, ofm[np.newaxis], saturations, [totals])
