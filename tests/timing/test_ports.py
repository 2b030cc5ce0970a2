"""Do ports, banks, lanes and fixed cycles stretch a tile by what they lack?"""

from dataclasses import asdict, replace

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.timing import schedule_kernel
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.record import as_record
from accel_sim.timing.schedule_rules import schedule_rules
from accel_sim.timing.tile_walk import N_PLACES

# 16 pixels, 16 filters, 64 channels: one fold of 64 products on a 16x16 array, and
# 16 + 16 - 2 + 16 = 46 cycles of skew and drain: 110 in all.
NEST = LoopNest(
    layer="layer", op="Conv", kind=Kind.MAC, batch=1, groups=1, filters=16, channels=64,
    filter_rows=1, filter_cols=1, output_rows=4, output_cols=4, input_rows=4, input_cols=4,
    stride=(1, 1), dilation=(1, 1), pads=(0, 0), ifm_bits=8, weight_bits=8, bias_bits=0,
    ofm_bits=8, residual_bits=0,
)  # fmt: skip
FAST_DRAM = (
    "dram={model: flat, bandwidth_GBps: 100000, latency_ns: 0, energy_pJ_per_bit: 8, "
    "packing: dense}"
)


def run(*overrides, channels=64):
    """Cycles of the layer with whole tiles but for the channels."""
    hardware = load_hardware("edge_16x16", [FAST_DRAM, *overrides])
    space = enumerate_tiles(NEST, hardware)
    candidates = [
        number
        for number in range(len(space.feasible))
        if asdict(space.tile(number))
        == {"batch": 1, "groups": 1, "filters": 16, "channels": channels,
            "output_rows": 4, "output_cols": 4}
    ]  # fmt: skip
    return layer_cycles(
        schedule_rules(NEST, hardware),
        tile_sizes(NEST, hardware, space, candidates[0]),
        LOOP_ORDERS[0],
    )


def busy(cycles):
    return cycles.total - cycles.dram_stalls


def test_wide_ports_cost_nothing():
    cycles = run()
    assert (cycles.compute, cycles.fill_drain, busy(cycles)) == (64, 46, 110)


@pytest.mark.parametrize(
    ("overrides", "cause", "stall"),
    [
        # 16 operands of 8 bits for each of 64 products: 4 words of 32 bits, 256 cycles.
        (["buffers.ifm.port_bits=32"], "stall_port_ifm", 256 - 110),
        (["buffers.weights.port_bits=32"], "stall_port_weights", 256 - 110),
        # Two of four banks serve the array.
        (["buffers.ifm.port_bits=32", "buffers.ifm.banks=4"], "stall_port_ifm", 128 - 110),
        # Without double buffering all of them do.
        (
            ["buffers.ifm.port_bits=16", "buffers.ifm.banks=4",
             "buffers.ifm.double_buffered=false"],
            "stall_port_ifm", 128 - 110,
        ),
        # 16 pixels with 16 outputs of 8 bits each: 16 words of 8 bits a pixel, 256 cycles.
        (["buffers.ofm.port_bits=8"], "stall_port_ofm", 256 - 110),
    ],
)  # fmt: skip
def test_a_narrow_port_stretches_the_tile(overrides, cause, stall):
    cycles = run(*overrides)
    assert getattr(cycles, cause) == stall
    assert busy(cycles) == 110 + stall


def test_the_slowest_port_is_named():
    cycles = run("buffers.ifm.port_bits=32", "buffers.weights.port_bits=16")
    assert (cycles.stall_port_ifm, cycles.stall_port_weights) == (0, 512 - 110)


def test_partial_sums_pass_their_port():
    # Two tiles of 32 channels, 32 + 46 = 78 cycles each. The first writes 16 x 16 partial
    # sums of 32 bits, the second reads them: 64 words of 8 bits a pixel.
    cycles = run("buffers.psum.port_bits=8", "buffers.psum.banks=1", channels=32)
    assert cycles.stall_port_psum == 2 * (16 * 64 - 78)


@pytest.mark.parametrize(("ports", "stall"), [("1r1w", 1024 - 78), ("1rw", 2048 - 78)])
def test_one_port_serves_reads_and_writes_in_turn(ports, stall):
    # Three tiles of 22, 22 and 20 channels: the middle one reads and writes.
    cycles = run(
        "buffers.psum.port_bits=8", "buffers.psum.banks=1", f"buffers.psum.ports={ports}",
        channels=22,
    )  # fmt: skip
    first_and_last = (1024 - (22 + 46)) + (1024 - (20 + 46))
    middle = stall + 78 - (22 + 46)
    assert cycles.stall_port_psum == first_and_last + middle


def test_partial_sums_in_the_ofm_buffer_use_its_port():
    apart = run("buffers.ofm.port_bits=8", channels=32)
    joined = run("buffers.psum=in_ofm", "buffers.ofm.port_bits=8", channels=32)
    # Apart: only the 256 words of the outputs, in the second tile. Joined: 1024 words
    # written in the first tile, then as many read beside the 256 written.
    assert apart.stall_port_ofm == 256 - 78
    assert joined.stall_port_ofm == (1024 - 78) + (1024 - 78)
    assert joined.stall_port_psum == 0


