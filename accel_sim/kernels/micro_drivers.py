"""Drivers of the micro-kernels: one image through one layer, tile by tile.

The processor's path decides the micro-kernel, by the type of `kernel`; all else is shared.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels.micro_kernels import RUNS
from accel_sim.kernels.micro_order import OrderWorkspace, add_in_order
from accel_sim.kernels.micro_stage import LANES, finish
from accel_sim.kernels.micro_sums import multiply
from quantizer.fixedpoint.jit import jit

PLANE_BITS = 8
"""Of weights that are taken apart, in all planes but the highest."""


class PackedFilters(NamedTuple):
    """The filters of a layer, in blocks as wide as the micro-kernel.

    Attributes
    ----------
    weights : int8 or int16[planes * blocks * segments * lanes * filters * values]
        Flat; zeros where a block has fewer filters, or a segment fewer values.
    blocks : int64[blocks, 3]
        First filter, number of filters, and the channel that its segments start from.
    segments : int64[segments]
        Where neighbouring values of the map meet neighbouring weights, relative to the first
        pixel of a window.
    lanes : int
        Of every segment.
    step : int
        Channels of a pixel where outputs are written: the filters, or more.
    """

    weights: NDArray[Any]
    blocks: NDArray[np.int64]
    segments: NDArray[np.int64]
    lanes: int
    step: int


class Tiles(NamedTuple):
    """The outputs of a layer, in runs of neighbours of one row.

    Attributes
    ----------
    runs : int64[2 * n, 4]
        Where the window of the first pixel starts in the packed map, the index of that
        pixel in the ofm, the first pixel that no other run gives, and the one behind the last.
    pixel_step : int
        From the window of one pixel to that of the next.
    strip_runs : int
        All filters pass over so many runs, whose part of the map stays in the cache.
    """

    runs: NDArray[np.int64]
    pixel_step: int
    strip_runs: int


class Carries(NamedTuple):
    """Sums of more than 32 bits: where they are carried, in planes of weights.

    Weights are the sum of planes, `PLANE_BITS` apart.

    Attributes
    ----------
    segments : int64[n, 3]
        Of every plane and block of filters, one after another; see `multiply`.
    ends : int64[planes, blocks, 2]
        The first of each, and the one behind the last.
    """

    segments: NDArray[np.int64]
    ends: NDArray[np.int64]


class Workspace(NamedTuple):
    """Room for one tile.

    Attributes
    ----------
    sums : int32 or int64[runs * run_pixels, filters]
        Of 64 bits where a sum, or the output stage, needs more than 32.
    lower, upper : int32[runs * run_pixels, filters]
        Of `multiply`, where it carries; else not used.
    order : OrderWorkspace or None
        None where additions may take any order.
    spare : uint8[run_pixels * filters * bytes]
        Outputs of an incomplete block.
    """

    sums: NDArray[Any]
    lower: NDArray[np.int32]
    upper: NDArray[np.int32]
    order: OrderWorkspace | None
    spare: NDArray[np.uint8]


@jit
def _copy_outputs(spare, spare_step, n_bytes, n_pixels, ofm, place, step):
    for _ in range(n_pixels):
        # Between slices, an assignment compiles the strings of its error message: two seconds.
        for byte in range(n_bytes):
            ofm[place + byte] = spare[byte]
        spare, place = spare[spare_step:], place + step


@jit
def convolve(kernel, ifm, filters, order, carries, tiles, stage, work, size, ofm):
    """Run one image through a layer.

    Parameters
    ----------
    kernel : MicroKernel
    ifm : uint8, int16 or int32[values]
        Packed map.
    filters : PackedFilters
    order : Order or None
        None where additions may take any.
    carries : Carries or None
        None where sums and output stage fit 32 bits.
    tiles : Tiles
    stage : Stage
    work : Workspace
    size : int
        Bytes of an output: 1, 2 or 4.
    ofm : uint8[bytes]
        Outputs of a pixel side by side. Those of all filters are overwritten.

    Returns
    -------
    tuple of int64
        Sums that left the accumulator, or additions that clamped; and outputs that the format
        clipped.
    """
    n_runs, n_blocks, n_segments = len(tiles.runs), len(filters.blocks), len(filters.segments)
    segment_weights = filters.lanes * kernel.filters * kernel.lane_values
    step, spare_step = filters.step * size, kernel.filters * size
    overflows = saturations = 0
    for strip in range(0, n_runs, tiles.strip_runs):
        for block in range(n_blocks):
            first_filter, n_filters, channel = filters.blocks[block]
            # The stage writes whole vectors.
            is_whole = n_filters % LANES == 0 or n_filters == kernel.filters
            for t in range(strip, min(strip + tiles.strip_runs, n_runs), RUNS):
                starts = (tiles.runs[t, 0] + channel, tiles.runs[t + 1, 0] + channel)
                if order is not None:
                    for run in range(RUNS):
                        row = run * kernel.run_pixels
                        _, _, first, last = tiles.runs[t + run]
                        work.order.counted[row : row + kernel.run_pixels] = 0
                        work.order.counted[row + first : row + last] = -1
                    overflows += add_in_order(
                        kernel, ifm, starts, tiles.pixel_step, order, block, work.order
                    )
                    top = len(work.order.levels) - 1
                    for i in range(work.sums.shape[0]):
                        for k in range(work.sums.shape[1]):
                            work.sums[i, k] = work.order.levels[top, i, k]
                elif carries is None:
                    multiply(
                        kernel, ifm, starts, tiles.pixel_step, filters.weights,
                        block * n_segments * segment_weights, filters.lanes, filters.segments,
                        work.sums, None,
                    )  # fmt: skip
                else:
                    for plane in range(len(carries.ends)):
                        begin, end = carries.ends[plane, block]
                        weight = (plane * n_blocks + block) * n_segments * segment_weights
                        multiply(
                            kernel, ifm, starts, tiles.pixel_step, filters.weights, weight, None,
                            carries.segments[begin:end], work.lower, work.upper,
                        )  # fmt: skip
                        for i in range(work.sums.shape[0]):
                            for k in range(work.sums.shape[1]):
                                total = (np.int64(work.upper[i, k]) << 16) + work.lower[i, k]
                                below = work.sums[i, k] if plane else 0
                                work.sums[i, k] = below + (total << (plane * PLANE_BITS))
                for run in range(RUNS):
                    _, pixel, first, last = tiles.runs[t + run]
                    if first == last:
                        continue
                    place = (pixel + first) * step + first_filter * size
                    events = finish(
                        kernel,
                        work.sums,
                        (run * kernel.run_pixels + first, run * kernel.run_pixels + last),
                        n_filters if is_whole else kernel.filters,
                        stage.constants[block],
                        stage.limits,
                        stage.is_simple,
                        size,
                        ofm if is_whole else work.spare,
                        place if is_whole else 0,
                        step if is_whole else spare_step,
                    )
                    overflows += events[0]
                    saturations += events[1]
                    if not is_whole:
                        n_bytes = n_filters * size
                        _copy_outputs(
                            work.spare, spare_step, n_bytes, last - first, ofm, place, step
                        )
    return overflows, saturations
