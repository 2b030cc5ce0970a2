"""Files that appear complete or not at all."""

import os
import stat
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
    shown = repr(str(path))
    if str(path) == "-":
        raise InputError(where, "'-' is no file name, and stdout holds the table; give a file name")
    target = follow_links(path)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(
            where, f"{shown} is no usable name ({error.strerror}); choose another"
        ) from None
    else:
        if stat.S_ISDIR(mode):
            raise InputError(where, f"{shown} is a folder; give a file name")
        if not stat.S_ISREG(mode):
            # Putting a file in its place would take /dev/stdout from the whole system.
            raise InputError(where, f"{shown} is not an ordinary file; give a file name")
    folder = target.parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise InputError(where, f"folder {str(folder)!r} does not exist; make it first")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        raise InputError(where, f"folder {str(folder)!r} is not writable; choose another") from None


def follow_links(path: Path) -> Path:
    """Where a path leads; `Path.resolve` fails where links lead in a circle."""
    return Path(os.path.realpath(path))


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
        _write(follow_links(path), write)  # a link stays, and what it leads to is written
    except OSError as error:
        raise InputError(
            str(path), f"cannot be written ({error.strerror}); choose another place"
        ) from None


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".accel-sim.")
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
