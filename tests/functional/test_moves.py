"""Do concats, reshapes and clips that stand alone move integers as the contract says?"""

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.layer_steps.step import Events
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.layers import (
    Clamp,
    Clip,
    Concat,
    Layer,
    Pad,
    Reshape,
    Slice,
    Transpose,
    Upsample,
)
from quantizer.quantized import NumericRules
from tests.functional.by_hand import QUIET, RELU, quantized, relu_copy, run, signed, unsigned
from tests.oracles import layers_bigint
from tests.oracles.fixed_point import Format


def test_a_concat_of_one_format_computes_nothing() -> None:
    network = quantized(
        relu_copy(),
        Concat(name="join", inputs=("x", "r", "x"), axis=0, ofm="y"),
        maps={
            "x": (signed(8, 3), (1, 1, 2)),
            "r": (signed(8, 3), (1, 1, 2)),
            "y": (signed(8, 3), (3, 1, 2)),
        },
    )
    trace = run(network, [[[-128, 7]]])
    assert trace.tensors["y"].tolist() == [[[-128, 7]], [[0, 7]], [[-128, 7]]]
    assert trace.events["join"] == QUIET


@pytest.mark.parametrize("rounding", Rounding)
def test_a_concat_requantizes_what_has_another_format(rounding: Rounding) -> None:
    own = {"x": signed(8, 3), "y": unsigned(6, 2)}
    network = quantized(
        relu_copy(),
        Concat(name="join", inputs=("r", "x"), axis=0, ofm="y"),
        maps={"x": (own["x"], (5,)), "r": (own["y"], (5,)), "y": (own["y"], (10,))},
        rules=NumericRules(requantize_rounding=rounding),
    )
    x = [-3, 1, 3, 60, 127]
    trace = run(network, x)
    shared = Format(bits=6, frac_bits=2, signed=False)
    expected = layers_bigint.concat(
        [[trace.tensors["r"]], [x]],
        [shared, Format(bits=8, frac_bits=3, signed=True)],
        form=shared,
        mode=rounding.name.lower(),
    )
    assert trace.tensors["y"].tolist() == expected.raw[0].tolist()
    assert trace.events["join"] == Events(output_saturations=expected.output_saturations)
    assert expected.output_saturations > 0


def test_a_concat_moves_a_map_that_differs_in_sign_only() -> None:
    network = quantized(
        Concat(name="join", inputs=("x", "x"), axis=0, ofm="y"),
        maps={"x": (signed(8, 0), (2,)), "y": (unsigned(8, 0), (4,))},
    )
    trace = run(network, [-1, 100])
    assert trace.tensors["y"].tolist() == [0, 100, 0, 100]
    assert trace.events["join"] == Events(output_saturations=2)


def test_a_reshape_keeps_the_order_of_the_values() -> None:
    network = quantized(
        Reshape(name="flatten", ifm="x", ofm="y"),
        maps={"x": (signed(8, 0), (2, 2, 3)), "y": (signed(8, 0), (12,))},
    )
    trace = run(network, np.arange(12).reshape(2, 2, 3))
    assert trace.tensors["y"].tolist() == list(range(12))
    assert trace.events["flatten"] == QUIET


@pytest.mark.parametrize(
    ("clamp", "raw"),
    [
        (RELU, [0, 0, 16, 127]),
        (Clamp(low=-0.5, high=1.0), [-8, -8, 16, 16]),
        (Clamp(low=-100.0, high=100.0), [-128, -16, 16, 127]),
        (Clamp(low=20.0, high=30.0), [127, 127, 127, 127]),
        (Clamp(low=-30.0, high=-20.0), [-128, -128, -128, -128]),
    ],
)
def test_a_clip_that_stands_alone_stays_in_its_format(clamp: Clamp, raw: list[int]) -> None:
    network = quantized(
        Clip(name="clip", ifm="x", ofm="y", clamp=clamp),
        maps={"x": (signed(8, 4), (4,)), "y": (signed(8, 4), (4,))},
    )
    trace = run(network, [-128, -16, 16, 127])
    assert trace.tensors["y"].tolist() == raw
    assert trace.events["clip"] == QUIET


