"""How maps, filters and outputs are laid out for the micro-kernels.

A map is padded and stored pixel by pixel, all channels of a pixel side by side, in integers
as narrow as the micro-kernel takes. Values that these do not hold are shifted by an offset,
which the sums are corrected for. Nothing outside the kernels and their callers sees it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels.micro_bands import Band, Shape
from accel_sim.kernels.micro_drivers import PackedFilters, Tiles
from accel_sim.kernels.micro_kernels import RUNS, Family, Maps, MicroKernel, Path, Weights

_STRIP_RUNS = 32
_CACHE_LINE = 64


def aligned(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Give room that starts a cache line: vectors that cross one cost twice."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + _CACHE_LINE, np.uint8)
    # `ctypes.data` would take longer than a small layer.
    first = -room.__array_interface__["data"][0] % _CACHE_LINE
    return room[first : first + size].view(dtype).reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A convolution laid out for one micro-kernel.

    Attributes
    ----------
    padded
        Rows, cols and channels of the packed map.
    size
        Values of the packed map, with those that are read behind its last pixel.
    """

    kernel: MicroKernel
    maps: Maps
    shape: Shape
    tiles: Tiles
    filters: PackedFilters
    padded: tuple[int, int, int]
    size: int

    @property
    def packed_weights(self) -> NDArray[np.integer[Any]]:
        """Weights as [planes, blocks, segments, lanes, filters, values]."""
        filters, kernel = self.filters, self.kernel
        return filters.weights.reshape(
            -1,
            len(filters.blocks),
            len(filters.segments),
            filters.lanes,
            kernel.filters,
            kernel.lane_values,
        )


def find_family(
    path: Path, map_bits: int, weights: NDArray[np.integer[Any]], is_narrow: bool
) -> Family | None:
    """Find the fastest micro-kernels of a path that hold the operands.

    Parameters
    ----------
    is_narrow
        Whether sums and output stage need no more than 32 bits. Otherwise only the widest
        micro-kernels do: few layers are of that kind, and fewer drivers are compiled.
    """
    families = path.families if is_narrow else path.families[-1:]
    return next((one for one in families if one.holds(map_bits, weights)), None)


def find_offset(maps: Maps, raw_min: int, raw_max: int) -> int:
    """Find what is added to raw values so that they fit the integers of a packed map."""
    held = np.iinfo(maps)
    return 0 if held.min <= raw_min and raw_max <= held.max else int(held.min) - raw_min


def lay_out(
    family: Family, band: Band, shape: Shape, planes: Sequence[NDArray[np.integer[Any]]]
) -> Layout:
    """Pack the filters of a band.

    Parameters
    ----------
    shape
        As `cut_bands` gives it.
    planes
        ``[K, C/groups, R, S]`` each; powers of two apart, where more than one.
    """
    kernel = band.kernel
    segments, values = _cut_window(shape, kernel, planes)
    reach = kernel.filters if shape.is_depthwise else values.shape[3]
    return arrange(family, band, shape, segments, values, int(segments.max()) + reach)


def arrange(
    family: Family,
    band: Band,
    shape: Shape,
    segments: NDArray[np.int64],
    values: NDArray[np.integer[Any]],
    reach: int,
) -> Layout:
    """Pack filters that are cut into segments, and cut the outputs into tiles.

    Parameters
    ----------
    segments
        int64[n]: where each starts to read, from where a window starts.
    values
        Weights as [planes, K, segments, values], a whole number of lanes each.
    reach
        Values of the map from where a window starts to behind the last that is read.
    """
    kernel = band.kernel
    blocks = _cut_filters(shape, band)
    tiles = _cut_outputs(shape, kernel)
    last_pixel = int(tiles.runs[:, 0].max()) + (kernel.run_pixels - 1) * tiles.pixel_step
    rows, cols = shape.touched
    dtype = np.int16 if shape.is_depthwise else family.weights
    return Layout(
        kernel=kernel,
        maps=family.maps,
        shape=shape,
        tiles=tiles,
        filters=PackedFilters(
            weights=pack_filters(kernel, blocks, values, dtype).reshape(-1),
            blocks=blocks,
            segments=segments,
            lanes=values.shape[3] // kernel.lane_values,
            step=shape.ofm[0],
        ),
        padded=(rows, cols, shape.ifm[0]),
        size=max(last_pixel + int(blocks[:, 2].max()) + reach, rows * cols * shape.ifm[0]),
    )


