"""The timeline of a run, tile by tile, for a trace viewer.

Chrome's trace-event format (Google, "Trace Event Format", 2016), which Perfetto opens: a row
of layers, one of tiles that are computed, one of DRAM transfers, and the bandwidth of every
step as a counter. Times are microseconds from the start of the run.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.scheduling import LayerSchedule
from accel_sim.timing.pipeline import cut_tiles, device_stream, list_steps
from accel_sim.timing.schedule_kernel import (
    AFTERWARDS_START,
    BUSY_END,
    MEANWHILE_END,
    READ,
    STEP_END,
    STEP_START,
    WRITTEN,
)
from accel_sim.timing.schedule_rules import schedule_rules

BITS_PER_BYTE = 8
LAYERS, TILES, DRAM = 1, 2, 3
ROWS = {LAYERS: "layers", TILES: "tiles", DRAM: "DRAM"}

Event = dict[str, Any]


def write_timeline(
    hardware: HardwareConfig, schedules: tuple[LayerSchedule, ...], file: BinaryIO
) -> None:
    """Write all events of a run as one JSON object."""
    file.write(b'{"displayTimeUnit": "ns", "traceEvents": [')
    separator = b"\n"
    for event in list_events(hardware, schedules):
        file.write(separator + json.dumps(event).encode())
        separator = b",\n"
    file.write(b"\n]}\n")


def list_events(hardware: HardwareConfig, schedules: tuple[LayerSchedule, ...]) -> Iterator[Event]:
    """Give all events, layer by layer; layers follow one another in time."""
    yield {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": hardware.name}}
    for row, name in ROWS.items():
        yield {"ph": "M", "pid": 1, "tid": row, "name": "thread_name", "args": {"name": name}}
    start = 0
    for schedule in schedules:
        if schedule.mapping is not None:
            steps = layer_steps(hardware, schedule)
            steps[:, : STEP_END + 1] += start
            yield from _layer_events(schedule, steps, hardware.clock_MHz)
            start += schedule.cycles.total
    # What the last step leaves behind would seem to go on for ever.
    yield _bandwidth(start / hardware.clock_MHz, 0.0, 0.0)


def layer_steps(hardware: HardwareConfig, schedule: LayerSchedule) -> NDArray[np.int64]:
    """List the steps of a layer that has a schedule, see `list_steps`."""
    assert schedule.mapping is not None
    nest, tile = schedule.nest, schedule.mapping.tile
    stream = None
    if isinstance(hardware.dram, DeviceDram):
        stream = device_stream(nest, hardware, hardware.dram, tile, schedule.coded)
    rules = schedule_rules(nest, hardware, schedule.coded)
    return list_steps(rules, stream, cut_tiles(nest, hardware, tile), schedule.mapping.loop_order)


def _layer_events(
    schedule: LayerSchedule, steps: NDArray[np.int64], clock_MHz: float
) -> Iterator[Event]:
    def span(row: int, name: str, start: int, end: int, **args: object) -> Event:
        return {
            "ph": "X",
            "pid": 1,
            "tid": row,
            "name": name,
            "ts": start / clock_MHz,
            "dur": (end - start) / clock_MHz,
            "args": args,
        }

    nest, cycles = schedule.nest, schedule.cycles
    first, last = int(steps[0, STEP_START]), int(steps[-1, STEP_END])
    causes = {name: count for name, count in asdict(cycles).items() if count}
    yield span(LAYERS, nest.layer, first, last, op=nest.op, bound_by=cycles.bound_by, **causes)
    for number, times in enumerate(steps.tolist()):
        begin, end = times[STEP_START], times[STEP_END]
        if times[BUSY_END] > begin:
            yield span(TILES, f"tile {number}", begin, times[BUSY_END])
        read, written = times[READ] / BITS_PER_BYTE, times[WRITTEN] / BITS_PER_BYTE
        moved = {"bytes_read_in_step": read, "bytes_written_in_step": written}
        for what, since, until in (
            ("during the tile", begin, times[MEANWHILE_END]),
            ("between tiles", times[AFTERWARDS_START], end),
        ):
            if until > since:
                yield span(DRAM, what, since, until, step=number, **moved)
        if end > begin:
            us = (end - begin) / clock_MHz
            yield _bandwidth(begin / clock_MHz, read / us / 1000, written / us / 1000)


def _bandwidth(at_us: float, read_GBps: float, write_GBps: float) -> Event:
    """Make a counter, which holds until the next one."""
    args = {"read": read_GBps, "write": write_GBps}
    return {"ph": "C", "pid": 1, "name": "DRAM GB/s", "ts": at_us, "args": args}
