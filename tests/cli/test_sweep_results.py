"""Does a sweep keep its points, go on where it ended, and tell what failed?"""

import contextlib
import csv
import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from accel_sim.results_file import open_results

EDGE = "edge_16x16"
COMMAND = (sys.executable, "-c", "from accel_sim.cli.main import run; run()")
ROWS = ("sweep", EDGE, "--no-values", "--set")
OUTSIDE = ("--network", "net.onnx", "--calibration", "calibration.npz", "--images", "test.npz")
TOO_WIDE = (
    "layer 'conv1': its weights have 9 bits, the datapath of edge_16x16 8; "
    "--set precision.weight_bits=9 builds one that holds them"
)


def dump(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM points ORDER BY key").fetchall()


def change(path, statement):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_results_file_holds_what_the_table_of_a_sweep_holds(run, tmp_path):
    widths = ("sweep", EDGE, "--weight-bits", "4,8", "--limit-images", "5")
    plain = run(*widths, "-o", "s.csv")
    kept = run(*widths, "-o", "R.db")
    assert (kept.status, kept.out, kept.err) == (0, plain.out, "")
    assert run("report", "R.db", "--csv", "r.csv").status == 0
    expected = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text())))
    found = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text())))
    assert [{key: row[key] for key in expected[0]} for row in found] == expected


def test_the_same_command_finds_its_points_and_more_values_add_to_them(run):
    first = run(*ROWS, "mac_array.rows=8,16", "-o", "R.db")
    again = run(*ROWS, "mac_array.rows=8,16", "-o", "R.db")
    assert (again.status, again.out) == (0, first.out)
    assert again.err == "R.db: 2 of 2 points were there\n"
    more = run(*ROWS, "mac_array.rows=16,4,8", "-o", "R.db")
    assert more.err == "R.db: 2 of 3 points were there\n"
    assert [line.split()[0] for line in more.out.splitlines()[3:]] == ["16", "4", "8"]
    one = run(*ROWS, "mac_array.rows=4,4", "-o", "R.db")
    assert one.err == "R.db: 2 of 2 points were there\n"
    assert len(dump("R.db")) == 3


def test_a_changed_input_is_another_point_and_a_renamed_one_is_not(run, outside):
    command = ("sweep", EDGE, "-o", "R.db")
    assert run(*command, *OUTSIDE).err == ""
    os.utime(outside / "test.npz", (0, 0))
    (outside / "test.npz").rename(outside / "renamed.npz")
    (outside / "net.onnx").rename(outside / "other.onnx")
    renamed = ("--network", "other.onnx", "--calibration", "calibration.npz", "--images")
    outcome = run(*command, *renamed, "renamed.npz")
    assert outcome.err == "R.db: 1 of 1 point was there\n"
    assert outcome.out.startswith("other on edge_16x16, 1 point,")
    with np.load(outside / "renamed.npz") as archive:
        images, labels = archive["images"].copy(), archive["labels"]
    images[0, 0, 0] ^= 1
    np.savez(outside / "changed.npz", images=images, labels=labels)
    assert run(*command, *renamed, "changed.npz").err == ""
    assert len(dump("R.db")) == 2


def test_formats_and_bits_files_count_by_their_content(run, outside):
    command = ("sweep", EDGE, "-o", "R.db", *OUTSIDE)
    (outside / "b.json").write_text('{"conv1": 6}')
    (outside / "c.json").write_text(' {"conv1": {"activation_bits": 6, "weight_bits": 6}}')
    assert run(*command, "--bits", "b.json").err == ""
    assert run(*command, "--bits", "c.json").err == "R.db: 1 of 1 point was there\n"
    (outside / "c.json").write_text('{"conv1": 5}')
    assert run(*command, "--bits", "c.json").err == ""
    written = ("quantize", *OUTSIDE[1:4], "--write-formats", "f.json", "-o", "n.q.onnx")
    assert run(*written).status == 0
    assert run(*command, "--formats", "f.json").err == ""
    (outside / "f.json").rename(outside / "g.json")
    assert run(*command, "--formats", "g.json").err == "R.db: 1 of 1 point was there\n"
    quantized = ("sweep", EDGE, "-o", "R.db", "--network", "n.q.onnx", "--images", "test.npz")
    assert run(*quantized).err == ""
    narrower = (*written[:-1], "o.q.onnx", "--weight-bits", "5")
    assert run(*narrower[:4], *narrower[6:]).status == 0
    (outside / "o.q.onnx").rename(outside / "n.q.onnx")
    assert run(*quantized).err == ""