def _cut_filters(shape: Shape, band: Band) -> NDArray[np.int64]:
    """Blocks of filters of one group; of a depthwise layer, of as many groups."""
    width = band.kernel.filters
    groups = 1 if shape.is_depthwise else shape.groups
    filters, channels = shape.ofm[0] // groups, shape.ifm[0] // groups
    return np.array(
        [
            (
                group * filters + first,
                min(width, band.last - first),
                first if shape.is_depthwise else group * channels,
            )
            for group in range(groups)
            for first in range(band.first, band.last, width)
        ]
    )


def _cut_window(
    shape: Shape, kernel: MicroKernel, planes: Sequence[NDArray[np.integer[Any]]]
) -> tuple[NDArray[np.int64], NDArray[np.integer[Any]]]:
    """Cut the window into segments of neighbours; weights as [planes, K, segments, values]."""
    channels, cols = shape.ifm[0], shape.touched[1]
    # [planes, K, R, S, C/groups]: neighbours of the packed map last.
    weights = np.stack(planes).transpose(0, 1, 3, 4, 2)
    rows = np.arange(shape.window[0]) * shape.dilation[0] * cols * channels
    if shape.groups == 1 and shape.dilation[1] == 1:
        starts = rows
    else:
        taps = np.arange(shape.window[1]) * shape.dilation[1] * channels
        starts = (rows[:, None] + taps).reshape(-1)
    weights = weights.reshape(*weights.shape[:2], len(starts), -1)
    missing = -weights.shape[3] % kernel.lane_values
    if missing:
        weights = np.pad(weights, ((0, 0), (0, 0), (0, 0), (0, missing)))
    return starts, weights


def _cut_outputs(shape: Shape, kernel: MicroKernel) -> Tiles:
    """Cut every row of outputs into runs; the last of a row reaches back."""
    (channels, _, _), (_, out_rows, out_cols) = shape.ifm, shape.ofm
    row_step = shape.stride[0] * shape.touched[1] * channels
    pixel_step = shape.stride[1] * channels
    cols = np.arange(0, out_cols, kernel.run_pixels)
    begins = np.minimum(cols, max(out_cols - kernel.run_pixels, 0))
    ends = np.minimum(kernel.run_pixels, out_cols - begins)
    rows = np.arange(out_rows)[:, None]
    runs = np.stack(
        [
            (rows * row_step + begins * pixel_step).reshape(-1),
            (rows * out_cols + begins).reshape(-1),
            np.tile(cols - begins, out_rows),
            np.tile(ends, out_rows),
        ],
        axis=1,
    )
    spare = np.zeros((-len(runs) % RUNS, 4), np.int64)
    # A depthwise layer has little use for a value: all of its channels have to be near.
    strip_runs = RUNS if shape.is_depthwise else _STRIP_RUNS
    return Tiles(np.concatenate([runs, spare]), pixel_step, strip_runs)


def pack_filters(
    kernel: MicroKernel, blocks: NDArray[np.int64], weights: NDArray[Any], dtype: Weights
) -> NDArray[Any]:
    """Give [planes, blocks, segments, lanes, filters, values]."""
    planes, _, segments, values = weights.shape
    lanes = values // kernel.lane_values
    packed = aligned(
        (planes, len(blocks), segments, lanes, kernel.filters, kernel.lane_values), dtype
    )
    packed[:] = 0
    for block, (first, count, _) in enumerate(blocks.tolist()):
        part = weights[:, first : first + count].reshape(planes, count, segments, lanes, -1)
        packed[:, block, :, :, :count] = part.transpose(0, 2, 3, 1, 4)
    return packed
