"""Icarus Verilog: compiling the bench for one array, and running it on a folder of vectors."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = sorted(HERE.glob("*.sv"))
NEEDS_ICARUS = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed"
)

_TILE = re.compile(r"(\S+): (\d+) cycles, (\d+) clamps, (\d+) wrong sums")
_SUMMARY = re.compile(r"(\d+) of (\d+) tiles passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTile:
    cycles: int
    clamps: int
    wrong_sums: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the bench measured, by name of tile, and how many tiles it found right."""

    tiles: Mapping[str, MeasuredTile]
    passed: int


def compile_bench(program: Path, parameters: Mapping[str, int]) -> None:
    options = [f"-Pbench.{name}={value}" for name, value in parameters.items()]
    done = subprocess.run(
        ["iverilog", "-g2012", "-Wall", "-s", "bench", *options, "-o", program, *SOURCES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def run_bench(program: Path, folder: Path) -> Outcome:
    done = subprocess.run(
        ["vvp", "-n", program], cwd=folder, capture_output=True, text=True, check=True
    )
    *lines, summary = done.stdout.splitlines()
    tiles = {}
    for line in lines:
        found = _TILE.fullmatch(line)
        assert found, line
        cycles, clamps, wrong_sums = map(int, found.groups()[1:])
        tiles[found[1]] = MeasuredTile(cycles=cycles, clamps=clamps, wrong_sums=wrong_sums)
    counts = _SUMMARY.fullmatch(summary)
    assert counts, summary
    assert int(counts[2]) == len(tiles)
    return Outcome(tiles=tiles, passed=int(counts[1]))
