"""Are layers on micro-kernels exact, on every path that the host supports?"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from accel_sim.functional import ExactNetwork
from accel_sim.kernels.micro_bands import Shape, cut_bands
from accel_sim.kernels.micro_kernels import HOST_PATHS, PATHS, Path, find_paths
from accel_sim.layer_steps import mac_layers
from accel_sim.layer_steps.step import Events
from quantizer.fixedpoint.qformat import Overflow, QFormat, Rounding
from quantizer.network.layers import Conv, Dense
from quantizer.quantized import NumericRules
from tests.functional.by_hand import constant, conv, dense, quantized, signed, unsigned
from tests.functional.packed_layers import (
    Case,
    convolutions,
    dense_layers,
    expect,
    on_all_kernels,
)
from tests.oracles import layers_int64

MANY = settings(max_examples=250, derandomize=True, deadline=None)
ON_EVERY_PATH = pytest.mark.parametrize("path", HOST_PATHS, ids=lambda path: path.name)


def run(case: Case, path: Path) -> tuple[NDArray[np.int32], Events]:
    """Outputs [K, P*Q] of one path."""
    is_dense = isinstance(case.layer, Dense)
    prepare: Callable[..., Any] = mac_layers.prepare_dense if is_dense else mac_layers.prepare_conv
    ofm, events = prepare(case.network, case.layer, case.plan, path)({"x": case.ifm})
    filters = len(case.network.weights["w"].raw)
    return ofm.T if is_dense else ofm.reshape(filters, -1), events


def check(case: Case) -> None:
    expected = expect(case)
    for width, path in on_all_kernels():
        ofm, events = run(case, path)
        where = f"{path.name}, {width}"
        assert ofm.tolist() == expected.raw, where
        assert events.accumulator_overflows == expected.overflows, where
        assert events.output_saturations == expected.saturations, where


@MANY
@given(case=convolutions())
def test_convolutions_equal_big_integers(case: Case) -> None:
    check(case)


@MANY
@given(case=dense_layers())
def test_dense_layers_equal_big_integers(case: Case) -> None:
    check(case)


def test_the_paths_of_this_host_are_told(record_property: Callable[[str, str], None]) -> None:
    names = [path.name for path in HOST_PATHS]
    record_property("note", f"layers ran on micro-kernels of {', '.join(names)}")
    assert names[-1] == "plain"


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ("avx512f avx512bw avx512vl avx512dq avx512vnni avx2", ["avx512_vnni", "avx2", "plain"]),
        ("avx512f avx512bw avx512vl avx512dq avx2", ["avx2", "plain"]),
        ("avx2 avxvnni", ["avx2", "plain"]),
        ("neon", ["plain"]),
        ("", ["plain"]),
    ],
)
def test_a_processor_runs_what_it_has_instructions_for(features: str, names: list[str]) -> None:
    has = features.split()
    assert [path.name for path in find_paths(lambda feature: feature in has)] == names


@pytest.mark.parametrize(
    ("filters", "groups", "size", "cut"),
    [
        (8, 1, 56, [(16, 0, 8)]),
        (16, 1, 56, [(16, 0, 16)]),
        (17, 1, 56, [(32, 0, 17)]),
        (32, 1, 56, [(32, 0, 32)]),
        (48, 1, 56, [(32, 0, 32), (16, 32, 48)]),
        (49, 1, 56, [(32, 0, 49)]),
        (32, 2, 56, [(16, 0, 16)]),
        (16, 1, 7, [(32, 0, 16)]),
        (1000, 1, 13, [(32, 0, 1000)]),
        (16, 1, 1, [(128, 0, 16)]),
        (64, 64, 56, [(32, 0, 64)]),
    ],
)
def test_filters_that_fill_half_a_block_get_a_narrow_one_where_that_saves_time(
    filters: int, groups: int, size: int, cut: list[tuple[int, int, int]]
) -> None:
    """Not for half of 14 pixels, nor for one of many blocks; few pixels have their own."""
    shape = Shape(
        ifm=(64, size, size), ofm=(filters, size, size), window=(3, 3), stride=(1, 1),
        first_pads=(1, 1), dilation=(1, 1), groups=groups,
    )  # fmt: skip
    for family in PATHS[0].families:
        _, bands = cut_bands(family, shape)
        assert [(band.kernel.filters, band.first, band.last) for band in bands] == cut


LARGE = {
    "several blocks of filters, several strips of pixels": ((70, 12, 41), (70, 3, 3), 1),
    "a depthwise layer of two blocks and a part": ((67, 9, 15), (67, 3, 3), 67),
    "groups as wide as a block and wider": ((6, 5, 9), (80, 2, 2), 2),
    "long rows of products": ((530, 2, 9), (33, 1, 1), 1),
    "a wide block and a narrow one": ((64, 30, 30), (48, 3, 3), 1),
    "groups of a narrow block": ((32, 60, 61), (30, 3, 3), 2),
}


@ON_EVERY_PATH
@pytest.mark.parametrize(("map_bits", "weight_bits"), [(8, 8), (16, 8), (16, 12), (16, 16)])
@pytest.mark.parametrize(("ifm", "window", "groups"), LARGE.values(), ids=LARGE)
def test_a_large_layer_is_exact(
    path: Path,
    map_bits: int,
    weight_bits: int,
    ifm: tuple[int, int, int],
    window: tuple[int, int, int],
    groups: int,
) -> None:
    rng = np.random.default_rng(0)
    half = 1 << (weight_bits - 1)
    weights = rng.integers(-half, half, (window[0], ifm[0] // groups, *window[1:]))
    x = rng.integers(0, 1 << map_bits, ifm)
    axes = layers_int64.window_axes({"strides": (1, 2), "pads": (1, 0, 1, 2)}, ifm[1:], window[1:])
    sums = layers_int64.convolve(x[np.newaxis], weights, *axes, groups)[0]
    layer = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 2), pads=(1, 0, 1, 2),
        dilation=(1, 1), groups=groups, clamp=None,
    )  # fmt: skip
    shift = int(sums.max()).bit_length() - 15
    network = quantized(
        layer,
        maps={"x": (unsigned(map_bits, 0), ifm), "y": (signed(16, -shift), sums.shape)},
        weights={"w": constant(weights, 0, bits=weight_bits)},
        rules=NumericRules(accumulator_bits=48, requantize_rounding=Rounding.TO_NEG),
    )
    found, events = mac_layers.prepare_conv(network, layer, None, path)({"x": x.astype(np.int32)})
    np.testing.assert_array_equal(found, np.clip(sums >> shift, -(2**15), 2**15 - 1))
    assert events == Events(output_saturations=int((sums >> shift < -(2**15)).sum()))


@ON_EVERY_PATH
@pytest.mark.parametrize(
    ("ifm", "x", "weight"),
    [
        (unsigned(8, 0), 255, -128),
        (signed(8, 0), -128, -128),
        (signed(16, 0), -(2**15), -(2**15)),
        (signed(16, 0), -(2**15), 2**15 - 1),
        (unsigned(16, 0), 2**16 - 1, -(2**15)),
        (unsigned(16, 0), 2**16 - 1, 127),
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 2, 700, 4096])
@pytest.mark.parametrize("acc_bits", [20, 32, 48])
def test_the_widest_operands_are_exact(
    path: Path, acc_bits: int, channels: int, ifm: QFormat, x: int, weight: int
) -> None:
    network = quantized(
        dense(),
        maps={"x": (ifm, (1, channels)), "y": (signed(32, 0), (1, 3))},
        weights={"w": constant(np.full((3, channels), weight), 0)},
        rules=NumericRules(accumulator_bits=acc_bits),
    )
    total = channels * x * weight
    half = 1 << (acc_bits - 1)
    wrapped = (total + half) % (2 * half) - half
    raw = min(max(wrapped, -(2**31)), 2**31 - 1)
    step = mac_layers.prepare_dense(network, dense(), None, path)
    ofm, events = step({"x": np.full((1, channels), x, np.int32)})
    assert ofm.tolist() == [[raw] * 3]
    assert events.accumulator_overflows == 3 * (wrapped != total)
    assert events.output_saturations == 3 * (raw != wrapped)


@ON_EVERY_PATH
@pytest.mark.parametrize("acc_bits", [20, 48])
@pytest.mark.parametrize("deviation", [2**6, 2**9, 2**12, 2**13, 2**16])
@pytest.mark.parametrize("ifm", [signed(16, 0), unsigned(16, 0), unsigned(14, 0)], ids=str)
def test_the_largest_sums_are_carried_in_time(
    path: Path, ifm: QFormat, deviation: int, acc_bits: int
) -> None:
    rng = np.random.default_rng(deviation)
    drawn = np.rint(rng.normal(0, deviation, (35, 601)))
    weights = np.clip(drawn, -(2**15), 2**15 - 1).astype(np.int64)
    # As far up as the sum of one filter goes, then as far down; each filter of some block.
    x = np.stack(
        [
            np.where((weights[k] > 0) == is_up, ifm.raw_max, ifm.raw_min)
            for k in (0, 31, 34)
            for is_up in (True, False)
        ]
    )
    total = x @ weights.T
    half = 1 << (acc_bits - 1)
    wrapped = (total + half) % (2 * half) - half
    network = quantized(
        dense(),
        maps={"x": (ifm, x.shape), "y": (signed(32, -12), total.shape)},
        weights={"w": constant(weights, 0)},
        rules=NumericRules(accumulator_bits=acc_bits, requantize_rounding=Rounding.TO_NEG),
    )
    step = mac_layers.prepare_dense(network, dense(), None, path)
    ofm, events = step({"x": x.astype(np.int32)})
    np.testing.assert_array_equal(ofm, wrapped >> 12)
    assert events == Events(accumulator_overflows=int((wrapped != total).sum()))


@ON_EVERY_PATH
def test_sums_of_too_many_products_to_be_carried_are_exact(path: Path) -> None:
    # Six products fill 32 bits, but there are more than 2**16 times as many.
    channels, weight, x = 393_300, 10_922, -(2**15)
    network = quantized(
        dense(),
        maps={"x": (signed(16, 0), (1, channels)), "y": (signed(32, -16), (1, 1))},
        weights={"w": constant(np.full((1, channels), weight), 0)},
        rules=NumericRules(accumulator_bits=48, requantize_rounding=Rounding.TO_NEG),
    )
    total = channels * weight * x
    assert total < -(2**47)
    step = mac_layers.prepare_dense(network, dense(), None, path)
    ofm, events = step({"x": np.full((1, channels), x, np.int32)})
    assert ofm.tolist() == [[(total + 2**48) >> 16]]
    assert events == Events(accumulator_overflows=1)


@settings(MANY, max_examples=60)
@given(case=convolutions(Overflow.SAT))
def test_what_may_saturate_is_added_in_order_on_every_path(case: Case) -> None:
    (first, first_events), *others = (run(case, path) for _, path in on_all_kernels())
    for ofm, events in others:
        assert ofm.tolist() == first.tolist()
        assert events == first_events
    if not first_events.accumulator_overflows:
        # Nothing saturated: then the order did not matter.
        expected = expect(case)
        assert expected.overflows == 0
        assert first.tolist() == expected.raw
        assert first_events.output_saturations == expected.saturations


@ON_EVERY_PATH
def test_threads_do_not_change_a_bit(path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (37, 5, 1, 1))
    network = quantized(
        conv(),
        maps={"x": (signed(8, 0), (5, 30, 30)), "y": (signed(8, -6), (37, 30, 30))},
        weights={"w": constant(weights, 0, bits=8)},
    )
    exact = ExactNetwork(network, path=path)
    images = rng.integers(-128, 128, (12, 5, 30, 30)).astype(np.float64)
    one_by_one = [exact.run(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for alone, beside in zip(one_by_one, pool.map(exact.run, images), strict=True):
            np.testing.assert_array_equal(alone.tensors["y"], beside.tensors["y"])
            assert alone.events == beside.events
