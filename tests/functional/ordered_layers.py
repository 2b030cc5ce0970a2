"""Layers that saturate, at random: numbers, plans, and what the oracle makes of them."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import AccumulationPlan, Adder, Dimension, Start
from quantizer.fixedpoint.qformat import Overflow, QFormat
from quantizer.network.layers import Conv
from quantizer.quantized import NumericRules, QuantizedNetwork
from tests.accumulation_plans import adder_tree_plan, for_oracle, level, random_plan
from tests.functional.by_hand import constant, quantized, signed
from tests.oracles.additions import run_plan_at_all

CHANNELS, ROWS, COLS = Dimension
EVERY_TAP = [(dimension, 1) for dimension in Dimension]
LONG_CHANNELS = 620
"""More products than a span has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A convolution, its plan, and operands int64 [C, H, W] and [K, C/groups, R, S]."""

    layer: Conv
    plan: AccumulationPlan
    fmt: QFormat
    x: NDArray[np.int64]
    w: NDArray[np.int64]

    @property
    def network(self) -> QuantizedNetwork:
        """Its accumulators are the ofm."""
        return quantized(
            self.layer,
            maps={"x": (self.fmt, self.x.shape), "y": (signed(32, 0), self.ofm)},
            weights={"w": constant(self.w, 0)},
            rules=saturating(self.plan.levels[-1].bits),
        )

    @property
    def ofm(self) -> tuple[int, int, int]:
        rows, cols = out_size(self.layer, self.x.shape[1:], self.w.shape[2:])
        return len(self.w), rows, cols

    def expect(self) -> tuple[NDArray[np.int64], int]:
        """Accumulators [K, P, Q] and clamps."""
        layer, (filters, rows, cols) = self.layer, self.ofm
        top, left, bottom, right = layer.pads
        padded = np.pad(self.x, ((0, 0), (top, bottom), (left, right)))
        by_group = padded.reshape(layer.groups, -1, *padded.shape[1:])
        weights = self.w.reshape(layer.groups, -1, *self.w.shape[1:])
        products = {}
        for c, r, s in product(*map(range, self.w.shape[1:])):
            y, z = r * layer.dilation[0], s * layer.dilation[1]
            x = by_group[
                :,
                c,
                y : y + (rows - 1) * layer.stride[0] + 1 : layer.stride[0],
                z : z + (cols - 1) * layer.stride[1] + 1 : layer.stride[1],
            ]
            terms = x[:, None] * weights[:, :, c, r, s, None, None]
            products[c, r, s] = terms.reshape(filters, rows, cols)
        return run_plan_at_all(for_oracle(self.plan), products, self.w.shape[1:])


def saturating(bits: int) -> NumericRules:
    return NumericRules(accumulator_bits=bits, accumulator_overflow=Overflow.SAT)


def chain(bits: int) -> AccumulationPlan:
    """One addition after another: all taps of a channel, then the next."""
    return AccumulationPlan(levels=(level(*EVERY_TAP, bits=bits),))


def out_size(layer: Conv, ifm: tuple[int, ...], window: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(
        (size + begin + end - spread * (taps - 1) - 1) // step + 1
        for size, begin, end, spread, taps, step in zip(
            ifm, layer.pads[:2], layer.pads[2:], layer.dilation, window, layer.stride, strict=True
        )
    )


def random_layer(rng: np.random.Generator) -> tuple[Conv, tuple[int, ...], tuple[int, ...]]:
    """A convolution, the shape of its map and of its weights."""
    kind = rng.choice(["one group", "groups", "depthwise", "long"], p=[0.55, 0.15, 0.15, 0.15])
    window = [(1, 1), (3, 3), (1, 3), (2, 1), (2, 2)][rng.integers(5)]
    groups, channels, filters = 1, int(rng.integers(1, 24)), int(rng.integers(1, 70))
    if rng.integers(4) == 0:
        filters = int(rng.choice([16, 32, 48]))
    size = tuple(rng.integers(1, 7, 2)) if rng.integers(2) else (1, int(rng.integers(1, 20)))
    if kind == "groups":
        groups = int(rng.integers(2, 4))
        filters = groups * int(rng.integers(1, 5))
    elif kind == "depthwise":
        groups = filters = int(rng.integers(2, 40))
        channels = 1
    elif kind == "long":
        channels, window, size = LONG_CHANNELS, (1, 1), (1, int(rng.integers(1, 9)))
    layer = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None,
        stride=pair(rng, 1, 3) if rng.integers(3) == 0 else (1, 1),
        pads=(*pair(rng, 0, 2), *pair(rng, 0, 2)) if rng.integers(2) else (0, 0, 0, 0),
        dilation=pair(rng, 1, 2) if rng.integers(3) == 0 else (1, 1),
        groups=groups, clamp=None,
    )  # fmt: skip
    ifm, weights = (groups * channels, *map(int, size)), (filters, channels, *window)
    if min(out_size(layer, ifm[1:], window)) < 1:
        return random_layer(rng)
    return layer, ifm, weights


def pair(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    first, second = rng.integers(low, high + 1, 2).tolist()
    return first, second


def machine_plan(rng: np.random.Generator, bits: int, tree_bits: int) -> AccumulationPlan:
    """The plan of one of the dataflows, as the mapping derives them."""
    at_once, tile, rows = (int(number) for number in rng.integers(1, 9, 3))
    tiles = [(CHANNELS, tile)] if rng.integers(3) == 0 else []
    inside = EVERY_TAP[len(tiles) if tile == 1 else 0 :]
    # The lowest sums may have fewer bits than the others.
    low = max(bits - int(rng.integers(1, 6)), 8) if rng.integers(3) == 0 else bits
    tree = level(
        *inside, max_terms=at_once, adder=Adder.TREE, start=Start.LEVEL_BELOW, bits=tree_bits,
        saturates=False,
    )  # fmt: skip
    folds = level(*tiles, start=Start.LEVEL_BELOW, bits=bits)
    match rng.integers(6):
        case 0:
            return AccumulationPlan(levels=(level(*tiles, *inside, bits=bits),))
        case 1:
            return AccumulationPlan(levels=(level(*inside, max_terms=2 * rows, bits=low), folds))
        case 2:
            return AccumulationPlan(levels=(tree, level(*tiles, bits=bits)))
        case 3:
            return AccumulationPlan(levels=(tree, level(max_terms=rows, bits=bits), folds))
        case 4:
            return adder_tree_plan(1 + rows, bits, tree_bits)
        case _:
            outside, of_element = ((CHANNELS, rows),) * (rows > 1), (CHANNELS, 1)
            if rows == 1:
                outside, element = (of_element,), ((COLS, 1),)
            else:
                element = (of_element, (COLS, 1))
            column = level(*outside, (ROWS, 1), bits=bits)
            return AccumulationPlan(levels=(level(*element, bits=low), column))


def random_case(rng: np.random.Generator) -> Case:
    """Operands whose sums clamp often, seldom, or not at all, if in a few filters they could."""
    layer, ifm, weights = random_layer(rng)
    low, high = [(2, 9), (7, 9), (2, 17), (16, 17)][rng.integers(4)]
    fmt = QFormat(bits=int(rng.integers(low, high)), frac_bits=0, signed=rng.integers(3) == 0)
    weight_bits = int(rng.integers(low, high))
    product_bits = fmt.bits + weight_bits
    n_products = int(np.prod(weights[1:]))
    bits = min(max(product_bits + int(rng.integers(-2, 5)), 8), 32)
    if product_bits < 18 and rng.integers(2):
        bits = 16
    if product_bits > 24 and rng.integers(3):
        bits = 32
    tree_bits = product_bits + n_products.bit_length()
    # Large at times, so that sums are near their bounds.
    spread = 2.0 ** -rng.integers(0, 5)
    x = scatter(rng, fmt.raw_min, fmt.raw_max, ifm, spread)
    half = 1 << (weight_bits - 1)
    w = scatter(rng, -half, half - 1, weights, 2.0 ** -rng.integers(0, 3))
    plan = machine_plan(rng, bits, max(tree_bits, bits))
    if rng.integers(5) == 0 and bits < 15 and n_products < LONG_CHANNELS:
        drawn = random_plan(rng, weights[1:])
        starts_in_range = product_bits <= drawn.levels[0].bits
        if starts_in_range and any(one.saturates for one in drawn.levels):
            plan = drawn
    return Case(layer=layer, plan=plan, fmt=fmt, x=x, w=w)


def case_near_a_bound(rng: np.random.Generator, excess: int, map_bits: int) -> Case:
    """A chain whose farthest sum is `excess` beyond a bound of its accumulator, at every output.

    All products are small beside the range, so that they come in chunks.
    """
    bits, largest, x_max = map_bits + 10, 15, (1 << map_bits) - 1
    x = rng.integers(0, x_max + 1, 80)
    w = rng.integers(-largest, largest + 1, 80)
    if rng.integers(2):
        # It falls from where it was led, the farthest that a chunk can go, and ends.
        x, w = np.full(8, x_max), np.full(8, -largest)
    # What leads to the bound: one product, and then as many of the largest as it takes.
    highest = max(int(np.cumsum(x * w).max()), 0)
    missing = (1 << (bits - 1)) - 1 + excess - highest
    count, rest = divmod(missing, largest * x_max)
    lead = [rest % largest, rest // largest, *[x_max] * count]
    # Anywhere in a chunk.
    nothing = [0] * int(rng.integers(40))
    x = np.concatenate([nothing, lead, x])
    w = np.concatenate([nothing, [1], [largest] * (count + 1), w])
    if rng.integers(2):
        # The other bound is one farther away.
        w, x = np.append(-1, -w), np.append(1, x)
    layer = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 1), pads=(0, 0, 0, 0),
        dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    return Case(
        layer=layer,
        plan=chain(bits),
        fmt=QFormat(bits=map_bits, frac_bits=0, signed=False),
        x=np.repeat(x, 9).reshape(-1, 1, 9),
        w=w.reshape(1, -1, 1, 1),
    )


def scatter(
    rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...], spread: float
) -> NDArray[np.int64]:
    """Normal, or at the ends, or all over the range; a few, or most, are at the ends."""
    center = (low + high) / 2 * rng.integers(2)
    values = np.clip(np.round(rng.normal(center, spread * (high - low), shape)), low, high)
    ends = rng.choice([low, high], shape)
    share = rng.choice([0.02, 0.02, 0.7])
    return np.where(rng.random(shape) < share, ends, values).astype(np.int64)
