"""Are the passes of a row-stationary array those that a search by hand finds?"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.pass_tables import ifm_row_words, map_passes
from accel_sim.mapping.row_stationary import check_register_files, choose_pass, row_layer
from accel_sim.mapping.tile import Tile
from quantizer.errors import InputError

KEYS = ("mac_array.dataflow=row_stationary", "mac_array.drain=hidden", "buffers.psum=in_ofm")
NEST = LoopNest(
    layer="conv", op="Conv", kind=Kind.MAC, batch=1, groups=1, filters=16, channels=8,
    filter_rows=3, filter_cols=3, output_rows=8, output_cols=8, input_rows=10, input_cols=10,
    stride=(1, 1), dilation=(1, 1), pads=(0, 0), ifm_bits=8, weight_bits=8, bias_bits=0,
    ofm_bits=8, residual_bits=0,
)  # fmt: skip


def machine(rows, cols, ifm_words=12, weight_words=224, psum_words=24):
    return load_hardware("edge_16x16", [
        *KEYS, f"mac_array.rows={rows}", f"mac_array.cols={cols}",
        f"mac_array.register_files={{ifm_words: {ifm_words}, weight_words: {weight_words}, "
        f"psum_words: {psum_words}}}",
        "mac_array.networks={ifm_bits: 64, weight_bits: 64, psum_bits: 64}",
    ])  # fmt: skip


def chunks(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]


def work(nest, hardware, tile, strips, kept, filter_sets, of_pe, channel_sets):
    """Cycles of one column of outputs and port words of all, pass by pass, set by set."""
    array = hardware.mac_array
    parts = -(-nest.filter_rows // array.rows)
    taps = chunks(list(range(nest.filter_rows)), -(-nest.filter_rows // parts))
    rows = chunks(chunks(list(range(tile.output_rows)), strips[0]), strips[1])
    (row_words,) = ifm_row_words(nest, hardware, np.array([tile.output_cols]))
    port = hardware.buffers.psum_memory.port_bits
    cycles = words = 0
    for filters in chunks(chunks(list(range(tile.filters)), kept), filter_sets):
        for channels in chunks(chunks(list(range(tile.channels)), of_pe), channel_sets):
            most = max(map(len, filters))
            cycles += most * (nest.filter_cols * max(map(len, channels)) + 1)
            for own_taps, own_strips in product(taps, rows):
                outputs = [row for strip in own_strips for row in strip]
                needed = [
                    out * nest.stride[0] + tap * nest.dilation[0]
                    for out in outputs
                    for tap in own_taps
                ]
                span = min(max(needed) - min(needed) + 1, len(needed))
                words += span * sum(map(len, channels)) * row_words
                sums = sum(-(-len(own) * 32 // port) for own in filters)
                words += 2 * len(outputs) * tile.output_cols * sums
    return cycles, words


@pytest.mark.parametrize("seed", range(60))
def test_passes_are_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    window = [int(rng.integers(1, 5)) for _ in range(2)]
    nest = replace(
        NEST, filter_rows=window[0], filter_cols=window[1],
        stride=(int(rng.integers(1, 4)), 1), dilation=(int(rng.integers(1, 3)), 1),
    )  # fmt: skip
    hardware = machine(
        int(rng.integers(1, 13)), int(rng.integers(1, 15)), int(rng.integers(window[1], 13)),
        int(rng.integers(window[1], 60)), int(rng.integers(1, 9)),
    )  # fmt: skip
    tile = Tile(
        batch=1, groups=1, filters=int(rng.integers(1, 30)), channels=int(rng.integers(1, 20)),
        output_rows=int(rng.integers(1, 20)), output_cols=int(rng.integers(1, 9)),
    )  # fmt: skip
    array, files = hardware.mac_array, hardware.mac_array.register_files
    (row_words,) = ifm_row_words(nest, hardware, np.array([tile.output_cols]))
    found = choose_pass(
        row_layer(nest, hardware), tile.output_rows, tile.output_cols, row_words,
        tile.filters, tile.channels,
    )  # fmt: skip

    # It fits the register files and the array.
    assert found.channels * window[1] <= files.ifm_words
    assert found.filters * found.channels * window[1] <= files.weight_words
    assert found.filters <= files.psum_words
    beside, stack = array.cols // found.strip_rows, array.rows // found.filter_rows
    assert found.strips * found.filter_sets * found.channel_sets <= beside * stack
    assert -(-found.strips // beside) * found.channel_sets <= stack

    # No other number of sets for channels is better, with filters in few passes, then even ones.
    strips = found.strip_rows, found.strips
    most = max(1, min(files.psum_words, files.weight_words // (found.channels * window[1])))
    costs = []
    for channel_sets in range(1, stack // -(-found.strips // beside) + 1):
        filter_sets = beside * stack // (found.strips * channel_sets)
        passes = {kept: -(-tile.filters // (kept * filter_sets)) for kept in range(1, most + 1)}
        kept = min(kept for kept in passes if passes[kept] == min(passes.values()))
        costs.append(
            work(nest, hardware, tile, strips, kept, filter_sets, found.channels, channel_sets)
        )
    assert min(costs) == work(
        nest, hardware, tile, strips, found.filters, found.filter_sets, found.channels,
        found.channel_sets,
    )  # fmt: skip


def test_a_filter_taller_than_the_array_takes_several_passes():
    """Rows 0 to 2 and 3 to 4 of five, on three rows of elements."""
    nest = replace(NEST, filter_rows=5, input_rows=12)
    tile = Tile(batch=1, groups=1, filters=4, channels=4, output_rows=8, output_cols=8)
    passes = map_passes(nest, machine(3, 8), tile)
    assert (passes.filter_rows, passes.strip_rows, passes.mapped_pes) == (3, 8, 24)


def test_short_maps_leave_room_for_filters_and_channels():
    """Two sets of 3 x 4 stand above one another, three beside: for channels, for filters."""
    tile = Tile(batch=1, groups=1, filters=12, channels=8, output_rows=4, output_cols=8)
    passes = map_passes(NEST, machine(6, 12, weight_words=12), tile)
    assert (passes.channels_per_pe, passes.channel_sets) == (4, 2)
    assert (passes.filters_per_pe, passes.filter_sets) == (1, 3)
    assert passes.mapped_pes == 3 * 4 * 2 * 3


@pytest.mark.parametrize("name", ["ifm_words", "weight_words"])
def test_a_row_of_a_filter_longer_than_a_register_file_is_refused(name):
    with pytest.raises(InputError) as caught:
        check_register_files(NEST, machine(12, 14, **{name: 2}))
    assert str(caught.value) == (
        f"layer 'conv': a row of its filters has 3 weights, mac_array.register_files.{name} is 2; "
        f"--set mac_array.register_files.{name}=3 would hold it"
    )
    check_register_files(NEST, machine(12, 14, **{name: 3}))
