"""Does the exact run encode its input, run from any thread, and refuse what it cannot do?"""

import re
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.functional import ExactNetwork
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow, Rounding
from quantizer.network.layers import Layer, Reshape
from quantizer.quantized import NumericRules
from tests.functional.by_hand import (
    RELU,
    add,
    constant,
    conv,
    dense,
    quantized,
    run,
    signed,
    unsigned,
)
from tests.oracles.fixed_point import round_fraction


@pytest.mark.parametrize(
    ("rounding", "raw"),
    [
        (Rounding.TIES_POS, [-2, 0, 2, 3, 1, 127]),
        (Rounding.TIES_EVEN, [-2, 0, 2, 2, 1, 127]),
        (Rounding.TIES_AWAY, [-3, -1, 2, 3, 1, 127]),
        (Rounding.TO_NEG, [-3, -1, 1, 2, 0, 127]),
        (Rounding.TO_ZERO, [-2, 0, 1, 2, 0, 127]),
    ],
)
def test_the_input_rounds_as_the_machine_requantizes(rounding: Rounding, raw: list[int]) -> None:
    fmt = signed(8, 0)
    network = quantized(
        Reshape(name="same", ifm="x", ofm="y"),
        maps={"x": (fmt, (6,)), "y": (fmt, (6,))},
        rules=NumericRules(requantize_rounding=rounding),
    )
    reals = np.array([-2.5, -0.5, 1.5, 2.5, 0.75, 300.0])
    found = ExactNetwork(network).run(reals).tensors["x"]
    assert found.dtype == np.int8
    assert found.tolist() == raw


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize(
    "layer", [conv(), dense(), add("x", plus="zero")], ids=lambda layer: layer.op
)
def test_every_layer_rounds_as_the_machine_requantizes(layer: Layer, rounding: Rounding) -> None:
    shape = (1, 1, 1) if layer.op == "Conv" else (1,)
    network = quantized(
        layer,
        maps={"x": (signed(8, 2), shape), "y": (signed(8, 0), shape)},
        weights={"w": constant(np.ones((1, *shape)), 0), "zero": constant(np.zeros(shape), 0)},
        rules=NumericRules(requantize_rounding=rounding),
    )
    for raw in range(-11, 12):
        expected = round_fraction(Fraction(raw, 4), rounding.name.lower())
        assert run(network, np.full(shape, raw)).tensors["y"].item() == expected


def test_saturating_accumulators_need_the_order_of_a_machine() -> None:
    network = quantized(
        dense(),
        maps={"x": (signed(8, 0), (2,)), "y": (signed(8, 0), (1,))},
        weights={"w": constant([[1, 1]], 0)},
        rules=NumericRules(accumulator_overflow=Overflow.SAT),
    )
    sentence = (
        "layer 'dense': saturating accumulators give what the order of additions makes of it, "
        "and that is the machine's; give an accumulation plan, or let simulate() find it"
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        ExactNetwork(network)


def test_layers_off_the_array_need_no_plan() -> None:
    fmt = signed(8, 0)
    network = quantized(
        Reshape(name="same", ifm="x", ofm="y"),
        maps={"x": (fmt, (1,)), "y": (fmt, (1,))},
        rules=NumericRules(accumulator_overflow=Overflow.SAT),
    )
    assert run(network, [5]).tensors["y"].tolist() == [5]


def random_images(count: int) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(3, 9, 9)) for _ in range(count)]


def test_a_prepared_network_runs_alike_in_any_order_and_any_thread() -> None:
    rng = np.random.default_rng(1)
    network = quantized(
        conv("a", bias=True, clamp=RELU),
        Reshape(name="flatten", ifm="a", ofm="y"),
        maps={
            "x": (signed(8, 5), (3, 9, 9)),
            "a": (unsigned(8, 4), (5, 9, 9)),
            "y": (unsigned(8, 4), (405,)),
        },
        weights={"w": constant(rng.integers(-128, 128, (5, 3, 1, 1)), 7, bits=8)},
        biases={"conv": constant(rng.integers(-99, 99, 5), 6)},
    )
    exact = ExactNetwork(network)
    images = random_images(8)
    one_by_one = [exact.run(image) for image in images]
    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(exact.run, reversed(images)))
    for alone, threaded in zip(one_by_one, reversed(together), strict=True):
        assert list(alone.tensors) == ["x", "a", "y"]
        for name, raw in alone.tensors.items():
            assert raw.shape == network.network.shapes[name]
            np.testing.assert_array_equal(raw, threaded.tensors[name])
        assert alone.events == threaded.events
