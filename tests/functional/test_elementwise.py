"""Are products, differences, slopes and scales exact until their one rounding?

Small maps, every output worked out in `fractions`.
"""

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest

from accel_sim.functional import ExactNetwork
from accel_sim.layer_steps.step import Events
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.layers import Add, BatchNorm, Clamp, Mul, PRelu
from quantizer.quantized import NumericRules
from tests.fixedpoint.versions import ROUNDINGS
from tests.functional.by_hand import (
    RELU,
    constant,
    exactly,
    quantized,
    real,
    relu_copy,
    run,
    signed,
    unsigned,
)

EVERY = list(range(-128, 128))


def mul(*inputs: str, by: str | None = None, clamp: Clamp | None = None) -> Mul:
    return Mul(name="mul", inputs=inputs, constant=by, ofm="y", clamp=clamp)


def subtract(*inputs: str, signs: tuple[int, int], plus: str | None = None) -> Add:
    return Add(name="sub", inputs=inputs, constant=plus, signs=signs, ofm="y", clamp=None)


@ROUNDINGS
@pytest.mark.parametrize("ofm", [signed(8, 5), unsigned(6, 1), signed(8, -3), signed(16, 14)])
def test_a_product_rounds_once(ofm: QFormat, rounding: Rounding) -> None:
    raw = [-128, -37, -6, -1, 0, 3, 9, 127]
    pairs = list(itertools.product(raw, raw))
    x, factor = signed(8, 3), constant([b for _, b in pairs], 6, bits=8)
    network = quantized(
        mul("x", by="c"),
        maps={"x": (x, (len(pairs),)), "y": (ofm, (len(pairs),))},
        weights={"c": factor},
        rules=NumericRules(requantize_rounding=rounding),
    )
    expected = [exactly(real(a, x) * real(b, factor), ofm, rounding) for a, b in pairs]
    trace = run(network, [a for a, _ in pairs])
    assert trace.tensors["y"].tolist() == [stored for stored, _ in expected]
    assert trace.events["mul"] == Events(output_saturations=sum(s for _, s in expected))


def test_a_product_of_the_widest_maps_is_exact() -> None:
    network = quantized(
        mul("x", "x"),
        maps={"x": (unsigned(16, 0), (3,)), "y": (unsigned(16, -16), (3,))},
    )
    # 65535**2 / 65536 = 65534.00002, 46341**2 / 65536 = 32768.00, 181**2 / 65536 = 0.49988.
    assert run(network, [65535, 46341, 181]).tensors["y"].tolist() == [65534, 32768, 0]


def test_formats_as_far_apart_as_there_are_multiply_exactly() -> None:
    maps = {"x": (signed(8, 64), (3,)), "y": (signed(8, -64), (3,))}
    network = quantized(mul("x", by="c"), maps=maps, weights={"c": constant([127] * 3, 64)})
    assert run(network, [-128, 0, 127]).tensors["y"].tolist() == [0, 0, 0]
    maps = {"x": (signed(8, -64), (3,)), "y": (signed(8, 64), (3,))}
    network = quantized(mul("x", by="c"), maps=maps, weights={"c": constant([127] * 3, -64)})
    assert run(network, [-1, 0, 1]).tensors["y"].tolist() == [-128, 0, 127]


def test_squeeze_and_excite_multiplies_each_channel_by_its_own_factor() -> None:
    network = quantized(
        Add(name="sum", inputs=("x",), constant="e", signs=(1, 1), ofm="gate", clamp=None),
        mul("x", "gate"),
        maps={
            "x": (signed(8, 0), (2, 1, 2)),
            "gate": (signed(8, 0), (2, 1, 2)),
            "y": (signed(16, 0), (2, 1, 2)),
        },
        weights={"e": constant([[[1]], [[-1]]], 0)},
    )
    trace = run(network, [[[3, 4]], [[5, 6]]])
    assert trace.tensors["gate"].tolist() == [[[4, 5]], [[4, 5]]]
    assert trace.tensors["y"].tolist() == [[[12, 20]], [[20, 30]]]


@pytest.mark.parametrize("swapped", [False, True])
def test_maps_of_different_shapes_are_broadcast(swapped: bool) -> None:
    """A map of one row and the column that is its clipped part: an outer product."""
    from quantizer.network.layers import Transpose

    inputs = ("t", "x") if swapped else ("x", "t")
    network = quantized(
        Transpose(name="turn", ifm="x", ofm="t", view=(1, 3), permutation=(1, 0)),
        mul(*inputs),
        maps={
            "x": (signed(8, 0), (1, 3)),
            "t": (signed(8, 0), (3, 1)),
            "y": (signed(16, 0), (3, 3)),
        },
    )
    assert run(network, [[2, -3, 5]]).tensors["y"].tolist() == [
        [4, -6, 10],
        [-6, 9, -15],
        [10, -15, 25],
    ]


