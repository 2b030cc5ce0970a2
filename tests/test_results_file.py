"""Does a results file keep what it was given, whatever happens to its process or its bytes?"""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest

from accel_sim import results_file
from accel_sim.results_file import StoredPoint, open_results, settings_key
from quantizer.errors import InputError

EXPECTED = "give a results file that sweep -o F.db wrote"
GOES_ON = "results so far are kept, and the same command goes on from there"
ADD_POINTS = """
import sys
from pathlib import Path
from accel_sim.results_file import open_results
from tests.test_results_file import make_point

with open_results(Path(sys.argv[1]), creates=True) as file:
    done = file.done_keys()
    for number in range(int(sys.argv[2])):
        point = make_point(number)
        if point.key not in done:
            file.add(point)
            print(number, flush=True)
"""


def make_point(number: int, error: str | None = None) -> StoredPoint:
    return StoredPoint(
        settings={"number": number, "text": "ä" * 50, "nested": {"b": 1, "a": [None, 0.1]}},
        record={"network": "n", "energy_uJ": number / 3, "sqnr_dB": None},
        error=error,
    )


def write(path: Path, *points: StoredPoint) -> None:
    with open_results(path, creates=True) as file:
        for point in points:
            file.add(point)


def read(path: Path) -> tuple[StoredPoint, ...]:
    with open_results(path, creates=False) as file:
        contents = file.read()
    assert contents.damaged == 0
    return contents.points


def by_key(points: Iterable[StoredPoint]) -> dict[str, StoredPoint]:
    return {point.key: point for point in points}


def dump(path: Path) -> list[tuple[str, ...]]:
    """Rows as any SQLite tool sees them."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM points ORDER BY key").fetchall()


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def refusal(path: Path, *, creates: bool) -> str:
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError) as caught, open_results(path, creates=creates) as file:
        file.read()
    assert before is None or path.read_bytes() == before
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a ?#%41.db"


def test_points_come_back_as_they_were_in_the_order_they_came(path):
    points = (make_point(3), make_point(1), make_point(2, "does not fit"))
    write(path, *points)
    assert read(path) == points
    with open_results(path, creates=True) as file:
        assert file.done_keys() == {points[0].key, points[1].key}
        assert file.find(points[2].key) == points[2]
        assert file.find("no key") is None
        assert file.repair() == 0


def test_the_key_is_the_digest_of_the_settings_whatever_their_order():
    assert settings_key({"a": 1, "b": {"c": 2, "d": 3}}) == settings_key(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert settings_key({"a": 1}) != settings_key({"a": 1.5})
    assert len(make_point(0).key) == 64


def test_a_result_stays_and_a_failure_gives_way(path):
    write(path, make_point(1, "no room"))
    write(path, make_point(1, "no room at all"))
    assert [point.error for point in read(path)] == ["no room at all"]
    write(path, make_point(1))
    write(path, make_point(1, "no room"))
    assert read(path) == (make_point(1),)


@pytest.mark.parametrize("column", ["key", "settings", "status", "record", "error", "checksum"])
@pytest.mark.parametrize("value", ["'?'", "x'ff'", "7", "CAST(x'c3' AS TEXT)"])
def test_a_changed_cell_is_found_and_its_row_taken_out(path, column, value):
    write(path, make_point(1), make_point(2), make_point(3))
    change(path, f"UPDATE points SET {column} = {value} WHERE rowid = 2")
    with open_results(path, creates=True) as file:
        contents = file.read()
        assert (contents.points, contents.damaged) == ((make_point(1), make_point(3)), 1)
        assert file.find(make_point(2).key) is None
        assert file.repair() == 1
        file.add(make_point(2))
    assert by_key(read(path)) == by_key(map(make_point, (1, 2, 3)))


def test_flipped_and_missing_bytes_never_give_a_wrong_point(tmp_path):
    original = tmp_path / "whole.db"
    points = tuple(make_point(number) for number in range(40))
    write(original, *points)
    whole = original.read_bytes()
    damaged_path = tmp_path / "damaged.db"
    outcomes = {"error": 0, "damaged": 0, "same": 0}
    for seed in range(400):
        chance = random.Random(seed)
        content = bytearray(whole)
        if seed % 4 == 0:
            del content[chance.randrange(1, len(whole)) :]
        else:
            for _ in range(chance.randint(1, 3)):
                content[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        damaged_path.write_bytes(content)
        refused = ""
        try:
            with open_results(damaged_path, creates=False) as file:
                contents = file.read()
        except InputError as error:
            refused = str(error)
        if refused:
            assert refused.startswith(f"{damaged_path}: ")
            assert "\n" not in refused
            outcomes["error"] += 1
            continue
        expected = by_key(points)
        assert all(expected[point.key] == point for point in contents.points)
        assert len(contents.points) + contents.damaged == len(points)
        outcomes["damaged" if contents.damaged else "same"] += 1
    assert min(outcomes.values()) > 0


REFUSED = [
    (b"", "holds no points yet; run its sweep again"),
    (b"no database", f"is no SQLite file; {EXPECTED}"),
    (b"x" * 5000, f"is no SQLite file; {EXPECTED}"),
]


@pytest.mark.parametrize(("content", "problem"), REFUSED)
def test_what_is_no_results_file_is_refused_and_left_alone(path, content, problem):
    path.write_bytes(content)
    assert refusal(path, creates=False) == f"{path}: {problem}"
    if content:
        assert refusal(path, creates=True) == f"{path}: {problem}"


def test_an_empty_file_is_a_new_one(path):
    """A process that is killed right after opening leaves one."""
    path.touch()
    write(path, make_point(1))
    assert read(path) == (make_point(1),)


def test_nothing_and_a_folder_are_refused(path):
    problem = "cannot be read (No such file or directory); expected a results file that"
    assert refusal(path, creates=False) == f"{path}: {problem} sweep -o F.db wrote"
    path.mkdir()
    problem = "is a folder; expected a results file that sweep -o F.db wrote"
    assert refusal(path, creates=False) == f"{path}: {problem}"
    assert refusal(path, creates=True) == (
        f"{path}: cannot be opened (unable to open database file); give a place that can be written"
    )


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["PRAGMA application_id = 7"], f"is the SQLite file of another program; {EXPECTED}"),
        (
            ["PRAGMA user_version = 2"],
            "has schema version 2, this accel-sim reads 1; give another file, or use the "
            "accel-sim that wrote it",
        ),
        (
            ["ALTER TABLE points RENAME COLUMN error TO problem"],
            "is damaged (its table is not that of a results file); go on with a copy from "
            "before, or give another name",
        ),
    ],
)
@pytest.mark.parametrize("creates", [False, True])
def test_the_file_of_others_is_refused(path, statements, problem, creates):
    write(path, make_point(1))
    change(path, *statements)
    assert refusal(path, creates=creates) == f"{path}: {problem}"


def test_a_half_of_a_file_is_refused(path):
    write(path, *map(make_point, range(40)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path, creates=True) == (
        f"{path}: is damaged (database disk image is malformed); go on with a copy from before, "
        "or give another name"
    )


def test_a_locked_file_is_waited_for_but_not_for_ever(path, monkeypatch):
    monkeypatch.setattr(results_file, "BUSY_SECONDS", 0.3)
    write(path, make_point(1))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        sentence = f"{path}: is locked by another program; end that: {GOES_ON}"
        assert refusal(path, creates=True) == sentence
        assert refusal(path, creates=False) == sentence
        assert 0.5 < time.monotonic() - started < 20
        other.execute("ROLLBACK")
    assert read(path) == (make_point(1),)


@contextlib.contextmanager
def without_privileges():
    """Nobody's rights, where this process has all."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_place_that_cannot_be_written_can_be_read():
    folder = Path(tempfile.mkdtemp())  # that of pytest is nobody else's to enter
    try:
        path = folder / "r.db"
        write(path, make_point(1))
        path.chmod(0o444)
        folder.chmod(0o555)
        with without_privileges():
            assert read(path) == (make_point(1),)
            with pytest.raises(InputError) as caught, open_results(path, creates=True):
                pass
            assert str(caught.value) == (
                f"{path}: cannot be written (attempt to write a readonly database); give a place "
                "that can"
            )
            with pytest.raises(InputError) as caught, open_results(folder / "n.db", creates=True):
                pass
            assert str(caught.value) == (
                f"{folder / 'n.db'}: cannot be opened (unable to open database file); give a "
                "place that can be written"
            )
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )


