"""Single layers of a quantized network in plain loops over Python integers.

Nothing here can overflow: every operand becomes a Python int first. Arrays going in may be
nested lists or NumPy arrays of any integer type; arrays coming out have dtype object.
Maps are ``[N, C, H, W]``, weights ``[K, C/groups, R, S]``, pads ``(top, left, bottom, right)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.oracles.fixed_point import Format, clip, power_of_two, round_fraction, wrap

IntegerArray = NDArray[Any]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
NO_PADS: Pads = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accumulated:
    """Sums of products before bias.

    ``overflows`` counts the outputs whose exact sum leaves the accumulator's range.
    """

    exact: IntegerArray
    wrapped: IntegerArray
    overflows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Requantized:
    """Stored integers, and how many of them the format's range clipped.

    ``output_saturations`` counts rounded values outside the range on a side where the
    activation's own bound does not already keep them inside.
    """

    raw: IntegerArray
    output_saturations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Raw bounds of a fused activation; None where it has none. ReLU is ``Bounds(lower=0)``."""

    lower: int | None = None
    upper: int | None = None


NO_BOUNDS = Bounds()


def integers(array: ArrayLike) -> IntegerArray:
    """The same array holding Python integers."""
    source = np.asarray(array)
    result = np.empty(source.shape, object)
    for index in np.ndindex(source.shape):
        result[index] = int(source[index])
    return result


def convolve(
    ifm: ArrayLike,
    weights: ArrayLike,
    *,
    strides: Pair = (1, 1),
    pads: Pads = NO_PADS,
    dilations: Pair = (1, 1),
    groups: int = 1,
    accumulator_bits: int = 32,
) -> Accumulated:
    """Sum the products of a 2-D convolution; positions in the padding count as 0."""
    x, w = integers(ifm), integers(weights)
    n_images, n_channels, height, width = x.shape
    n_filters, channels_per_group, n_rows, n_cols = w.shape
    assert n_channels == groups * channels_per_group
    assert n_filters % groups == 0
    top, left, bottom, right = pads
    out_height = (height + top + bottom - dilations[0] * (n_rows - 1) - 1) // strides[0] + 1
    out_width = (width + left + right - dilations[1] * (n_cols - 1) - 1) // strides[1] + 1

    exact = np.empty((n_images, n_filters, out_height, out_width), object)
    for n, k, p, q in np.ndindex(exact.shape):
        first_channel = k // (n_filters // groups) * channels_per_group
        total = 0
        for c in range(channels_per_group):
            for r in range(n_rows):
                for s in range(n_cols):
                    row = p * strides[0] + r * dilations[0] - top
                    col = q * strides[1] + s * dilations[1] - left
                    if 0 <= row < height and 0 <= col < width:
                        total += x[n, first_channel + c, row, col] * w[k, c, r, s]
        exact[n, k, p, q] = total
    return _accumulated(exact, accumulator_bits)


def convolve_transposed(
    ifm: ArrayLike,
    weights: ArrayLike,
    *,
    strides: Pair = (1, 1),
    pads: Pads = NO_PADS,
    dilations: Pair = (1, 1),
    output_padding: Pair = (0, 0),
    groups: int = 1,
    accumulator_bits: int = 32,
) -> Accumulated:
    """Sum the products of a transposed convolution; weights ``[C, K/groups, R, S]``.

    An output is the sum of ``x[h, w] * w[r, s]`` over all that a stride leads to it.
    """
    x, w = integers(ifm), integers(weights)
    n_images, n_channels, height, width = x.shape
    group_filters, n_rows, n_cols = w.shape[1:]
    group_channels = n_channels // groups
    top, left, bottom, right = pads
    out_height = (height - 1) * strides[0] + dilations[0] * (n_rows - 1) + 1 - top - bottom
    out_width = (width - 1) * strides[1] + dilations[1] * (n_cols - 1) + 1 - left - right
    shape = (out_height + output_padding[0], out_width + output_padding[1])

    exact = np.full((n_images, groups * group_filters, *shape), 0, object)
    for n, c, h, col, k, r, s in np.ndindex(*x.shape, *w.shape[1:]):
        p = h * strides[0] + r * dilations[0] - top
        q = col * strides[1] + s * dilations[1] - left
        if 0 <= p < shape[0] and 0 <= q < shape[1]:
            filter_index = c // group_channels * group_filters + k
            exact[n, filter_index, p, q] += x[n, c, h, col] * w[c, k, r, s]
    return _accumulated(exact, accumulator_bits)


