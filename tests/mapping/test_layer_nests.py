"""Is every layer the loops that it is?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.mapping.layer_nests import OperandWidths, build_loop_nests
from accel_sim.mapping.loop_nest import Kind, LoopNest
from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.network.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Clamp,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Function,
    FunctionKind,
    Layer,
    LocalResponseNorm,
    Lookup,
    MaxPool,
    Mul,
    Pad,
    PRelu,
    Reshape,
    Slice,
    Transpose,
    Upsample,
)


def nest_of(layer: Layer, shapes, constants=None, bits=8, requantized=()) -> LoopNest:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in (constants or {}).items()}
    network = Network(
        name="net", digest="0", input="x", outputs=(layer.ofm,), layers=(layer,), shapes=shapes,
        constants=arrays,
    )  # fmt: skip
    widths = OperandWidths(
        feature_maps={name: bits + at for at, name in enumerate(shapes)},
        constants={name: 16 if name == "b" else 4 for name in arrays},
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


def test_maps_of_one_spatial_dimension_are_one_row_high():
    layer = Conv(
        name="l", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 2), pads=(0, 1, 0, 1),
        dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    assert nest_of(layer, {"x": (3, 20), "y": (4, 10)}, {"w": (4, 3, 1, 3)}) == replace(
        PLAIN, op="Conv", kind=Kind.MAC, filters=4, channels=3, filter_cols=3, output_cols=10,
        input_cols=20, stride=(1, 2), pads=(0, 1), weight_bits=4,
    )  # fmt: skip
    pool = MaxPool(
        name="l", ifm="x", ofm="y", kernel=(1, 3), stride=(1, 2), pads=(0, 1, 0, 1),
        dilation=(1, 2),
    )  # fmt: skip
    assert nest_of(pool, {"x": (3, 20), "y": (3, 9)}) == replace(
        PLAIN, op="MaxPool", kind=Kind.POOL, groups=3, filter_cols=3, output_cols=9,
        input_cols=20, stride=(1, 2), dilation=(1, 2), pads=(0, 1),
    )  # fmt: skip


MAP = replace(PLAIN, groups=6, output_rows=5, output_cols=4, input_rows=5, input_cols=4)
MAPS = {"x": (6, 5, 4), "y": (6, 5, 4)}


def test_a_batch_norm_has_a_scale_and_an_offset_per_channel():
    layer = BatchNorm(name="l", ifm="x", ofm="y", weights="w", bias="b", clamp=None)
    assert nest_of(layer, MAPS, {"w": (6,), "b": (6,)}) == replace(
        MAP, op="BatchNorm", kind=Kind.MULTIPLY, group_weights=1, weight_bits=4, bias_bits=16
    )


@pytest.mark.parametrize(
    ("slopes", "group_weights"), [((6, 1, 1), 1), ((1, 1, 1), 0), ((6, 5, 4), 20), ((6, 1, 4), 4)]
)
def test_a_single_slope_is_no_operand(slopes, group_weights):
    layer = PRelu(name="l", ifm="x", ofm="y", slopes="w", clamp=None)
    assert nest_of(layer, MAPS, {"w": slopes}) == replace(
        MAP, op="PRelu", kind=Kind.MULTIPLY, group_weights=group_weights, weight_bits=4
    )


def test_slopes_that_channels_share_are_read_once():
    layer = PRelu(name="l", ifm="x", ofm="y", slopes="w", clamp=None)
    nest = nest_of(layer, MAPS, {"w": (1, 5, 4)})
    assert (nest.groups, nest.output_rows * nest.output_cols) == (1, 6 * 5 * 4)
    assert nest.group_weights == 20


def test_a_product_reads_two_operands():
    layer = Mul(name="l", inputs=("x", "z"), constant=None, ofm="y", clamp=None)
    assert nest_of(layer, {**MAPS, "z": (6, 5, 4)}) == replace(
        MAP, op="Mul", kind=Kind.MULTIPLY, residual_bits=10
    )


@pytest.mark.parametrize(
    ("shape", "groups", "rows", "cols"),
    [
        # Three images; outputs that share an element of the operand are a group.
        ((6, 1, 1), 3 * 6, 5, 4),
        ((1, 5, 4), 3 * 20, 6, 1),
        ((6, 1, 4), 3 * 24, 5, 1),
        ((4,), 3 * 4, 6, 5),
        ((1, 1, 1), 3, 30, 4),
        ((), 3, 30, 4),
    ],
)
def test_an_operand_that_is_broadcast_moves_its_own_elements(shape, groups, rows, cols):
    expected = replace(
        MAP, op="Mul", kind=Kind.MULTIPLY, batch=1, groups=groups, output_rows=rows,
        output_cols=cols, input_rows=rows, input_cols=cols, residual_bits=4, shares_residual=True,
    )  # fmt: skip
    constant = Mul(name="l", inputs=("x",), constant="c", ofm="y", clamp=None)
    assert nest_of(constant, MAPS, {"c": shape}) == expected
    assert expected.outputs == 3 * 6 * 5 * 4
    assert expected.residual_elements == 3 * int(np.prod(shape))
    if len(shape) == 3:
        both = Mul(name="l", inputs=("z", "x"), constant=None, ofm="y", clamp=None)
        # The larger operand is the ifm, wherever it stands.
        assert nest_of(both, {**MAPS, "z": shape}) == replace(expected, residual_bits=10)


def test_of_two_operands_that_are_broadcast_one_counts_as_the_output():
    layer = Add(name="l", inputs=("x", "z"), constant=None, signs=(1, -1), ofm="y", clamp=None)
    nest = nest_of(layer, {"x": (6, 1, 1), "y": (6, 5, 4), "z": (1, 5, 4)})
    assert nest == replace(
        PLAIN, op="Add", kind=Kind.ADD, batch=1, groups=3 * 6, output_rows=5, output_cols=4,
        input_rows=5, input_cols=4, ifm_bits=10, residual_bits=8, shares_residual=True,
    )  # fmt: skip


@pytest.mark.parametrize(("bits", "entries"), [(4, 16), (12, 4096), (13, 4097), (16, 4097)])
def test_a_table_has_an_entry_per_value_up_to_12_bits(bits, entries):
    layer = Lookup(
        name="l", ifm="x", ofm="y", function=Function(kind=FunctionKind.TANH), clamp=None
    )
    assert nest_of(layer, MAPS, bits=bits) == replace(
        PLAIN, op="Lookup", kind=Kind.LOOKUP, output_rows=30, output_cols=4, input_rows=30,
        input_cols=4, ifm_bits=bits, ofm_bits=bits + 1, group_weights=entries,
        weight_bits=bits + 1,
    )  # fmt: skip


def test_only_a_permutation_that_moves_values_is_a_copy():
    shapes = {"x": (6, 5, 4), "y": (5, 6, 4)}
    copy = Transpose(name="l", ifm="x", ofm="y", view=(6, 5, 4), permutation=(1, 0, 2))
    assert nest_of(copy, shapes) == replace(
        PLAIN, op="Transpose", kind=Kind.COPY, groups=5, output_rows=6, output_cols=4,
        input_rows=6, input_cols=4,
    )  # fmt: skip
    shapes = {"x": (1, 5, 4), "y": (5, 1, 4)}
    nothing = Transpose(name="l", ifm="x", ofm="y", view=(1, 5, 4), permutation=(1, 0, 2))
    assert nest_of(nothing, shapes).kind is Kind.LAYOUT


def test_a_slice_reads_its_part():
    layer = Slice(name="l", ifm="x", ofm="y", starts=(4, 0, 0), steps=(1, 1, 1))
    assert nest_of(layer, {"x": (6, 5, 4), "y": (2, 5, 4)}) == replace(
        MAP, op="Slice", kind=Kind.COPY, groups=2
    )


@pytest.mark.parametrize(
    ("before", "after", "rows", "cols", "inside", "pad"),
    [
        ((0, 1, 2), (0, 1, 0), 6, 7 * 6, (6, 20), 0),
        ((1, 1, 0), (2, 0, 0), 9, 6 * 4, (6, 20), 1),
        # Cropped: four channels and three rows are left.
        ((-2, 1, 0), (0, -2, 0), 4, 4 * 4, (4, 12), 0),
    ],
)
def test_a_pad_reads_the_inside(before, after, rows, cols, inside, pad):
    layer = Pad(name="l", ifm="x", ofm="y", before=before, after=after, value=0)
    shape = tuple(n + b + a for n, b, a in zip((6, 5, 4), before, after, strict=True))
    assert nest_of(layer, {"x": (6, 5, 4), "y": shape}) == replace(
        PLAIN, op="Pad", kind=Kind.COPY, output_rows=rows, output_cols=cols,
        input_rows=inside[0], input_cols=inside[1], pads=(pad, 0),
    )  # fmt: skip


def test_an_upsampling_writes_every_value_often():
    layer = Upsample(name="l", ifm="x", ofm="y", factors=(1, 2, 3))
    nest = nest_of(layer, {"x": (6, 5, 4), "y": (6, 10, 12)})
    assert nest == replace(MAP, op="Upsample", kind=Kind.COPY, filters=6)
    assert nest.outputs == 3 * 6 * 10 * 12


def test_a_normalization_over_channels_is_the_hosts():
    layer = LocalResponseNorm(
        name="l", ifm="x", ofm="y", size=5, alpha=1, beta=1, bias=1, clamp=None
    )
    assert nest_of(layer, MAPS) == replace(MAP, op="LocalResponseNorm", kind=Kind.HOST)


def test_a_concat_along_another_axis_requantizes_whole_inputs():
    concat = Concat(name="l", inputs=("x", "z"), axis=2, ofm="y")
    shapes = {"x": (2, 3, 4), "y": (2, 3, 9), "z": (2, 3, 5)}
    nest = nest_of(concat, shapes, requantized=("z",))
    assert nest.outputs == 3 * 2 * 3 * 5


def transposed(stride=(1, 1), dilation=(1, 1), pads=(0, 0, 0, 0)):
    return ConvTranspose(
        name="l", ifm="x", ofm="y", weights="w", bias="b", stride=stride, pads=pads,
        dilation=dilation, groups=2, clamp=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stride", "dilation", "window", "pads", "outputs", "filters", "taps", "loops", "tops"),
    [
        # Twice as large: four phases of two by two taps.
        ((2, 2), (1, 1), (4, 4), (1, 1, 1, 1), (16, 12), 4, (2, 2), (8, 6), (1, 1)),
        # Three taps in two phases: the second tap of one phase is zero. 15 rows are 8 pairs.
        ((2, 1), (1, 1), (3, 3), (1, 1, 1, 1), (15, 6), 2, (2, 3), (8, 6), (1, 1)),
        ((1, 1), (2, 1), (3, 3), (0, 2, 0, 2), (12, 4), 1, (3, 3), (12, 4), (4, 0)),
        # Fewer taps than phases: a phase without any is zero.
        ((3, 3), (1, 1), (1, 2), (0, 0, 0, 0), (22, 17), 9, (1, 1), (8, 6), (0, 0)),
    ],
)
def test_a_transposed_convolution_in_sub_pixel_form(
    stride, dilation, window, pads, outputs, filters, taps, loops, tops
):
    layer = transposed(stride, dilation, pads)
    nest = nest_of(layer, {"x": (6, 8, 6), "y": (4, *outputs)}, {"w": (4, 3, *window), "b": (4,)})
    assert nest == replace(
        PLAIN, op="ConvTranspose", kind=Kind.MAC, groups=2, filters=2 * filters, channels=3,
        filter_rows=taps[0], filter_cols=taps[1], output_rows=loops[0], output_cols=loops[1],
        input_rows=8, input_cols=6, dilation=dilation, pads=tops, weight_bits=4, bias_bits=16,
    )  # fmt: skip


def test_a_transposed_convolution_with_stride_and_dilation_has_no_costs():
    shapes = {"x": (6, 8, 6), "y": (4, 8, 15)}
    with pytest.raises(InputError) as caught:
        nest_of(transposed((1, 2), (1, 2)), shapes, {"w": (4, 3, 1, 3), "b": (4,)})
    assert str(caught.value) == (
        "layer 'l': a transposed convolution with stride 2 and dilation 2 along its cols has no "
        "costs; expected 1 for one of them"
    )
