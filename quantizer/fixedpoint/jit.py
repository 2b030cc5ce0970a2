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
from numba import _dynfunc, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


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


class _PartLibrary(JITCodeLibrary):
    """Code that is only linked into that of its callers: optimized, and made machine code, there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _PartCompiler(Compiler):
    """Compiles what jitted functions call."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        state = self.state
        state.flags.no_compile = True
        state.library = _PartLibrary(state.targetctx.codegen(), func.__qualname__)
        part = super().compile_extra(func)
        # Callers know it by its entry from Python, which leads nowhere.
        entry = _dynfunc.make_function(
            part.fndesc.lookup_module(), func.__name__, "", 0, part.environment, (part.library,)
        )
        state.targetctx.insert_user_function(entry, part.fndesc, [part.library])
        return part._replace(entry_point=entry)


def jit(function: Callable[..., Any]) -> Any:
    """Compile lazily, without the GIL, cached on disk where a cache can be written.

    The plain Python function stays reachable as ``.py_func``: tests hold both against
    the same oracle.
    """
    folder = cache_directory(Path(function.__code__.co_filename))
    if not _is_writable(folder):
        return _call_parts(numba.njit(nogil=True, no_cfunc_wrapper=True)(function))
    config: Any = numba.config
    before = config.CACHE_DIR
    # Numba chooses the directory when the decorator runs; there is no argument for it.
    config.CACHE_DIR = str(folder)
    try:
        return _call_parts(numba.njit(nogil=True, no_cfunc_wrapper=True, cache=True)(function))
    finally:
        config.CACHE_DIR = before


def _call_parts(dispatcher: Any) -> Any:
    """Let calls from jitted functions use code that only they can call.

    Numba would make machine code of every function for itself, with entries from Python and C, and
    so again of all that it calls. A call with a constant uses the code of any other value: it
    would compile a function once more for each constant that a caller names. Both take most of the
    time of a first run. What LLVM inlines, it sees with the constants.
    """
    part: Any = numba.njit(
        no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=_PartCompiler
    )(dispatcher.py_func)
    unliteral = cast(Any, types.unliteral)

    def get_call_template(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        named = {name: unliteral(kind) for name, kind in kws.items()}
        return part.get_call_template(tuple(map(unliteral, args)), named)

    dispatcher.get_call_template = get_call_template
    dispatcher.get_overload = part.get_overload
    return dispatcher
