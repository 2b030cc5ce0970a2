"""Running the command line in this process, and small files to give to it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from accel_sim.builtin import find_builtin
from accel_sim.cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Exit status and what was printed."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("simulate", "edge_16x16")`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: object) -> Outcome:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(status=status, out=printed.out, err=printed.err)

    return run_command


@pytest.fixture
def refuse(run: Run, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must fail, print one line on stderr, and write nothing."""

    def run_refused(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        outcome = run(*arguments)
        assert (outcome.status, outcome.out) == (2, "")
        assert outcome.err.endswith("\n")
        assert outcome.err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return outcome.err[:-1]

    return run_refused


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a network that is not built in, and images for it."""
    builtin = find_builtin("digits")
    (tmp_path / "net.onnx").write_bytes(builtin.onnx_path.read_bytes())
    with np.load(builtin.test_path) as archive:
        images, labels = archive["images"], archive["labels"]
    np.savez(tmp_path / "test.npz", images=images[:6], labels=labels[:6])
    np.savez(tmp_path / "calibration.npz", images=images[-12:])
    return tmp_path