def multiply_dense(
    ifm: ArrayLike, weights: ArrayLike, *, accumulator_bits: int = 32
) -> Accumulated:
    """Sum the products of a dense layer: ifm ``[N, C]``, weights ``[K, C]``."""
    x, w = integers(ifm), integers(weights)
    exact = np.empty((x.shape[0], w.shape[0]), object)
    for n, k in np.ndindex(exact.shape):
        total = 0
        for c in range(x.shape[1]):
            total += x[n, c] * w[k, c]
        exact[n, k] = total
    return _accumulated(exact, accumulator_bits)


def align_bias(
    raw_bias: Sequence[int],
    ifm_frac_bits: int,
    weight_frac_bits: Sequence[int],
    bias_frac_bits: Sequence[int],
) -> list[int]:
    """Shift each channel's bias left into the accumulator's format, exactly."""
    aligned = []
    for raw, weight, bias in zip(raw_bias, weight_frac_bits, bias_frac_bits, strict=True):
        shift = ifm_frac_bits + weight - bias
        assert shift >= 0, "a bias never has more fraction bits than its accumulator"
        aligned.append(int(raw) * 2**shift)
    return aligned


def raw_bound(bound: float, frac_bits: int, mode: str) -> int:
    """A clip bound as a raw integer of the ofm, not yet limited to the format."""
    numerator, denominator = bound.as_integer_ratio()
    return round_fraction(numerator * power_of_two(frac_bits) / denominator, mode)


def output_stage(
    acc: ArrayLike,
    *,
    aligned_bias: Sequence[int],
    shifts: Sequence[int],
    form: Format,
    mode: str,
    bounds: Bounds = NO_BOUNDS,
) -> Requantized:
    """Add the bias to accumulators ``[N, K, ...]``, requantize, clamp; per channel of axis 1."""
    psum = integers(acc)

    def value(index: tuple[int, ...]) -> int:
        k = index[1]
        return rounded(psum[index] + aligned_bias[k], shifts[k], mode)

    return finish(psum.shape, value, form, bounds)


def add(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_frac_bits: int,
    second_frac_bits: int,
    form: Format,
    mode: str,
    bounds: Bounds = NO_BOUNDS,
) -> Requantized:
    """Add two maps of one shape: align both exactly, sum exactly, requantize once."""
    a, b = integers(first), integers(second)
    assert a.shape == b.shape
    common = max(first_frac_bits, second_frac_bits)

    def value(index: tuple[int, ...]) -> int:
        total = a[index] * 2 ** (common - first_frac_bits)
        total += b[index] * 2 ** (common - second_frac_bits)
        return rounded(total, common - form.frac_bits, mode)

    return finish(a.shape, value, form, bounds)


def concat(
    parts: Sequence[ArrayLike], formats: Sequence[Format], *, form: Format, mode: str
) -> Requantized:
    """Join maps along channels; a part in another format than ``form`` is requantized once."""
    joined = []
    saturations = 0
    for part, own in zip(parts, formats, strict=True):
        raw = integers(part)
        shift = own.frac_bits - form.frac_bits

        def value(index: tuple[int, ...], raw: IntegerArray = raw, shift: int = shift) -> int:
            return rounded(raw[index], shift, mode)

        moved = finish(raw.shape, value, form, NO_BOUNDS)
        joined.append(moved.raw)
        saturations += moved.output_saturations
    return Requantized(raw=np.concatenate(joined, axis=1), output_saturations=saturations)


def clip_map(ifm: ArrayLike, *, form: Format, bounds: Bounds) -> IntegerArray:
    """Clamp a map that keeps its format: a Relu or Clip that stands alone."""
    x = integers(ifm)
    return finish(x.shape, lambda index: x[index], form, bounds).raw


