"""Where the jobs of a sweep run: in this process, or in others on the host."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from accel_sim.sweep.runner import PointRunner

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Job = Callable[Concatenate[PointRunner, Arguments], Result]
"""A method of `PointRunner`."""


class Workers(Protocol):
    """Those who do jobs. Leaving the context ends them, whatever they are at."""

    @property
    def count(self) -> int:
        """Jobs that are done at a time."""
        ...

    @property
    def most_jobs(self) -> int:
        """Jobs that are handed out at a time, so that the next one is there when one is done."""
        ...

    @property
    def threads(self) -> int | None:
        """Processors that all workers share; None where they are on several hosts."""
        ...

    def submit(
        self, job: Job[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Start a job."""
        ...

    def restart(self) -> None:
        """Begin anew after a worker has died."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ThisProcess:
    """Does each job at once."""

    def __init__(self, runner: PointRunner) -> None:
        self.count = self.most_jobs = 1
        self.threads = len(os.sched_getaffinity(0))
        self._runner = runner

    def submit(
        self, job: Job[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Do a job."""
        future: Future[Result] = Future()
        try:
            future.set_result(job(self._runner, *args, **kwargs))
        except Exception as error:  # it is for whoever asks for the result
            future.set_exception(error)
        return future

    def restart(self) -> None:
        """Do nothing: there is nobody else to die."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Processes:
    """Processes of their own on this host, each with the experiments in its memory."""

    def __init__(self, runner: PointRunner, count: int) -> None:
        self.count = count
        self.most_jobs = 2 * count
        self.threads = len(os.sched_getaffinity(0))
        self._runner = runner
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.count,
            # A fork would copy locks that threads of this process hold.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=(self._runner,),
        )

    def submit(
        self, job: Job[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Put a job into the queue of the processes."""
        return self._pool.submit(_do, job, *args, **kwargs)

    def restart(self) -> None:
        """Start other processes."""
        self._end()
        self._pool = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        """End the processes now: nobody waits for what they are at."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
        self._pool.shutdown()


_runner: PointRunner | None = None
"""Of this process, if it is one of `Processes`: initializers have nowhere else to leave it."""


def _prepare(runner: PointRunner) -> None:
    global _runner
    _runner = runner
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the parent, which may not have had the time to end this process."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _do(job: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    assert _runner is not None
    return job(_runner, *args, **kwargs)
