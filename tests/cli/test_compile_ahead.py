"""Does the process that compiles ahead do its work, and leave with the one it works for?"""

import os
import subprocess
import sys

import pytest

from accel_sim.cli import compile_ahead
from accel_sim.hardware.load import find_machine
from accel_sim.timing.schedule_kernel import run_schedule
from quantizer import ordered_map
from quantizer.fixedpoint import jit

EDGE = "edge_16x16"
PROGRAM = (sys.executable, "-P", "-m", "accel_sim.cli.compile_ahead")


@pytest.fixture
def nothing_compiled(monkeypatch):
    monkeypatch.setattr(jit, "is_compiled", lambda function: False)
    monkeypatch.setattr(ordered_map, "worker_count", lambda: 2)


@pytest.fixture
def started(monkeypatch):
    """Processes that were started since."""
    processes = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return processes


@pytest.mark.parametrize("overrides", [[], ["mac_array.rows=8", "mapping.batch=2"]])
def test_it_finds_schedules_on_the_machine(nothing_compiled, overrides, tmp_path, monkeypatch):
    copy = tmp_path / "-my machine.yaml"
    copy.write_bytes(find_machine(EDGE).read_bytes())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "typer.py").write_text("raise RuntimeError")
    for hardware in (EDGE, copy.name):
        with compile_ahead.compile_ahead(hardware, overrides, has_values=True) as wait:
            assert wait() == 0


def test_it_is_gone_when_nobody_waits_for_it(nothing_compiled, started):
    with compile_ahead.compile_ahead(EDGE, [], has_values=True):
        pass
    assert [process.returncode is None for process in started] == [False]


def test_it_ends_with_the_process_that_started_it(tmp_path):
    endless = tmp_path / "machine.yaml"
    os.mkfifo(endless)
    with subprocess.Popen([*PROGRAM, str(endless)], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()  # as the kernel does at the end of a process
        assert process.wait(timeout=60) == 1


def test_a_run_does_without_it_if_it_fails_or_cannot_start(nothing_compiled, run, monkeypatch):
    command = ("simulate", EDGE, "--limit-images", 2)
    usual = run(*command)
    assert usual.status == 0
    for program in ("/bin/false", "/no/such/program"):
        monkeypatch.setattr(sys, "executable", program)
        assert run(*command) == usual


def test_it_is_not_started_without_need(started, monkeypatch, nothing_compiled, tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for hardware, has_values in ((EDGE, False), (str(tmp_path / "pipe.yaml"), True)):
        with compile_ahead.compile_ahead(hardware, [], has_values=has_values) as wait:
            wait()
    monkeypatch.setattr(ordered_map, "worker_count", lambda: 1)
    with compile_ahead.compile_ahead(EDGE, [], has_values=True) as wait:
        wait()
    assert started == []


def test_code_counts_as_compiled_where_the_cache_has_it_and_where_there_is_no_cache(run):
    assert run("simulate", EDGE, "--no-values").status == 0
    assert jit.is_compiled(run_schedule)

    @jit.jit
    def never_called(value):
        return value

    assert not jit.is_compiled(never_called)


def test_without_a_cache_nothing_is_left_to_compile_ahead(monkeypatch):
    monkeypatch.setattr(jit, "_find_cache", lambda folder: None)
    assert jit.is_compiled(jit.jit(lambda value: value))
