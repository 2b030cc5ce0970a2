"""Is no layer above the roof, and is the roof the machine's?"""

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.report.charts.roofline import draw_roofline, peak_bandwidth_GBps
from accel_sim.simulation import simulate
from tests.digits import load_digits

MACHINES = ["edge_16x16", "fusion_16x16", "micro_8x16", "tpu_256x256", "eyeriss_12x14"]


@pytest.mark.parametrize("machine", MACHINES)
def test_no_layer_is_above_the_roof(machine):
    report = simulate(load_hardware(machine), load_digits(1)[0]).to_document()
    chart = draw_roofline(report)
    points, roofs = chart.spec["datasets"]["layers"], chart.spec["datasets"]["roofs"]
    peak_GOPS = max(corner["GOPS"] for corner in roofs)
    peak_GBps = peak_bandwidth_GBps(report.hardware.config)
    assert points
    for point in points:
        assert point["GOPS"] <= peak_GOPS
        assert point["GOPS"] <= point["intensity"] * peak_GBps * (1 + 1e-9)


def test_a_point_is_two_operations_per_mac_over_bytes_and_over_time():
    report = simulate(load_hardware("edge_16x16"), load_digits(1)[0]).to_document()
    layer = next(layer for layer in report.layers if layer.name == "conv2")
    chart = draw_roofline(report)
    (point,) = [row for row in chart.spec["datasets"]["layers"] if row["layer"] == "conv2"]
    moved = layer.dram_bytes.ifm_read + layer.dram_bytes.weights_read + layer.dram_bytes.ofm_write
    assert point["intensity"] == 2 * 294_912 / moved
    assert point["GOPS"] == pytest.approx(2 * 294_912 / (layer.cycles.total / 500e6) / 1e9)


def test_roofs_are_those_of_the_array_and_of_the_device():
    report = simulate(load_hardware("edge_16x16"), load_digits(1)[0]).to_document()
    roofs = draw_roofline(report).spec["datasets"]["roofs"]
    assert {corner["roof"] for corner in roofs} == {"DRAM 12.80 GB/s", "array 256.0 GOPS"}
    assert {corner["GOPS"] for corner in roofs if corner["roof"].startswith("array")} == {256.0}
    corner = next(row for row in roofs if row["roof"].startswith("array"))
    assert corner["intensity"] == 256 / 12.8
