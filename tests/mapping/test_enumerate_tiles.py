"""Are exactly the tiles that fit offered, and is a layer that never fits named?"""

import re
from dataclasses import replace

import numpy as np
import pytest

from accel_sim.hardware.buffers import OPERANDS
from accel_sim.hardware.choices import Along
from accel_sim.hardware.load import load_hardware
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.mapping.enumerate_tiles import check_smallest_tile, enumerate_tiles
from accel_sim.mapping.input_extent import Axis, cut_axis
from accel_sim.mapping.loop_nest import Kind
from accel_sim.mapping.stored_bits import stored_bits
from quantizer.errors import InputError
from tests.mapping.random_layers import DATAFLOWS, let_maps_stay, random_machine, random_nest

SMALL = [f"buffers.{name}.capacity_KiB=4" for name in ("ifm", "weights", "psum", "ofm")]


def nest_of(**changes):
    plain = replace(
        random_nest(np.random.default_rng(0)), layer="conv3", batch=1, groups=1, filters=8,
        channels=8, filter_rows=1, filter_cols=1, output_rows=4, output_cols=4, input_rows=4,
        input_cols=4, stride=(1, 1), dilation=(1, 1), pads=(0, 0), ifm_bits=8, weight_bits=8,
        bias_bits=0, ofm_bits=8,
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.mark.parametrize("seed", range(40))
def test_pieces_read_what_their_positions_read(seed):
    rng = np.random.default_rng(seed)
    taps, stride, dilation = rng.integers(1, 5, 3).tolist()
    outputs, inputs = rng.integers(1, 12, 2).tolist()
    pad = int(rng.integers(-2, 4))
    axis = Axis(
        outputs=outputs, inputs=inputs, taps=taps, stride=stride, dilation=dilation, pad=pad
    )
    size = int(rng.integers(1, outputs + 1))
    cut = cut_axis(axis, size)
    for number, start in enumerate(range(0, outputs, size)):
        positions = range(start, min(start + size, outputs))
        read = {
            out * stride + tap * dilation - pad
            for out in positions
            for tap in range(taps)
            if 0 <= out * stride + tap * dilation - pad < inputs
        }
        assert cut.outputs[number] == len(positions)
        assert cut.touched[number] == len(read)
        assert cut.span[number] == (max(read) - min(read) + 1 if read else 0)


def shrink(rng, buffers):
    """The same memories with room for a few elements."""
    capacities = {name: float(rng.choice([0.0625, 0.125, 0.25])) for name in OPERANDS}
    changes = {
        name: getattr(buffers, name).model_copy(
            update={"capacity_KiB": capacities[buffers.memory_key(name)]}
        )
        for name in OPERANDS
        if getattr(buffers, name) != "in_ofm"
    }
    return buffers.model_copy(update=changes)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(20))
