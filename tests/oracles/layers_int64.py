"""Layers of a quantized network on int64 arrays, fast enough for whole networks.

The sums are the same as in `layers_bigint`, which the self-tests hold them against; int64 is
exact because every function asserts that no sum can reach ``2**62``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntegerArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowAxis:
    """Where the windows of a convolution or pool lie along one axis."""

    size: int
    kernel: int
    stride: int
    dilation: int
    pad_begin: int
    pad_end: int
    count: int

    @property
    def overhang(self) -> int:
        """Positions that the last window reaches beyond the declared padding."""
        reached = (self.count - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        return max(0, reached - self.size - self.pad_begin - self.pad_end)

    def positions(self, tap: int) -> slice:
        """What one tap reads of the padded axis, over all windows."""
        start = tap * self.dilation
        return slice(start, start + (self.count - 1) * self.stride + 1, self.stride)


def window_axes(
    attributes: Mapping[str, Any], sizes: tuple[int, int], kernel: tuple[int, int]
) -> tuple[WindowAxis, WindowAxis]:
    """Rows and columns of the windows that ONNX attributes describe."""
    strides = attributes.get("strides", [1, 1])
    dilations = attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    ceil_mode = bool(attributes.get("ceil_mode", 0))
    rows, cols = (
        _window_axis(
            sizes[axis],
            kernel[axis],
            strides[axis],
            dilations[axis],
            (pads[axis], pads[axis + 2]),
            auto_pad,
            ceil_mode,
        )
        for axis in (0, 1)
    )
    return rows, cols


def _window_axis(
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    pads: tuple[int, int],
    auto_pad: str,
    ceil_mode: bool,
) -> WindowAxis:
    reach = dilation * (kernel - 1) + 1
    begin, end = pads
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        count = -(-size // stride)
        total = max((count - 1) * stride + reach - size, 0)
        small, large = total // 2, total - total // 2
        begin, end = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    elif auto_pad == "VALID":
        begin, end = 0, 0
    steps = size + begin + end - reach
    count = steps // stride + 1
    if ceil_mode and steps % stride > 0 and count * stride < size + begin:
        # A window more, unless it would start in the trailing padding (ONNX specification).
        count += 1
    return WindowAxis(
        size=size,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        pad_begin=begin,
        pad_end=end,
        count=count,
    )


def _padded(ifm: IntegerArray, rows: WindowAxis, cols: WindowAxis, value: int) -> IntegerArray:
    widths = (
        (0, 0),
        (0, 0),
        (rows.pad_begin, rows.pad_end + rows.overhang),
        (cols.pad_begin, cols.pad_end + cols.overhang),
    )
    return np.pad(ifm, widths, constant_values=value)


def _taps(
    padded: IntegerArray, rows: WindowAxis, cols: WindowAxis
) -> Iterator[tuple[int, int, IntegerArray]]:
    for r in range(rows.kernel):
        for s in range(cols.kernel):
            yield r, s, padded[:, :, rows.positions(r), cols.positions(s)]


def convolve(
    ifm: IntegerArray,
    weights: IntegerArray,
    rows: WindowAxis,
    cols: WindowAxis,
    groups: int,
) -> IntegerArray:
    """Exact sums of products ``[N, K, P, Q]`` of maps ``[N, C, H, W]``."""
    n_filters, group_channels = weights.shape[:2]
    group_filters = n_filters // groups
    assert ifm.shape[1] == groups * group_channels
    assert n_filters == groups * group_filters
    _check_sums(ifm, weights)
    padded = _padded(ifm, rows, cols, 0)
    acc = np.zeros((ifm.shape[0], n_filters, rows.count, cols.count), np.int64)
    for group in range(groups):
        filters = slice(group * group_filters, (group + 1) * group_filters)
        channels = slice(group * group_channels, (group + 1) * group_channels)
        for r, s, window in _taps(padded[:, channels], rows, cols):
            tap_weights = np.ascontiguousarray(weights[filters, :, r, s])
            acc[:, filters] += np.einsum("kc,ncpq->nkpq", tap_weights, np.ascontiguousarray(window))
    return acc


def multiply_dense(ifm: IntegerArray, weights: IntegerArray) -> IntegerArray:
    """Exact sums of products ``[N, K]`` of maps ``[N, C]`` and weights ``[K, C]``."""
    _check_sums(ifm, weights)
    return ifm @ weights.T


def _check_sums(ifm: IntegerArray, weights: IntegerArray) -> None:
    longest = int(abs(weights).reshape(len(weights), -1).sum(axis=1).max())
    largest = int(abs(ifm).max(initial=0))
    assert longest * largest < 2**62, "a sum of products could leave int64"


def max_pool(ifm: IntegerArray, rows: WindowAxis, cols: WindowAxis, raw_min: int) -> IntegerArray:
    """Largest integer under each window; padding holds ``raw_min``."""
    padded = _padded(ifm, rows, cols, raw_min)
    ofm = np.full((*ifm.shape[:2], rows.count, cols.count), raw_min, np.int64)
    for _, _, window in _taps(padded, rows, cols):
        np.maximum(ofm, window, out=ofm)
    return ofm


def sum_pool(
    ifm: IntegerArray, rows: WindowAxis, cols: WindowAxis, *, count_include_pad: bool
) -> tuple[IntegerArray, IntegerArray]:
    """Sum and divisor of each window; what overhangs the declared padding never counts."""
    ones = np.ones((1, 1, *ifm.shape[2:]), np.int64)
    if count_include_pad:
        pads = ((rows.pad_begin, rows.pad_end), (cols.pad_begin, cols.pad_end))
        counted = np.pad(ones, ((0, 0), (0, 0), *pads), constant_values=1)
        counted = np.pad(counted, ((0, 0), (0, 0), (0, rows.overhang), (0, cols.overhang)))
    else:
        counted = _padded(ones, rows, cols, 0)
    total = np.zeros((*ifm.shape[:2], rows.count, cols.count), np.int64)
    count = np.zeros((1, 1, rows.count, cols.count), np.int64)
    for _, _, window in _taps(_padded(ifm, rows, cols, 0), rows, cols):
        total += window
    for _, _, window in _taps(counted, rows, cols):
        count += window
    return total, count
