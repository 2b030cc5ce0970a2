"""Are streams as fast as a cycle-accurate simulator runs them?

DRAMsim3 (Li et al., IEEE CAL 2020) with its known faults corrected; the points are described
in `dram_points.csv`. Most of them chose the fitted numbers of the device table, so this
guards the model against change more than it proves it.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from accel_sim.hardware.devices import dram_devices
from accel_sim.timing.dram_windows import stream_ns, window_rules

POINTS = Path(__file__).parent / "dram_points.csv"
BURST_BYTES, MANY_READS = 64, 1 << 20
# Where the simulator was not told otherwise; both are the start of a row of the first bank.
CAPACITY_BYTES, WRITES_BASE_BYTES = 1 << 31, 1 << 28

# A roofline has corners where the simulator bends; strides of powers of two are the worst.
MEAN_ERROR, WORST_ERROR = 0.07, 0.22


def read_points(device):
    with POINTS.open() as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [
            row
            for row in rows
            if (row["device"], row["address_map"]) == (device.device, device.address_map)
        ]


def as_runs(point):
    """First bit, bits and direction of each run of a stream."""
    n_bytes = int(point["bursts"]) * BURST_BYTES
    writes = float(point["write_fraction"])
    rng = np.random.default_rng(7)
    match point["pattern"]:
        case "sequential":
            starts, sizes, is_write = np.zeros(1), n_bytes, writes
        case "runs":
            sizes, is_write = int(point["run_bytes"]), writes
            starts = rng.integers(0, CAPACITY_BYTES // sizes, -(-n_bytes // sizes)) * sizes
        case "stride":
            sizes, is_write = int(point["run_bytes"]), writes
            starts = np.arange(n_bytes // sizes) * int(point["stride_bytes"])
        case "alternating":
            sizes = int(point["granule_bytes"])
            number = np.arange(n_bytes // sizes)
            is_write = np.floor((number + 1) * writes) - np.floor(number * writes)
            of_writes = WRITES_BASE_BYTES + (np.cumsum(is_write) - 1) * sizes
            starts = np.where(is_write == 1, of_writes, (np.cumsum(1 - is_write) - 1) * sizes)
        case "random":
            sizes = BURST_BYTES
            starts = rng.integers(0, CAPACITY_BYTES // sizes, n_bytes // sizes) * sizes
            is_write = rng.random(len(starts)) < writes
    runs = np.zeros((len(starts), 3), np.int64)
    runs[:, 0], runs[:, 1], runs[:, 2] = starts * 8, sizes * 8, is_write
    return runs


@pytest.mark.parametrize(
    "device", dram_devices(), ids=lambda row: f"{row.device}-{row.address_map}"
)
def test_efficiencies_are_within_the_models_error(device):
    rules = window_rules(device, 1, MANY_READS)
    points = read_points(device)
    assert len(points) == 67
    errors = []
    for point in points:
        runs = as_runs(point)
        reached = runs[:, 1].sum() / 8 / stream_ns(rules, runs) / device.peak_GBps
        errors.append(abs(reached / float(point["efficiency_fraction"]) - 1))
    assert np.mean(errors) <= MEAN_ERROR
    assert max(errors) <= WORST_ERROR
