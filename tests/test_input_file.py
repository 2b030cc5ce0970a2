"""Is what cannot be read refused, before anybody waits for it?"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from quantizer.errors import InputError
from quantizer.input_file import exists, read_input


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def circle(folder: Path) -> Path:
    (folder / "circle").symlink_to("circle")
    return folder / "circle"


def large(folder: Path) -> Path:
    (folder / "large").write_bytes(bytes((1 << 20) + 1))
    return folder / "large"


REFUSED: list[tuple[Callable[[Path], Path], str]] = [
    (lambda folder: folder / "no", "cannot be read (No such file or directory); expected a note"),
    (lambda folder: folder / ("x" * 300), "cannot be read (File name too long); expected a note"),
    (circle, "cannot be read (Too many levels of symbolic links); expected a note"),
    (lambda folder: folder, "is a folder; expected a note"),
    (pipe, "is not an ordinary file; expected a note"),
    (lambda _: Path("/dev/zero"), "is not an ordinary file; expected a note"),
    (large, "is larger than 1 MiB; expected a note"),
]


@pytest.mark.parametrize(("make", "problem"), REFUSED)
def test_what_is_no_ordinary_file_is_refused(tmp_path, make, problem):
    path = make(tmp_path)
    with pytest.raises(InputError) as error:
        read_input(path, "a note", limit_bytes=1 << 20)
    assert str(error.value) == f"{path}: {problem}"


def test_a_file_is_read_up_to_the_limit(tmp_path):
    (tmp_path / "note").write_bytes(b"whole")
    assert read_input(tmp_path / "note", "a note", limit_bytes=5) == b"whole"


def test_a_file_without_a_size_is_read_up_to_the_limit():
    path = Path("/proc/self/limits")
    assert path.stat().st_size == 0
    content = read_input(path, "a note", limit_bytes=1 << 20)
    with pytest.raises(InputError):
        read_input(path, "a note", limit_bytes=len(content) - 1)


def test_a_large_file_is_refused_unread(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)  # more than any memory holds
    with pytest.raises(InputError) as error:
        read_input(tmp_path / "sparse", "a note", limit_bytes=1 << 31)
    assert str(error.value) == f"{tmp_path / 'sparse'}: is larger than 2048 MiB; expected a note"


def test_a_name_that_no_file_can_have_does_not_exist(tmp_path):
    assert exists(tmp_path)
    assert not exists(tmp_path / ("x" * 300))
    assert not exists(circle(tmp_path))
