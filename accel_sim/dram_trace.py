"""The stream of a run over DRAM, for a DRAM simulator outside.

One burst per line, as DRAMsim3 reads a trace: ``0x1c40 READ 5120``: byte address, direction,
and the cycle of the DRAM's clock in which the machine asks for it. Reads and writes of one
step of a schedule are asked for together, in the order in which the model serves them.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.hardware.devices import DramDevice, find_dram_device
from accel_sim.scheduling import LayerSchedule
from accel_sim.timing.pipeline import cut_tiles, device_stream, list_transfers
from accel_sim.timing.schedule_rules import schedule_rules
from quantizer.errors import InputError

BITS_PER_BYTE = 8
DIRECTIONS = ("READ", "WRITE")


def check_traceable(hardware: HardwareConfig) -> None:
    """Refuse machines whose memory has no addresses.

    Raises
    ------
    InputError
        The memory is flat.
    """
    if not isinstance(hardware.dram, DeviceDram):
        raise InputError(
            "--dram-trace",
            f"the memory of {hardware.name} is flat and has no addresses; expected a machine "
            "with dram.model: device",
        )


def write_trace(
    hardware: HardwareConfig, schedules: tuple[LayerSchedule, ...], file: BinaryIO
) -> None:
    """Write every burst of a run; the memory must be a device.

    Layers follow one another in time; each has addresses of its own.
    """
    assert isinstance(hardware.dram, DeviceDram)
    device = find_dram_device(hardware.dram.device, hardware.dram.address_map)
    for bursts in list_bursts(hardware, hardware.dram, schedules):
        clock = (bursts[:, 2] * (1000 / hardware.clock_MHz / device.clock_ns)).astype(np.int64)
        lines = zip(
            (bursts[:, 0] * device.burst_bytes).tolist(),
            bursts[:, 1].tolist(),
            clock.tolist(),
            strict=True,
        )
        text = "".join(f"{place:#x} {DIRECTIONS[way]} {cycle}\n" for place, way, cycle in lines)
        file.write(text.encode())


def list_bursts(
    hardware: HardwareConfig, dram: DeviceDram, schedules: tuple[LayerSchedule, ...]
) -> Iterator[NDArray[np.int64]]:
    """Bursts of each layer in their order.

    Yields
    ------
    int64[n, 3]: number of the burst, 1 if it is written, and the machine's cycle in which it
    is asked for.
    """
    device = find_dram_device(dram.device, dram.address_map)
    start_cycle, start_bit = 0, 0
    for schedule in schedules:
        if schedule.mapping is None:
            continue
        nest, tile = schedule.nest, schedule.mapping.tile
        stream = device_stream(nest, hardware, dram, tile, schedule.coded)
        runs = list_transfers(
            schedule_rules(nest, hardware, schedule.coded),
            stream,
            cut_tiles(nest, hardware, tile),
            schedule.mapping.loop_order,
        )
        runs += (start_bit, 0, 0, start_cycle)
        yield _to_bursts(runs, device)
        start_cycle += schedule.cycles.total
        # So that the banks are those that the model took.
        turn_bits = device.row_bytes * device.banks * dram.channels * BITS_PER_BYTE
        start_bit += -(-stream.addresses.end // turn_bits) * turn_bits


def _to_bursts(runs: NDArray[np.int64], device: DramDevice) -> NDArray[np.int64]:
    """Cut runs into bursts; one that two runs of a transfer share is there once."""
    burst_bits = device.burst_bytes * BITS_PER_BYTE
    first = runs[:, 0] // burst_bits
    last = (runs[:, 0] + runs[:, 1] - 1) // burst_bits
    is_shared = np.zeros(len(runs), np.bool_)
    is_shared[1:] = (
        (first[1:] == last[:-1]) & (runs[1:, 2] == runs[:-1, 2]) & (runs[1:, 3] == runs[:-1, 3])
    )
    first += is_shared
    lengths = last - first + 1
    owner = np.repeat(np.arange(len(runs)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.column_stack((first[owner] + within, runs[owner, 2], runs[owner, 3]))
