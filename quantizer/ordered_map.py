"""Work on several threads, results in order, a bounded number of them alive."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TypeVar

Result = TypeVar("Result")

_SHORT_SECONDS = 2e-3
"""Calls that are shorter are mostly Python, for which threads wait longer than they work."""
_MANY = 50
"""So many calls are worth finding out how long one is."""

_most_threads: ContextVar[int | None] = ContextVar("most_threads", default=None)


@contextmanager
def limit_threads(count: int | None) -> Iterator[None]:
    """Let this thread start no more than so many while inside; None for no limit.

    For work beside that of other processes, which have the other processors.
    """
    before = _most_threads.set(count)
    try:
        yield
    finally:
        _most_threads.reset(before)


def worker_count() -> int:
    """Threads that work: one per processor that this process may use, unless limited."""
    processors = len(os.sched_getaffinity(0))
    return min(processors, _most_threads.get() or processors)


def most_alive() -> int:
    """Results that `map_in_order` may hold at a time, the ones in work included."""
    return 2 * worker_count() + 1


def map_in_order(function: Callable[[int], Result], count: int) -> Generator[Result]:
    """Yield ``function(0)``, ``function(1)``, ... ``function(count - 1)``.

    Calls run ahead on one thread per processor, by at most two per thread: memory does
    not grow with `count`, and what is summed over the results in their order cannot
    depend on the number of threads. Short calls run on this thread alone.
    """
    begun = 0
    if count >= _MANY:
        # Not by the first call, which loads what was compiled.
        yield function(0)
        started = perf_counter()
        result = function(1)
        seconds = perf_counter() - started
        yield result
        begun = 2
        if seconds < _SHORT_SECONDS:
            yield from map(function, range(begun, count))
            return
    pool = ThreadPoolExecutor(worker_count())
    try:
        ahead: deque[Future[Result]] = deque()
        for index in range(begun, count):
            ahead.append(pool.submit(function, index))
            if len(ahead) == most_alive():
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
