"""Do layers saturate in the order of their plan, at every output, and only where they can?"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.accumulation import AccumulationPlan, Dimension, Start
from accel_sim.functional import Trace
from accel_sim.layer_steps.step import Events
from quantizer.fixedpoint.qformat import Overflow, QFormat
from quantizer.network.layers import Conv, ConvTranspose
from quantizer.quantized import NumericRules, QuantizedNetwork
from tests.accumulation_plans import adder_tree_plan, for_oracle, level, random_plan
from tests.functional.by_hand import constant, dense, quantized, run, signed, unsigned
from tests.oracles.additions import run_plan

Products = dict[tuple[int, int, int], int]
EVERY_TAP = [(dimension, 1) for dimension in Dimension]


def saturating(bits: int) -> NumericRules:
    return NumericRules(accumulator_bits=bits, accumulator_overflow=Overflow.SAT)


def chain(bits: int) -> AccumulationPlan:
    return AccumulationPlan(levels=(level(*EVERY_TAP, bits=bits),))


def columns(bits: int, rows: int, tile: int | None = None) -> AccumulationPlan:
    tiles = [] if tile is None else [(Dimension.CHANNELS, tile)]
    return AccumulationPlan(
        levels=(
            level(*EVERY_TAP[tile == 1 :], max_terms=rows, bits=bits),
            level(*tiles, start=Start.LEVEL_BELOW, bits=bits),
        )
    )


PLANS = {
    "one chain": chain(12),
    "columns": columns(12, 4),
    "columns, tiles of two channels": columns(12, 4, 2),
    "adder tree": adder_tree_plan(2, bits=12, tree_bits=20),
    "adder tree, tiles of three channels": adder_tree_plan(2, 12, 20, tile_channels=3),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A convolution: x is [C, H, W], weights [K, C/groups, R, S]."""

    ifm: tuple[int, int, int]
    weights: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


CONVOLUTIONS = {
    "more pixels than filters": Geometry(ifm=(4, 6, 6), weights=(3, 4, 3, 3), pads=(1, 1, 1, 1)),
    "more filters than pixels": Geometry(ifm=(5, 3, 3), weights=(9, 5, 3, 2)),
    "strides and dilation": Geometry(
        ifm=(3, 9, 8), weights=(2, 3, 2, 3), stride=(2, 3), pads=(1, 0, 2, 3), dilation=(2, 1)
    ),
    "groups": Geometry(ifm=(6, 4, 4), weights=(4, 3, 2, 2), groups=2),
    "depthwise": Geometry(ifm=(4, 5, 5), weights=(4, 1, 3, 3), pads=(1, 1, 1, 1), groups=4),
}


def products_of(
    geometry: Geometry, x: NDArray[np.int64], w: NDArray[np.int64], k: int, p: int, q: int
) -> Products:
    """What meets in one output of a convolution."""
    filters, channels, rows, cols = w.shape
    first = k // (filters // geometry.groups) * channels
    found = {}
    for c, r, s in product(range(channels), range(rows), range(cols)):
        y = p * geometry.stride[0] + r * geometry.dilation[0] - geometry.pads[0]
        z = q * geometry.stride[1] + s * geometry.dilation[1] - geometry.pads[1]
        inside = 0 <= y < x.shape[1] and 0 <= z < x.shape[2]
        found[c, r, s] = int(x[first + c, y, z] * w[k, c, r, s]) if inside else 0
    return found


