"""Is every layer the loops that it is?"""

from dataclasses import replace

import numpy as np

from accel_sim.mapping.layer_nests import OperandWidths, build_loop_nests
from accel_sim.mapping.loop_nest import Kind, LoopNest
from quantizer.network.graph import Network
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clamp,
    Clip,
    Concat,
    Conv,
    Dense,
    Layer,
    MaxPool,
    Reshape,
)


def nest_of(layer: Layer, shapes, constants=None, bits=8, requantized=()) -> LoopNest:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in (constants or {}).items()}
    network = Network(
        name="net", digest="0", input="x", outputs=(layer.ofm,), layers=(layer,), shapes=shapes,
        constants=arrays,
    )  # fmt: skip
    widths = OperandWidths(
        feature_maps={name: bits + at for at, name in enumerate(shapes)},
        weights={name: 4 for name in arrays},
        biases=16,
    )
    (nest,) = build_loop_nests(network, widths, 3, {layer.name: requantized} if requantized else {})
    return nest


PLAIN = LoopNest(
    layer="l", op="Clip", kind=Kind.REQUANTIZE, batch=3, groups=1, filters=1, channels=1,
    filter_rows=1, filter_cols=1, output_rows=1, output_cols=1, input_rows=1, input_cols=1,
    stride=(1, 1), dilation=(1, 1), pads=(0, 0), ifm_bits=8, weight_bits=None, bias_bits=0,
    ofm_bits=9, residual_bits=0,
)  # fmt: skip


def test_a_grouped_convolution():
    layer = Conv(
        name="l", ifm="x", ofm="y", weights="w", bias="b", stride=(2, 1), pads=(1, 2, 0, 3),
        dilation=(1, 2), groups=2, clamp=None,
    )  # fmt: skip
    nest = nest_of(layer, {"x": (6, 9, 10), "y": (4, 4, 11)}, {"w": (4, 3, 3, 3), "b": (4,)})
    assert nest == replace(
        PLAIN, op="Conv", kind=Kind.MAC, groups=2, filters=2, channels=3, filter_rows=3,
        filter_cols=3, output_rows=4, output_cols=11, input_rows=9, input_cols=10, stride=(2, 1),
        dilation=(1, 2), pads=(1, 2), weight_bits=4, bias_bits=16,
    )  # fmt: skip
    assert nest.macs == 3 * (4 * 4 * 11) * (3 * 3 * 3)


def test_a_dense_layer_works_on_positions():
    layer = Dense(name="l", ifm="x", ofm="y", weights="w", bias=None, clamp=None)
    nest = nest_of(layer, {"x": (5, 7), "y": (5, 10)}, {"w": (10, 7)})
    assert nest == replace(
        PLAIN, op="Dense", kind=Kind.MAC, filters=10, channels=7, output_rows=5, input_rows=5,
        weight_bits=4,
    )  # fmt: skip
    assert nest.macs == 3 * 5 * 10 * 7


def test_pools_treat_channels_as_groups():
    pool = {"name": "l", "ifm": "x", "ofm": "y", "kernel": (3, 2), "stride": (2, 2),
            "pads": (1, 0, 1, 0), "dilation": (1, 1)}  # fmt: skip
    shapes = {"x": (6, 9, 10), "y": (6, 5, 5)}
    expected = replace(
        PLAIN, kind=Kind.POOL, groups=6, filter_rows=3, filter_cols=2, output_rows=5,
        output_cols=5, input_rows=9, input_cols=10, stride=(2, 2), pads=(1, 0),
    )  # fmt: skip
    assert nest_of(MaxPool(**pool), shapes) == replace(expected, op="MaxPool")
    average = AveragePool(**pool, counts_padding=False, clamp=None)
    assert nest_of(average, shapes) == replace(expected, op="AveragePool")
    assert expected.macs == 0


def test_a_sum_reads_two_operands():
    whole = replace(
        PLAIN, op="Add", kind=Kind.ADD, groups=6, output_rows=5, output_cols=4, input_rows=5,
        input_cols=4,
    )  # fmt: skip
    both = Add(name="l", inputs=("x", "z"), constant=None, signs=(1, 1), ofm="y", clamp=None)
    shapes = {"x": (6, 5, 4), "y": (6, 5, 4), "z": (6, 5, 4)}
    assert nest_of(both, shapes) == replace(whole, residual_bits=10)
    constant = Add(name="l", inputs=("x",), constant="c", signs=(1, 1), ofm="y", clamp=None)
    shapes = {"x": (6, 5, 4), "y": (6, 5, 4)}
    assert nest_of(constant, shapes, {"c": (6, 5, 4)}) == replace(whole, residual_bits=4)


def test_shape_changes_and_plain_concats_do_nothing():
    flatten = Reshape(name="l", ifm="x", ofm="y")
    assert nest_of(flatten, {"x": (2, 3, 4), "y": (24,)}).kind is Kind.LAYOUT
    concat = Concat(name="l", inputs=("x", "z"), axis=0, ofm="y")
    shapes = {"x": (2, 3, 4), "y": (7, 3, 4), "z": (5, 3, 4)}
    assert nest_of(concat, shapes).kind is Kind.LAYOUT


def test_a_concat_pays_for_the_inputs_it_requantizes():
    concat = Concat(name="l", inputs=("x", "z"), axis=0, ofm="y")
    shapes = {"x": (2, 3, 4), "y": (7, 3, 4), "z": (5, 3, 4)}
    nest = nest_of(concat, shapes, requantized=("z",))
    assert nest == replace(
        PLAIN, op="Concat", groups=5, output_rows=3, output_cols=4, input_rows=3, input_cols=4,
        ifm_bits=10,
    )  # fmt: skip


def test_a_clip_of_a_vector():
    layer = Clip(name="l", ifm="x", ofm="y", clamp=Clamp(low=0, high=6))
    assert nest_of(layer, {"x": (12,), "y": (12,)}) == replace(PLAIN, groups=12)
