"""Does whatever a file or a command line holds end well, or in one line and status 2?

`make fuzz` runs forty times as many, from a new seed, which every line of its summary names.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("ACCEL_SIM_FUZZ_SEED", "0"))
TIMES = int(os.environ.get("ACCEL_SIM_FUZZ_TIMES", "1"))
AT_ONCE = 125
"""Mutants of one process."""
COUNTS = {
    "machines": 500, "networks": 250, "json": 250, "tables": 250, "images": 125, "commands": 125,
}  # fmt: skip


def run_campaign(kind, seed, count):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.fuzz.campaign", kind, str(seed), str(count)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{kind} {seed}: status {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_mutants_end_well_or_in_one_line(kind, record_property):
    total, sites, failures = Counter(), Counter(), []
    for part in range(COUNTS[kind] * TIMES // AT_ONCE):
        found = run_campaign(kind, SEED + part, AT_ONCE)
        total.update({key: found[key] for key in ("mutants", "done", "parsed", "simulated")})
        sites.update(found["sites"])
        failures += found["failures"]
    listed = ", ".join(f"{site} {count}" for site, count in sites.most_common())
    record_property(
        "note",
        f"{total['mutants']} {kind} from seed {SEED}: {total['parsed']} passed the reader, "
        f"{total['simulated']} reached the simulation, {total['done']} succeeded; refused by "
        f"{listed}",
    )
    assert not failures, f"{len(failures)} of {total['mutants']}:\n" + "\n".join(failures[:5])
    if kind == "machines":
        assert total["parsed"] >= 0.4 * total["mutants"]
        assert total["simulated"] >= 0.15 * total["mutants"]
