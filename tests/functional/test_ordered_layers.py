"""Are layers that saturate exact on micro-kernels: every sum, every clamp, on every path?"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from accel_sim.functional import ExactNetwork
from accel_sim.kernels.micro_kernels import HOST_PATHS, PATHS, Path
from accel_sim.kernels.micro_order import Order
from accel_sim.layer_steps import mac_layers, ordered_chunks, packed_order
from accel_sim.layer_steps.mac_layers import prepare_conv, prepare_dense
from accel_sim.layer_steps.packed_sums import PackedLayer
from accel_sim.layer_steps.step import Events
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.layers import Dense
from tests.accumulation_plans import for_oracle
from tests.functional.by_hand import constant, quantized, signed, unsigned
from tests.functional.ordered_layers import (
    LONG_CHANNELS,
    Case,
    case_near_a_bound,
    chain,
    random_case,
    saturating,
)
from tests.functional.packed_layers import narrow_kernels, on_all_kernels
from tests.kernels.drawing import SEED
from tests.oracles.additions import run_plan_at_all

MANY = settings(max_examples=300, derandomize=True, deadline=None)
ON_EVERY_PATH = pytest.mark.parametrize("path", HOST_PATHS, ids=lambda path: path.name)
NEEDS_VECTORS = pytest.mark.skipif(len(HOST_PATHS) == 1, reason="the processor has no AVX2")


def run(case: Case, path: Path) -> tuple[NDArray[np.int32], Events]:
    step = prepare_conv(case.network, case.layer, case.plan, path)
    return step({"x": case.x.astype(np.int32)})


def check(case: Case) -> int:
    """Hold all paths against the oracle; return the clamps."""
    totals, clamps = case.expect()
    for width, path in on_all_kernels():
        ofm, events = run(case, path)
        where = f"{path.name}, {width}"
        np.testing.assert_array_equal(ofm, totals, err_msg=where)
        assert events == Events(accumulator_overflows=clamps), where
    return clamps


@MANY
@given(seed=SEED)
def test_layers_equal_an_oracle_that_adds_one_by_one(seed: int) -> None:
    check(random_case(np.random.default_rng(seed)))


@pytest.mark.parametrize("map_bits", [8, 12, 16])
@pytest.mark.parametrize("seed", range(20))
def test_a_sum_one_beyond_its_bound_clamps_and_one_on_it_does_not(
    seed: int, map_bits: int, packed: list[PackedLayer | None]
) -> None:
    assert check(case_near_a_bound(np.random.default_rng(seed), 0, map_bits)) == 0
    assert check(case_near_a_bound(np.random.default_rng(seed), 1, map_bits)) > 0
    # Chunks have been tried.
    bands = (band for layer in packed if layer is not None for band in layer.bands)
    assert all(band.order.is_quick.all() for band in bands)


def test_short_spans_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which some are added at once, and others one by one."""
    monkeypatch.setattr(ordered_chunks, "SPAN_PRODUCTS", 8)
    monkeypatch.setattr(packed_order, "PART_PRODUCTS", 3)
    assert sum(check(random_case(np.random.default_rng(seed))) > 0 for seed in range(60)) > 20


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[PackedLayer | None]:
    """Layers that saturate as they come to the micro-kernels, None where these cannot run them."""
    found: list[PackedLayer | None] = []
    pack = mac_layers.pack_in_order

    def keep(*arguments):
        found.append(pack(*arguments))
        return found[-1]

    monkeypatch.setattr(mac_layers, "pack_in_order", keep)
    return found


@NEEDS_VECTORS
@pytest.mark.parametrize("path", HOST_PATHS[:-1], ids=lambda path: path.name)
def test_the_layers_clamp_in_every_way_that_there_is(
    path: Path, packed: list[PackedLayer | None]
) -> None:
    """Otherwise the tests above would say little."""
    seen: Counter[str] = Counter()
    for seed in range(200):
        with narrow_kernels():
            _, events = run(random_case(np.random.default_rng(seed)), path)
        if not events.accumulator_overflows:
            continue
        seen["clamps"] += 1
        if packed and packed[-1] is not None:
            order = packed[-1].bands[0].order
            assert order is not None
            seen.update(tell_ways(order))
            seen.update(tell_bands(packed[-1]))
        packed.clear()
    assert seen["clamps"] > 80
    for way in WAYS + NARROW_WAYS * any(family.narrow is not None for family in path.families):
        assert seen[way] >= 4, f"{way}: {seen}"