def test_exactly_the_tiles_that_fit_are_offered(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest = replace(random_nest(rng), batch=int(rng.integers(1, 3)))
    hardware = random_machine(rng, dataflow=dataflow)
    if seed % 2:
        nest = let_maps_stay(rng, nest)
    tight = hardware.model_copy(update={"buffers": shrink(rng, hardware.buffers)})
    try:
        space = enumerate_tiles(nest, tight)
    except InputError:
        pytest.fail("the smallest tile of so small a layer fits")
    offered = {tuple(row) for row in space.feasible.tolist()}
    bits = stored_bits(nest, tight)
    buffers = tight.buffers
    taps = nest.filter_rows * nest.filter_cols
    for index in np.ndindex(
        len(space.groups), len(space.batch), len(space.rows), len(space.cols),
        len(space.filters), len(space.channels),
    ):  # fmt: skip
        g, n, r, c, k, ch = index
        groups, batch = int(space.groups[g]), int(space.batch[n])
        filters, channels = int(space.filters[k]), int(space.channels[ch])
        inputs = int(space.rows[r].touched.max() * space.cols[c].span.max())
        outputs = int(space.rows[r].outputs[0] * space.cols[c].outputs[0])
        psum_bits = groups * batch * outputs * filters * bits.psum
        has_parts = channels < nest.channels
        if dataflow == "row_stationary":
            has_parts = True
        elif dataflow != "output_stationary":
            has_parts |= channels * taps > tight.mac_array.rows
        psum_bits *= has_parts
        ofm_bits = groups * batch * outputs * filters * bits.ofm
        needs = {
            "ifm": groups * batch * inputs * channels * bits.ifm * (not nest.ifm_stays),
            "weights": groups * filters * (channels * taps * bits.weight + bits.bias),
            "psum": psum_bits,
            "ofm": ofm_bits * (not nest.ofm_stays),
        }
        if dataflow == "row_stationary" and "weights" not in buffers.shared:
            del needs["weights"]  # they move on to the elements
        if buffers.psum == "in_ofm":
            needs["ofm"] = max(needs.pop("psum"), needs["ofm"])
        places = [buffers.shared, *([name] for name in OPERANDS if name not in buffers.shared)]
        fits = True
        for names in places:
            together = [name for name in names if name in needs]
            if together:
                memory = getattr(buffers, together[0])
                resident = nest.resident_bytes if "ifm" in names else 0
                copies = 2 if memory.double_buffered else 1
                there = sum(needs[name] for name in together)
                fits &= there <= (memory.capacity_bytes - resident) // copies * 8
        assert (index in offered) == fits


def test_cuts_are_the_distinct_even_ones_and_whole_columns():
    hardware = load_hardware("edge_16x16")
    space = enumerate_tiles(nest_of(filters=40, channels=10), hardware)
    # ceil(10 / i): 10, 5, 4, 3, 2 (for 5 to 9 pieces), 1.
    assert space.channels.tolist() == [10, 5, 4, 3, 2, 1]
    # ceil(40 / i), and 32 and 16: multiples of the 16 columns.
    assert space.filters.tolist() == [40, 32, 20, 16, 14, 10, 8, 7, 6, 5, 4, 3, 2, 1]


def two_at_once(along):
    return MultiplierMode(weight_bits=8, activation_bits=4, macs_per_pe=2, along=along)


def test_whole_columns_hold_all_filters_of_their_processing_elements():
    nest = nest_of(filters=70, mode=two_at_once(Along.FILTERS))
    offered = enumerate_tiles(nest, load_hardware("edge_16x16")).filters.tolist()
    assert {64, 32} <= set(offered)  # of ceil(70 / i) neither is one
    assert 48 not in offered


def test_a_reduction_that_one_fold_holds_in_a_mode_needs_no_psum_memory():
    """8 channels on 4 rows: two folds of one product each, one of two at once."""
    keys = ["mac_array.dataflow=weight_stationary", "mac_array.drain=hidden", "mac_array.rows=4"]
    hardware = load_hardware("edge_16x16", keys)
    psum = hardware.buffers.psum.model_copy(update={"capacity_KiB": 1 / 1024})
    buffers = hardware.buffers.model_copy(update={"psum": psum})
    hardware = hardware.model_copy(update={"buffers": buffers})
    assert len(enumerate_tiles(nest_of(), hardware).feasible) == 0
    space = enumerate_tiles(nest_of(mode=two_at_once(Along.REDUCTION)), hardware)
    assert set(space.channels[space.feasible[:, 5]]) == {8}


def test_filters_that_run_in_time_are_cut_evenly_only():
    keys = ["mac_array.dataflow=input_stationary", "mac_array.drain=hidden"]
    space = enumerate_tiles(nest_of(filters=40), load_hardware("edge_16x16", keys))
    assert space.filters.tolist() == [40, 20, 14, 10, 8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            # One filter of 51 x 51 taps: 2601 bytes; half of 4 KiB is 2048.
            {"filter_rows": 51, "filter_cols": 51, "output_rows": 1, "output_cols": 1,
             "input_rows": 10, "input_cols": 10, "pads": (20, 20)},
            "layer 'conv3': the smallest tile needs 2601 bytes of weights, buffers.weights holds "
            "2048 in each of its halves; --set buffers.weights.capacity_KiB=6 would hold it",
        ),
        (
            # One output reads 50 x 50 positions.
            {"kind": Kind.POOL, "filters": 1, "channels": 1, "filter_rows": 50,
             "filter_cols": 50, "output_rows": 1, "output_cols": 1, "input_rows": 50,
             "input_cols": 50},
            "layer 'conv3': the smallest tile needs 2500 bytes of ifm, buffers.ifm holds 2048 in "
            "each of its halves; --set buffers.ifm.capacity_KiB=5 would hold it",
        ),
    ],
)  # fmt: skip
def test_a_tile_that_fits_nowhere_is_named(changes, message):
    with pytest.raises(InputError) as caught:
        check_smallest_tile(nest_of(**changes), load_hardware("edge_16x16", SMALL))
    assert str(caught.value) == message


