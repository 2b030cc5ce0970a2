"""Layers of a quantized network on int64 arrays, fast enough for whole networks.

The sums are the same as in `layers_bigint`, which the self-tests hold them against; int64 is
exact because every function asserts that no sum can reach ``2**62``. Maps are ``[N, C, H, W]``
or, of one dimension, ``[N, C, W]``; the latter are taken as maps of one row.
"""

from collections.abc import Iterator, Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadAxis:
    """Where a transposed convolution writes along one axis.

    Tap ``r`` of input position ``p`` adds to ``p * stride + r * dilation`` of a plane from which
    ``count`` positions are kept, from ``crop_begin`` on.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    crop_begin: int
    count: int

    @property
    def spread_length(self) -> int:
        """Positions that anything is added to."""
        return (self.size - 1) * self.stride + self.dilation * (self.kernel - 1) + 1

    def positions(self, tap: int) -> slice:
        """Where one tap adds, over all input positions."""
        start = tap * self.dilation
        return slice(start, start + (self.size - 1) * self.stride + 1, self.stride)


def as_image(array: IntegerArray) -> IntegerArray:
    """The same map (or weights) with rows: a map of one dimension has a single row."""
    return array[:, :, None, :] if array.ndim == 3 else array


def as_before(image: IntegerArray, array: IntegerArray) -> IntegerArray:
    """Take the row out of ``image`` again where ``array`` has none."""
    return image[:, :, 0, :] if array.ndim == 3 else image


def window_axes(
    attributes: Mapping[str, Any], sizes: Sequence[int], kernel: Sequence[int]
) -> tuple[WindowAxis, WindowAxis]:
    """Rows and columns of the windows that ONNX attributes describe."""
    rank = len(sizes)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    pads = attributes.get("pads", [0] * 2 * rank)
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    ceil_mode = bool(attributes.get("ceil_mode", 0))
    axes = [
        _window_axis(
            sizes[axis],
            kernel[axis],
            strides[axis],
            dilations[axis],
            (pads[axis], pads[axis + rank]),
            auto_pad,
            ceil_mode,
        )
        for axis in range(rank)
    ]
    single_row = WindowAxis(size=1, kernel=1, stride=1, dilation=1, pad_begin=0, pad_end=0, count=1)
    rows, cols = axes if rank == 2 else (single_row, *axes)
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


def spread_axes(
    attributes: Mapping[str, Any], sizes: Sequence[int], kernel: Sequence[int]
) -> tuple[SpreadAxis, SpreadAxis]:
    """Rows and columns of what a ConvTranspose with these attributes writes."""
    rank = len(sizes)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    pads = attributes.get("pads", [0] * 2 * rank)
    extras = attributes.get("output_padding", [0] * rank)
    lengths = attributes.get("output_shape")
    auto_pad = attributes.get("auto_pad", b"NOTSET").decode()
    axes = []
    for axis in range(rank):
        whole = (sizes[axis] - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1
        whole += extras[axis]
        is_same = auto_pad in ("SAME_UPPER", "SAME_LOWER")
        if lengths is not None or is_same:
            # Some files give the batch and channels, too.
            count = lengths[axis - rank] if lengths is not None else sizes[axis] * strides[axis]
            if lengths is None and count > whole:
                # The standard asks for zeros there, onnxruntime leaves them out.
                raise ValueError("auto_pad asks for more than the kernels reach")
            total = max(0, whole - count)
            begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        elif auto_pad == "VALID":
            begin, count = 0, whole
        else:
            begin, count = pads[axis], whole - pads[axis] - pads[axis + rank]
        axes.append(
            SpreadAxis(
                size=sizes[axis],
                kernel=kernel[axis],
                stride=strides[axis],
                dilation=dilations[axis],
                crop_begin=begin,
                count=count,
            )
        )
    single_row = SpreadAxis(size=1, kernel=1, stride=1, dilation=1, crop_begin=0, count=1)
    rows, cols = axes if rank == 2 else (single_row, *axes)
    return rows, cols


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
    _check_sums(ifm, weights)
    padded = _padded(as_image(ifm), rows, cols, 0)
    kernels = as_image(weights)
    acc = np.zeros((len(ifm), len(weights), rows.count, cols.count), np.int64)
    for filters, channels in _groups(ifm, weights, groups):
        for r, s, window in _taps(padded[:, channels], rows, cols):
            tap_weights = np.ascontiguousarray(kernels[filters, :, r, s])
            acc[:, filters] += np.einsum("kc,ncpq->nkpq", tap_weights, np.ascontiguousarray(window))
    return as_before(acc, ifm)


def convolve_transposed(
    ifm: IntegerArray,
    weights: IntegerArray,
    rows: SpreadAxis,
    cols: SpreadAxis,
    groups: int,
) -> IntegerArray:
    """Exact sums of products ``[N, K, P, Q]``; weights ``[K, C/groups, R, S]`` as of a Conv."""
    _check_sums(ifm, weights)
    image, kernels = as_image(ifm), as_image(weights)
    lengths = [max(axis.spread_length, axis.crop_begin + axis.count) for axis in (rows, cols)]
    plane = np.zeros((len(ifm), len(weights), *lengths), np.int64)
    for filters, channels in _groups(ifm, weights, groups):
        for r, s in np.ndindex(rows.kernel, cols.kernel):
            plane[:, filters, rows.positions(r), cols.positions(s)] += np.einsum(
                "kc,nchw->nkhw", kernels[filters, :, r, s], image[:, channels]
            )
    kept = [slice(axis.crop_begin, axis.crop_begin + axis.count) for axis in (rows, cols)]
    return as_before(plane[:, :, kept[0], kept[1]], ifm)


def _groups(ifm: IntegerArray, weights: IntegerArray, groups: int) -> Iterator[tuple[slice, slice]]:
    """Filters and the channels that they read, group by group."""
    n_filters, group_channels = weights.shape[:2]
    group_filters = n_filters // groups
    assert ifm.shape[1] == groups * group_channels
    assert n_filters == groups * group_filters
    for group in range(groups):
        filters = slice(group * group_filters, (group + 1) * group_filters)
        yield filters, slice(group * group_channels, (group + 1) * group_channels)


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
    padded = _padded(as_image(ifm), rows, cols, raw_min)
    ofm = np.full((*ifm.shape[:2], rows.count, cols.count), raw_min, np.int64)
    for _, _, window in _taps(padded, rows, cols):
        np.maximum(ofm, window, out=ofm)
    return as_before(ofm, ifm)


def sum_pool(
    ifm: IntegerArray, rows: WindowAxis, cols: WindowAxis, *, count_include_pad: bool
) -> tuple[IntegerArray, IntegerArray]:
    """Sum and divisor of each window; what overhangs the declared padding never counts."""
    image = as_image(ifm)
    ones = np.ones((1, 1, *image.shape[2:]), np.int64)
    if count_include_pad:
        pads = ((rows.pad_begin, rows.pad_end), (cols.pad_begin, cols.pad_end))
        counted = np.pad(ones, ((0, 0), (0, 0), *pads), constant_values=1)
        counted = np.pad(counted, ((0, 0), (0, 0), (0, rows.overhang), (0, cols.overhang)))
    else:
        counted = _padded(ones, rows, cols, 0)
    total = np.zeros((*ifm.shape[:2], rows.count, cols.count), np.int64)
    count = np.zeros((1, 1, rows.count, cols.count), np.int64)
    for _, _, window in _taps(_padded(image, rows, cols, 0), rows, cols):
        total += window
    for _, _, window in _taps(counted, rows, cols):
        count += window
    return as_before(total, ifm), as_before(count, ifm)
