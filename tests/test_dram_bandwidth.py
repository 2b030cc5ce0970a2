"""Is the bandwidth over time what the schedule moves, slot by slot?"""

import numpy as np
import pytest

from accel_sim.dram_bandwidth import sample_bandwidth
from accel_sim.hardware.load import load_hardware
from accel_sim.machine_fit import find_schedules
from accel_sim.tile_trace import layer_steps
from accel_sim.timing.schedule_kernel import READ, STEP_END, STEP_START, WRITTEN
from quantizer.quantized import BitWidths
from tests.digits import load_digits

MACHINES = ["edge_16x16", "micro_8x16", "tpu_256x256"]


def schedule(name):
    hardware, network = load_hardware(name), load_digits(1)[0]
    return hardware, find_schedules(hardware, network, BitWidths())


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("slots", [1, 7, 240])
def test_slots_sum_to_the_traffic_of_all_layers(machine, slots):
    hardware, schedules = schedule(machine)
    bandwidth = sample_bandwidth(hardware, schedules, slots)
    moved = [layer.dram_bytes for layer in schedules]
    read = sum(
        each.ifm_read + each.weights_read + each.residual_read + each.psum_read for each in moved
    )
    written = sum(each.psum_write + each.ofm_write for each in moved)
    # Report and schedule round bits to bytes at different places.
    assert bandwidth.read_bytes.sum() == pytest.approx(read, abs=len(schedules))
    assert bandwidth.written_bytes.sum() == pytest.approx(written, abs=len(schedules))
    assert len(bandwidth.edges_us) == slots + 1


@pytest.mark.parametrize("machine", MACHINES)
def test_layers_follow_one_another_for_as_long_as_they_take(machine):
    hardware, schedules = schedule(machine)
    layers = sample_bandwidth(hardware, schedules).layers
    working = [layer for layer in schedules if layer.mapping is not None]
    assert [span.layer for span in layers] == [layer.nest.layer for layer in working]
    start = 0
    for span, layer in zip(layers, working, strict=True):
        assert span.start_us == start / hardware.clock_MHz
        start += layer.cycles.total
        assert span.end_us == start / hardware.clock_MHz


def test_a_slot_has_its_share_of_every_step_that_it_overlaps():
    hardware, schedules = schedule("edge_16x16")
    slots = 11
    bandwidth = sample_bandwidth(hardware, schedules, slots)
    total = sum(layer.cycles.total for layer in schedules)
    edges = [slot * total / slots for slot in range(slots + 1)]
    expected = np.zeros((2, slots))
    start = 0
    for layer in schedules:
        if layer.mapping is None:
            continue
        for step in layer_steps(hardware, layer).tolist():
            begin, end = start + step[STEP_START], start + step[STEP_END]
            for slot in range(slots):
                overlap = min(end, edges[slot + 1]) - max(begin, edges[slot])
                if overlap > 0:
                    share = overlap / (end - begin) / 8
                    expected[0, slot] += share * step[READ]
                    expected[1, slot] += share * step[WRITTEN]
        start += layer.cycles.total
    np.testing.assert_allclose(bandwidth.read_bytes, expected[0], rtol=1e-9)
    np.testing.assert_allclose(bandwidth.written_bytes, expected[1], rtol=1e-9, atol=1e-9)