def test_a_point_that_fails_is_recorded_and_the_others_run(run):
    command = ("sweep", EDGE, "--weight-bits", "9,4,8", "--no-values", "-o", "R.db")
    outcome = run(*command)
    closing = "R.db: 1 of 3 points failed; accel-sim report R.db --failed says why\n"
    assert (outcome.status, outcome.err) == (2, closing)
    lines = outcome.out.splitlines()
    assert lines[3].split() == ["9", "8", "failed"]
    assert [line.split()[0] for line in lines[4:]] == ["4", "8"]
    assert "failed" not in "".join(lines[4:])
    again = run(*command)
    assert (again.status, again.out) == (2, outcome.out)
    assert again.err == "R.db: 2 of 3 points were there\n" + closing
    assert [row[4] for row in dump("R.db") if row[4]] == [TOO_WIDE]


def test_fail_fast_ends_with_the_first_failure(run):
    command = ("sweep", EDGE, "--weight-bits", "4,9,10", "--no-values", "-o", "R.db")
    outcome = run(*command, "--fail-fast")
    assert (outcome.status, outcome.out, outcome.err) == (2, "", TOO_WIDE + "\n")
    # That of 10 bits did not run.
    assert sorted(row[2] for row in dump("R.db")) == ["done", "failed"]


def test_changes_that_make_no_machine_fail_alone(run):
    command = (*ROWS, "mac_array.rows=0,8", "--weight-bits", "4,8", "-o", "R.db")
    outcome = run(*command)
    assert outcome.status == 2
    assert outcome.err == "R.db: 2 of 4 points failed; accel-sim report R.db --failed says why\n"
    assert [line.split()[:2] for line in outcome.out.splitlines()[3:5]] == [["0", "4"], ["0", "8"]]
    assert {row[4] for row in dump("R.db")} == {
        None,
        "--set mac_array.rows=0: mac_array.rows: expected at least 1, got 0",
    }


