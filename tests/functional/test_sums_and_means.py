"""Are additions and pools handed to their kernels as the contract says?"""

import re
from dataclasses import replace
from typing import Any

import pytest

from accel_sim.functional import ExactNetwork
from accel_sim.layer_steps.step import Events
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.layers import AveragePool, MaxPool
from quantizer.quantized import NumericRules, QuantizedNetwork
from tests.functional.by_hand import (
    QUIET,
    RELU,
    add,
    average_pool,
    constant,
    quantized,
    relu_copy,
    run,
    signed,
    unsigned,
)


def test_a_map_and_its_relu_are_added() -> None:
    network = quantized(
        relu_copy(),
        add("x", "r"),
        maps={"x": (signed(8, 2), (4,)), "r": (signed(8, 2), (4,)), "y": (signed(8, 1), (4,))},
    )
    trace = run(network, [-128, -3, 5, 127])
    assert trace.tensors["r"].tolist() == [0, 0, 5, 127]
    # -128 / 4 = -64, -3 / 4, 10 / 4, 254 / 4, with one fraction bit and ties up.
    assert trace.tensors["y"].tolist() == [-64, -1, 5, 127]
    assert trace.events == {"relu": QUIET, "add": QUIET}


def test_a_map_is_added_to_itself() -> None:
    network = quantized(add("x", "x"), maps={"x": (signed(8, 0), (3,)), "y": (signed(8, 0), (3,))})
    trace = run(network, [-100, 7, 63])
    assert trace.tensors["y"].tolist() == [-128, 14, 126]
    assert trace.events["add"] == Events(output_saturations=1)


def test_a_constant_is_added_in_its_own_format() -> None:
    network = quantized(
        add("x", plus="c", clamp=RELU),
        maps={"x": (signed(8, 1), (2, 1, 2)), "y": (unsigned(8, 2), (2, 1, 2))},
        weights={"c": constant([[[1, -9]], [[127, 0]]], 3, bits=8)},
    )
    # In eighths: 40 + 1, 8 - 9, 4 * 127 + 127 and -4; stored in quarters.
    trace = run(network, [[[10, 2]], [[127, -1]]])
    assert trace.tensors["y"].tolist() == [[[21, 0]], [[255, 0]]]
    assert trace.events["add"] == Events(output_saturations=1)


def add_apart(places: int, ofm_frac_bits: int) -> QuantizedNetwork:
    """An addition of a map and a constant in formats some places apart."""
    return quantized(
        add("x", plus="c"),
        maps={"x": (signed(16, -20), (1,)), "y": (signed(16, ofm_frac_bits), (1,))},
        weights={"c": constant([3], places - 20)},
    )


def test_formats_40_places_apart_are_added_exactly() -> None:
    network = add_apart(40, 18)
    # 0 * 2**20 + 3 * 2**-20 is 0.75 of the ofm's step.
    assert run(network, [0]).tensors["y"].tolist() == [1]
    assert run(add_apart(40, -20), [-5]).tensors["y"].tolist() == [-5]


def test_formats_41_places_apart_are_not_added() -> None:
    sentence = "layer 'add': adds formats 41 binary places apart; expected at most 40"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        ExactNetwork(add_apart(41, 0))


def test_the_padding_of_a_max_pool_never_wins() -> None:
    network = quantized(
        MaxPool(
            name="pool",
            ifm="x",
            ofm="y",
            kernel=(2, 3),
            stride=(2, 1),
            pads=(1, 2, 0, 0),
            dilation=(1, 1),
        ),
        maps={"x": (signed(8, 3), (1, 3, 3)), "y": (signed(8, 3), (1, 2, 3))},
    )
    trace = run(network, [[[-9, -8, -7], [-6, -5, -4], [-128, -2, -3]]])
    assert trace.tensors["y"].tolist() == [[[-9, -8, -7], [-6, -2, -2]]]
    assert trace.events["pool"] == QUIET


@pytest.mark.parametrize(("counts_padding", "mean"), [(False, -6), (True, -2)])
def test_an_average_pool_counts_as_its_layer_says(counts_padding: bool, mean: int) -> None:
    network = quantized(
        AveragePool(
            name="mean",
            ifm="x",
            ofm="y",
            kernel=(3, 2),
            stride=(4, 4),
            pads=(2, 0, 0, 0),
            dilation=(1, 1),
            counts_padding=counts_padding,
            clamp=None,
        ),
        maps={"x": (signed(8, 0), (1, 1, 2)), "y": (signed(8, 0), (1, 1, 1))},
    )
    # -4 - 8 over two real positions, or over six.
    assert run(network, [[[-4, -8]]]).tensors["y"].item() == mean


def test_a_mean_rounds_once_in_the_mode_of_average_pools() -> None:
    def mean(rounding: Rounding) -> list[int]:
        network = quantized(
            average_pool(),
            maps={"x": (signed(8, 2), (2, 2, 2)), "y": (signed(8, 1), (2, 1, 1))},
            rules=NumericRules(
                requantize_rounding=Rounding.TO_ZERO, average_pool_rounding=rounding
            ),
        )
        # 11 / 4 / 2 = 1.375: rounding 11 / 4 to 3 first would make 2. -12 / 8 is a tie.
        x = [[[3, 3], [3, 2]], [[-3, -3], [-3, -3]]]
        return list(run(network, x).tensors["y"].ravel())

    assert mean(Rounding.TIES_POS) == [1, -1]
    assert mean(Rounding.TIES_AWAY) == [1, -2]


