"""Do concats, reshapes and clips that stand alone move integers as the contract says?"""

import numpy as np
import pytest

from accel_sim.layer_steps.step import Events
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.layers import Clamp, Clip, Concat, Reshape
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
