"""Numba compilation with an on-disk cache that can be trusted.

Numba's own ``cache=True`` does not see an edit in *another* file: a cached caller keeps
calling the old helper. So the cache directory is named after everything the machine code
depends on: the sources of the function's own package and of this one, the numba version,
whether it checks array bounds, and the host's processor. An edit anywhere is a new, empty
cache.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba
from llvmlite import binding as llvm
from numba import types


def _cache_root() -> Path:
    """Directory for all generated code: ``$XDG_CACHE_HOME/accel-sim`` or ``~/.cache/...``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "accel-sim" / "jit"


def cache_directory(source: Path) -> Path:
    """Name the cache of one source file by the content of all it may call.

    Parameters
    ----------
    source
        The file that defines the function. Every ``.py`` file beside it, and every one
        in this package, may be inlined into it.
    """
    digest = hashlib.sha256()
    for folder in (Path(__file__).parent, source.parent):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    config: Any = numba.config
    compiler = f"{numba.__version__} bounds checked: {bool(config.BOUNDSCHECK)}"
    host = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    digest.update(f"{compiler} {host}".encode())
    return _cache_root() / digest.hexdigest()[:20]


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def jit(function: Callable[..., Any]) -> Any:
    """Compile lazily, without the GIL, cached on disk where a cache can be written.

    The plain Python function stays reachable as ``.py_func``: tests hold both against
    the same oracle.
    """
    folder = cache_directory(Path(function.__code__.co_filename))
    if not _is_writable(folder):
        return _share_code(numba.njit(nogil=True)(function))
    config: Any = numba.config
    before = config.CACHE_DIR
    # Numba chooses the directory when the decorator runs; there is no argument for it.
    config.CACHE_DIR = str(folder)
    try:
        return _share_code(numba.njit(nogil=True, cache=True)(function))
    finally:
        config.CACHE_DIR = before


def _share_code(dispatcher: Any) -> Any:
    """Let calls with a constant use the code of those with any other value.

    Numba would compile a function once more for each constant that a caller names, which takes
    half of the time of a first run. Where one matters, LLVM still sees it when it inlines.
    """
    resolve, unliteral = dispatcher.get_call_template, cast(Any, types.unliteral)

    def get_call_template(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        named = {name: unliteral(kind) for name, kind in kws.items()}
        return resolve(tuple(map(unliteral, args)), named)

    dispatcher.get_call_template = get_call_template
    return dispatcher
