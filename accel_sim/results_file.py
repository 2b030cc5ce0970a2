"""The file of a sweep's results: a row per point, kept as soon as it is known.

One SQLite file. Every row is a transaction of its own under the default rollback journal, so that
a process may be killed at any moment and several may write at once; write-ahead logging would
need shared memory, which network file systems lack. A row is found by the digest of everything
that determines it, and is the same whoever computes it.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from quantizer.errors import InputError
from quantizer.input_file import open_input

APPLICATION_ID = 0x41435352
"""Stands in the header of the file, as SQLite asks of application formats."""
SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
"""How long another process may hold the file before that is an error."""

_SCHEMA = (
    "CREATE TABLE points (key TEXT PRIMARY KEY, settings TEXT, status TEXT, record TEXT, "
    "error TEXT, checksum TEXT)"
)
_COLUMNS = "key, settings, status, record, error, checksum"
_ADD = (
    f"INSERT INTO points ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
    "SET status = excluded.status, record = excluded.record, error = excluded.error, "
    "checksum = excluded.checksum "
    "WHERE points.status = 'failed'"
)
_MAGIC = b"SQLite format 3\0"
_EXPECTED = "a results file that sweep -o F.db wrote"
_DONE, _FAILED = "done", "failed"


@dataclass(frozen=True, kw_only=True)
class StoredPoint:
    """One row.

    Attributes
    ----------
    settings
        Everything that determines the result, as JSON values; its digest is the key.
    record
        Result by column; of a point that failed, what is known of it.
    error
        Why the point failed; None if it did not.
    """

    settings: Mapping[str, Any]
    record: Mapping[str, Any]
    error: str | None

    @cached_property
    def key(self) -> str:
        """SHA-256 of the settings, in hexadecimal."""
        return settings_key(self.settings)

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The points of a file in the order in which they came, and how many rows are damaged."""

    points: tuple[StoredPoint, ...]
    damaged: int


