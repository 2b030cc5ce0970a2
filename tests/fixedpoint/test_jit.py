"""Can the cache of compiled code be trusted, and done without?"""

import gc
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import pytest
from numba.core import event

import accel_sim
import quantizer
from quantizer.fixedpoint import jit

FIXEDPOINT = Path(jit.__file__).parent

CALLER = """
from kernels.neighbour import step
from quantizer.fixedpoint.arith import wrap
from quantizer.fixedpoint.jit import jit

@jit
def step_and_wrap(value):
    return wrap(step(value), 8)
"""
NEIGHBOUR = """
from quantizer.fixedpoint.jit import jit

@jit
def step(value):
    return value + 100
"""


@jit.jit
def _choose(is_first: bool, value: int) -> int:
    return value if is_first else -value


def _choose_both(value: int) -> int:
    total = _choose(True, 1) + _choose(False, 2) + _choose(is_first=True, value=3)
    for _ in range(2):
        value = _choose(value > 0, value)
    return total + value


def test_constants_share_the_code_of_other_values():
    compiled = event.RecordingListener()
    with event.install_listener("numba:compile", compiled):
        assert numba.njit(_choose_both)(-4) == 1 - 2 + 3 + 4  # from no cache
    names = [one.data["dispatcher"].__name__ for _, one in compiled.buffer if one.is_start]
    assert names.count("_choose") == 1


def test_compiling_leaves_numba_and_the_garbage_collector_as_they_were() -> None:
    for collects in (True, False):
        (gc.enable if collects else gc.disable)()
        try:
            assert jit.jit(lambda value: value + 1)(1) == 2
            with pytest.raises(numba.TypingError):
                jit.jit(lambda value: value.no_such_field)(1)
            assert gc.isenabled() == collects
            assert "get_call_type" not in vars(numba.types.Function)
        finally:
            gc.enable()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The fixed-point package, and a small one of kernels that use it, to be edited."""
    sources = tmp_path / "sources"
    shutil.copytree(FIXEDPOINT, sources / "quantizer" / "fixedpoint")
    shutil.copy(FIXEDPOINT.parent / "cache_folder.py", sources / "quantizer")
    (sources / "quantizer" / "__init__.py").touch()
    (sources / "kernels").mkdir()
    (sources / "kernels" / "caller.py").write_text(CALLER)
    (sources / "kernels" / "neighbour.py").write_text(NEIGHBOUR)
    return sources


def step_and_wrap_100(copy: Path, cache_home: Path) -> int:
    """Run the copy in a fresh interpreter."""
    program = "from kernels.caller import step_and_wrap; print(step_and_wrap(100))"
    environment = {**os.environ, "PYTHONPATH": str(copy), "XDG_CACHE_HOME": str(cache_home)}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        cwd=copy,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(finished.stdout)


def compiled_code(cache_home: Path) -> set[tuple[Path, int]]:
    """Files of machine code, and when each was written."""
    return {(path, path.stat().st_mtime_ns) for path in cache_home.rglob("*.nbc")}


@pytest.mark.slow
def test_an_edit_in_any_file_that_is_called_is_seen(copy: Path, tmp_path: Path) -> None:
    """Numba's own cache would go on calling the old function."""
    cache = tmp_path / "cache"
    assert step_and_wrap_100(copy, cache) == 200 - 256

    first = compiled_code(cache)
    assert {path.name.split("-")[0] for path, _ in first} == {"caller.step_and_wrap"}  # no parts
    assert step_and_wrap_100(copy, cache) == 200 - 256
    assert compiled_code(cache) == first != set()

    neighbour = copy / "kernels" / "neighbour.py"
    neighbour.write_text(NEIGHBOUR.replace("+ 100", "+ 20"))
    assert step_and_wrap_100(copy, cache) == 120

    arith = copy / "quantizer" / "fixedpoint" / "arith.py"
    edited = arith.read_text().replace("& mask) - half", "& mask) - half - 1")
    assert edited != arith.read_text()
    arith.write_text(edited)
    assert step_and_wrap_100(copy, cache) == 119


def test_without_a_place_for_the_cache_code_is_compiled_anew(copy: Path, tmp_path: Path) -> None:
    taken = tmp_path / "a file"
    taken.write_text("in the place of the folder")
    assert step_and_wrap_100(copy, taken) == 200 - 256


def test_a_cache_that_may_not_be_written_is_left_alone(copy: Path, tmp_path: Path) -> None:
    # Root may write everywhere: then this shows only that the result is right.
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    assert step_and_wrap_100(copy, closed) == 200 - 256


def test_the_cache_is_named_by_what_stands_beside_the_source(tmp_path: Path) -> None:
    source, neighbour = tmp_path / "source.py", tmp_path / "neighbour.py"
    source.write_text("one")
    neighbour.write_text("two")
    before = jit.cache_directory(source)
    assert jit.cache_directory(source) == before

    neighbour.write_text("three")
    edited = jit.cache_directory(source)
    neighbour.rename(tmp_path / "another.py")
    renamed = jit.cache_directory(source)
    assert len({before, edited, renamed}) == 3

    (tmp_path / "another.py").write_text("two")
    (tmp_path / "another.py").rename(neighbour)
    (tmp_path / "notes.txt").write_text("not code")
    assert jit.cache_directory(source) == before


def test_code_that_checks_bounds_has_its_own_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = set()
    for checks in (0, 1):
        monkeypatch.setattr(numba.config, "BOUNDSCHECK", checks)
        names.add(jit.cache_directory(tmp_path / "source.py"))
    assert len(names) == 2


def test_the_cache_is_where_the_user_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    source = tmp_path / "source.py"
    assert jit.cache_directory(source).parent == tmp_path / ".cache" / "accel-sim" / "jit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert jit.cache_directory(source).parent == tmp_path / "elsewhere" / "accel-sim" / "jit"


def test_compiling_leaves_the_cache_of_others_where_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config: Any = numba.config
    before = config.CACHE_DIR
    jit.jit(lambda value: value)
    assert before == config.CACHE_DIR


def own_dispatchers(module: ModuleType) -> Iterator[Any]:
    """Jitted functions that a module defines."""
    for value in vars(module).values():
        if numba.extending.is_jitted(value) and value.py_func.__module__ == module.__name__:
            yield value


def test_no_jitted_function_calls_what_does_not_name_its_cache() -> None:
    """A call into a third package would be inlined, and an edit there not be seen."""
    n_functions = 0
    for package in (accel_sim, quantizer):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for dispatcher in own_dispatchers(importlib.import_module(found.name)):
                n_functions += 1
                function = dispatcher.py_func
                own_folder = Path(function.__code__.co_filename).parent
                called = (function.__globals__.get(name) for name in function.__code__.co_names)
                for callee in filter(numba.extending.is_jitted, called):
                    folder = Path(callee.py_func.__code__.co_filename).parent
                    assert folder in (own_folder, FIXEDPOINT), f"{dispatcher} calls {callee}"
    assert n_functions > 20
