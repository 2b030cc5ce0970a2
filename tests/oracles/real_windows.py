"""Windows of real maps, gathered by index: the convolutions and pools of `fake_quant`.

Maps are ``[N, C, H, W]`` or ``[N, C, W]``; the latter are taken as maps of one row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RealArray = NDArray[np.float64]


def window_positions(
    attributes: Mapping[str, Any], axis: int, size: int, kernel: int, n_axes: int = 2
) -> tuple[NDArray[np.int64], int, int]:
    """Positions ``[windows, kernel]`` that windows read along one axis, and its two pads.

    Positions before 0 or from ``size`` on lie in the padding or beyond it. ``n_axes`` are the
    axes of space, of which the attributes hold a number each.
    """
    stride = attributes.get("strides", [1] * n_axes)[axis]
    dilation = attributes.get("dilations", [1] * n_axes)[axis]
    pads = attributes.get("pads", [0] * 2 * n_axes)
    begin, end = pads[axis], pads[axis + n_axes]
    taps = np.arange(kernel) * dilation
    auto_pad = attributes.get("auto_pad", b"NOTSET")
    if auto_pad == b"VALID":
        begin = end = 0
    if auto_pad in (b"SAME_UPPER", b"SAME_LOWER"):
        n_windows = (size + stride - 1) // stride
        missing = max(0, (n_windows - 1) * stride + int(taps[-1]) + 1 - size)
        begin, end = missing // 2, missing // 2
        if missing % 2 and auto_pad == b"SAME_UPPER":
            end += 1
        elif missing % 2:
            begin += 1
    last_start = size + end - int(taps[-1]) - 1
    starts = list(range(-begin, last_start + 1, stride))
    following = starts[-1] + stride
    if attributes.get("ceil_mode", 0) and starts[-1] < last_start and following < size:
        starts.append(following)
    return np.array(starts)[:, None] + taps, begin, end


def gather(
    attributes: Mapping[str, Any], ifm: RealArray, fill: float, kernel: Sequence[int]
) -> tuple[RealArray, RealArray]:
    """Windows ``[N, C, P, Q, R, S]`` and how many positions of each an average counts."""
    n_axes = ifm.ndim - 2
    image = ifm if n_axes == 2 else ifm[:, :, None]
    height, width = image.shape[2:]
    cols, left, right = window_positions(attributes, n_axes - 1, width, kernel[-1], n_axes)
    rows, top, bottom = np.zeros((1, 1), np.int64), 0, 0
    if n_axes == 2:
        rows, top, bottom = window_positions(attributes, 0, height, kernel[0])
    # Enough padding on every side for any position a window reads.
    margins = (
        max(0, -int(rows.min())),
        max(0, int(rows.max()) + 1 - height),
        max(0, -int(cols.min())),
        max(0, int(cols.max()) + 1 - width),
    )
    padded = np.pad(image, ((0, 0), (0, 0), margins[:2], margins[2:]), constant_values=fill)
    windows = padded[
        :, :, (rows + margins[0])[:, None, :, None], (cols + margins[2])[None, :, None, :]
    ]
    if not attributes.get("count_include_pad", 0):
        top = bottom = left = right = 0
    counted_rows = ((rows >= -top) & (rows < height + bottom)).sum(axis=1)
    counted_cols = ((cols >= -left) & (cols < width + right)).sum(axis=1)
    return windows, np.multiply.outer(counted_rows, counted_cols).astype(np.float64)


def without_row(image: RealArray, ifm: RealArray) -> RealArray:
    """Take the row out again that `gather` gave a map of one dimension."""
    return image[:, :, 0] if ifm.ndim == 3 else image


def convolve(attributes: Mapping[str, Any], ifm: RealArray, weights: RealArray) -> RealArray:
    """Sums of products ``[N, K, P, Q]`` as matrix products over gathered windows."""
    windows, _ = gather(attributes, ifm, 0.0, weights.shape[2:])
    n_images, _, n_rows, n_cols = windows.shape[:4]
    groups = attributes.get("group", 1)
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n_images * n_rows * n_cols, groups, -1)
    filters = weights.reshape(groups, len(weights) // groups, -1)
    parts = [columns[:, group] @ filters[group].T for group in range(groups)]
    sums = np.concatenate(parts, axis=1).reshape(n_images, n_rows, n_cols, len(weights))
    return without_row(sums.transpose(0, 3, 1, 2), ifm)


def convolve_transposed(
    attributes: Mapping[str, Any], ifm: RealArray, weights: RealArray
) -> RealArray:
    """Convolve a map, with zeros between its values, with the filters turned around.

    Weights are ``[K, C/groups, R, S]``, as those of a Conv.
    """
    n_axes = ifm.ndim - 2
    strides = attributes.get("strides", [1] * n_axes)
    dilations = attributes.get("dilations", [1] * n_axes)
    extras = attributes.get("output_padding", [0] * n_axes)
    pads = attributes.get("pads", [0] * 2 * n_axes)
    auto_pad = attributes.get("auto_pad", b"NOTSET")
    spread = np.zeros(
        (*ifm.shape[:2], *((n - 1) * s + 1 for n, s in zip(ifm.shape[2:], strides, strict=True)))
    )
    spread[tuple([slice(None)] * 2 + [slice(None, None, stride) for stride in strides])] = ifm
    begins, ends = [], []
    for axis in range(n_axes):
        reach = dilations[axis] * (weights.shape[2 + axis] - 1)
        length = spread.shape[2 + axis] + reach + extras[axis]
        if "output_shape" in attributes:
            surplus = length - attributes["output_shape"][axis - n_axes]
        elif auto_pad in (b"SAME_UPPER", b"SAME_LOWER"):
            surplus = length - ifm.shape[2 + axis] * strides[axis]
            if surplus < 0:
                raise ValueError("auto_pad asks for more than the kernels reach")
        elif auto_pad == b"VALID":
            surplus = 0
        else:
            surplus = None
        if surplus is None:
            cut_begin, cut_end = pads[axis], pads[axis + n_axes]
        elif surplus < 0:
            cut_begin, cut_end = 0, surplus
        else:
            small, large = surplus // 2, surplus - surplus // 2
            cut_begin, cut_end = (small, large) if auto_pad == b"SAME_UPPER" else (large, small)
        begins.append(reach - cut_begin)
        ends.append(reach + extras[axis] - cut_end)
    widths = [(0, 0), (0, 0), *((max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True))]
    padded = np.pad(spread, widths)
    kept = [slice(None)] * 2 + [
        slice(max(-begin, 0), length - max(-end, 0))
        for begin, end, length in zip(begins, ends, padded.shape[2:], strict=True)
    ]
    turned = weights[tuple([slice(None)] * 2 + [slice(None, None, -1)] * n_axes)]
    plain = {"dilations": dilations, "group": attributes.get("group", 1)}
    return convolve(plain, padded[tuple(kept)], turned)
