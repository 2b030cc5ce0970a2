"""Does ``report`` show, filter and export what is in a results file, and nothing else?"""

import contextlib
import csv
import io
import sqlite3

import pytest

from accel_sim.cli import console

EDGE = "edge_16x16"


@pytest.fixture
def results(run, tmp_path):
    """Two machines, several settings, costs alone; three points fail."""
    base = ("--no-values", "-o", "R.db")
    run("sweep", EDGE, "iot_8x8", "--weight-bits", "4,8", "--set", "mac_array.rows=8,16", *base)
    failing = run("sweep", EDGE, "--weight-bits", "8,9", "--set", "mac_array.rows=0,8", *base)
    assert failing.status == 2
    return tmp_path / "R.db"


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_table_has_every_finished_point_in_100_columns(run, results):
    outcome = run("report", "R.db")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[:2] == ["R.db: 11 points, 3 failed (--failed says why)", ""]
    assert max(map(len, lines)) <= 100
    assert lines[2].split() == [
        "weight", "activation", "energy", "latency", "dram_read", "dram_write",
    ]  # fmt: skip
    assert lines[3].split() == [
        "hardware", "rows", "bits", "bits", "uJ", "us", "bytes", "bytes",
    ]  # fmt: skip
    points = [line.split()[:3] for line in lines[4:]]
    assert points == [
        [name, rows, bits] for name in (EDGE, "iot_8x8") for rows in ("8", "16")
        for bits in ("4", "8")
    ]  # fmt: skip


def test_a_narrow_terminal_gets_what_it_has_room_for(run, results, monkeypatch):
    for columns in (80, 60, 40):
        monkeypatch.setattr(console, "PIPE_COLUMNS", columns)
        lines = run("report", "R.db").out.splitlines()
        table = lines[2:12]
        assert max(map(len, table)) <= columns
        assert "…" not in "".join(table)
        assert ("No room for" in lines[-1]) == (columns < 80)


def test_points_that_failed_stand_under_their_errors(run, results, tmp_path):
    outcome = run("report", "R.db", "--failed", "--csv", "f.csv")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "R.db: 11 points, 3 failed",
        "",
        "--set mac_array.rows=0: mac_array.rows: expected at least 1, got 0",
        "",
        "                weight activation",
        "hardware   rows   bits       bits",
        "edge_16x16    0      8          -",
        "edge_16x16    0      9          -",
        "",
        "layer 'conv1': its weights have 9 bits, the datapath of edge_16x16 8; "
        "--set precision.weight_bits=9 builds one that holds them",
        "",
        "                weight activation",
        "hardware   rows   bits       bits",
        "edge_16x16    8      9          8",
    ]
    found = rows_of(tmp_path / "f.csv")
    assert [row["mac_array.rows"] for row in found] == ["0", "0", "8"]
    assert found[2]["error"].startswith("layer 'conv1': its weights have 9 bits")


def test_conditions_columns_and_order_apply_to_table_and_csv(run, results, tmp_path):
    outcome = run("report", "R.db", "--where", "mac_array.cols=16", "--where", "weight_bits<8",
                  "--sort", "-mac_array.rows", "--columns", "mac_array.rows,area_mm2,hardware",
                  "--csv", "r.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[1] == "2 of 8 shown"
    assert [line.split()[0] for line in lines[5:]] == ["16", "8"]
    found = rows_of(tmp_path / "r.csv")
    assert [list(row) for row in found] == 2 * [["mac_array.rows", "area_mm2", "hardware"]]
    assert [row["mac_array.rows"] for row in found] == ["16", "8"]


def test_the_front_is_shown_with_its_columns(run, results):
    outcome = run("report", "R.db", "--pareto", "energy_uJ,-mac_array.rows,area_mm2")
    lines = outcome.out.splitlines()
    assert "area" in lines[3]
    assert lines[1] == f"{len(lines) - 5} of 8 shown"
    none = run("report", "R.db", "--pareto", "sqnr_dB")
    assert none.out.splitlines()[1:] == ["0 of 8 shown"]


def test_an_export_has_every_result_and_what_varies(run, results, tmp_path):
    run("report", "R.db", "--csv", "r.csv")
    found = rows_of(tmp_path / "r.csv")
    assert len(found) == 8
    names = list(found[0])
    assert names[:4] == ["hardware", "network", "mac_array.rows", "weight_bits"]
    assert {"energy_uJ_by_component.mac", "area_mm2", "datapath", "sqnr_dB"} <= set(names)


def test_a_damaged_row_is_left_out_and_told(run, results):
    with contextlib.closing(sqlite3.connect(results, isolation_level=None)) as connection:
        connection.execute("UPDATE points SET record = '{}' WHERE rowid = 2")
        one = run("report", "R.db")
        connection.execute("UPDATE points SET settings = '{}' WHERE rowid = 3")
        two = run("report", "R.db")
    assert (one.status, two.status) == (2, 2)
    assert one.out.startswith("R.db: 10 points, 3 failed")
    assert one.err == "R.db: 1 damaged row is left out; its sweep computes it again\n"
    assert two.err == "R.db: 2 damaged rows are left out; their sweeps compute them again\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.db"], "no.db: cannot be read (No such file or directory); expected a results file "
         "that sweep -o F.db wrote"),
        (["text.db"], "text.db: is no SQLite file; give a results file that sweep -o F.db wrote"),
        (["R.db", "--failed", "--pareto", "energy_uJ"], "--pareto: has no use with --failed; "
         "leave one of them out"),
        (["R.db", "--where", "weight_bit=4"], "--where weight_bit=4: no column 'weight_bit'; did "
         "you mean 'weight_bits'?"),
        (["R.db", "--sort", "energy"], "--sort: no column 'energy'; did you mean 'energy_uJ'?"),
        (["R.db", "--columns", "hardwar"], "--columns: no column 'hardwar'; did you mean "
         "'hardware'?"),
        (["R.db", "--pareto", "energy"], "--pareto: no column 'energy'; did you mean "
         "'energy_uJ'?"),
        (["R.db", "--where", "weight_bits=3", "--csv", "n.csv"], "--csv: R.db holds no such "
         "point; leave it out"),
        (["R.db", "--csv", "R.db"], "--csv: 'R.db' is also an input; give another name"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_one_sentence(results, refuse, tmp_path, arguments, sentence):
    (tmp_path / "text.db").write_text("notes\n" * 200)
    assert refuse("report", *arguments) == sentence
