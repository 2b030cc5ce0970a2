"""Running the points of a sweep on as many workers as were asked for."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accel_sim.cli.console import progress_bar, show_error
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.sweep.dispatch import PointDone, PointFailed
    from accel_sim.sweep.points import Experiment, SweepPoint
    from accel_sim.sweep.runner import PointRunner
    from accel_sim.sweep.workers import Workers

_POINTS_PER_PROCESS = 4
"""That are worth the second or two in which a process starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersRequest:
    """Who works; fields as the options of the same names.

    Raises
    ------
    InputError
        If both are given.
    """

    workers: int | None
    scheduler: str | None

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler is not None:
            raise InputError(
                "--workers", "has no use with --scheduler, whose workers are there; leave it out"
            )

    def count_processes(self, points: int) -> int:
        """Count the processes on this host that so many points are worth, or that are asked for."""
        if self.workers is not None:
            return self.workers
        return max(1, min(len(os.sched_getaffinity(0)), points // _POINTS_PER_PROCESS))

    def start(self, runner: "PointRunner", points: int) -> "Workers":
        """Start workers for so many points.

        Raises
        ------
        InputError
            If the scheduler cannot be used.
        """
        if self.scheduler is not None:
            try:
                from accel_sim.sweep.dask_workers import DaskWorkers
            except ModuleNotFoundError:
                raise InputError(
                    "--scheduler",
                    "needs Dask; install it with: pip install 'accel-sim[distributed]'",
                ) from None
            return DaskWorkers(runner, self.scheduler)
        from accel_sim.sweep.workers import Processes, ThisProcess

        count = self.count_processes(points)
        return ThisProcess(runner) if count < 2 else Processes(runner, count)


def run_points(
    points: "Sequence[SweepPoint]",
    experiments: "Sequence[Experiment]",
    request: WorkersRequest,
    keep: "Callable[[PointDone | PointFailed], None]",
    *,
    is_needed: "Callable[[SweepPoint], bool]" = lambda point: True,
) -> None:
    """Run points, with a progress bar.

    Parameters
    ----------
    keep
        Called with every outcome as it comes; what it raises ends the run.
    is_needed
        Asked right before a point runs.
    """
    from accel_sim.sweep.dispatch import Dispatch
    from accel_sim.sweep.exact_cache import ExactCache
    from accel_sim.sweep.runner import PointRunner

    cache, done = ExactCache(), 0
    with (
        progress_bar("Simulating", "points") as progress,
        request.start(PointRunner(experiments), len(points)) as workers,
    ):

        def count() -> None:
            nonlocal done
            done += 1
            progress(done, len(points))

        def ask(point: "SweepPoint") -> bool:
            needed = is_needed(point)
            if not needed:
                count()
            return needed

        for outcome in Dispatch(points, experiments, workers, cache, is_needed=ask).run():
            keep(outcome)
            count()
    if cache.damaged:
        files = (
            "1 damaged file was" if cache.damaged == 1 else f"{cache.damaged} damaged files were"
        )
        show_error(f"{cache.folder}: {files} found among exact runs, and computed again")


def simulate_all_points(
    points: "Sequence[SweepPoint]", experiments: "Sequence[Experiment]", request: WorkersRequest
) -> list[Mapping[str, Any]]:
    """Give the totals of points, in order.

    Raises
    ------
    InputError
        Of the first point that fails.
    """
    from accel_sim.sweep.dispatch import PointFailed

    found: dict[int, Mapping[str, Any]] = {}

    def keep(outcome: "PointDone | PointFailed") -> None:
        if isinstance(outcome, PointFailed):
            raise outcome.error
        found[id(outcome.point)] = outcome.totals

    run_points(points, experiments, request, keep)
    return [found[id(point)] for point in points]
