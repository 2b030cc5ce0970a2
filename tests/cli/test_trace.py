"""Does the timeline of a run agree with its report?"""

import json
from collections import defaultdict
from itertools import pairwise

import pytest


@pytest.mark.parametrize("machine", ["edge_16x16", "micro_8x16", "tpu_256x256"])
def test_a_timeline_adds_up_to_the_report(machine, run, tmp_path):
    outcome = run("simulate", machine, "--no-values", "--trace", "t.json", "--json", "r.json")
    assert outcome.status == 0
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    report = json.loads((tmp_path / "r.json").read_text())
    names = {event["tid"]: event["args"]["name"] for event in events if "tid" in event and
             event["ph"] == "M"}  # fmt: skip
    rows = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            rows[names[event["tid"]]].append(event)
    assert set(rows) == {"layers", "tiles", "DRAM"}

    working = [layer for layer in report["layers"] if layer["cycles"]["total"]]
    us_per_cycle = 1 / report["hardware"]["config"]["clock_MHz"]
    assert [event["name"] for event in rows["layers"]] == [layer["name"] for layer in working]
    start = 0
    for event, layer in zip(rows["layers"], working, strict=True):
        assert event["ts"] == pytest.approx(start * us_per_cycle)
        start += layer["cycles"]["total"]
        assert event["ts"] + event["dur"] == pytest.approx(start * us_per_cycle)
    assert start == report["totals"]["cycles"]

    # One row never does two things at once, and tiles leave out what DRAM stalls.
    for events_of_row in rows.values():
        ends = [event["ts"] + event["dur"] for event in events_of_row]
        begins = [event["ts"] for event in events_of_row[1:]]
        assert all(end <= begin + 1e-9 for end, begin in zip(ends, begins, strict=False))
    stalls = sum(
        cycles
        for layer in working
        for cause, cycles in layer["cycles"].items()
        if cause.startswith("stall_dram")
    )
    busy_us = sum(event["dur"] for event in rows["tiles"])
    assert busy_us == pytest.approx((start - stalls) * us_per_cycle)


@pytest.mark.parametrize("machine", ["edge_16x16", "micro_8x16", "tpu_256x256"])
def test_bandwidth_over_time_adds_up_to_the_traffic(machine, run, tmp_path):
    run("simulate", machine, "--no-values", "--trace", "t.json", "--json", "r.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    totals = json.loads((tmp_path / "r.json").read_text())["totals"]
    counters = [event for event in events if event["ph"] == "C"]
    assert counters[-1]["args"] == {"read": 0, "write": 0}
    for way, total in (("read", "dram_read_bytes"), ("write", "dram_write_bytes")):
        moved = sum(
            1000 * now["args"][way] * (following["ts"] - now["ts"])
            for now, following in pairwise(counters)
        )
        # A layer's bits are rounded up to bytes once.
        assert moved == pytest.approx(totals[total], abs=4 * 15)
