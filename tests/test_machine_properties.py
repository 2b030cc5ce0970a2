"""What holds for every small layer on every machine, whatever the schedule?"""

from dataclasses import replace

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel_sim.energy.constants import energy_constants
from accel_sim.energy.search_cost import search_cost
from accel_sim.hardware.buffers import Buffer
from accel_sim.hardware.choices import Along, Objective
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import dram_devices
from accel_sim.hardware.load import load_hardware
from accel_sim.layer_steps.planned_sums import plan_sums
from accel_sim.mapping.access_counts import DramBits, count_dram_bits, count_tiles
from accel_sim.mapping.accumulation import plan_accumulation
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.mapping.tile import Tile
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.pipeline import cut_tiles, device_cycles, device_stream
from accel_sim.timing.schedule_rules import schedule_rules
from accel_sim.timing.tile_search import search_tiles
from tests.mapping.random_layers import (
    DATAFLOWS,
    FOLDING,
    LANE_KINDS,
    in_random_mode,
    random_machine,
    random_nest,
)

FEW = settings(max_examples=40, derandomize=True, deadline=None)

CONSTANTS = energy_constants(load_hardware("edge_16x16"))
"""Unused by objectives of time and bytes, of which alone more is better."""
BUFFERS = ("ifm", "weights", "psum", "ofm")


