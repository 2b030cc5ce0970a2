"""Folders that appear complete or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accel_sim.report.output_file import check_writable
from quantizer.errors import InputError
from quantizer.input_file import exists


def check_folder(where: str, folder: Path) -> None:
    """Refuse a folder that cannot be made, before the work for it starts.

    Raises
    ------
    InputError
        It holds something, is a file, or its folder is missing or not writable.
    """
    try:
        is_empty = not any(folder.iterdir())
    except OSError:
        if exists(folder):
            raise InputError(
                where, f"{str(folder)!r} is no folder; give the name of a new one"
            ) from None
        check_writable(where, folder)
        return
    if not is_empty:
        raise InputError(where, f"folder {str(folder)!r} is not empty; give the name of a new one")
    # It is put in place as a whole, so that what matters is the folder around it.
    check_writable(where, folder.resolve().parent / "any")


@contextmanager
def folder_in_one_step(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside another; put it in its place if all goes well.

    Raises
    ------
    InputError
        The file system refuses.
    """
    target = folder.resolve()
    try:
        unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix=".accel-sim."))
        try:
            unfinished.chmod(0o755)
            yield unfinished
            unfinished.rename(target)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise InputError(
            str(folder), f"cannot be written ({error.strerror}); choose another place"
        ) from None
