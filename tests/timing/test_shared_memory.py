"""Does one memory for several operands have the ports and the room of one?"""

import numpy as np
import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.hardware.choices import Ports
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.enumerate_tiles import check_smallest_tile, enumerate_tiles
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from quantizer.errors import InputError
from tests.mapping.random_layers import DATAFLOWS, as_problem, random_machine, random_nest
from tests.mapping.test_enumerate_tiles import nest_of
from tests.oracles.loop_nest_walk import walk
from tests.timing.test_pipeline import busy_cycles
from tests.timing.test_ports import run

WORDS = {
    "ifm": ("ifm_reads",),
    "weights": ("weight_reads",),
    "psum": ("psum_reads", "psum_writes"),
    "ofm": ("ofm_writes",),
}


def memory(rng, capacity_KiB=256):
    # Two banks, of which one serves the array: transfers disturb nobody.
    return (
        f"{{capacity_KiB: {capacity_KiB}, port_bits: {rng.choice([8, 16, 24, 32])}, "
        f"ports: {rng.choice(['1rw', '1r1w'])}, banks: 2, double_buffered: true}}"
    )


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(20))
def test_words_of_all_operands_pass_the_one_port(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    shared = rng.permutation(list(WORDS))[: rng.integers(2, 5)].tolist()
    described = ", ".join(f"{name}: {memory(rng)}" for name in WORDS if name not in shared[1:])
    hardware = random_machine(
        rng, f"buffers={{{described}, shared: [{', '.join(shared)}]}}",
        "post_processing.lanes=4096", dataflow=dataflow,
    )  # fmt: skip
    space = enumerate_tiles(nest, hardware)
    for candidate in rng.integers(0, len(space.feasible), 3):
        order = LOOP_ORDERS[int(rng.integers(0, len(LOOP_ORDERS)))]
        stalls = dict.fromkeys(WORDS, 0)
        problem = as_problem(nest, hardware, space, int(candidate), order)
        for step in walk(problem).steps:
            array = busy_cycles(hardware, problem, step) - hardware.mac_array.tile_overhead_cycles
            demands = {name: count_cycles(hardware, step, [name]) for name in WORDS}
            busiest = max(
                (name for name in WORDS if name in shared),
                key=lambda name: sum(step.words[kind] for kind in WORDS[name]),
            )
            demands |= dict.fromkeys(shared, 0) | {busiest: count_cycles(hardware, step, shared)}
            slowest = max(demands, key=demands.get)
            stalls[slowest] += max(0, demands[slowest] - array)
        sizes = tile_sizes(nest, hardware, space, int(candidate))
        cycles = layer_cycles(schedule_rules(nest, hardware), sizes, order)
        assert {name: getattr(cycles, f"stall_port_{name}") for name in WORDS} == stalls


def count_cycles(hardware, step, operands):
    """Cycles that one memory takes for some operands of a tile."""
    kinds = [kind for name in operands for kind in WORDS[name]]
    reads = sum(step.words[kind] for kind in kinds if kind.endswith("reads"))
    writes = sum(step.words[kind] for kind in kinds if kind.endswith("writes"))
    has_one_port = getattr(hardware.buffers, operands[0]).ports is Ports.ONE_SHARED
    return reads + writes if has_one_port else max(reads, writes)


def shared_buffers(*shared, ports="1r1w"):
    one = f"{{capacity_KiB: 4, port_bits: 32, ports: {ports}, banks: 2, double_buffered: true}}"
    wide = "{capacity_KiB: 64, port_bits: 512, ports: 1r1w, banks: 2, double_buffered: true}"
    described = {name: one if name in shared else wide for name in WORDS if name not in shared[1:]}
    section = ", ".join(f"{name}: {keys}" for name, keys in described.items())
    return f"buffers={{{section}, shared: [{', '.join(shared)}]}}"


def test_reads_of_two_operands_follow_one_another():
    """256 words of 32 bits each for 64 products of 16 x 16; array and drain take 110 cycles."""
    together = run(shared_buffers("ifm", "weights"))
    assert (together.stall_port_ifm, together.stall_port_weights) == (512 - 110, 0)


@pytest.mark.parametrize(("ports", "words"), [("1r1w", 256), ("1rw", 256 + 64)])
def test_the_stall_is_of_the_operand_with_most_words(ports, words):
    """The ifm's 256 words are read, the 64 of 16 x 16 outputs written."""
    together = run(shared_buffers("ofm", "ifm", ports=ports))
    assert (together.stall_port_ifm, together.stall_port_ofm) == (words - 110, 0)


def test_parts_of_one_memory_add_up():
    """1600 bytes of ifm and 1600 of ofm, in halves of 2 KiB."""
    nest = nest_of(filters=100, channels=100, filter_rows=1, output_rows=4, output_cols=4)
    hardware = load_hardware("edge_16x16", [shared_buffers("ifm", "ofm")])
    tiles = enumerate_tiles(nest, hardware)
    sizes = [tiles.tile(candidate) for candidate in range(len(tiles.feasible))]
    cuts = {(tile.output_rows, tile.output_cols, tile.filters, tile.channels) for tile in sizes}
    assert (4, 4, 100, 100) not in cuts  # 3200 bytes
    assert (4, 4, 100, 25) in cuts  # 1600 and 400


def test_a_layer_that_fits_no_shared_memory_is_refused():
    """A window of 45 x 45 and as many weights: neither can be cut, and each fits alone."""
    nest = nest_of(filters=1, channels=1, filter_rows=45, filter_cols=45, output_rows=1,
                   output_cols=1, input_rows=45, input_cols=45)  # fmt: skip
    hardware = load_hardware("edge_16x16", [shared_buffers("ifm", "weights")])
    with pytest.raises(InputError) as error:
        check_smallest_tile(nest, hardware)
    assert str(error.value) == (
        "layer 'conv3': the smallest tile needs 4050 bytes of ifm and weights, buffers.ifm holds "
        "2048 in each of its halves; --set buffers.ifm.capacity_KiB=8 would hold it"
    )


def test_one_memory_leaks_and_takes_area_once():
    apart = energy_constants(load_hardware("edge_16x16"))
    section = (
        "buffers={ifm: {capacity_KiB: 64, port_bits: 128, ports: 1r1w, banks: 2, "
        "double_buffered: true}, weights: {capacity_KiB: 64, port_bits: 128, ports: 1r1w, "
        "banks: 2, double_buffered: true}, psum: {capacity_KiB: 32, port_bits: 512, ports: 1r1w, "
        "banks: 2, double_buffered: false}, shared: [ifm, ofm]}"
    )
    joined = energy_constants(load_hardware("edge_16x16", [section]))
    assert joined.ofm.memory.read.value == apart.ofm.memory.read.value
    saved = apart.leakage.value - joined.leakage.value
    assert saved == pytest.approx(apart.ofm.memory.leakage.value)
    assert joined.clock_control.value < apart.clock_control.value
    fewer = len(apart.area.buffers) - len(joined.area.buffers)
    assert fewer == 1