def max_pool(
    ifm: ArrayLike,
    *,
    kernel: Pair,
    raw_min: int,
    strides: Pair = (1, 1),
    pads: Pads = NO_PADS,
    dilations: Pair = (1, 1),
    ceil_mode: bool = False,
) -> IntegerArray:
    """Take the largest integer under each window; positions in the padding hold ``raw_min``."""
    x = integers(ifm)
    n_images, n_channels, height, width = x.shape
    top, left, bottom, right = pads
    out_height = _n_windows(height, kernel[0], strides[0], top, bottom, dilations[0], ceil_mode)
    out_width = _n_windows(width, kernel[1], strides[1], left, right, dilations[1], ceil_mode)

    ofm = np.empty((n_images, n_channels, out_height, out_width), object)
    for n, c, p, q in np.ndindex(ofm.shape):
        largest = raw_min
        for r, s in product(range(kernel[0]), range(kernel[1])):
            row = p * strides[0] + r * dilations[0] - top
            col = q * strides[1] + s * dilations[1] - left
            if 0 <= row < height and 0 <= col < width:
                largest = max(largest, x[n, c, row, col])
        ofm[n, c, p, q] = largest
    return ofm


def average_pool(
    ifm: ArrayLike,
    *,
    ifm_frac_bits: int,
    kernel: Pair,
    form: Format,
    mode: str,
    strides: Pair = (1, 1),
    pads: Pads = NO_PADS,
    dilations: Pair = (1, 1),
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    bounds: Bounds = NO_BOUNDS,
) -> Requantized:
    """Average each window, rounding the exact rational once.

    The divisor is the number of real positions under the window, or with
    ``count_include_pad`` of real and declared padding positions. What ``ceil_mode`` reaches
    beyond the declared padding never counts.
    """
    x = integers(ifm)
    n_images, n_channels, height, width = x.shape
    top, left, bottom, right = pads
    out_height = _n_windows(height, kernel[0], strides[0], top, bottom, dilations[0], ceil_mode)
    out_width = _n_windows(width, kernel[1], strides[1], left, right, dilations[1], ceil_mode)

    def value(index: tuple[int, ...]) -> int:
        n, c, p, q = index
        total, count = 0, 0
        for r, s in product(range(kernel[0]), range(kernel[1])):
            row = p * strides[0] + r * dilations[0] - top
            col = q * strides[1] + s * dilations[1] - left
            if 0 <= row < height and 0 <= col < width:
                total += x[n, c, row, col]
                count += 1
            elif count_include_pad and row < height + bottom and col < width + right:
                count += 1
        mean = Fraction(total, count) * power_of_two(form.frac_bits - ifm_frac_bits)
        return round_fraction(mean, mode)

    return finish((n_images, n_channels, out_height, out_width), value, form, bounds)


def _accumulated(exact: IntegerArray, accumulator_bits: int) -> Accumulated:
    wrapped = np.empty(exact.shape, object)
    overflows = 0
    for index in np.ndindex(exact.shape):
        total = int(exact[index])
        wrapped[index] = wrap(total, accumulator_bits)
        overflows += wrapped[index] != total
    return Accumulated(exact=exact, wrapped=wrapped, overflows=overflows)


def rounded(acc: int, shift: int, mode: str) -> int:
    """``round(acc * 2**-shift)``, not limited to any format."""
    return round_fraction(acc * power_of_two(-shift), mode)


def finish(
    shape: tuple[int, ...],
    rounded_value: Callable[[tuple[int, ...]], int],
    form: Format,
    bounds: Bounds,
) -> Requantized:
    """Hold rounded values within bounds and format, and count what the format clips."""
    held_below = bounds.lower is not None and bounds.lower >= form.raw_min
    held_above = bounds.upper is not None and bounds.upper <= form.raw_max
    raw = np.empty(shape, object)
    saturations = 0
    for index in np.ndindex(shape):
        value = rounded_value(index)
        saturations += (value < form.raw_min and not held_below) or (
            value > form.raw_max and not held_above
        )
        if bounds.lower is not None:
            value = max(value, bounds.lower)
        if bounds.upper is not None:
            value = min(value, bounds.upper)
        raw[index] = clip(value, form.raw_min, form.raw_max)
    return Requantized(raw=raw, output_saturations=saturations)


def _n_windows(
    size: int, kernel: int, stride: int, begin: int, end: int, dilation: int, ceil_mode: bool
) -> int:
    """Windows along one axis, by trying them one after another."""
    reach = dilation * (kernel - 1) + 1
    count = 0
    while count * stride + reach <= size + begin + end:
        count += 1
    # In ceil mode one more window counts if it only partly overhangs the padded map, provided
    # that it starts inside the map or its leading padding (ONNX operator specification).
    overhangs = (count - 1) * stride + reach < size + begin + end
    if ceil_mode and overhangs and count * stride < size + begin:
        count += 1
    return count