def test_a_bug_in_a_point_is_recorded_and_keeps_its_traceback(run, monkeypatch):
    import accel_sim.sweep.runner

    assemble = accel_sim.sweep.runner.assemble_report

    def fail_once(hardware, *arguments, **options):
        if hardware.mac_array.rows == 8:
            raise ZeroDivisionError("nothing to divide")
        return assemble(hardware, *arguments, **options)

    monkeypatch.setattr(accel_sim.sweep.runner, "assemble_report", fail_once)
    with pytest.raises(ZeroDivisionError, match="nothing to divide"):
        run(*ROWS, "mac_array.rows=8,4,16", "-o", "R.db")
    errors = [row[4] for row in dump("R.db")]
    assert sorted(map(str, errors)) == ["None", "None", "bug: ZeroDivisionError: nothing to divide"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-o", "r.txt"), "--output: 'r.txt' has another ending than .db and .csv; give F.db or "
         "F.csv"),
        (("--fail-fast",), "--fail-fast: is what happens without a results file; add -o F.db"),
        (("-o", "r.csv", "--fail-fast"), "--fail-fast: is what happens without a results file; "
         "add -o F.db"),
        (("-o", "no/R.db"), "--output: folder 'no' does not exist; make it first"),
        (("-o", "/proc/R.db"), "--output: folder '/proc' is not writable; choose another"),
        (("-o", "text.db"), "text.db: is no SQLite file; give a results file that sweep -o F.db "
         "wrote"),
        (("-o", "n.db", "--set", "mac_array.rows=0,-1"), "--set mac_array.rows=0: mac_array.rows: "
         "expected at least 1, got 0"),
        (("-o", "n.db", "--set", "mac_array.row=8"), "--set mac_array.row=8: mac_array: unknown "
         "key 'row'; did you mean 'rows'?"),
        (("-o", "n.db", "--method", "best"), "--method: unknown method 'best'; give a name of: "
         "accel-sim list methods"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_command_is_told_before_anything_is_kept(
    refuse, tmp_path, arguments, sentence
):
    (tmp_path / "text.db").write_text("notes\n" * 200)
    assert refuse("sweep", EDGE, *arguments) == sentence
    assert (tmp_path / "text.db").read_text() == "notes\n" * 200


def test_a_damaged_row_is_computed_again_and_told(run):
    command = (*ROWS, "mac_array.rows=8,16,32", "-o", "R.db")
    first = run(*command)
    whole = dump("R.db")
    change("R.db", "UPDATE points SET record = replace(record, '\"cycles\": 1', '\"cycles\": 2')")
    damaged = sum(row not in whole for row in dump("R.db"))
    assert damaged > 1
    outcome = run(*command)
    assert (outcome.status, outcome.out) == (0, first.out)
    assert outcome.err.splitlines()[0] == (
        f"R.db: {damaged} damaged rows were taken out; what this command needs of that is "
        "computed again"
    )
    assert dump("R.db") == whole


@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path):
    rows = ",".join(map(str, range(2, 42)))
    arguments = ("sweep", EDGE, "--limit-images", "2", "--set", f"mac_array.rows={rows}", "-o")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    whole = subprocess.run(
        [*COMMAND, *arguments, "whole.db"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    path, known = tmp_path / "killed.db", 0
    for seed in range(4):
        chance = random.Random(seed)
        with subprocess.Popen(
            [*COMMAND, *arguments, path.name], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            deadline = time.monotonic() + 120
            while count_points(path) <= known and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            # Python's own process that looks after semaphores tells of theirs.
            errors = process.stderr.read().partition("/")[0]
        assert errors == (f"killed.db: {known} of 40 points were there\n" if known else "")
        known = count_points(path)
    assert 0 < known < 40
    last = subprocess.run(
        [*COMMAND, *arguments, path.name], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert last.stderr == f"killed.db: {known} of 40 points were there\n"
    assert last.stdout == whole.stdout
    assert dump(path) == dump(tmp_path / "whole.db")


def count_points(path) -> int:
    """Rows as the next process will find them."""
    if not path.exists() or not path.stat().st_size:
        return 0
    with open_results(path, creates=False) as file:
        return len(file.read().points)


@pytest.mark.slow
def test_two_sweeps_of_one_file_at_once_agree(tmp_path):
    rows = ",".join(map(str, range(2, 22)))
    arguments = ("sweep", EDGE, "--limit-images", "2", "--set", f"mac_array.rows={rows}", "-o")
    processes = [
        subprocess.Popen(
            [*COMMAND, *arguments, name], cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("shared.db", "shared.db", "whole.db")
    ]  # fmt: skip
    printed = []
    for process in processes:
        with process:
            printed.append(process.communicate()[0])
        assert process.returncode == 0
    assert printed[0] == printed[1] == printed[2]
    assert dump(tmp_path / "shared.db") == dump(tmp_path / "whole.db")


PROCESSES = ("sweep", EDGE, "--limit-images", "2", "--set", "mac_array.rows=4,8,16,32",
             "--weight-bits", "4,8")  # fmt: skip


@pytest.mark.slow
def test_rows_do_not_depend_on_who_works(run, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    alone = run(*PROCESSES, "-o", "1.db", "--workers", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    many = run(*PROCESSES, "-o", "3.db", "--workers", "3")
    assert (alone.status, alone.err) == (many.status, many.err) == (0, "")
    assert alone.out == many.out
    assert dump("1.db") == dump("3.db")


@pytest.mark.slow
def test_an_interrupted_sweep_says_how_to_go_on(tmp_path):
    many = ("--set", "mac_array.rows=2:41", "--set", "mac_array.cols=2:21")
    arguments = ("sweep", EDGE, "--limit-images", "2", *many, "-o", "R.db")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*COMMAND, *arguments, "--workers", "2"], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while count_points(tmp_path / "R.db") < 3 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # As a terminal does: to all processes.
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    kept = count_points(tmp_path / "R.db")
    assert 3 <= kept < 800
    assert (process.returncode, printed) == (130, "")
    assert errors == (
        f"R.db: {kept} of 800 points were kept; the same command goes on from there\n"
        "accel-sim: interrupted\n"
    )
    wait_for_the_end_of(process.pid)


def wait_for_the_end_of(group):
    """Until nobody is left of a process group."""
    deadline = time.monotonic() + 30
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(group, 0)
            assert time.monotonic() < deadline
            time.sleep(0.02)
