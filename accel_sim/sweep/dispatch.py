"""Which job of a sweep is done when: exact runs once, each point as soon as it has its own."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from accel_sim.results_file import settings_key
from accel_sim.sweep.exact_cache import ExactCache
from accel_sim.sweep.exact_run import ExactRun, exact_settings, formats_settings
from accel_sim.sweep.points import Experiment, SweepPoint
from accel_sim.sweep.runner import PointRunner, depends_on_order
from accel_sim.sweep.workers import Workers
from quantizer.errors import InputError

_EXACT_RUNS_KEPT = 256
"""In memory; others are read from the cache again."""
_MOST_DEATHS = 3
"""Of workers at one job, until that is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDone:
    """A point and its totals, as `totals_record` gives them."""

    point: SweepPoint
    totals: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFailed:
    """A point and why it gave nothing.

    Attributes
    ----------
    error
        An `InputError` if the point cannot be simulated; anything else is a bug.
    """

    point: SweepPoint
    error: BaseException


class _Kind(Enum):
    FIND_ORDER = auto()
    RUN_EXACT = auto()
    SIMULATE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What to do next for a point.

    Attributes
    ----------
    order, key, exact
        What earlier jobs have found: the order of additions, which exact run has the integers, and
        that run.
    deaths
        How many workers have died while they had it.
    """

    kind: _Kind
    point: SweepPoint
    order: str | None = None
    key: str = ""
    exact: ExactRun | None = None
    deaths: int = 0


class Dispatch:
    """Simulates points.

    Attributes
    ----------
    exact_runs
        How many were made rather than found.
    """

    def __init__(
        self,
        points: Sequence[SweepPoint],
        experiments: Sequence[Experiment],
        workers: Workers,
        cache: ExactCache,
        *,
        is_needed: Callable[[SweepPoint], bool] = lambda point: True,
    ) -> None:
        """Prepare.

        Parameters
        ----------
        is_needed
            Asked right before a point runs; one that is not needed has no outcome.
        """
        self.exact_runs = 0
        self._experiments = experiments
        self._workers = workers
        self._cache = cache
        self._is_needed = is_needed
        # Points of the same formats one after another: a worker keeps the last networks.
        groups: dict[str, list[SweepPoint]] = {}
        for point in points:
            groups.setdefault(self._group(point), []).append(point)
        self._points = deque(point for group in groups.values() for point in group)
        self._threads = self._share_threads(len(groups))
        self._exact: OrderedDict[str, ExactRun] = OrderedDict()
        self._waiting: dict[str, list[_Job]] = {}
        self._ready: deque[_Job] = deque()
        self._suspects: deque[_Job] = deque()
        self._running: dict[Future[Any], _Job] = {}

    def run(self) -> Iterator[PointDone | PointFailed]:
        """Give outcomes as they come."""
        while True:
            while (job := self._next_job()) is not None:
                self._running[self._start(job)] = job
            if not self._running:
                return
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            if any(isinstance(future.exception(), BrokenExecutor) for future in done):
                # A dead process takes down all jobs of its pool.
                done, _ = wait(self._running)
                self._workers.restart()
            for future in done:
                yield from self._finish(self._running.pop(future), future)

    def _group(self, point: SweepPoint) -> str:
        experiment = self._experiments[point.experiment]
        if not experiment.is_quantized:
            return ""
        settings = formats_settings(point, experiment, None)
        return settings_key({"experiment": point.experiment, **settings})

    def _share_threads(self, groups: int) -> int | None:
        """Divide the threads of the host among the exact runs that can go on at a time."""
        if self._workers.threads is None:
            return None
        orders = any(
            depends_on_order(point, self._experiments[point.experiment]) for point in self._points
        )
        at_a_time = min(self._workers.count, len(self._points) if orders else groups)
        return max(1, self._workers.threads // max(1, at_a_time))

    def _next_job(self) -> _Job | None:
        """Give what a worker can do now, if there is a worker for it."""
        if self._suspects:
            # Alone, so that a death tells whose it is.
            return None if self._running else self._suspects.popleft()
        is_alone = any(job.deaths for job in self._running.values())
        if is_alone or len(self._running) >= self._workers.most_jobs:
            return None
        while not self._ready and self._points:
            self._begin(self._points.popleft())
        return self._ready.popleft() if self._ready else None

    def _begin(self, point: SweepPoint) -> None:
        if not self._is_needed(point):
            return
        if depends_on_order(point, self._experiments[point.experiment]):
            self._ready.append(_Job(kind=_Kind.FIND_ORDER, point=point))
        else:
            self._go_on(point, None)

    def _go_on(self, point: SweepPoint, order: str | None) -> None:
        """Simulate a point, or see to its exact run first."""
        experiment = self._experiments[point.experiment]
        if not experiment.is_quantized:
            self._ready.append(_Job(kind=_Kind.SIMULATE, point=point))
            return
        key = settings_key(exact_settings(point, experiment, order))
        job = _Job(kind=_Kind.RUN_EXACT, point=point, order=order, key=key)
        if key in self._waiting:
            self._waiting[key].append(job)
        elif (exact := self._find_exact(key)) is not None:
            self._ready.append(replace(job, kind=_Kind.SIMULATE, exact=exact))
        else:
            self._waiting[key] = []
            self._ready.append(job)

    def _find_exact(self, key: str) -> ExactRun | None:
        exact = self._exact.get(key) or self._cache.find(key)
        if exact is not None:
            self._remember(key, exact)
        return exact

    def _remember(self, key: str, exact: ExactRun) -> None:
        self._exact[key] = exact
        self._exact.move_to_end(key)
        if len(self._exact) > _EXACT_RUNS_KEPT:
            self._exact.popitem(last=False)

    def _start(self, job: _Job) -> Future[Any]:
        submit, point = self._workers.submit, job.point
        match job.kind:
            case _Kind.FIND_ORDER:
                return submit(PointRunner.find_order, point)
            case _Kind.RUN_EXACT:
                return submit(PointRunner.run_exact, point, job.order, threads=self._threads)
            case _Kind.SIMULATE:
                return submit(PointRunner.simulate_totals, point, job.exact)

    def _finish(self, job: _Job, future: Future[Any]) -> Iterator[PointDone | PointFailed]:
        """Make the next jobs of what one gave."""
        error = future.exception()
        if isinstance(error, BrokenExecutor) and job.deaths + 1 < _MOST_DEATHS:
            self._suspects.append(replace(job, deaths=job.deaths + 1))
            return
        waiting = self._waiting.pop(job.key, []) if job.kind is _Kind.RUN_EXACT else []
        if error is not None:
            yield PointFailed(point=job.point, error=_name_death(job, error))
            # What one machine cannot run, another can.
            for other in waiting:
                self._go_on(other.point, other.order)
            return
        match job.kind:
            case _Kind.FIND_ORDER:
                self._go_on(job.point, future.result())
            case _Kind.RUN_EXACT:
                self.exact_runs += 1
                exact = future.result()
                self._remember(job.key, exact)
                self._cache.keep(job.key, exact)
                self._ready.extend(
                    replace(each, kind=_Kind.SIMULATE, exact=exact) for each in (job, *waiting)
                )
            case _Kind.SIMULATE:
                yield PointDone(point=job.point, totals=future.result())


def _name_death(job: _Job, error: BaseException) -> BaseException:
    if not isinstance(error, BrokenExecutor):
        return error
    return InputError(
        job.point.hardware.name,
        f"each of {_MOST_DEATHS} processes died that had this point; if memory is short, "
        "--workers 1 needs least",
    )
