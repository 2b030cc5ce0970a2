"""Chunks of products: in any order, where the sums before them are far enough from a bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.layer_steps.ordered_lanes import (
    Indices,
    Places,
    cut_lanes,
    cut_spans,
    number_chunks,
)
from accel_sim.layer_steps.planned_sums import PlannedSums
from quantizer.fixedpoint.qformat import QFormat

SPAN_PRODUCTS = 512
"""So many are added at once, or else part by part."""
_CHUNK_PRODUCTS = (4, 8, 16, 32, 64)
_BOUNDED_WEIGHTS = 1 << 20
_LANES_PER_CHECK = 2
"""Lanes that take as long as to look whether the sums are within their guards."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far the sums of a layer's parts can go, whatever the map holds.

    Attributes
    ----------
    low, high
        int64[K]: lowest and highest sum of any part, bounded as by `sum_range`.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def stays_within(self, bits: int) -> Flags:
        """Tell of which filters no sum needs more bits, bool[K]."""
        half = 1 << (bits - 1)
        return np.asarray((self.low >= -half) & (self.high < half))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """A way to cut products into spans and chunks.

    Attributes
    ----------
    span_ends
        int64[spans]: the product behind each.
    numbers
        int64[n]: of the chunk that a product belongs to.
    """

    span_ends: Indices
    numbers: Indices


def find_reaches(
    weights: NDArray[np.int16], ifm: QFormat, partitions: Sequence[Indices]
) -> list[Reach]:
    """Bound the sums of the parts of each partition, given by their ends.

    Parameters
    ----------
    weights
        ``[K, n]`` in the order of the products.
    """
    reaches = [
        Reach(low=np.empty(len(weights), np.int64), high=np.empty(len(weights), np.int64))
        for _ in partitions
    ]
    at_once = max(_BOUNDED_WEIGHTS // weights.shape[1], 1)
    for first in range(0, len(weights), at_once):
        filters = slice(first, first + at_once)
        some = weights[filters].astype(np.int64)
        positive, negative = np.maximum(some, 0), np.minimum(some, 0)
        down = np.cumsum(positive * ifm.raw_min + negative * ifm.raw_max, axis=1)
        up = np.cumsum(positive * ifm.raw_max + negative * ifm.raw_min, axis=1)
        for reach, ends in zip(reaches, partitions, strict=True):
            reach.low[filters] = np.diff(down[:, ends - 1], axis=1, prepend=0).min(axis=1)
            reach.high[filters] = np.diff(up[:, ends - 1], axis=1, prepend=0).max(axis=1)
    return reaches


def propose_chunks(places: Places, lane_values: int, sums: PlannedSums) -> list[Chunking]:
    """Propose chunks of some lengths, rising up to the first that takes in all products."""
    n_products, window = places.channels.size, lane_values * places.offsets.size
    found = []
    for length in sorted({*_CHUNK_PRODUCTS, window, 2 * window, 4 * window}):
        span_products = max(SPAN_PRODUCTS // length, 1) * length
        span_ends = cut_spans(sums.levels.closes, len(sums.levels.bits), span_products)
        numbers = number_chunks(span_ends, length)
        found.append(Chunking(span_ends=span_ends, numbers=numbers))
        if length >= n_products:
            break
    return found


def choose_chunks(
    chunkings: Sequence[Chunking],
    reaches: Sequence[Reach],
    places: Places,
    lane_values: int,
    bits: int,
) -> int:
    """Choose one of the chunkings, by its number.

    Few lanes take little time; but where a chunk can add up much, sums are seldom so far from
    their bounds that it may be added at once. So that which takes least time of those whose
    chunks cannot cross half of the range; at least the shortest chunks.
    """
    times: list[int] = []
    for chunking, reach in zip(chunkings, reaches, strict=True):
        if times and (reach.high - reach.low).max() > 1 << (bits - 1):
            break
        cut = cut_lanes(places, chunking.numbers, lane_values)
        times.append(cut.offsets.size + _LANES_PER_CHECK * cut.ends.size)
    return int(np.argmin(times))


def find_guards(reach: Reach, bits: int, stays: Flags) -> NDArray[np.int64]:
    """Find between which sums the chunks of each filter cannot clamp.

    Returns
    -------
    ndarray
        int64[2, K]: the lowest such sum, and from there to the highest; negative if there is
        none.
    """
    half = 1 << (bits - 1)
    lowest = -half - reach.low
    span = half - 1 - reach.high - lowest
    # A filter that never clamps needs no guards.
    return np.array([np.where(stays, 0, lowest), np.where(stays, (1 << 32) - 1, span)])
