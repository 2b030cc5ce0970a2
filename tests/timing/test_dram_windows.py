"""Is the time of a stream that of its windows, and never less than physics allows?"""

from dataclasses import asdict

import numpy as np
import pytest

from accel_sim.hardware.devices import dram_devices, find_dram_device
from accel_sim.timing.dram_windows import (
    begin_batch,
    idle_state,
    move_runs,
    stream_ns,
    window_rules,
)
from accel_sim.timing.power_mean import power_mean
from accel_sim.timing.record import as_record
from tests.oracles import dram_windows
from tests.seeds import seeds

BURST_BITS, MANY_READS = 512, 1 << 20
DEVICES = [
    pytest.param(device, id=f"{device.device}-{device.address_map}") for device in dram_devices()
]
LPDDR4 = find_dram_device("LPDDR4-3200", "row_linear")


def draw_runs(rng, n_runs=60):
    """Runs of any length, near each other, far away, one row above the other, in both ways."""
    places = rng.integers(0, 3, n_runs)
    near, far = rng.integers(0, 1 << 16, n_runs), rng.integers(0, 1 << 33, n_runs)
    above = rng.integers(0, 200, n_runs) << 18
    bits = rng.integers(1, np.where(rng.integers(0, 10, n_runs) == 0, 500_000, 20_000))
    runs = np.stack([near, bits, rng.integers(0, 4, n_runs) == 0], 1)
    runs[:, 0] = np.choose(places, [near, far, above])
    return runs.astype(np.int64)


def bursts_of(runs):
    """Bursts in their order; one that the run before ended with is not moved again."""
    bursts = []
    for start, bits, is_write in runs.tolist():
        for burst in range(start // BURST_BITS, (start + bits - 1) // BURST_BITS + 1):
            if burst != start // BURST_BITS or not bursts or bursts[-1] != (burst, is_write):
                bursts.append((burst, is_write))
    return bursts


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", seeds(3, 40))
def test_time_is_that_of_the_windows(device, seed):
    rng = np.random.default_rng(seed)
    runs, channels = draw_runs(rng), int(rng.integers(1, 5))
    in_flight = int(rng.choice([1, 16, MANY_READS]))
    expected = dram_windows.stream_ns(
        bursts_of(runs),
        asdict(device),
        device.address_map == "bank_group_interleave",
        channels,
        in_flight,
    )
    assert stream_ns(window_rules(device, channels, in_flight), runs) == pytest.approx(
        expected, rel=1e-12
    )


def test_the_kernel_and_its_python_agree():
    runs = draw_runs(np.random.default_rng(0), 10)
    rules = window_rules(LPDDR4, 2, 16)
    interpreted = move_runs.py_func(rules, idle_state(rules), runs, len(runs))
    assert interpreted == stream_ns(rules, runs)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", seeds(2, 10))
def test_no_stream_is_faster_than_the_bus(device, seed):
    rng = np.random.default_rng(seed)
    runs, channels = draw_runs(rng), int(rng.integers(1, 5))
    moved_bytes = 64 * len(bursts_of(runs))
    nanoseconds = stream_ns(window_rules(device, channels, MANY_READS), runs)
    assert moved_bytes / nanoseconds <= device.peak_GBps * channels


@pytest.mark.parametrize("seed", seeds(2, 10))
def test_a_longer_stream_never_takes_less_time(seed):
    runs = draw_runs(np.random.default_rng(seed))
    runs[:, 2] = np.sort(runs[:, 2])  # first all reads, then all writes, as in a step
    rules = window_rules(LPDDR4, 1, 16)
    times = [stream_ns(rules, runs[:length]) for length in range(1, len(runs) + 1)]
    assert times == sorted(times)


@pytest.mark.parametrize("seed", seeds(2, 10))
def test_more_reads_in_flight_are_never_slower(seed):
    runs = draw_runs(np.random.default_rng(seed))
    times = [stream_ns(window_rules(LPDDR4, 1, reads), runs) for reads in (1, 2, 4, 8, 16, 1024)]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


@pytest.mark.parametrize("device", DEVICES)
def test_more_channels_move_a_sequential_stream_in_less_time(device):
    stream = np.array([[0, 8 << 20, 0]])
    times = [
        stream_ns(window_rules(device, channels, MANY_READS), stream) for channels in range(1, 9)
    ]
    assert times == sorted(times, reverse=True)
    assert times[0] / times[7] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("device", DEVICES)
def test_rows_of_one_bank_follow_one_another_by_its_cycle(device):
    stride_bytes = device.row_bytes * device.banks
    starts = np.arange(1000) * stride_bytes * 8
    runs = np.stack([starts, np.full(1000, 8), np.zeros(1000)], 1).astype(np.int64)
    floor_ns = 1000 * device.row_cycle_ns / (1 - device.refresh_fraction)
    nanoseconds = stream_ns(window_rules(device, 1, MANY_READS), runs)
    assert floor_ns <= nanoseconds <= 1.02 * floor_ns


@pytest.mark.parametrize("is_write", [0, 1])
def test_a_run_takes_as_long_in_pieces(is_write):
    whole = np.array([[1000, 99_000, is_write]])
    cuts = np.array([1000, 1001, 5000, 5120, 70_000, 100_000])
    pieces = np.stack([cuts[:-1], np.diff(cuts), np.full(5, is_write)], 1)
    rules = window_rules(LPDDR4, 1, 16)
    assert stream_ns(rules, pieces) == stream_ns(rules, whole)


def test_rows_stay_open_from_one_batch_to_the_next():
    rules = window_rules(LPDDR4, 1, MANY_READS)
    run = np.array([[0, 4096, 0]])
    state = idle_state(rules)
    times = []
    for _ in range(3):
        begin_batch(state)
        times.append(move_runs(as_record(rules), state, run, 1))
    assert times[0] > times[1] == times[2]


def test_writes_between_reads_turn_the_bus_once_per_batch():
    reads = [[512 * number, 512, 0] for number in range(64)]
    batch = [[(1 << 33) + 512 * number, 512, 1] for number in range(LPDDR4.write_batch)]
    rules = window_rules(LPDDR4, 1, MANY_READS)
    together = stream_ns(rules, np.array([*reads, *batch]))
    between = stream_ns(rules, np.array([*reads[:32], *batch, *reads[32:]]))
    first = stream_ns(rules, np.array([*batch, *reads]))
    turn_ns = LPDDR4.turn_ns / (1 - LPDDR4.refresh_fraction)
    assert together == pytest.approx(between, rel=1e-12)
    assert together - first == pytest.approx(turn_ns, rel=1e-9)


@pytest.mark.parametrize("norm", [2, 4, 6, 10])
def test_power_mean_is_the_root_of_the_sum_of_powers(norm):
    rng = np.random.default_rng(norm)
    for terms in [(1.0, 0.0, 0.0), (3.0, 3.0, 3.0), *rng.uniform(0, 2000, (50, 3)).tolist()]:
        expected = sum(term**norm for term in terms) ** (1 / norm)
        assert power_mean(*terms, norm) == pytest.approx(expected, rel=1e-14)
        assert power_mean(*terms, norm) >= max(terms)
    assert power_mean(0.0, 0.0, 0.0, norm) == 0
