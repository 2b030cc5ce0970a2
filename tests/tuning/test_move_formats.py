"""Is the network with one fraction length moved what it should be, biases included?"""

import numpy as np
import pytest

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.formats_file import GivenFormat
from quantizer.fraction_length import search
from quantizer.move_formats import (
    Bias,
    Constant,
    MapClass,
    Movable,
    Variant,
    find_movables,
    find_weights_per_channel,
    unmoved,
)
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths
from tests.tuning.networks import (
    MAP,
    assert_same,
    branched,
    branched_at,
    frac_bits,
    normal_images,
    pinned_at,
)


def test_what_may_move_stands_from_the_last_layer_backwards_each_once() -> None:
    assert find_movables(branched_at(), {}) == [
        MapClass(names=("y",)),
        Constant(name="offset"),
        MapClass(names=("scaled",)),
        Constant(name="factor"),
        MapClass(names=("leaky",)),
        Constant(name="slopes"),
        MapClass(names=("c.out",)),
        Constant(name="c.w"),
        Bias(name="c.b"),
        MapClass(names=("a.out", "b.out", "pooled", "joined")),
        Constant(name="b.w"),
        Constant(name="a.w"),
        Bias(name="a.b"),
        MapClass(names=("x",)),
    ]


def test_a_bias_follows_the_accumulator_and_is_encoded_from_its_float_values() -> None:
    start = branched_at()
    joined, values = MapClass(names=("a.out", "b.out", "pooled", "joined")), [0.11, 0.7]
    own = search("c.b", np.array(values, np.float32), 16, may_clip=False)
    variant = unmoved(start, {})
    for _ in range(9):
        variant = variant.move(joined, -1)
        network = variant.network
        length = min(own, network.formats["joined"].frac_bits + network.weights["c.w"].frac_bits[0])
        fmt = QFormat(bits=16, frac_bits=int(length))
        assert network.biases["c"].frac_bits.tolist() == [length] * 2
        expected = fmt.encode(np.array(values, np.float32), Rounding.TIES_EVEN)
        np.testing.assert_array_equal(network.biases["c"].raw, expected)
    assert length < 2, "so coarse that the bias has lost most of its bits"
    for _ in range(9):
        variant = variant.move(joined, 1)
    assert_same(variant.network, start)


def test_a_moved_bias_keeps_its_own_fraction_length_where_the_accumulator_lets_it() -> None:
    joined = MapClass(names=("a.out", "b.out", "pooled", "joined"))
    variant = unmoved(branched_at(), {}).move(Bias(name="c.b"), -1)
    own = int(variant.network.biases["c"].frac_bits[0])
    assert own == frac_bits(branched_at())["c.b"] - 1
    lengths = []
    for places in (-1, -1, -1, 1, 1, 1, 1):
        variant = variant.move(joined, places)
        weights = variant.network.weights["c.w"].frac_bits[0]
        limit = int(variant.network.formats["joined"].frac_bits + weights)
        assert variant.network.biases["c"].frac_bits[0] == min(own, limit)
        lengths.append(limit < own)
    assert {*lengths} == {True, False}


def refused(variant: Variant, what: Movable, places: int) -> str:
    with pytest.raises(InputError) as error:
        variant.move(what, places)
    return str(error.value)


def test_there_is_no_bias_finer_than_its_accumulator_or_saturated() -> None:
    assert refused(unmoved(branched_at(), {}), Bias(name="c.b"), 1) == (
        "bias 'c.b': is as fine as its accumulators; expected a coarser format"
    )
    wide = quantize(
        branched(), normal_images(MAP, 6), BitWidths(weights=16, activations=16, biases=4)
    )
    assert refused(unmoved(wide, {}), Bias(name="c.b"), 1) == (
        "layer 'c': bias 'c.b': saturates at channel 1: 0.7 does not fit 4 bits with "
        "frac_bits 4; expected fewer frac_bits or more bits"
    )


def test_a_format_out_of_range_is_no_candidate() -> None:
    variant = unmoved(branched_at(), {})
    lengths = frac_bits(variant.network)
    for what, name in (
        (MapClass(names=("y",)), "feature map 'y'"),
        (Constant(name="factor"), "constant 'factor'"),
    ):
        finest = 64 + lengths[name.split("'")[1]]
        assert refused(variant, what, 64) == (
            f"{name}: its values need a step of 2**-{finest}; formats reach from 2**-64 to 2**64"
        )


def test_each_channel_can_move_by_itself() -> None:
    start = branched_at(per_channel=True)
    before = start.weights["c.w"].frac_bits
    places = np.array([1, -1])
    moved = unmoved(start, {}).move_channels(Constant(name="c.w"), places).network
    assert moved.weights["c.w"].frac_bits.tolist() == (before + places).tolist()
    for channel, length in enumerate(moved.weights["c.w"].frac_bits.tolist()):
        fmt = QFormat(bits=6, frac_bits=length)
        values = start.network.constants["c.w"][channel]
        expected = fmt.encode(values, Rounding.TIES_EVEN)
        np.testing.assert_array_equal(moved.weights["c.w"].raw[channel], expected)
    limits = moved.formats["joined"].frac_bits + moved.weights["c.w"].frac_bits
    assert (moved.biases["c"].frac_bits <= limits).all()
    assert moved.formats == start.formats
    np.testing.assert_array_equal(moved.weights["a.w"].raw, start.weights["a.w"].raw)


def test_only_weights_that_have_a_fraction_length_per_channel_move_so() -> None:
    channels = branched_at(per_channel=True)
    assert find_weights_per_channel(branched_at(), {}) == []
    assert find_weights_per_channel(channels, {}) == [
        Constant(name="a.w"), Constant(name="b.w"), Constant(name="c.w"),
    ]  # fmt: skip
    pinned = pinned_at(branched_at(), "b.w")
    assert find_weights_per_channel(channels, pinned) == [
        Constant(name="a.w"), Constant(name="c.w"),
    ]  # fmt: skip


def test_all_channels_of_a_constant_move_by_as_many_places() -> None:
    given = GivenFormat(bits=6, frac_bits=(3, 4), signed=True, where="c.w")
    start = quantize(
        branched(), normal_images(MAP, 6), BitWidths(weights=6, activations=6),
        formats={"c.w": given},
    )  # fmt: skip
    moved = unmoved(start, {}).move(Constant(name="c.w"), -1).network
    assert moved.weights["c.w"].frac_bits.tolist() == [2, 3]
    for channel, length in enumerate((2, 3)):
        fmt = QFormat(bits=6, frac_bits=length)
        values = start.network.constants["c.w"][channel]
        expected = fmt.encode(values, Rounding.TIES_EVEN)
        np.testing.assert_array_equal(moved.weights["c.w"].raw[channel], expected)
