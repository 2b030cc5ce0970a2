"""How products in a machine's order are cut into parts, and parts into lanes of the map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where products in their order find the map.

    Attributes
    ----------
    channels, taps
        int64[n]: channel within a group, and tap of the window.
    offsets
        int64[taps]: what a tap adds to the place of a window, in values of the packed map.
    """

    channels: Indices
    taps: Indices
    offsets: Indices

    @property
    def of_products(self) -> Indices:
        """Place of each product, from where a window starts; int64[n]."""
        return self.offsets[self.taps] + self.channels


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneCut:
    """Products of consecutive parts, in lanes of neighbours in the map.

    Attributes
    ----------
    lanes, values
        int64[n]: to which lane each product goes, and as which value of it.
    offsets
        int64[lanes]: where each lane starts to read, from where a window starts.
    ends
        int64[parts]: number of the lane behind each part.
    """

    lanes: Indices
    values: Indices
    offsets: Indices
    ends: Indices


def cut_lanes(places: Places, parts: Indices, lane_values: int) -> LaneCut:
    """Put the products of every part, in any order, into as few lanes as their channels allow.

    Parameters
    ----------
    parts
        int64[n]: ascending from 0.
    """
    # Of the channels that a part reads at a tap, lanes start from the first.
    _, group = np.unique(parts * places.offsets.size + places.taps, return_inverse=True)
    first = np.full(group.max() + 1, places.channels.max())
    np.minimum.at(first, group, places.channels)
    values = (places.channels - first[group]) % lane_values
    starts = places.of_products - values
    reach = int(starts.max()) + 1
    lane_keys, lanes = np.unique(parts * reach + starts, return_inverse=True)
    lane_parts, offsets = np.divmod(lane_keys, reach)
    ends = np.searchsorted(lane_parts, np.arange(parts[-1] + 1), side="right")
    return LaneCut(lanes=lanes, values=values, offsets=offsets, ends=ends)


def find_ends(parts: Indices) -> Indices:
    """Give the product behind each part, of parts numbered from 0 without gaps."""
    return np.append(np.flatnonzero(np.diff(parts)) + 1, parts.size)


def cut_spans(closes: Indices, levels: int, products: int) -> Indices:
    """Cut products where every sum but the highest ends; give the product behind each span.

    Parameters
    ----------
    closes
        int64[n]: levels, from the lowest, that end a sum behind each product.
    products
        Of a span, about.
    """
    ends = 1 + np.flatnonzero(closes == levels - 1)
    found, first = [], 0
    while first < closes.size:
        # The last end within reach, or else the next one.
        reach = np.searchsorted(ends, first + products, side="right") - 1
        first = int(ends[max(reach, np.searchsorted(ends, first, side="right"))])
        found.append(first)
    return np.array(found)


def number_chunks(span_ends: Indices, length: int) -> Indices:
    """Give each product the number of its chunk, of so many; a span's last may be shorter."""
    numbers, first, count = [], 0, 0
    for end in span_ends.tolist():
        numbers.append(count + np.arange(end - first) // length)
        count = int(numbers[-1][-1]) + 1
        first = end
    return np.concatenate(numbers)
