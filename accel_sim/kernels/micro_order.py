"""The sums of one tile in a machine's order: fast where no addition can clamp.

What is known before a layer runs is in `Order`. What only its maps tell is found out tile by
tile: a span of products is added in any order if the sums before its chunks prove that no
addition clamps, and otherwise once more, addition by addition.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels.micro_chains import add_chunks, add_lanes, add_products, add_sums
from quantizer.fixedpoint.jit import jit

_LONGEST_WAIT = 64
"""Tiles after which a span is tried the quick way again; twice as many each time that fails."""


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
    corrections : int32[blocks, parts, filters]
        What a part lacks because maps are shifted, modulo ``2**32``; none where they cannot be.
    """

    weights: NDArray[Any]
    offsets: NDArray[np.int64]
    ends: NDArray[np.int64]
    corrections: NDArray[np.int32]


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
    shift : int
        What values of packed maps lack: 0, or ``2**15``.
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
    shift: int
    guards: NDArray[np.int32]
    is_plain: NDArray[np.bool_]
    is_quick: NDArray[np.bool_]


class OrderWorkspace(NamedTuple):
    """Room for one tile, and how its spans went in the tiles before: neighbours are alike.

    Attributes
    ----------
    levels : int32[levels, runs * run_pixels, filters]
        Sums.
    counted : int64[runs * run_pixels]
        All bits set where a pixel's clamps count, else none.
    waits : int64[blocks, spans, 2]
        For how many tiles chunks are not tried, and for how many they were not when they last
        were tried in vain; 0 if they could be added.
    is_tense : bool[sums]
        Whether a product clamped.
    """

    levels: NDArray[np.int32]
    counted: NDArray[np.int64]
    waits: NDArray[np.int64]
    is_tense: NDArray[np.bool_]


@jit
def add_in_order(kernel, ifm, starts, pixel_step, order, block, work):
    """Add up one tile.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    order : Order
    block : int
        Of filters.
    work : OrderWorkspace
        Levels are overwritten; the last is the accumulators.

    Returns
    -------
    int64
        Additions that clamped, at the pixels that count.
    """
    levels, bits = work.levels, order.bits
    products, sums, chunks = order.products, order.sums, order.chunks
    levels[:] = 0
    clamps = 0
    # No calls in the loops: to pass an order on takes longer than a short sum.
    number = first_chunk = 0
    for span in range(len(order.spans)):
        last_sum, last_chunk = order.spans[span]
        is_added, wait = False, work.waits[block, span]
        if wait[0]:
            wait[0] -= 1
        elif order.is_quick[block]:
            is_added = add_chunks(
                kernel, ifm, starts, pixel_step, chunks.weights, chunks.offsets, chunks.ends,
                chunks.corrections, (first_chunk, last_chunk), order.guards, block, levels,
            )  # fmt: skip
            wait[:] = 0 if is_added else min(max(2 * wait[1], 1), _LONGEST_WAIT)
        if is_added:
            number = last_sum
        else:
            lanes = sums if order.is_plain[block] else products
            first_lane = lanes.ends[number - 1] if number else 0
            while number < last_sum:
                last_lane = lanes.ends[number]
                if order.is_plain[block]:
                    clamps += add_lanes(
                        kernel, ifm, starts, pixel_step, sums.weights, sums.offsets,
                        sums.corrections, number, (first_lane, last_lane), block, bits, levels,
                        work.counted,
                    )  # fmt: skip
                else:
                    found = add_products(
                        kernel, ifm, starts, pixel_step, products.weights, products.offsets,
                        (first_lane, last_lane), block, order.shift, work.is_tense[number], bits,
                        levels, work.counted,
                    )  # fmt: skip
                    work.is_tense[number] = found[0] > 0
                    clamps += found[0] + found[1]
                for level in range(1, order.closes[number]):
                    clamps += add_sums(kernel, level, bits, levels, work.counted)
                first_lane = last_lane
                number += 1
        first_chunk = last_chunk
    return clamps