@pytest.mark.parametrize(
    ("signs", "expected"), [((1, -1), [0, -10, 0, 96]), ((-1, 1), [0, 10, 0, -95])]
)
def test_a_difference_takes_the_signs_of_its_layer(
    signs: tuple[int, int], expected: list[int]
) -> None:
    network = quantized(
        relu_copy(),
        subtract("x", plus="c", signs=signs),
        maps={name: (signed(8, 2 if name != "y" else 1), (4,)) for name in ("x", "r", "y")},
        weights={"c": constant([5, 5, -8, -16], 0)},
    )
    # 5 - 5, 0 - 5, -8 + 8 and 31.75 + 16 in halves; 95.5 and -95.5 are ties.
    assert run(network, [20, 0, -32, 127]).tensors["y"].tolist() == expected


@ROUNDINGS
def test_a_difference_rounds_once(rounding: Rounding) -> None:
    x, y = signed(8, 3), signed(6, 1)
    minus = constant([-7] * 256, 5)
    network = quantized(
        subtract("x", plus="c", signs=(1, -1)),
        maps={"x": (x, (256,)), "y": (y, (256,))},
        weights={"c": minus},
        rules=NumericRules(requantize_rounding=rounding),
    )
    expected = [exactly(real(a, x) - real(-7, minus), y, rounding) for a in EVERY]
    trace = run(network, EVERY)
    assert trace.tensors["y"].tolist() == [raw for raw, _ in expected]
    assert trace.events["sub"] == Events(output_saturations=sum(s for _, s in expected))


def test_differences_40_places_apart_are_exact_and_41_refused() -> None:
    def network(places: int) -> ExactNetwork:
        return ExactNetwork(
            quantized(
                subtract("x", plus="c", signs=(-1, 1)),
                maps={"x": (signed(16, -20), (1,)), "y": (signed(16, -20), (1,))},
                weights={"c": constant([-(2**15)], places - 20)},
            )
        )

    # -5 - 2**-25: below the tie at no distance that the output could show.
    assert network(40).run(np.array([5.0 * 2**20])).tensors["y"].tolist() == [-5]
    sentence = "layer 'sub': adds formats 41 binary places apart; expected at most 40"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        network(41)


@ROUNDINGS
@pytest.mark.parametrize("clamp", [None, RELU, Clamp(low=-1.0, high=6.0)])
def test_a_batch_normalization_scales_and_offsets_each_channel(
    rounding: Rounding, clamp: Clamp | None
) -> None:
    x, y = signed(8, 4), signed(8, 3)
    weights, bias = constant([100, -3], 6, 2), constant([-700, 9], 9, 3)
    network = quantized(
        BatchNorm(name="norm", ifm="x", ofm="y", weights="w", bias="b", clamp=clamp),
        maps={"x": (x, (2, 1, 256)), "y": (y, (2, 1, 256))},
        weights={"w": weights},
        biases={"norm": bias},
        rules=NumericRules(requantize_rounding=rounding, accumulator_bits=8),
    )
    trace = run(network, [[EVERY], [EVERY]])
    saturations = 0
    for channel, (scale, offset) in enumerate([(100, -700), (-3, 9)]):
        for raw, found in zip(EVERY, trace.tensors["y"][channel, 0].tolist(), strict=True):
            value = real(raw, x) * real(scale, weights, channel) + real(offset, bias, channel)
            expected, is_clipped = exactly(value, y, rounding, clamp)
            assert found == expected
            saturations += is_clipped
    # An accumulator of 8 bits would overflow: there is none.
    assert trace.events["norm"] == Events(output_saturations=saturations)


@ROUNDINGS
@pytest.mark.parametrize("slopes", [[[77]], [[77], [-128]], [[*range(-128, 128)]]])
def test_a_prelu_multiplies_negative_values_only(
    rounding: Rounding, slopes: list[list[int]]
) -> None:
    x, y, slope = signed(8, 4), signed(5, 2), constant(slopes, 7, bits=8)
    spread = np.broadcast_to(slopes, (2, 256)).tolist()
    network = quantized(
        PRelu(name="prelu", ifm="x", ofm="y", slopes="s", clamp=None),
        maps={"x": (x, (2, 256)), "y": (y, (2, 256))},
        weights={"s": slope},
        rules=NumericRules(requantize_rounding=rounding),
    )
    trace = run(network, [EVERY, EVERY])
    saturations = 0
    for channel in (0, 1):
        found_row = trace.tensors["y"][channel].tolist()
        for raw, raw_slope, found in zip(EVERY, spread[channel], found_row, strict=True):
            value = real(raw, x) * (real(raw_slope, slope) if raw < 0 else Fraction(1))
            expected, is_clipped = exactly(value, y, rounding)
            assert found == expected
            saturations += is_clipped
    assert saturations > 0
    assert trace.events["prelu"] == Events(output_saturations=saturations)