def settings_key(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings, in hexadecimal, whatever the order of their keys."""
    return hashlib.sha256(_canonical(settings).encode()).hexdigest()


@contextmanager
def open_results(path: Path, *, creates: bool) -> "Iterator[ResultsFile]":
    """Open a results file.

    Parameters
    ----------
    creates
        Whether to make one where there is none, or an empty file; nothing else is overwritten.

    Raises
    ------
    InputError
        It cannot be opened, is locked for `BUSY_SECONDS`, is damaged, or is something else.
    """
    if not creates:
        with open_input(path, _EXPECTED) as file:
            start = file.read(len(_MAGIC))
        if not start:
            raise InputError(str(path), "holds no points yet; run its sweep again")
        if start != _MAGIC:
            raise InputError(str(path), f"is no SQLite file; give {_EXPECTED}")
    mode = "rwc" if creates else "rw"  # rw reads a write-protected file as well
    with _as_input_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
        )
    try:
        results = ResultsFile(path, connection)
        results.check(creates=creates)
        yield results
    finally:
        connection.close()


class ResultsFile:
    """An open results file. All methods raise `InputError` if the file refuses."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        # Flipped bytes are for the checksum to find, not for the decoder.
        connection.text_factory = lambda raw: raw.decode(errors="replace")

    def check(self, *, creates: bool) -> None:
        """Refuse another program's file, another schema, and damaged pages."""
        with self._transaction(writes=creates):
            if creates and self._is_new():
                self._connection.execute(_SCHEMA)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                return
            self._check_header()
            problem = self._one("PRAGMA integrity_check(1)")
            if problem != "ok":
                raise _damaged(self.path, str(problem).splitlines()[-1])
            if self._one("SELECT sql FROM sqlite_master WHERE name = 'points'") != _SCHEMA:
                raise _damaged(self.path, "its table is not that of a results file")
            if creates:
                # Changes nothing, but fails now where the first point would fail later.
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _is_new(self) -> bool:
        header = (self._one("PRAGMA application_id"), self._one("PRAGMA user_version"))
        return header == (0, 0) and self._one("SELECT count(*) FROM sqlite_master") == 0

    def _check_header(self) -> None:
        if self._one("PRAGMA application_id") != APPLICATION_ID:
            raise InputError(
                str(self.path), f"is the SQLite file of another program; give {_EXPECTED}"
            )
        version = self._one("PRAGMA user_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                str(self.path),
                f"has schema version {version}, this accel-sim reads {SCHEMA_VERSION}; "
                "give another file, or use the accel-sim that wrote it",
            )

    def repair(self) -> int:
        """Take out rows whose checksum is wrong, and count them."""
        with self._transaction(writes=True):
            damaged = [
                rowid
                for rowid, *row in self._connection.execute(f"SELECT rowid, {_COLUMNS} FROM points")
                if not _is_intact(row)
            ]
            self._connection.executemany(
                "DELETE FROM points WHERE rowid = ?", [(rowid,) for rowid in damaged]
            )
        return len(damaged)

    def done_keys(self) -> frozenset[str]:
        """Keys of all results."""
        with self._transaction(writes=False):
            rows = self._connection.execute("SELECT key FROM points WHERE status = ?", (_DONE,))
            return frozenset(key for (key,) in rows)

    def find(self, key: str) -> StoredPoint | None:
        """Give the point of a key; None where there is none, or a damaged row."""
        with self._transaction(writes=False):
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM points WHERE key = ?", (key,)
            ).fetchone()
        return None if row is None else _read_row(row)

    def read(self) -> Contents:
        """Give all points."""
        with self._transaction(writes=False):
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM points ORDER BY rowid"
            ).fetchall()
        points = [_read_row(row) for row in rows]
        intact = tuple(point for point in points if point is not None)
        return Contents(points=intact, damaged=len(points) - len(intact))

    def add(self, point: StoredPoint) -> None:
        """Keep a point. A result stays as it is; a failure gives way to whatever comes."""
        with self._transaction(writes=True):
            self._connection.execute(_ADD, _write_row(point))

    def _one(self, query: str) -> object:
        row = self._connection.execute(query).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[None]:
        """Do all that is inside, or nothing."""
        with _as_input_errors(self.path):
            # A lock that is taken at once cannot deadlock with that of another process.
            self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _write_row(point: StoredPoint) -> tuple[str | None, ...]:
    cells = (
        point.key,
        _canonical(point.settings),
        _DONE if point.is_done else _FAILED,
        json.dumps(point.record, allow_nan=False),  # columns keep their order
        point.error,
    )
    return *cells, _checksum(cells)


def _read_row(row: Sequence[Any]) -> StoredPoint | None:
    """Give the point of a row; None if the row is not as it was written."""
    if not _is_intact(row):
        return None
    _, settings, _, record, error, _ = row
    return StoredPoint(settings=json.loads(settings), record=json.loads(record), error=error)


def _is_intact(row: Sequence[Any]) -> bool:
    *cells, checksum = row
    are_texts = all(cell is None or isinstance(cell, str) for cell in cells)
    return are_texts and _checksum(cells) == checksum


def _checksum(cells: Sequence[str | None]) -> str:
    return hashlib.sha256(json.dumps(list(cells)).encode()).hexdigest()


def _canonical(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)


_AGAIN = "results so far are kept, and the same command goes on from there"
_PROBLEMS = {
    sqlite3.SQLITE_NOTADB: f"is no SQLite file; give {_EXPECTED}",
    sqlite3.SQLITE_BUSY: "is locked by another program; end that: " + _AGAIN,
    sqlite3.SQLITE_FULL: "cannot be written ({error}); make room: " + _AGAIN,
    sqlite3.SQLITE_IOERR: "cannot be read or written ({error}); mend that: " + _AGAIN,
    sqlite3.SQLITE_READONLY: "cannot be written ({error}); give a place that can",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened ({error}); give a place that can be written",
}
"""What SQLite refuses, by primary result code."""


@contextmanager
def _as_input_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:  # of what SQLite quotes from the file in its messages
        raise _damaged(path, "its own words are not text") from None
    except sqlite3.Error as error:
        # The low byte is the primary code; errors of Python's own have none.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_CORRUPT:
            raise _damaged(path, str(error)) from None
        if code not in _PROBLEMS:
            raise
        raise InputError(str(path), _PROBLEMS[code].format(error=error)) from None


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(
        str(path), f"is damaged ({problem}); go on with a copy from before, or give another name"
    )
