"""Files that appear complete or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from quantizer.errors import InputError


def check_writable(where: str, path: Path) -> None:
    """Refuse a path that could not be written, before the work for it starts.

    Parameters
    ----------
    where
        What the user would have to change, such as ``--json``.

    Raises
    ------
    InputError
        If the folder is missing or not writable, or the path is a folder or a device.
    """
    if path.is_dir():
        raise InputError(where, f"{str(path)!r} is a folder; give a file name")
    if path.exists() and not path.is_file():
        # Putting a file in its place would take /dev/stdout from the whole system.
        raise InputError(where, f"{str(path)!r} is not an ordinary file; give a file name")
    folder = path.parent
    if not folder.is_dir():
        raise InputError(where, f"folder {str(folder)!r} does not exist; make it first")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        raise InputError(where, f"folder {str(folder)!r} is not writable; choose another") from None


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside the target, then put it in place in one step.

    Parameters
    ----------
    write
        Called with the open file. If it raises, the target is as it was before.

    Raises
    ------
    InputError
        If the file system refuses.
    """
    try:
        _write(path.resolve(), write)  # a link stays, and what it leads to is written
    except OSError as error:
        raise InputError(
            str(path), f"cannot be written ({error.strerror}); choose another place"
        ) from None


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file readable by its owner alone; give it what open() would.
        mask = os.umask(0)
        os.umask(mask)
        unfinished.chmod(0o666 & ~mask)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
