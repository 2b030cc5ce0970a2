"""Sums through accumulators of limited width, one addition after another, in Python integers.

`run_plan` executes an accumulation plan as it is written down; the other functions walk what
a machine does with the products of one output. Products are lists, or dicts by (c, r, s).
`run_plan_at_all` is `run_plan` for many outputs at once, each product an array.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np


@dataclass
class Level:
    """One level: its loops as (dimension, step), outermost first, and how it adds.

    Dimensions are 0 for channels, 1 for filter rows and 2 for filter columns.
    """

    loops: list
    max_terms: int | None
    is_tree: bool
    starts_from_zero: bool
    bits: int
    saturates: bool


class Adder:
    """Adds two integers in so many bits and counts the additions that clamp."""

    def __init__(self):
        self.clamps = 0

    def add(self, a, b, bits, saturates):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        total = a + b
        if not saturates:
            return (total - low) % 2**bits + low
        held = min(max(total, low), high)
        self.clamps += held != total
        return held


class ArrayAdder(Adder):
    """Adds arrays of int64, element by element; all clamps are counted together."""

    def add(self, a, b, bits, saturates):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        total = a + b
        if not saturates:
            return (total - low) % 2**bits + low
        held = np.clip(total, low, high)
        self.clamps += int(np.count_nonzero(held != total))
        return held


def run_plan(levels, products, extents):
    """The sum and the number of clamped additions; levels from the lowest."""
    return _run(Adder(), levels, products, extents)


def run_plan_at_all(levels, products, extents):
    """The sums of many outputs, and the number of their clamped additions."""
    return _run(ArrayAdder(), levels, products, extents)


def _run(adder, levels, products, extents):
    whole = [range(extent) for extent in extents]
    (total,) = _sums(adder, levels, len(levels) - 1, products, whole)
    return total, adder.clamps


def _sums(adder, levels, number, products, region):
    """All sums that a level gives within a region, in their order."""
    level = levels[number]
    terms = []
    for inner in _regions(level.loops, region):
        if number == 0:
            ((c,), (r,), (s,)) = inner
            terms.append(products[c, r, s])
        else:
            terms += _sums(adder, levels, number - 1, products, inner)
    size = level.max_terms or len(terms)
    parts = [terms[start : start + size] for start in range(0, len(terms), size)]
    return [_add_up(adder, level, part) for part in parts]


def _regions(loops, region):
    if not loops:
        return [region]
    (dimension, step), *inside = loops
    found = []
    for start in range(0, len(region[dimension]), step):
        part = list(region)
        part[dimension] = region[dimension][start : start + step]
        found += _regions(inside, part)
    return found


def _add_up(adder, level, terms):
    if level.is_tree:
        while len(terms) > 1:
            pairs = [
                adder.add(terms[i], terms[i + 1], level.bits, level.saturates)
                for i in range(0, len(terms) - 1, 2)
            ]
            terms = pairs + ([terms[-1]] if len(terms) % 2 else [])
        return terms[0]
    total, rest = (0, terms) if level.starts_from_zero else (terms[0], terms[1:])
    for term in rest:
        total = adder.add(total, term, level.bits, level.saturates)
    return total


# What machines do. Channels are cut into tiles of so many; a tile's products run channel by
# channel, in each of them row by row.


def _tiles(products, extents, tile_channels):
    for first in range(0, extents[0], tile_channels):
        channels = range(first, min(first + tile_channels, extents[0]))
        yield [products[place] for place in product(channels, range(extents[1]), range(extents[2]))]


def _sums_of(terms, size):
    return [sum(terms[first : first + size]) for first in range(0, len(terms), size)]


def output_stationary(products, extents, tile_channels, bits, saturates=True, at_once=1):
    """The accumulator of a processing element; between tiles its sum is in the psum memory.

    It takes the exact sum of `at_once` products in one addition.
    """
    adder = Adder()
    memory = 0
    for tile in _tiles(products, extents, tile_channels):
        accumulator = memory
        for term in _sums_of(tile, at_once):
            accumulator = adder.add(accumulator, term, bits, saturates)
        memory = accumulator
    return memory, adder.clamps


def weight_stationary(products, extents, tile_channels, bits, rows, saturates=True, at_once=1):
    """Columns of `rows` processing elements; folds are added in the psum memory.

    Each element adds the exact sum of `at_once` products.
    """
    adder = Adder()
    memory = None
    for tile in _tiles(products, extents, tile_channels):
        terms = _sums_of(tile, at_once)
        for first in range(0, len(terms), rows):
            column = 0
            for term in terms[first : first + rows]:
                column = adder.add(column, term, bits, saturates)
            memory = column if memory is None else adder.add(memory, column, bits, saturates)
    return memory, adder.clamps


def channel_parallel(products, extents, tile_channels, bits, rows, saturates=True):
    """Exact sums of up to `rows` channels at one tap, added in the psum memory, from zero.

    All taps of a tile's first channels, then those of its next.
    """
    adder = Adder()
    memory = 0
    for first_of_tile in range(0, extents[0], tile_channels):
        tile = list(range(extents[0]))[first_of_tile : first_of_tile + tile_channels]
        for first in range(0, len(tile), rows):
            for r, s in product(range(extents[1]), range(extents[2])):
                tree = sum(products[c, r, s] for c in tile[first : first + rows])
                memory = adder.add(memory, tree, bits, saturates)
    return memory, adder.clamps


def trees_of_any_products(products, extents, bits, rows, saturates=True):
    """The same where a tree takes products as they stream: channels, then taps."""
    adder = Adder()
    memory = 0
    (stream,) = _tiles(products, extents, extents[0])
    for first in range(0, len(stream), rows):
        memory = adder.add(memory, sum(stream[first : first + rows]), bits, saturates)
    return memory, adder.clamps


def row_stationary(products, extents, tile_channels, bits, channels_of_pe, saturates=True):
    """Processing elements that hold a row of a filter, for some channels, above one another.

    Each adds up its row from zero, then its sum to the one that comes from below; the first
    takes what the psum memory holds, and the memory what the last gives.
    """
    adder = Adder()
    memory = 0
    for first_of_tile in range(0, extents[0], tile_channels):
        tile = list(range(extents[0]))[first_of_tile : first_of_tile + tile_channels]
        for first in range(0, len(tile), channels_of_pe):
            for r in range(extents[1]):
                element = 0
                for c, s in product(tile[first : first + channels_of_pe], range(extents[2])):
                    element = adder.add(element, products[c, r, s], bits, saturates)
                memory = adder.add(memory, element, bits, saturates)
    return memory, adder.clamps