def test_a_full_disk_is_one_sentence_and_keeps_what_was_there(path):
    write(path, *map(make_point, range(20)))
    limit = path.stat().st_size + 8192
    script = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from quantizer.errors import InputError
try:
    exec({ADD_POINTS!r})
except InputError as error:
    print(error)
"""
    with start(script, path, 2000) as process:
        printed, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    *numbers, sentence = printed.splitlines()
    assert sentence in (
        f"{path}: cannot be written (database or disk is full); make room: {GOES_ON}",
        f"{path}: cannot be read or written (disk I/O error); mend that: {GOES_ON}",
    )
    kept = [point.settings["number"] for point in read(path)]
    assert kept == [*range(20), *map(int, numbers)]
    write(path, make_point(5000))
    assert read(path)[-1] == make_point(5000)


def test_a_killed_process_loses_nothing_that_it_had_finished(tmp_path):
    whole, path = tmp_path / "whole.db", tmp_path / "killed.db"
    count, finished = 300, set()
    write(whole, *map(make_point, range(count)))
    for seed in range(8):
        chance = random.Random(seed)
        with start(ADD_POINTS, path, count) as process:
            assert process.stdout is not None
            seen = set(islice(process.stdout, chance.randint(0, 30)))
            time.sleep(chance.random() * 0.01)
            process.send_signal(signal.SIGKILL)
            seen |= set(process.stdout)
        numbers = {int(line) for line in seen if line.endswith("\n")}
        assert not numbers & finished  # none ran again
        finished |= numbers
        if path.exists() and path.stat().st_size:
            kept = {point.settings["number"] for point in read(path)}
            assert finished <= kept
            finished = kept
    with start(ADD_POINTS, path, count) as process:
        printed, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert set(map(int, printed.split())) == set(range(count)) - finished
    assert dump(path) == dump(whole)


def test_processes_at_once_agree(tmp_path):
    whole, path = tmp_path / "whole.db", tmp_path / "shared.db"
    write(whole, *map(make_point, range(100)))
    processes = [start(ADD_POINTS, path, 100) for _ in range(4)]
    for process in processes:
        with process:
            assert (process.wait(), process.stderr.read()) == (0, "")
    assert dump(path) == dump(whole)


def test_rows_hold_json_that_other_tools_read(path):
    write(path, make_point(1))
    ((key, settings, status, record, error, _),) = dump(path)
    assert (key, status, error) == (make_point(1).key, "done", None)
    assert json.loads(settings) == make_point(1).settings
    assert json.loads(record) == make_point(1).record


def test_a_file_whose_own_words_are_no_text_is_damaged(path):
    """SQLite quotes the file in what it complains of."""
    write(path, make_point(1))
    content = path.read_bytes()
    place = content.index(b"sqlite_autoindex_points_1")
    path.write_bytes(content[:place] + b"\x9f" + content[place + 1 :])
    assert refusal(path, creates=False) == (
        f"{path}: is damaged (its own words are not text); go on with a copy from before, or give "
        "another name"
    )
