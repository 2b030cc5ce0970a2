"""The sums of one tile in a machine's order: fast where no addition can clamp.

What is known before a layer runs is in `Order`. What only its maps tell is found out tile by
tile: a span of products is added in any order if the sums before its chunks prove that no
addition clamps, and otherwise once more, addition by addition.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels.micro_chains import add_chunks, add_products, add_sums
from accel_sim.kernels.micro_sums import multiply
from quantizer.fixedpoint.jit import jit


class Lanes(NamedTuple):
    """Products of a sum, packed, and cut into parts.

    Attributes
    ----------
    weights : int8 or int16[blocks * lanes * filters * values]
        Flat, as in `micro_drivers.PackedFilters`; empty if no block needs them.
    offsets : int64[lanes]
        Where a lane reads the map, relative to the first pixel of a window.
    ends : int64[parts]
        Number of the lane behind each part.
    """

    weights: NDArray[Any]
    offsets: NDArray[np.int64]
    ends: NDArray[np.int64]


class Order(NamedTuple):
    """How the products of a layer are added.

    Attributes
    ----------
    products : Lanes
        One value each, in order; a part is a sum of the lowest level, as far as a span has it.
    sums : Lanes
        The same parts, each in any order.
    chunks : Lanes
        Chunks of products that follow one another, each in any order.
    spans : int64[spans, 2]
        The sum and the chunk behind each span, at whose ends every level but the highest has
        given its sums away.
    closes : int64[sums]
        How many levels, from the lowest, end a sum behind each.
    bits : int64[levels]
        From the lowest; so many that nothing clamps, where nothing can.
    guards : int32[blocks, 2, filters]
        See `micro_chains.add_chunks`.
    is_plain, is_quick : bool[blocks]
        Whether sums of the lowest level cannot clamp, and whether those of all but the highest
        cannot and the guards leave something between them.
    """

    products: Lanes
    sums: Lanes
    chunks: Lanes
    spans: NDArray[np.int64]
    closes: NDArray[np.int64]
    bits: NDArray[np.int64]
    guards: NDArray[np.int32]
    is_plain: NDArray[np.bool_]
    is_quick: NDArray[np.bool_]


@jit
def _end_before(lanes, part):
    return lanes.ends[part - 1] if part else 0


@jit
def _add_sum(kernel, ifm, starts, pixel_step, order, block, number, levels, clamps):
    """Add one sum of the lowest level, and give it to the levels above that it ends."""
    if order.is_plain[block]:
        lanes = order.sums
        first, last = _end_before(lanes, number), lanes.ends[number]
        size = kernel.filters * kernel.lane_values
        multiply(
            kernel, ifm, starts, pixel_step, lanes.weights,
            (block * lanes.offsets.size + first) * size, 1, lanes.offsets[first:last], levels[0],
        )  # fmt: skip
    else:
        lanes = order.products
        first, last = _end_before(lanes, number), lanes.ends[number]
        add_products(
            kernel, ifm, starts, pixel_step, lanes.weights,
            (block * lanes.offsets.size + first) * kernel.filters, lanes.offsets[first:last],
            order.bits[0], levels[0], clamps,
        )  # fmt: skip
    for level in range(order.closes[number]):
        add_sums(kernel, levels[level], order.bits[level + 1], levels[level + 1], clamps)


@jit
def add_in_order(kernel, ifm, starts, pixel_step, order, block, levels, clamps):
    """Add up one tile.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    order : Order
    block : int
        Of filters.
    levels : int32[levels, runs * run_pixels, filters]
        Every element is overwritten; the last level is the accumulators.
    clamps : int64[runs * run_pixels]
        Is overwritten with the clamps at each pixel.
    """
    levels[:] = 0
    clamps[:] = 0
    chunks = order.chunks
    size = kernel.filters * kernel.lane_values
    first_sum = first_chunk = 0
    # Where one span clamped, the next one will.
    is_calm = order.is_quick[block]
    for span in range(len(order.spans)):
        last_sum, last_chunk = order.spans[span]
        is_added = False
        if is_calm:
            lane = _end_before(chunks, first_chunk)
            is_added = add_chunks(
                kernel, ifm, starts, pixel_step, chunks.weights,
                (block * chunks.offsets.size + lane) * size, lane,
                chunks.ends[first_chunk:last_chunk], chunks.offsets, order.guards[block],
                levels[-1],
            )  # fmt: skip
        if not is_added:
            before = clamps.sum()
            for number in range(first_sum, last_sum):
                _add_sum(
                    kernel, ifm, starts, pixel_step, order, block, number, levels, clamps
                )
            is_calm = order.is_quick[block] and clamps.sum() == before
        first_sum, first_chunk = last_sum, last_chunk
