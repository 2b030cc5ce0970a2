"""Cycles of one layer under a mapping: load, compute and store of tiles, overlapped."""

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.hardware.devices import find_dram_device
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.array_counts import cut_evenly
from accel_sim.mapping.coded_maps import AS_THEY_ARE, CodedMaps
from accel_sim.mapping.input_extent import cut_axis
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.pass_tables import PassTables, pass_tables
from accel_sim.mapping.search_cost import MANY_CYCLES
from accel_sim.mapping.stored_bits import BITS_PER_BYTE, moved_bits
from accel_sim.mapping.tile import LOOP_NUMBERS, Loop, LoopOrder, Tile
from accel_sim.mapping.tile_space import Cut, TileSpace, col_axis, row_axis
from accel_sim.timing.dram_schedule import TOO_LONG, Limit, time_transfers
from accel_sim.timing.dram_windows import (
    WindowRules,
    idle_state,
    least_ns_per_bit,
    window_rules,
)
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.record import as_record
from accel_sim.timing.schedule_kernel import (
    AFTERWARDS_START,
    BUSY_END,
    N_BATCHES,
    N_CAUSES,
    N_MOVES,
    N_SCRATCH,
    N_TIMES,
    READ,
    STEP_START,
    WRITTEN,
    run_schedule,
)
from accel_sim.timing.schedule_rules import ScheduleRules
from accel_sim.timing.tensor_layout import (
    TileAddresses,
    TilePositions,
    most_runs,
    tile_addresses,
    tile_positions,
)
from accel_sim.timing.tile_walk import N_PLACES