def test_a_fixed_reduction_that_fits_nowhere_says_so():
    """Folds of 16 products end with 16 channels of 9 taps: 16 windows of 3 rows that span 121."""
    keys = [
        "mac_array.dataflow=weight_stationary", "mac_array.drain=hidden",
        "mapping.reduction=fixed", "buffers.ifm.banks=1", "buffers.ifm.capacity_KiB=4",
    ]  # fmt: skip
    nest = nest_of(
        channels=32, filter_rows=3, filter_cols=3, dilation=(1, 60), input_rows=6, input_cols=124
    )
    check_smallest_tile(nest, load_hardware("edge_16x16", [*keys, "mapping.reduction=free"]))
    with pytest.raises(InputError) as caught:
        check_smallest_tile(nest, load_hardware("edge_16x16", keys))
    assert str(caught.value) == (
        "layer 'conv3': the smallest tile that keeps the reduction fixed needs 5808 bytes of "
        "ifm, buffers.ifm holds 2048 in each of its halves; "
        "--set buffers.ifm.capacity_KiB=12 would hold it"
    )


def test_without_double_buffering_the_whole_buffer_counts():
    whole = [*SMALL, "buffers.weights.double_buffered=false"]
    nest = nest_of(filter_rows=65, filter_cols=64, output_rows=1, output_cols=1, pads=(30, 30))
    with pytest.raises(InputError) as caught:
        check_smallest_tile(nest, load_hardware("edge_16x16", whole))
    assert str(caught.value) == (
        "layer 'conv3': the smallest tile needs 4160 bytes of weights, buffers.weights holds 4096; "
        "--set buffers.weights.capacity_KiB=5 would hold it"
    )


def test_the_capacity_that_is_advised_can_be_had():
    """Six banks of whole bytes: only every third KiB. Two halves of 6800 bytes would fit in 14."""
    keys = [*SMALL, "buffers.weights.capacity_KiB=12", "buffers.weights.banks=6"]
    hardware = load_hardware("edge_16x16", keys)
    nest = nest_of(filter_rows=85, filter_cols=80, output_rows=1, output_cols=1, pads=(40, 40))
    with pytest.raises(InputError) as caught:
        check_smallest_tile(nest, hardware)
    (advice,) = re.findall(r"--set (\S+) would hold it", str(caught.value))
    assert advice == "buffers.weights.capacity_KiB=15"
    check_smallest_tile(nest, load_hardware("edge_16x16", [*keys, advice]))


def test_byte_packing_rounds_every_operand_up():
    nest = nest_of(ifm_bits=5, weight_bits=3, ofm_bits=9, bias_bits=12)
    dense = stored_bits(nest, load_hardware("edge_16x16"))
    assert (dense.ifm, dense.weight, dense.ofm, dense.bias, dense.psum) == (5, 3, 9, 12, 32)
    packed = stored_bits(nest, load_hardware("edge_16x16", ["dram.packing=byte"]))
    assert (packed.ifm, packed.weight, packed.ofm, packed.bias, packed.psum) == (8, 8, 16, 16, 32)