@st.composite
def cases(draw, kinds=(Kind.MAC, *LANE_KINDS)) -> tuple[LoopNest, HardwareConfig]:
    """A layer, and a machine with little memory, flat, which holds its smallest tile."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Half of all layers run on the array.
    nest = random_nest(rng, draw(st.one_of(st.just(Kind.MAC), st.sampled_from(kinds))))
    nest = replace(nest, batch=1, groups=draw(st.integers(1, 2)) if nest.groups > 1 else 1)
    if nest.kind is Kind.MAC and draw(st.booleans()):
        nest = in_random_mode(rng, nest, draw(st.sampled_from(Along)))
    objective = draw(st.sampled_from(["latency", "dram_bytes"]))
    bandwidth = draw(st.sampled_from([0.1, 0.37, 2, 8]))
    hardware = random_machine(
        rng,
        f"dram={{model: flat, bandwidth_GBps: {bandwidth}, latency_ns: {draw(st.integers(0, 40))}, "
        "energy_pJ_per_bit: 8, packing: dense}",
        f"mapping.objective={objective}",
        f"post_processing.lanes={draw(st.integers(1, 16))}",
        dataflow=draw(st.sampled_from(DATAFLOWS if nest.mode is None else FOLDING)),
    )
    hardware = with_capacity(hardware, draw(st.sampled_from([64, 128, 512])))
    assume(len(enumerate_tiles(nest, hardware).feasible) > 0)
    return nest, hardware


def change_buffer(hardware: HardwareConfig, name: str, **changes: float) -> HardwareConfig:
    buffer = getattr(hardware.buffers, name)
    if not isinstance(buffer, Buffer):  # partial sums in the ofm's
        return hardware
    names = hardware.buffers.shared if name in hardware.buffers.shared else (name,)
    changed = dict.fromkeys(names, buffer.model_copy(update=changes))
    return hardware.model_copy(update={"buffers": hardware.buffers.model_copy(update=changed)})


def with_capacity(hardware: HardwareConfig, capacity_bytes: int) -> HardwareConfig:
    """Memories below those of the tables, which only energy needs."""
    for name in BUFFERS:
        hardware = change_buffer(hardware, name, capacity_KiB=capacity_bytes / 1024)
    return hardware


def grow(hardware: HardwareConfig, resource: str) -> HardwareConfig:
    """The same machine with more of one resource."""
    if resource == "bandwidth":
        faster = {"bandwidth_GBps": hardware.dram.bandwidth_GBps * 1.3}
        return hardware.model_copy(update={"dram": hardware.dram.model_copy(update=faster)})
    if resource == "lanes":
        lanes = hardware.post_processing.lanes + 1
        return hardware.model_copy(
            update={"post_processing": hardware.post_processing.model_copy(update={"lanes": lanes})}
        )
    name, key = resource.split(".")
    value = 2 * getattr(hardware.buffers.psum_memory if name == "psum" else
                        getattr(hardware.buffers, name), key)  # fmt: skip
    return change_buffer(hardware, name, **{key: value})


def find(nest: LoopNest, hardware: HardwareConfig) -> tuple[LayerCycles, DramBits]:
    """Cycles of the best schedule, and its bits over the DRAM bus."""
    space = enumerate_tiles(nest, hardware)
    found = search_tiles(
        nest, hardware, space, lambda *counts: search_cost(nest, hardware, CONSTANTS, *counts)
    )
    tiles = count_tiles(nest, hardware, space.take(np.array([found.candidate])))
    return found.cycles, count_dram_bits(tiles, found.loop_order)


RESOURCES = (
    *(f"{name}.{key}" for name in BUFFERS for key in ("capacity_KiB", "banks")),
    "bandwidth",
    "lanes",
)


@FEW
@given(case=cases(), resource=st.sampled_from(RESOURCES))
def test_more_of_a_resource_never_makes_the_objective_worse(case, resource):
    nest, hardware = case
    less, more = (find(nest, machine) for machine in (hardware, grow(hardware, resource)))
    costs = [
        cycles.total
        if hardware.mapping.objective is Objective.LATENCY
        else int((bits.read + bits.write)[0])
        for cycles, bits in (less, more)
    ]
    assert costs[1] <= costs[0]


@FEW
@given(case=cases())
def test_no_schedule_beats_what_has_to_be_done(case):
    """Bits that move once at least, and cycles of all multipliers and of the whole bus."""
    nest, hardware = case
    cycles, moved = find(nest, hardware)
    bits = stored_bits(nest, hardware)
    inputs = positions_read(nest, 0) * positions_read(nest, 1) * nest.groups * nest.channels
    weights = nest.groups * nest.filters * nest.channels * nest.channel_weights
    assert int(moved.ifm_read[0]) >= nest.batch * inputs * bits.ifm
    assert int(moved.weights_read[0]) >= weights * bits.weight
    assert int(moved.ofm_write[0]) == nest.outputs * bits.ofm
    array = hardware.mac_array
    macs_per_pe = nest.mode.macs_per_pe if nest.mode else 1
    assert cycles.total >= nest.macs / (array.rows * array.cols * macs_per_pe)
    assert cycles.total >= nest.outputs / hardware.post_processing.lanes
    bits_per_cycle = 8 * hardware.dram.bandwidth_GBps * 1e3 / hardware.clock_MHz
    total = int((moved.read + moved.write)[0])
    assert cycles.total >= total / bits_per_cycle - 1e-6


def positions_read(nest: LoopNest, axis: int) -> int:
    """Input positions along an axis that some output reads."""
    outputs, taps = (
        (nest.output_rows, nest.output_cols)[axis], (nest.filter_rows, nest.filter_cols)[axis]
    )  # fmt: skip
    places = {
        out * nest.stride[axis] + tap * nest.dilation[axis] - nest.pads[axis]
        for out in range(outputs)
        for tap in range(taps)
    }
    return len(places & set(range((nest.input_rows, nest.input_cols)[axis])))


@FEW
@given(
    seed=st.integers(0, 2**32 - 1), device=st.sampled_from(dram_devices()), pieces=st.integers(2, 3)
)
def test_the_order_of_tiles_changes_the_time_of_a_device(seed, device, pieces):
    """Where filters and pixels are cut, one order reads weights again, another all of the ifm."""
    rng = np.random.default_rng(seed)
    side = 12
    nest = replace(
        random_nest(rng), batch=1, groups=1, filters=6, channels=8, output_rows=side,
        output_cols=side, filter_rows=1, filter_cols=1, input_rows=side, input_cols=side,
        stride=(1, 1), pads=(0, 0), ifm_bits=8, weight_bits=8,
    )  # fmt: skip
    # Without double buffering nothing hides behind the computation.
    memory = "{capacity_KiB: 64, port_bits: 128, ports: 1r1w, banks: 1, double_buffered: false}"
    hardware = random_machine(
        rng,
        f"dram={{model: device, device: {device.device}, address_map: {device.address_map}, "
        "channels: 1, max_outstanding_reads: 64, packing: dense}",
        "buffers={" + ", ".join(f"{name}: {memory}" for name in BUFFERS) + "}",
        dataflow=str(rng.choice(DATAFLOWS)),
    )
    tile = Tile(
        batch=1, groups=1, filters=6 // pieces, channels=8, output_rows=side // pieces,
        output_cols=side,
    )  # fmt: skip
    rules, sizes = schedule_rules(nest, hardware), cut_tiles(nest, hardware, tile)
    stream = device_stream(nest, hardware, hardware.dram, tile)
    stalls = {device_cycles(rules, stream, sizes, order).dram_stalls for order in LOOP_ORDERS}
    assert len(stalls) > 1


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    dataflow=st.sampled_from(DATAFLOWS),
    along=st.sampled_from([None, *Along]),
    accumulator_bits=st.integers(8, 20),
)
def test_a_schedule_changes_no_bit_where_sums_wrap(seed, dataflow, along, accumulator_bits):
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    if along is not None and dataflow in FOLDING:
        nest = in_random_mode(rng, nest, along)
    hardware = random_machine(
        rng, f"precision.accumulator_bits={accumulator_bits}", dataflow=dataflow
    )
    extents = (nest.channels, nest.filter_rows, nest.filter_cols)
    weights = rng.integers(-128, 128, (3, nest.reduction), np.int32)
    ifm = rng.integers(0, 256, (nest.reduction, 5), np.int32)
    half = 1 << (accumulator_bits - 1)
    wrapped = (weights.astype(np.int64) @ ifm + half) % (2 * half) - half
    for channels in range(1, nest.channels + 1):
        plan = plan_accumulation(nest, hardware, channels)
        sums = plan_sums(plan, extents, 128 * 255)
        places = sums.order.products
        start = np.zeros(wrapped.shape, np.int64)
        found, clamps = sums.run(
            np.ascontiguousarray(ifm[places]), np.ascontiguousarray(weights[:, places]), start
        )
        assert (found == wrapped).all()
        assert clamps == 0