def mostly_at_the_ends(
    rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    anywhere, ends = rng.integers(low, high + 1, shape), rng.choice([low, high], shape)
    return np.where(rng.random(shape) < 0.3, anywhere, ends)


def draw(
    geometry: Geometry, seed: int, fmt: QFormat
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Operands whose sums clamp at 12 bits in most filters, and cannot in the first."""
    rng = np.random.default_rng(seed)
    x = mostly_at_the_ends(rng, fmt.raw_min, fmt.raw_max, geometry.ifm)
    w = mostly_at_the_ends(rng, -16, 15, geometry.weights)
    w[0] = np.sign(w[0]) * (rng.random(w[0].shape) < 0.3)
    return x, w


def check(
    trace: Trace, plan: AccumulationPlan, outputs: Iterator[tuple[tuple[int, ...], Products]]
) -> int:
    """Every output against the oracle, all clamps together; return the clamps."""
    clamps = 0
    for place, products in outputs:
        extents = tuple(1 + max(place[axis] for place in products) for axis in range(3))
        total, its_clamps = run_plan(for_oracle(plan), products, extents)
        assert trace.tensors["y"][place] == total
        clamps += its_clamps
    (events,) = trace.events.values()
    assert events == Events(accumulator_overflows=clamps)
    return clamps


@pytest.mark.parametrize("fmt", [signed(7, 0), unsigned(7, 0)], ids=str)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("geometry", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_a_convolution_saturates_in_the_order_of_its_plan(
    geometry: Geometry, plan: AccumulationPlan, fmt: QFormat
) -> None:
    x, w = draw(geometry, 0, fmt)
    layer = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None, stride=geometry.stride,
        pads=geometry.pads, dilation=geometry.dilation, groups=geometry.groups, clamp=None,
    )  # fmt: skip
    (height, width), (top, left, bottom, right) = x.shape[1:], geometry.pads
    ofm = (
        len(w),
        (height + top + bottom - geometry.dilation[0] * (w.shape[2] - 1) - 1)
        // geometry.stride[0] + 1,
        (width + left + right - geometry.dilation[1] * (w.shape[3] - 1) - 1)
        // geometry.stride[1] + 1,
    )  # fmt: skip
    network = quantized(
        layer,
        maps={"x": (fmt, x.shape), "y": (signed(16, 0), ofm)},
        weights={"w": constant(w, 0)},
        rules=saturating(12),
    )
    trace = run(network, x, {"conv": plan})
    outputs = ((place, products_of(geometry, x, w, *place)) for place in np.ndindex(ofm))
    assert check(trace, plan, outputs) > 0


@pytest.mark.parametrize("positions", [1, 3, 40])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_dense_layer_saturates_at_every_position(plan: AccumulationPlan, positions: int) -> None:
    rng = np.random.default_rng(positions)
    x, w = rng.integers(-64, 64, (positions, 25)), rng.integers(-16, 16, (6, 25))
    network = quantized(
        dense(),
        maps={"x": (signed(7, 0), x.shape), "y": (signed(16, 0), (positions, 6))},
        weights={"w": constant(w, 0)},
        rules=saturating(12),
    )
    outputs = (
        ((m, k), {(c, 0, 0): int(x[m, c] * w[k, c]) for c in range(25)})
        for m, k in np.ndindex(positions, 6)
    )
    assert check(run(network, x, {"dense": plan}), plan, outputs) > 0


def window_of(output: int, crop: int, taps: int, stride: int, dilation: int) -> list:
    """Inputs and taps that meet in one output, along one axis, as the array holds them.

    In the order of the inputs; what a phase lacks stands first and is None.
    """
    meeting = [
        (i, r)
        for i in range(-taps * dilation, output + crop + taps * dilation)
        for r in range(taps)
        if i * stride + r * dilation == output + crop
    ]
    size = max(-(-taps // stride), len(meeting))
    return [None] * (size - len(meeting)) + sorted(meeting)


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "dilation", "groups"),
    [
        ((4, 4), (2, 2), (1, 1, 1, 1), (1, 1), 1),
        ((3, 3), (2, 2), (0, 0, 0, 0), (1, 1), 1),
        ((3, 2), (1, 3), (1, 0, 0, 1), (2, 1), 2),
        ((2, 5), (3, 2), (0, 1, 0, 2), (1, 1), 1),
    ],
)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_transposed_convolution_saturates_in_its_sub_pixel_form(
    plan: AccumulationPlan, kernel, stride, pads, dilation, groups
) -> None:
    rng = np.random.default_rng(0)
    x = mostly_at_the_ends(rng, -64, 63, (4, 3, 4))
    w = mostly_at_the_ends(rng, -16, 15, (4, 4 // groups, *kernel))
    ofm = (
        4,
        2 * stride[0] + (kernel[0] - 1) * dilation[0] + 1 - pads[0] - pads[2],
        3 * stride[1] + (kernel[1] - 1) * dilation[1] + 1 - pads[1] - pads[3],
    )
    layer = ConvTranspose(
        name="up", ifm="x", ofm="y", weights="w", bias=None, stride=stride, pads=pads,
        dilation=dilation, groups=groups, clamp=None,
    )  # fmt: skip
    network = quantized(
        layer,
        maps={"x": (signed(7, 0), x.shape), "y": (signed(16, 0), ofm)},
        weights={"w": constant(w, 0)},
        rules=saturating(12),
    )

    def products(k: int, p: int, q: int) -> Products:
        rows = window_of(p, pads[0], kernel[0], stride[0], dilation[0])
        cols = window_of(q, pads[1], kernel[1], stride[1], dilation[1])
        found = {}
        for c, (r, row), (s, col) in product(range(4 // groups), enumerate(rows), enumerate(cols)):
            found[c, r, s] = 0
            if row and col and 0 <= row[0] < 3 and 0 <= col[0] < 4:
                channel = k // (4 // groups) * (4 // groups) + c
                found[c, r, s] = int(x[channel, row[0], col[0]] * w[k, c, row[1], col[1]])
        return found

    outputs = ((place, products(*place)) for place in np.ndindex(ofm))
    assert check(run(network, x, {"up": plan}), plan, outputs) > 0


@pytest.mark.parametrize("seed", range(20))
def test_a_convolution_follows_any_plan(seed: int) -> None:
    rng = np.random.default_rng(seed)
    geometry = Geometry(ifm=(4, 4, 3), weights=(3, 4, 2, 2))
    x, w = rng.integers(-8, 8, geometry.ifm), rng.integers(-15, 16, geometry.weights)
    drawn = (random_plan(rng, (4, 2, 2)) for _ in itertools.count())
    plan = next(plan for plan in drawn if any(one.saturates for one in plan.levels))
    network = one_convolution(x, w, saturating(plan.levels[-1].bits), ifm_bits=4)
    outputs = ((place, products_of(geometry, x, w, *place)) for place in np.ndindex(3, 3, 2))
    check(run(network, x, {"conv": plan}), plan, outputs)


def one_convolution(
    x: NDArray[np.int64], w: NDArray[np.int64], rules: NumericRules, ifm_bits: int = 7
) -> QuantizedNetwork:
    layer = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 1), pads=(0, 0, 0, 0),
        dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    ofm = (len(w), x.shape[1] - w.shape[2] + 1, x.shape[2] - w.shape[3] + 1)
    return quantized(
        layer,
        maps={"x": (signed(ifm_bits, 0), x.shape), "y": (signed(16, 0), ofm)},
        weights={"w": constant(w, 0)},
        rules=rules,
    )


def test_where_nothing_can_saturate_every_order_gives_the_bits_of_a_wrapping_machine() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-64, 64, (4, 6, 6)), rng.integers(-16, 16, (5, 4, 3, 3))
    wrapped = run(one_convolution(x, w, NumericRules(accumulator_bits=17)), x)
    for plan in (chain(17), columns(17, 4), columns(17, 5, 1), adder_tree_plan(3, 17, 20)):
        found = run(one_convolution(x, w, saturating(17)), x, {"conv": plan})
        np.testing.assert_array_equal(found.tensors["y"], wrapped.tensors["y"])
        assert found.events == wrapped.events == {"conv": Events()}


def test_where_something_can_saturate_orders_differ() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-64, 64, (4, 6, 6)), rng.integers(-16, 16, (5, 4, 3, 3))
    network = one_convolution(x, w, saturating(12))
    found = {
        run(network, x, {"conv": plan}).tensors["y"].tobytes()
        for plan in (chain(12), columns(12, 4), columns(12, 5, 1), adder_tree_plan(3, 12, 20))
    }
    assert len(found) == 4


def test_a_plan_under_wrapping_rules_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-64, 64, (4, 6, 6)), rng.integers(-16, 16, (5, 4, 3, 3))
    network = one_convolution(x, w, NumericRules(accumulator_bits=12))
    plain, planned = run(network, x), run(network, x, {"conv": columns(12, 4)})
    np.testing.assert_array_equal(plain.tensors["y"], planned.tensors["y"])
    assert plain.events == planned.events
    assert plain.events["conv"].accumulator_overflows > 0


def test_a_plan_for_another_accumulator_is_refused() -> None:
    network = one_convolution(np.zeros((1, 1, 1)), np.ones((1, 1, 1, 1)), saturating(12))
    with pytest.raises(
        ValueError, match=r"^the plan ends in another accumulator than that of the rules$"
    ):
        run(network, [[[0]]], {"conv": chain(13)})