@pytest.mark.parametrize(
    ("banks", "ports", "stall"),
    [
        # Two tiles of 32 channels. While the first computes (32 words of 128 bits read),
        # the second's 4 x 4 x 32 bytes arrive: 32 words of 128 bits. At 16 bits a word:
        # 256 read and 256 written in the first tile, 256 read in the second.
        (2, "1rw", [256, 256]),
        (1, "1rw", [512, 256]),
        (1, "1r1w", [256, 256]),
    ],
)
def test_one_bank_shares_its_port_between_array_and_dram(banks, ports, stall):
    cycles = run(
        "buffers.ifm.port_bits=16", f"buffers.ifm.banks={banks}", f"buffers.ifm.ports={ports}",
        channels=32,
    )  # fmt: skip
    assert cycles.stall_port_ifm == sum(words - 78 for words in stall)


def test_few_lanes_hold_up_the_output_stage():
    cycles = run("post_processing.lanes=1")
    assert cycles.overhead == 16 * 16 - 110
    assert busy(cycles) == 256


def test_fixed_cycles_are_paid_per_tile():
    assert run("mac_array.tile_overhead_cycles=7", channels=32).overhead == 2 * 7


def test_the_kernel_says_the_same_as_plain_python():
    hardware = load_hardware("edge_16x16", ["buffers.psum.port_bits=8", "buffers.ifm.banks=1"])
    space = enumerate_tiles(NEST, hardware)
    for candidate in (0, len(space.feasible) // 2, len(space.feasible) - 1):
        sizes = tile_sizes(NEST, hardware, space, candidate)
        tiles = (sizes.groups, sizes.pixels, sizes.filters, sizes.channels)
        results = []
        run, rules = schedule_kernel.run_schedule, schedule_rules(NEST, hardware)
        for kernel, its_rules in ((run, as_record(rules)), (run.py_func, rules)):
            causes = np.zeros(schedule_kernel.N_CAUSES, np.int64)
            scratch = np.zeros((schedule_kernel.N_SCRATCH, N_PLACES), np.int64)
            total = kernel(
                its_rules, np.array([0, 1, 2, 3]),
                np.array([len(tile) for tile in tiles]), sizes.groups, sizes.pixels,
                sizes.inputs, sizes.filters, sizes.channels, sizes.passes,
                np.zeros((1, 2, 0), np.int64), np.zeros((0, 2), np.int64), scratch, causes,
            )  # fmt: skip
            assert causes.sum() == total
            results.append(causes.tolist())
        assert results[0] == results[1]


ROWS = (
    "mac_array.dataflow=row_stationary", "mac_array.drain=hidden", "mac_array.rows=4",
    "mac_array.register_files={ifm_words: 4, weight_words: 64, psum_words: 4}",
)  # fmt: skip
# On 4 x 16 elements: 4 output rows, 4 sets of filters beside and 4 of channels above one another,
# 4 channels each. 4 filters of an element and 4 columns in 4 passes of 16 channels.
ROW_PRODUCTS = 4 * 4 * 4 * 4
ROW_SUMS = ROW_PRODUCTS // 4


def run_rows(ifm_bits=4096, weight_bits=4096, psum_bits=4096):
    widths = f"ifm_bits: {ifm_bits}, weight_bits: {weight_bits}, psum_bits: {psum_bits}"
    return run(*ROWS, f"mac_array.networks={{{widths}}}")


def test_wide_networks_cost_nothing():
    """Weights come in 2 cycles; a sum runs up 4 elements in each of 4 passes."""
    cycles = run_rows()
    assert (cycles.compute, cycles.port_stalls) == (ROW_PRODUCTS, 0)
    assert cycles.fill_drain == ROW_SUMS + 4 * 3 + 2


def test_a_narrow_network_of_weights_loads_longer():
    assert run_rows(weight_bits=8).fill_drain - run_rows().fill_drain == 1024 - 2


@pytest.mark.parametrize(
    ("network", "cause", "moved_bits"),
    [
        # Each channel's 16 elements once, in words of 128 bits that hold a row of 4.
        ("ifm", "stall_port_ifm", 64 * 4 * 128),
        # Sums of 4 sets at 16 places, each a word of 512 bits that holds those of 4 filters,
        # leave in each of four passes.
        ("psum", "stall_port_psum", 4 * 16 * 4 * 512),
    ],
)
def test_a_narrow_network_stretches_the_tile(network, cause, moved_bits):
    wide, narrow = run_rows(), run_rows(**{f"{network}_bits": 8})
    assert getattr(narrow, cause) == moved_bits // 8 - busy(wide)
    assert busy(narrow) == moved_bits // 8


def test_lanes_are_not_behind_the_networks():
    wide, narrow = (
        load_hardware("eyeriss_12x14", [
            f"mac_array.networks={{ifm_bits: {bits}, weight_bits: {bits}, psum_bits: {bits}}}"
        ])
        for bits in (1, 4096)
    )  # fmt: skip
    pool = replace(NEST, op="MaxPool", kind=Kind.POOL, channels=1, weight_bits=None)
    totals = set()
    for hardware in (wide, narrow):
        sizes = tile_sizes(pool, hardware, enumerate_tiles(pool, hardware), 0)
        totals.add(layer_cycles(schedule_rules(pool, hardware), sizes, LOOP_ORDERS[0]).total)
    assert len(totals) == 1
