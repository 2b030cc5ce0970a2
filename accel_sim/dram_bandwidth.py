"""DRAM traffic of a run over time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.scheduling import LayerSchedule
from accel_sim.tile_trace import BITS_PER_BYTE, layer_steps
from accel_sim.timing.schedule_kernel import READ, STEP_END, STEP_START, WRITTEN

SLOTS = 240
"""Of a run: what a chart on a screen can show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpan:
    """When a layer runs, in microseconds from the start of the run."""

    layer: str
    start_us: float
    end_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DramBandwidth:
    """Bytes that DRAM moves in slots of equal length.

    Attributes
    ----------
    edges_us : float64[n + 1]
        Where slots begin and end.
    read_bytes, written_bytes : float64[n]
        Per slot. What a step of the schedule moves is spread evenly over the step.
    layers
        In the order in which they run; those that take no time are left out.
    """

    edges_us: NDArray[np.float64]
    read_bytes: NDArray[np.float64]
    written_bytes: NDArray[np.float64]
    layers: tuple[LayerSpan, ...]


def sample_bandwidth(
    hardware: HardwareConfig, schedules: tuple[LayerSchedule, ...], slots: int = SLOTS
) -> DramBandwidth:
    """Share the traffic of all steps of all layers among slots of time."""
    total_cycles = sum(schedule.cycles.total for schedule in schedules)
    edges = np.linspace(0.0, total_cycles, slots + 1)
    read_bits, written_bits = np.zeros(slots), np.zeros(slots)
    spans, start = [], 0
    for schedule in schedules:
        if schedule.mapping is None:
            continue
        steps, end = layer_steps(hardware, schedule), start + schedule.cycles.total
        times = steps[:, [STEP_START, STEP_END]].ravel() + start
        for bits, column in ((read_bits, READ), (written_bits, WRITTEN)):
            moved = np.concatenate(([0], np.cumsum(steps[:, column]))).repeat(2)[1:-1]
            bits += np.diff(np.interp(edges, times, moved))
        spans.append(
            LayerSpan(
                layer=schedule.nest.layer,
                start_us=start / hardware.clock_MHz,
                end_us=end / hardware.clock_MHz,
            )
        )
        start = end
    return DramBandwidth(
        edges_us=edges / hardware.clock_MHz,
        read_bytes=read_bits / BITS_PER_BYTE,
        written_bytes=written_bits / BITS_PER_BYTE,
        layers=tuple(spans),
    )
