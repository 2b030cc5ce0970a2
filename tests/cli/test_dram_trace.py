"""Is the trace of a run what the run moved, in the form that DRAMsim3 reads?"""

import json
import re

import pytest

LINE = re.compile(r"0x([0-9a-f]+) (READ|WRITE) ([0-9]+)")


def read_trace(path):
    lines = path.read_text().splitlines()
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches)
    return [(int(match[1], 16), match[2], int(match[3])) for match in matches]


@pytest.mark.parametrize(
    ("machine", "clocks_per_cycle"),
    # LPDDR4-3200 runs at 1600 MHz, the machine at 500; DDR3-1600 at 800, the machine at 700.
    [("edge_16x16", 3.2), ("tpu_256x256", 8 / 7)],
)
def test_a_trace_holds_every_burst_of_the_run(machine, clocks_per_cycle, run, tmp_path):
    outcome = run("simulate", machine, "--no-values", "--dram-trace", "t.trc", "--json", "r.json")
    assert outcome.status == 0
    trace = read_trace(tmp_path / "t.trc")
    totals = json.loads((tmp_path / "r.json").read_text())["totals"]
    for way, name in (("READ", "dram_read_bytes"), ("WRITE", "dram_write_bytes")):
        traced_bytes = 64 * sum(direction == way for _, direction, _ in trace)
        # Bursts that a tile fills in part move whole; a small network has few others.
        assert totals[name] <= traced_bytes <= 3 * totals[name]
    assert all(address % 64 == 0 for address, _, _ in trace)
    clocks = [clock for _, _, clock in trace]
    assert clocks == sorted(clocks)
    assert 0.5 < clocks[-1] / (totals["cycles"] * clocks_per_cycle) < 1


def test_layers_have_addresses_of_their_own(run, tmp_path):
    run("simulate", "edge_16x16", "--no-values", "--dram-trace", "t.trc")
    written = [address for address, way, _ in read_trace(tmp_path / "t.trc") if way == "WRITE"]
    once = set(written)
    # Only tiles whose edges share a burst write it twice.
    assert len(written) < 1.5 * len(once)


def test_a_flat_memory_has_no_trace(refuse):
    assert refuse("simulate", "mcu_4x4", "--no-values", "--dram-trace", "t.trc") == (
        "--dram-trace: the memory of mcu_4x4 is flat and has no addresses; expected a machine "
        "with dram.model: device"
    )
