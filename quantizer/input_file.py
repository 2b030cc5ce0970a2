"""Files that the user names: opened, or refused in one sentence.

Pipes and devices are refused before they are opened: reading one may never end.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from quantizer.errors import InputError


def exists(path: Path) -> bool:
    """Whether anything has this name; False also for names that no file can have."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def open_input(path: Path, expected: str) -> BinaryIO:
    """Open an ordinary file.

    Parameters
    ----------
    expected
        What the file should be, for messages: ``an .onnx file``.

    Raises
    ------
    InputError
        If there is none, or something else has its name.
    """
    where = str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(where, f"is a folder; expected {expected}")
        if not stat.S_ISREG(mode):
            raise InputError(where, f"is not an ordinary file; expected {expected}")
        return path.open("rb")
    except OSError as error:
        raise InputError(where, f"cannot be read ({error.strerror}); expected {expected}") from None


def read_input(path: Path, expected: str, *, limit_bytes: int) -> bytes:
    """Read an ordinary file as a whole.

    Raises
    ------
    InputError
        If it cannot be read, or is larger than a sensible one.
    """
    with open_input(path, expected) as file:
        is_larger = os.fstat(file.fileno()).st_size > limit_bytes
        # Some files of the system have no size, and some grow.
        content = b"" if is_larger else file.read(limit_bytes + 1)
    if is_larger or len(content) > limit_bytes:
        raise InputError(str(path), f"is larger than {limit_bytes >> 20} MiB; expected {expected}")
    return content
