"""Are differences against the first report what they say?"""

from dataclasses import replace

import pytest

from accel_sim.report.comparison import Difference, compare_reports, comparison_to_json
from tests.report.sample import with_values, without_values


def faster():
    """The sample at twice the clock, without labels."""
    report = with_values()
    values = replace(report.values, sqnr_dB=33.25, top1_accuracy_fraction=None)
    hardware = report.hardware.model_copy(update={"clock_MHz": 1000.0})
    return replace(report, hardware=hardware, values=values)


def metric(key):
    reports = [with_values().to_document(), faster().to_document()]
    return next(metric for metric in compare_reports(reports) if metric.key == key)


def test_costs_differ_by_a_fraction_of_the_first():
    latency = metric("latency_us")
    assert latency.values == (6.0, 3.0)
    assert latency.deltas == (0.0, -0.5)
    assert metric("frames_per_second").deltas[1] == pytest.approx(1.0, rel=1e-12)
    assert metric("energy_uJ_by_component.mac").deltas == (0.0, 0.0)


def test_decibels_and_fractions_differ_absolutely():
    sqnr = metric("sqnr_dB")
    assert sqnr.difference is Difference.ABSOLUTE
    assert sqnr.deltas == (0.0, 3.0)


def test_what_a_report_has_not_has_no_difference():
    accuracy = metric("top1_accuracy_fraction")
    assert accuracy.values == (0.5, None)
    assert accuracy.deltas == (0.0, None)


def test_a_share_of_nothing_has_no_difference():
    report = with_values()
    first = replace(report, layers=report.layers[1:2])
    metrics = compare_reports([first.to_document(), report.to_document()])
    macs = next(m for m in metrics if m.key == "energy_uJ_by_component.mac")
    assert macs.values[0] == 0.0
    assert macs.deltas == (None, None)


def test_a_share_of_next_to_nothing_has_no_difference():
    report = with_values().to_document()
    totals = report.totals.model_copy(update={"latency_us": 5e-324})
    metrics = compare_reports([report.model_copy(update={"totals": totals}), report])
    assert next(m for m in metrics if m.key == "latency_us").deltas == (0.0, None)


def test_what_no_report_has_is_left_out():
    keys = {metric.key for metric in compare_reports([without_values().to_document()] * 2)}
    assert "sqnr_dB" not in keys
    assert "latency_us" in keys


def test_the_file_names_the_sides_and_their_datapath():
    reports = [with_values().to_document(), faster().to_document()]
    file = comparison_to_json(["slow", "fast"], reports)
    assert [side["label"] for side in file["reports"]] == ["slow", "fast"]
    assert [side["datapath"] for side in file["reports"]] == ["fixed", "fixed"]
    latency = next(metric for metric in file["metrics"] if metric["key"] == "latency_us")
    assert latency == {
        "key": "latency_us",
        "values": [6.0, 3.0],
        "difference": "relative",
        "deltas": [0.0, -0.5],
        "delta_bands": [None, None],
    }