def moved(layer: Layer, x: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Run one layer that must cause no event."""
    network = quantized(layer, maps={"x": (signed(8, 3), x.shape), "y": (signed(8, 3), shape)})
    trace = run(network, x)
    assert trace.events[layer.name] == QUIET
    assert trace.tensors["y"].dtype == np.int8
    return trace.tensors["y"]


COUNTED = np.arange(24).reshape(4, 2, 3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_concat_joins_along_its_axis(axis: int) -> None:
    shape = [2 * size if i == axis else size for i, size in enumerate(COUNTED.shape)]
    joined = moved(
        Concat(name="join", inputs=("x", "x"), axis=axis, ofm="y"), COUNTED, tuple(shape)
    )
    for index in np.ndindex(*shape):
        source = tuple(i % size for i, size in zip(index, COUNTED.shape, strict=True))
        assert joined[index] == COUNTED[source]


def test_a_transpose_changes_the_order_of_axes() -> None:
    layer = Transpose(name="turn", ifm="x", ofm="y", view=(4, 2, 3), permutation=(2, 0, 1))
    turned = moved(layer, COUNTED, (3, 4, 2))
    for c, h, w in np.ndindex(4, 2, 3):
        assert turned[w, c, h] == COUNTED[c, h, w]


def test_depth_goes_to_space() -> None:
    """Four channels become blocks of two by two pixels, as ONNX's DepthToSpace in DCR order."""
    layer = Transpose(
        name="shuffle", ifm="x", ofm="y", view=(2, 2, 1, 2, 3), permutation=(2, 3, 0, 4, 1)
    )
    spread = moved(layer, COUNTED, (1, 4, 6))
    for row, col in np.ndindex(4, 6):
        assert spread[0, row, col] == COUNTED[row % 2 * 2 + col % 2, row // 2, col // 2]


@pytest.mark.parametrize(
    ("starts", "steps", "shape"),
    [
        ((1, 0, 0), (1, 1, 1), (2, 2, 3)),
        ((0, 1, 1), (3, 1, 1), (2, 1, 2)),
        ((3, 1, 2), (-1, -1, -2), (4, 2, 2)),
        ((2, 0, 1), (-2, 1, -1), (2, 2, 1)),
    ],
)
def test_a_slice_takes_every_nth_value(
    starts: tuple[int, ...], steps: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    part = moved(Slice(name="part", ifm="x", ofm="y", starts=starts, steps=steps), COUNTED, shape)
    for index in np.ndindex(*shape):
        source = tuple(a + b * i for a, b, i in zip(starts, steps, index, strict=True))
        assert part[index] == COUNTED[source]


@pytest.mark.parametrize(
    ("value", "rounding", "raw"),
    [
        (0.0, Rounding.TIES_POS, 0),
        (0.3125, Rounding.TIES_POS, 3),  # 2.5 steps
        (0.3125, Rounding.TIES_EVEN, 2),
        (-0.3125, Rounding.TO_NEG, -3),
        (-0.3125, Rounding.TO_ZERO, -2),
        (1e30, Rounding.TIES_POS, 127),
        (float("-inf"), Rounding.TIES_POS, -128),
    ],
)
def test_a_pad_is_encoded_as_a_bound_and_held_within_the_format(
    value: float, rounding: Rounding, raw: int
) -> None:
    network = quantized(
        Pad(name="pad", ifm="x", ofm="y", before=(0, 1, 0), after=(1, 0, 2), value=value),
        maps={"x": (signed(8, 3), (1, 1, 1)), "y": (signed(8, 3), (2, 2, 3))},
        rules=NumericRules(requantize_rounding=rounding),
    )
    trace = run(network, [[[99]]])
    assert trace.tensors["y"].tolist() == [[[raw] * 3, [99, raw, raw]], [[raw] * 3] * 2]
    assert trace.events["pad"] == QUIET


def test_an_upsample_repeats_values_along_each_axis() -> None:
    wide = moved(Upsample(name="up", ifm="x", ofm="y", factors=(1, 2, 3)), COUNTED, (4, 4, 9))
    for c, row, col in np.ndindex(4, 4, 9):
        assert wide[c, row, col] == COUNTED[c, row // 2, col // 3]
