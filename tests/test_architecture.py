"""Does the code keep to the order of the house, and do only some rooms use each tool?"""

import re
from pathlib import Path

import pytest

from tests.architecture import (
    HAND_OVER,
    MEETING_PLACES,
    ORDER,
    PACKAGES,
    RULES,
    THIRD_PARTY,
    complain_of_cycles,
    complain_of_hand_over,
    complain_of_oracles,
    complain_of_order,
    complain_of_speech,
    complain_of_third_parties,
    read_modules,
)

ROOT = Path(__file__).parents[1]
LINES_TO_REPORT = 300
LINES_AT_MOST = 600


@pytest.fixture(scope="module")
def packages():
    return read_modules(ROOT, *PACKAGES)


@pytest.mark.parametrize("rule", RULES)
def test_the_packages_keep_the_rule(rule, packages):
    assert list(rule(packages)) == []


def test_oracles_share_no_code_with_what_they_judge():
    oracles = read_modules(ROOT, "tests/oracles")
    assert "tests.oracles" in oracles
    assert list(complain_of_oracles(oracles)) == []


@pytest.mark.parametrize(
    "table", [sum(ORDER, ()), HAND_OVER, MEETING_PLACES, sum(THIRD_PARTY.values(), ())]
)
def test_the_tables_name_only_modules_that_exist(table, packages):
    assert [unit for unit in table if unit not in packages] == []


def test_every_test_file_tests_something():
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert files
    assert [
        path.name for path in files if not re.search(r"^ *def test_", path.read_text(), re.M)
    ] == []


def test_no_file_is_over_600_lines_and_those_over_300_are_reported(record_property):
    folders = (*PACKAGES, "tests", "tools", "benchmarks")
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    long = [f"{path} {lines}" for path, lines in lengths.items() if lines > LINES_TO_REPORT]
    if long:
        record_property("note", f"over {LINES_TO_REPORT} lines: {', '.join(long)}")
    assert {path: lines for path, lines in lengths.items() if lines > LINES_AT_MOST} == {}


@pytest.mark.parametrize(
    ("rule", "file", "code", "complaint"),
    [
        (
            complain_of_order,
            "quantizer/quantized.py",
            "from quantizer.quantize import quantize",
            "quantizer.quantized imports quantizer.quantize, which is not below it in ORDER",
        ),
        (
            complain_of_order,
            "quantizer/errors.py",
            "def late():\n    import accel_sim.cli.main",
            "quantizer.errors imports accel_sim.cli.main, which is not below it in ORDER",
        ),
        (
            complain_of_order,
            "accel_sim/timing/array.py",
            "from accel_sim import energy",
            "accel_sim.timing.array imports accel_sim.energy, which is not below it in ORDER",
        ),
        (
            complain_of_order,
            "accel_sim/__init__.py",
            "from accel_sim.simulation import simulate",
            "accel_sim imports accel_sim.simulation, which is not below it in ORDER",
        ),
        (
            complain_of_order,
            "accel_sim/timing/__init__.py",
            "from . import array",
            "accel_sim.timing imports '.'; write the full name",
        ),
        (
            complain_of_order,
            "accel_sim/novelty.py",
            "",
            "accel_sim.novelty has no place yet; add it to ORDER",
        ),
        (
            complain_of_cycles,
            "accel_sim/energy/sram.py",
            "import accel_sim.energy.sram",
            "circle: accel_sim.energy.sram <- accel_sim.energy.sram",
        ),
        (
            complain_of_hand_over,
            "accel_sim/functional.py",
            "from quantizer.network import graph, images",
            "accel_sim.functional imports quantizer.network; only ('accel_sim.measure',",
        ),
        (
            complain_of_third_parties,
            "accel_sim/energy/sram.py",
            "import scipy.special",
            "accel_sim.energy.sram imports scipy; only ('quantizer.function_values', ",
        ),
        (
            complain_of_third_parties,
            "quantizer/ggd.py",
            "from scipy import special, stats",
            "quantizer.ggd imports scipy.stats; it takes most of a second",
        ),
        (
            complain_of_third_parties,
            "quantizer/ggd.py",
            "import torch",
            "quantizer.ggd imports torch, which THIRD_PARTY does not know",
        ),
        (
            complain_of_speech,
            "accel_sim/energy/sram.py",
            "print(1)",
            "accel_sim.energy.sram uses print; only the command line may",
        ),
        (
            complain_of_speech,
            "quantizer/ggd.py",
            "import sys\nsys.exit()",
            "quantizer.ggd uses sys.exit; only the command line may",
        ),
        (
            complain_of_oracles,
            "tests/oracles/slow.py",
            "from quantizer.fixedpoint import arith",
            "tests.oracles.slow imports quantizer.fixedpoint; an oracle shares no code",
        ),
    ],
)
def test_a_broken_rule_is_found(tmp_path, rule, file, code, complaint):
    for name in ("quantizer/network/graph.py", "accel_sim/energy/__init__.py", file):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code if name == file else "")
    (found,) = rule(read_modules(tmp_path, *PACKAGES, "tests"))
    assert complaint in found


def test_what_is_allowed_is_not_complained_of(tmp_path):
    path = tmp_path / "accel_sim" / "kernels" / "conv.py"
    path.parent.mkdir(parents=True)
    path.write_text("import math\nimport numba\nfrom quantizer.fixedpoint.arith import wrap\n")
    modules = read_modules(tmp_path, *PACKAGES)
    assert [complaint for rule in RULES for complaint in rule(modules)] == []