def test_a_clamp_of_an_average_pool_is_kept() -> None:
    network = quantized(
        average_pool(clamp=RELU),
        maps={"x": (signed(8, 0), (2, 2, 2)), "y": (unsigned(4, 0), (2, 1, 1))},
    )
    trace = run(network, [[[-9, -9], [-9, -9]], [[100, 100], [100, 100]]])
    assert trace.tensors["y"].ravel().tolist() == [0, 15]
    assert trace.events["mean"] == Events(output_saturations=1)


def pool_apart(ifm_frac_bits: int, ofm_frac_bits: int) -> QuantizedNetwork:
    maps = {
        "x": (signed(8, ifm_frac_bits), (1, 2, 2)),
        "y": (signed(8, ofm_frac_bits), (1, 1, 1)),
    }
    return quantized(average_pool(), maps=maps)


def test_a_mean_that_needs_61_bits_is_exact() -> None:
    # Four positions of eight bits, 51 places apart.
    assert run(pool_apart(0, 51), [[[1, 0], [-1, 0]]]).tensors["y"].item() == 0
    assert run(pool_apart(0, 51), [[[-128] * 2] * 2]).tensors["y"].item() == -128
    assert run(pool_apart(51, 0), [[[127] * 2] * 2]).tensors["y"].item() == 0


@pytest.mark.parametrize("frac_bits", [(0, 52), (52, 0)])
def test_a_mean_that_needs_more_is_refused(frac_bits: tuple[int, int]) -> None:
    sentence = (
        "layer 'mean': its mean over 4 positions between formats 52 binary places apart "
        "needs more than 61 bits; expected formats closer together"
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        ExactNetwork(pool_apart(*frac_bits))


def windowed_mean(ifm_shape: tuple[int, ...], ofm_shape: tuple[int, ...], **changes: Any) -> Any:
    layer = replace(average_pool(), **changes)
    return quantized(layer, maps={"x": (signed(8, 0), ifm_shape), "y": (signed(16, 4), ofm_shape)})


@pytest.mark.parametrize(
    ("counts_padding", "means"),
    # Starts at -1, 1, 3: (0) + 16, 32 + 64, 128 alone; the last window passes the padding.
    [(False, [16, 48, 127]), (True, [8, 48, 127 / 2])],
)
def test_what_lies_behind_the_padding_never_counts(
    counts_padding: bool, means: list[float]
) -> None:
    """A map of one dimension, windows of two as ceil_mode makes them, a stride of two."""
    network = windowed_mean(
        (1, 4), (1, 3), kernel=(1, 2), stride=(1, 2), pads=(0, 1, 0, 1),
        counts_padding=counts_padding,
    )  # fmt: skip
    found = run(network, [[16, 32, 64, 127]]).tensors["y"]
    assert found.tolist() == [[int(mean * 16) for mean in means]]


@pytest.mark.parametrize("counts_padding", [False, True])
def test_a_window_of_ceil_mode_counts_up_to_the_end_of_the_padding(counts_padding: bool) -> None:
    network = windowed_mean(
        (1, 5), (1, 2), kernel=(1, 4), stride=(1, 4), pads=(0, 0, 0, 1),
        counts_padding=counts_padding,
    )  # fmt: skip
    # The second window starts at 4: one value, one of padding, two that are nowhere.
    expected = [(1 + 2 + 3 + 4) * 4, 60 * 16 // (2 if counts_padding else 1)]
    assert run(network, [[1, 2, 3, 4, 60]]).tensors["y"].tolist() == [expected]


def test_dilated_windows_leave_out_what_lies_between() -> None:
    network = windowed_mean(
        (1, 1, 5), (1, 1, 3), kernel=(1, 2), stride=(1, 1), pads=(0, 1, 0, 1), dilation=(1, 4)
    )
    # Positions -1 and 3, 0 and 4, 1 and 5.
    assert run(network, [[[1, 2, 3, 4, 5]]]).tensors["y"].tolist() == [[[64, 48, 32]]]


def test_a_mean_of_nothing_is_refused() -> None:
    network = windowed_mean((1, 2, 2), (1, 2, 2), kernel=(1, 1), stride=(3, 3), pads=(1, 1, 0, 0))
    sentence = "layer 'mean': window 0 along its rows lies outside the map; expected less padding"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        ExactNetwork(network)


def test_a_dilated_max_pool_over_the_edge() -> None:
    network = quantized(
        MaxPool(
            name="pool", ifm="x", ofm="y", kernel=(2, 2), stride=(2, 1), pads=(1, 0, 0, 1),
            dilation=(2, 3),
        ),
        maps={"x": (signed(8, 0), (1, 3, 4)), "y": (signed(8, 0), (1, 2, 2))},
    )  # fmt: skip
    # Rows -1 and 1, then 1 and 3; cols 0 and 3, then 1 and 4.
    trace = run(network, [[[90, 91, 92, 93], [-7, -6, 95, -8], [96, 97, 98, 99]]])
    assert trace.tensors["y"].tolist() == [[[-7, -6], [-7, -6]]]