CAUSES = tuple(field.name for field in fields(LayerCycles))
"""Of cycles, as the kernel numbers them."""
CONSTANT_RATE = np.zeros((1, N_BATCHES, 0), np.int64)
"""In place of the times of all transfers."""
NO_TIMELINE = np.zeros((0, N_TIMES), np.int64)
NO_LIMIT = Limit(most_cycles=MANY_CYCLES, busy=np.zeros(0, np.int64), left=np.zeros(0, np.int64))
NO_RECORD = np.zeros((0, 5), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSizes:
    """Extent of each tile along each loop, in the order in which they run; int64[n] each.

    Attributes
    ----------
    pixels, inputs
        Output positions, and input positions of one channel, of each tile of pixels.
    passes
        What passes do with each tile, where the array has any.
    """

    groups: NDArray[np.int64]
    pixels: NDArray[np.int64]
    inputs: NDArray[np.int64]
    filters: NDArray[np.int64]
    channels: NDArray[np.int64]
    passes: PassTables | None = None

    def trips(self, loop: Loop) -> int:
        """Return the number of tiles of one loop."""
        match loop:
            case Loop.GROUPS:
                return len(self.groups)
            case Loop.PIXELS:
                return len(self.pixels)
            case Loop.FILTERS:
                return len(self.filters)
            case Loop.CHANNELS:
                return len(self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStream:
    """What the stream of one mapping depends on, but the order of its tiles."""

    addresses: TileAddresses
    positions: TilePositions
    windows: WindowRules
    cycles_per_ns: float


def device_stream(
    nest: LoopNest,
    hardware: HardwareConfig,
    dram: DeviceDram,
    tile: Tile,
    coded: CodedMaps = AS_THEY_ARE,
) -> DeviceStream:
    """Place a layer's tensors in the memory of a machine."""
    device = find_dram_device(dram.device, dram.address_map)
    row_bits = device.row_bytes * BITS_PER_BYTE * dram.channels
    return DeviceStream(
        addresses=tile_addresses(nest, tile, moved_bits(nest, hardware), row_bits, coded),
        positions=tile_positions(nest, tile),
        windows=window_rules(device, dram.channels, dram.max_outstanding_reads),
        cycles_per_ns=hardware.clock_MHz / 1000,
    )


def tile_sizes(
    nest: LoopNest, hardware: HardwareConfig, space: TileSpace, candidate: int
) -> TileSizes:
    """Cut a layer as one of the tiles of its space says."""
    return cut_sizes(nest, hardware, space.cut(int(space.fitting[candidate])))


def cut_tiles(nest: LoopNest, hardware: HardwareConfig, tile: Tile) -> TileSizes:
    """Cut a layer into tiles of given sizes."""
    rows = cut_axis(row_axis(nest), tile.output_rows)
    cols = cut_axis(col_axis(nest), tile.output_cols)
    return cut_sizes(nest, hardware, Cut(tile=tile, rows=rows, cols=cols))


def cut_sizes(nest: LoopNest, hardware: HardwareConfig, cut: Cut) -> TileSizes:
    """Sizes of all tiles of a layer that is cut in one way."""
    tile, rows, cols = cut.tile, cut.rows, cut.cols
    images = cut_evenly(nest.batch, tile.batch)
    filters, channels = (
        cut_evenly(nest.filters, tile.filters),
        cut_evenly(nest.channels, tile.channels),
    )
    passes = None
    if nest.kind is Kind.MAC and array_axes(hardware.mac_array.dataflow).has_passes:
        passes = pass_tables(
            nest, hardware, images=images, output_rows=rows.outputs, output_cols=cols.outputs,
            filters=filters, channels=channels,
        )  # fmt: skip
    return TileSizes(
        groups=cut_evenly(nest.groups, tile.groups),
        pixels=_combine(images, rows.outputs, cols.outputs),
        inputs=_combine(images, rows.touched, cols.span),
        filters=filters,
        channels=channels,
        passes=passes,
    )


def _combine(
    images: NDArray[np.int64], of_rows: NDArray[np.int64], of_cols: NDArray[np.int64]
) -> NDArray[np.int64]:
    return np.multiply.outer(images, np.multiply.outer(of_rows, of_cols)).ravel()


def layer_cycles(rules: ScheduleRules, sizes: TileSizes, loop_order: LoopOrder) -> LayerCycles:
    """Cycles of a layer by cause, where DRAM moves bits at a constant rate.

    Parameters
    ----------
    rules
        From `schedule_rules`, of the layer and the machine.
    """
    return _run(rules, sizes, loop_order, CONSTANT_RATE, NO_TIMELINE)


def device_cycles(
    rules: ScheduleRules,
    stream: DeviceStream,
    sizes: TileSizes,
    loop_order: LoopOrder,
    most_cycles: int = MANY_CYCLES,
) -> LayerCycles | None:
    """Cycles of a layer by cause, where the addresses of a stream decide on its time.

    None where it takes more than `most_cycles`, which is found out with less work.
    """
    limit = NO_LIMIT
    if most_cycles < MANY_CYCLES:
        limit = _limit(rules, stream, sizes, loop_order, most_cycles)
    ends, n_runs = _time_stream(rules, stream, sizes, loop_order, NO_RECORD, limit)
    return None if n_runs == TOO_LONG else _run(rules, sizes, loop_order, ends, NO_TIMELINE)


def _limit(
    rules: ScheduleRules,
    stream: DeviceStream,
    sizes: TileSizes,
    loop_order: LoopOrder,
    most_cycles: int,
) -> Limit:
    """Tell when a layer is too long before its end: it computes, and moves its bits, anyway."""
    steps = _list_steps(rules, sizes, loop_order, CONSTANT_RATE)
    busy = steps[:, BUSY_END] - steps[:, STEP_START]
    bits = steps[:, READ] + steps[:, WRITTEN]
    busy_left, bits_left = (each.sum() - each.cumsum() for each in (busy, bits))
    cycles_per_bit = least_ns_per_bit(stream.windows) * stream.cycles_per_ns
    left = np.maximum(busy_left, (bits_left * cycles_per_bit).astype(np.int64))
    return Limit(most_cycles=most_cycles, busy=busy, left=left)


def list_steps(
    rules: ScheduleRules, stream: DeviceStream | None, sizes: TileSizes, loop_order: LoopOrder
) -> NDArray[np.int64]:
    """When each step of a layer begins and ends, and what it moves.

    Parameters
    ----------
    stream
        None where DRAM moves bits at a constant rate.

    Returns
    -------
    int64[tiles + 2, 8], see `schedule_kernel`: the first load, a step for each tile, the last
    store.
    """
    ends = CONSTANT_RATE
    if stream is not None:
        ends, _ = _time_stream(rules, stream, sizes, loop_order, NO_RECORD)
    return _list_steps(rules, sizes, loop_order, ends)


def list_transfers(
    rules: ScheduleRules, stream: DeviceStream, sizes: TileSizes, loop_order: LoopOrder
) -> NDArray[np.int64]:
    """All that a layer moves, in the order in which DRAM serves it.

    Returns
    -------
    int64[n, 4]: first bit, bits, 1 if they are written, and the cycle of the layer in which
    the batch begins that they belong to.
    """
    _, n_runs = _time_stream(rules, stream, sizes, loop_order, NO_RECORD)
    recorded = np.zeros((n_runs, 5), np.int64)
    ends, _ = _time_stream(rules, stream, sizes, loop_order, recorded)
    starts = _list_steps(rules, sizes, loop_order, ends)[:, [STEP_START, AFTERWARDS_START]]
    cycles = starts[recorded[:, 3], recorded[:, 4]]
    return np.column_stack((recorded[:, :3], cycles))


def _list_steps(
    rules: ScheduleRules, sizes: TileSizes, loop_order: LoopOrder, ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    timeline = np.zeros((int(_count_trips(sizes).prod()) + 2, N_TIMES), np.int64)
    _run(rules, sizes, loop_order, ends, timeline)
    return timeline


def _time_stream(
    rules: ScheduleRules,
    stream: DeviceStream,
    sizes: TileSizes,
    loop_order: LoopOrder,
    recorded: NDArray[np.int64],
    limit: Limit = NO_LIMIT,
) -> tuple[NDArray[np.int64], int]:
    trips = _count_trips(sizes)
    ends = np.zeros((int(trips.prod()) + 2, N_BATCHES, N_MOVES), np.int64)
    n_runs = time_transfers(
        as_record(rules),
        as_record(stream.addresses),
        stream.positions,
        as_record(stream.windows),
        idle_state(stream.windows),
        stream.cycles_per_ns,
        _number_loops(loop_order),
        trips,
        sizes.groups,
        sizes.pixels,
        sizes.inputs,
        sizes.filters,
        sizes.channels,
        np.zeros((N_SCRATCH, N_PLACES), np.int64),
        np.zeros((most_runs(stream.addresses, stream.positions), 3), np.int64),
        ends,
        recorded,
        limit,
    )
    return ends, n_runs


def _run(
    rules: ScheduleRules,
    sizes: TileSizes,
    loop_order: LoopOrder,
    ends: NDArray[np.int64],
    timeline: NDArray[np.int64],
) -> LayerCycles:
    causes = np.zeros(N_CAUSES, np.int64)
    run_schedule(
        as_record(rules),
        _number_loops(loop_order),
        _count_trips(sizes),
        sizes.groups,
        sizes.pixels,
        sizes.inputs,
        sizes.filters,
        sizes.channels,
        sizes.passes,
        ends,
        timeline,
        np.zeros((N_SCRATCH, N_PLACES), np.int64),
        causes,
    )
    return LayerCycles(**dict(zip(CAUSES, causes.tolist(), strict=True)))


@cache
def _number_loops(loop_order: LoopOrder) -> NDArray[np.int64]:
    return np.array([LOOP_NUMBERS[loop] for loop in loop_order], np.int64)


def _count_trips(sizes: TileSizes) -> NDArray[np.int64]:
    return np.array(
        [len(sizes.groups), len(sizes.pixels), len(sizes.filters), len(sizes.channels)], np.int64
    )