WAYS = (
    "one level", "two levels", "three levels", "several spans", "16 bits", "32 bits", "chunks",
    "no chunks", "lowest sums that may clamp", "lowest sums that may not", "shifted maps",
)  # fmt: skip
NARROW_WAYS = ("fewer than 16", "16", "wide and fewer than 16", "wide and 16", "16 bits, narrow")


def tell_bands(layer: PackedLayer) -> set[str]:
    """How many filters the narrow micro-kernel runs, and beside what."""
    last = layer.bands[-1]
    if last.layout.kernel.run_pixels != 14:
        return set()
    count = last.layout.filters.blocks[0, 1]
    width = "16" if count == 16 else "fewer than 16"
    assert last.order is not None
    return {
        width if len(layer.bands) == 1 else f"wide and {width}",
        *(["16 bits, narrow"] if 16 in last.order.bits else []),
    }


def tell_ways(order: Order) -> set[str]:
    return {
        ("one level", "two levels", "three levels")[len(order.bits) - 1],
        "chunks" if order.is_quick.all() else "no chunks",
        "lowest sums that may not" if order.is_plain.all() else "lowest sums that may clamp",
        *(f"{bits} bits" for bits in order.bits),
        *(["several spans"] if len(order.spans) > 1 else []),
        *(["shifted maps"] if order.shift else []),
    }


def test_plain_loops_leave_layers_that_saturate_to_the_general_kernel(
    packed: list[PackedLayer | None],
) -> None:
    for seed in range(20):
        run(random_case(np.random.default_rng(seed)), PATHS[-1])
    assert set(packed) == {None}


@ON_EVERY_PATH
@pytest.mark.parametrize("fmt", [signed, unsigned])
@pytest.mark.parametrize("positions", [1, 3, 9])
@pytest.mark.parametrize("acc_bits", [14, 16, 18, 32])
def test_a_dense_layer_is_exact(
    path: Path, acc_bits: int, positions: int, fmt: Callable[[int, int], QFormat]
) -> None:
    rng = np.random.default_rng(acc_bits)
    bits = 16 if acc_bits == 32 else 8
    half = 1 << (bits - 1)
    ifm = fmt(bits, 0)
    x = rng.integers(ifm.raw_min, ifm.raw_max + 1, (positions, LONG_CHANNELS))
    w = rng.integers(-half, half, (37, LONG_CHANNELS))
    layer = Dense(name="dense", ifm="x", ofm="y", weights="w", bias=None, clamp=None)
    network = quantized(
        layer,
        maps={"x": (ifm, x.shape), "y": (signed(32, 0), (positions, 37))},
        weights={"w": constant(w, 0)},
        rules=saturating(acc_bits),
    )
    products = {(c, 0, 0): x[:, c, None] * w[:, c] for c in range(LONG_CHANNELS)}
    totals, clamps = run_plan_at_all(for_oracle(chain(acc_bits)), products, (LONG_CHANNELS, 1, 1))
    step = prepare_dense(network, layer, chain(acc_bits), path)
    ofm, events = step({"x": x.astype(np.int32)})
    np.testing.assert_array_equal(ofm, totals)
    assert events == Events(accumulator_overflows=clamps)
    assert clamps > 0


@ON_EVERY_PATH
def test_threads_do_not_change_a_clamp(path: Path) -> None:
    cases = (random_case(np.random.default_rng(seed)) for seed in range(100))
    case = next(case for case in cases if case.w.size > 1000 and case.expect()[1])
    exact = ExactNetwork(case.network, {"conv": case.plan}, path=path)
    images = [case.x.astype(np.float64)] * 12
    alone = exact.run(images[0])
    with ThreadPoolExecutor(2) as pool:
        for beside in pool.map(exact.run, images):
            np.testing.assert_array_equal(alone.tensors["y"], beside.tensors["y"])
            assert alone.events == beside.events
