"""What the kernel tests draw: formats, raw integers, bounds, windows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantizer.fixedpoint.qformat import Rounding
from tests.oracles.fixed_point import Format
from tests.oracles.layers_bigint import Bounds

PER_KERNEL = settings(max_examples=100, derandomize=True, deadline=None)
ROUNDING = st.sampled_from(Rounding)
SEED = st.integers(0, 2**32 - 1)
SELDOM = st.integers(0, 4).map(lambda number: number == 4)

UNBOUNDED = 2**40
"""The raw bound that `accel_sim.functional` gives an activation function without one."""
UNTOUCHED = 77
"""What an output holds before a kernel overwrites it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Kernel, stride and pads (top, left, bottom, right) of a pool, and the ofm's (P, Q)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    out_shape: tuple[int, int]


def formats(*, frac_bits: st.SearchStrategy[int], max_bits: int = 16) -> st.SearchStrategy[Format]:
    return st.builds(
        Format, bits=st.integers(2, max_bits), frac_bits=frac_bits, signed=st.booleans()
    )


@st.composite
def formats_near(draw: st.DrawFn, magnitude: int) -> Format:
    """Formats that end about ``2**magnitude``: few values vanish, and few saturate."""
    bits = draw(st.integers(2, 16))
    spare = draw(st.integers(-3, 2))
    return Format(bits=bits, frac_bits=bits - magnitude - spare, signed=draw(st.booleans()))


@st.composite
def raw_integers(draw: st.DrawFn, shape: tuple[int, ...], low: int, high: int) -> NDArray[Any]:
    """int64 from a drawn seed: all over the range, or at times at its ends only."""
    rng = np.random.default_rng(draw(SEED))
    if draw(SELDOM):
        return rng.choice([low, high], shape)
    return rng.integers(low, high, shape, endpoint=True)


@st.composite
def raw_maps(draw: st.DrawFn, shape: tuple[int, ...], form: Format) -> NDArray[Any]:
    """In narrow integers if they hold the format: kernels take any."""
    raw = draw(raw_integers(shape, form.raw_min, form.raw_max))
    for dtype in (np.uint8, np.int16):
        held = np.iinfo(dtype)
        if held.min <= form.raw_min and form.raw_max <= held.max:
            return raw.astype(dtype)
    return raw.astype(np.int32)


def pixels_first(ifm: NDArray[Any]) -> NDArray[Any]:
    """A map [C, H, W] as pools take it: [H, W, C]."""
    return np.ascontiguousarray(np.moveaxis(ifm, 0, -1))


@st.composite
def activation_bounds(draw: st.DrawFn, form: Format) -> Bounds:
    """None, Relu, Relu6 and Clip; ends inside and outside the range, which they meet."""
    width = form.raw_max - form.raw_min
    lower = draw(st.none() | st.just(0) | st.integers(form.raw_min - width, form.raw_max))
    lowest_upper = form.raw_min if lower is None else max(form.raw_min, lower)
    upper = draw(st.none() | st.integers(lowest_upper, form.raw_max + width))
    return Bounds(lower=lower, upper=upper)


def kernel_bounds(form: Format, bounds: Bounds) -> tuple[int, int, int, int]:
    """The same bounds as the kernels take them."""
    return (
        form.raw_min,
        form.raw_max,
        -UNBOUNDED if bounds.lower is None else bounds.lower,
        UNBOUNDED if bounds.upper is None else bounds.upper,
    )


@st.composite
def windows(draw: st.DrawFn, height: int, width: int) -> Windows:
    """Windows that each hold at least one real position."""
    axes = []
    for size in (height, width):
        kernel = draw(st.integers(1, 4))
        begin = draw(st.integers(0, kernel - 1))
        end = max(draw(st.integers(0, kernel - 1)), kernel - size - begin)
        stride = draw(st.integers(1, 5))
        axes.append((kernel, stride, begin, end, (size + begin + end - kernel) // stride + 1))
    kernels, strides, begins, ends, counts = zip(*axes, strict=True)
    return Windows(kernel=kernels, stride=strides, pads=(*begins, *ends), out_shape=counts)
