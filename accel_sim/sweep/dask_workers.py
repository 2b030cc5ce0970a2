"""The jobs of a sweep on the workers of a Dask cluster."""

import logging
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any, Self

from distributed import Client, KilledWorker

import accel_sim
from accel_sim.sweep.exact_cache import digest_sources
from accel_sim.sweep.runner import PointRunner
from accel_sim.sweep.workers import Arguments, Job, Result
from quantizer.errors import InputError

CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer."""
FIRST_WORKER_SECONDS = 30.0
"""How long the first worker may take to come."""
_JOBS_PER_WORKER = 2
_WHERE = "--scheduler"


class DaskWorkers:
    """All workers of a cluster, each with the experiments in its memory."""

    def __init__(self, runner: PointRunner, address: str) -> None:
        # Every lost worker would be several lines, and is dealt with here.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self.threads: int | None = None
        self._runner = runner
        self._client: Any = _connect(address)
        try:
            _check_sources(self._client)
            self._sent = self._send()
        except BaseException:
            self._client.close()
            raise

    @property
    def count(self) -> int:
        """Threads of all workers that are there now."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    @property
    def most_jobs(self) -> int:
        """Enough for all workers to have the next one."""
        return _JOBS_PER_WORKER * self.count

    def submit(
        self, job: Job[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Hand a job to the cluster, which gives it to another worker if one is lost."""
        future: Future[Result] = Future()
        remote = self._client.submit(_do, self._sent, job, args, kwargs, pure=False)
        remote.add_done_callback(lambda done: _pass_on(done, future))
        return future

    def restart(self) -> None:
        """Send the experiments again: who had them is lost."""
        self._client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
        self._sent = self._send()

    def _send(self) -> Any:
        return self._client.scatter(self._runner, broadcast=True, hash=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def _do(runner: PointRunner, job: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return job(runner, *args, **kwargs)


def _pass_on(remote: Any, future: Future[Any]) -> None:
    """Give the outcome of a remote job to who waits for it here."""
    if remote.status == "finished":
        future.set_result(remote.result())
        return
    error = remote.exception() if remote.status == "error" else None
    if error is None or isinstance(error, KilledWorker):
        future.set_exception(BrokenExecutor(f"a worker of the cluster was lost ({remote.status})"))
    else:
        future.set_exception(error)


def _connect(address: str) -> Any:
    make: Any = Client
    try:
        client = make(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            _WHERE,
            f"no scheduler answers at {address!r} within {CONNECT_SECONDS:g} s "
            f"({type(error).__name__}); start one with: dask scheduler",
        ) from None
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
    except TimeoutError:
        client.close()
        raise InputError(
            _WHERE,
            f"{address!r} has no worker after {FIRST_WORKER_SECONDS:g} s; start one with: "
            f"dask worker {address}",
        ) from None
    return client


def _check_sources(client: Any) -> None:
    """Refuse workers that would compute something else."""
    here = f"install accel-sim {accel_sim.__version__} of the same sources there"
    try:
        found = client.run(digest_sources)
    except Exception as error:  # whatever comes of a worker without accel-sim
        raise InputError(
            _WHERE, f"its workers cannot run accel-sim ({type(error).__name__}: {error}); {here}"
        ) from None
    for worker, digest in found.items():
        if digest != digest_sources():
            raise InputError(_WHERE, f"worker {worker} runs another accel-sim; {here}")
