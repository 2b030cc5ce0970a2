"""Exact runs on disk: a file each, found by all that determines it, read only if it is whole."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import accel_sim
import quantizer
from accel_sim.report.output_file import write_file
from accel_sim.sweep.exact_run import ExactRun, NumberFormats
from quantizer.cache_folder import cache_folder
from quantizer.errors import InputError
from quantizer.fixedpoint.jit import describe_host

_LIBRARIES = ("numpy", "onnxruntime", "scipy")
"""Whose results reach those of an exact run."""


class ExactCache:
    """A folder of exact runs.

    What cannot be read is computed again, and what cannot be written is not kept: a cache must
    not stop a sweep.

    Attributes
    ----------
    folder
        Where they are; None for the folder of this version in the user's cache.
    damaged
        How many files were found that are not as they were written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder("exact") / _digest_programs()[:20]
        self.damaged = 0

    def find(self, key: str) -> ExactRun | None:
        """Give the run of a key; None where there is none, or a damaged one."""
        try:
            text = self._path(key).read_text()
        except (OSError, UnicodeDecodeError) as error:
            self.damaged += isinstance(error, UnicodeDecodeError)
            return None
        checksum, _, content = text.partition("\n")
        if checksum != _checksum(key, content):
            self.damaged += 1
            return None
        return _decode(json.loads(content))

    def keep(self, key: str, run: ExactRun) -> None:
        """Keep a run, if there is room."""
        content = json.dumps(asdict(run))
        line = f"{_checksum(key, content)}\n{content}".encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if os.access(self.folder, os.W_OK):
                write_file(self._path(key), lambda file: file.write(line))
        except (OSError, InputError):
            pass

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _checksum(key: str, content: str) -> str:
    return hashlib.sha256(f"{key}\n{content}".encode()).hexdigest()


def _decode(content: Mapping[str, Any]) -> ExactRun:
    values = content["values"]
    if values is not None:
        # Costs alone need no kernels, which take a second to load.
        from accel_sim.measure import ValueReport

        values = TypeAdapter(ValueReport).validate_python(values)
    return ExactRun(
        formats=TypeAdapter(NumberFormats).validate_python(content["formats"]), values=values
    )


@cache
def digest_sources() -> str:
    """SHA-256 of our sources, in hexadecimal."""
    digest = hashlib.sha256()
    for package in (quantizer, accel_sim):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _digest_programs() -> str:
    """SHA-256 of what computes exact runs: our sources, the libraries, the processor."""
    versions = [f"{name} {version(name)}" for name in _LIBRARIES]
    programs = [digest_sources(), *versions, describe_host()]
    return hashlib.sha256("\n".join(programs).encode()).hexdigest()
