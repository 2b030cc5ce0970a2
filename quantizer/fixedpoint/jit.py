"""Numba compilation with an on-disk cache that can be trusted.

Numba's own ``cache=True`` does not see an edit in *another* file: a cached caller keeps
calling the old helper. So the cache directory is named after everything the machine code
depends on: the sources of the function's own package and of this one, the numba version,
whether it checks array bounds, and the host's processor. An edit anywhere is a new, empty
cache.
"""

import gc
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import numba
from llvmlite import binding as llvm
from numba import types
from numba._dynfunc import make_function
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from quantizer.cache_folder import cache_folder


def describe_host() -> str:
    """Name the processor and what it can do, as code is compiled for it."""
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


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
    digest.update(f"{compiler} {describe_host()}".encode())
    return cache_folder("jit") / digest.hexdigest()[:20]


@cache
def _find_cache(folder: Path) -> Path | None:
    """Make the cache of a folder's source files, if it can be written."""
    cache_folder = cache_directory(folder / "any.py")
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return cache_folder if os.access(cache_folder, os.W_OK) else None


def is_compiled(function: Any) -> bool:
    """Tell whether the cache has code of a jitted function; true where there is no cache."""
    folder = function.stats.cache_path
    return folder is None or any(Path(folder).glob(f"*.{function.__name__}-*.nbi"))


class _Compiler(Compiler):
    """Compiles for calls from Python."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        self.state.flags.no_cfunc_wrapper = True
        compile_all: Any = super().compile_extra
        with _without_garbage_collection(), _with_known_calls():
            return compile_all(func)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Spare a look, again and again, through the million objects of a compilation: most live on."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def _with_known_calls() -> Iterator[None]:
    """Let Numba remember which of its functions an operator stands for.

    By itself it tries them one by one, at every use. Numba compiles on one thread at a time.
    """
    function: Any = types.Function
    find, known = function.get_call_type, {}

    def get_call_type(kind: Any, context: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        call = kind, tuple(args), tuple(kws.items())
        if call not in known:
            known[call] = find(kind, context, args, kws)
        return known[call]

    function.get_call_type = get_call_type
    try:
        yield
    finally:
        del function.get_call_type


class _PartLibrary(JITCodeLibrary):
    """Code that is linked into that of its callers; optimized, and made machine code, there."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _PartCompiler(Compiler):
    """Compiles for calls from compiled code.

    Numba would make machine code of each function, with entries from Python and C, and once more
    in each that calls it. A part may raise exceptions, but not compute what they say.
    """

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        state, library, compile_all = self.state, cast(Any, _PartLibrary), super().compile_extra
        state.flags.no_compile = True
        state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = True
        state.library = library(state.targetctx.codegen(), func.__qualname__)
        part = cast(Any, compile_all)(func)
        # Callers know it by its entry from Python, which leads nowhere.
        entry = make_function(
            part.fndesc.lookup_module(), func.__name__, "", 0, part.environment, (part.library,)
        )
        state.targetctx.insert_user_function(entry, part.fndesc, [part.library])
        return part._replace(entry_point=entry)


def jit(function: Callable[..., Any]) -> Any:
    """Compile lazily, without the GIL, cached on disk where a cache can be written.

    The plain Python function stays reachable as ``.py_func``: tests hold both against
    the same oracle.
    """
    folder = _find_cache(Path(function.__code__.co_filename).parent)
    config: Any = numba.config
    before = config.CACHE_DIR
    # Numba chooses the directory when the decorator runs; there is no argument for it.
    config.CACHE_DIR = str(folder)
    try:
        dispatcher: Any = numba.njit(
            nogil=True, cache=folder is not None, pipeline_class=_Compiler
        )(function)
    finally:
        config.CACHE_DIR = before
    return _compile_parts_apart(dispatcher)


def _compile_parts_apart(dispatcher: Any) -> Any:
    """Let calls from compiled code have code of their own.

    Those with a constant share it with calls of any other value: Numba would compile a function
    once more for each constant that a caller names, which takes half of the time of a first run.
    Where one matters, LLVM still sees it when it inlines.
    """
    unliteral = cast(Any, types.unliteral)

    @cache
    def part() -> Any:
        return numba.njit(pipeline_class=_PartCompiler)(dispatcher.py_func)

    def get_call_template(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        named = {name: unliteral(kind) for name, kind in kws.items()}
        return part().get_call_template(tuple(map(unliteral, args)), named)

    dispatcher.get_call_template = get_call_template
    dispatcher.get_overload = lambda signature: part().get_overload(signature)
    return dispatcher
