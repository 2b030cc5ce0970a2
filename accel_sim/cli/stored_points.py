"""Simulating the points that a results file lacks, and keeping each as soon as it is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.cli.console import show_error
from accel_sim.cli.run_points import WorkersRequest, run_points
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.results_file import ResultsFile, StoredPoint
    from accel_sim.sweep.dispatch import PointDone, PointFailed
    from accel_sim.sweep.points import Experiment, SweepPoint, UnusablePoint


def simulate_missing_points(
    path: Path,
    points: "Sequence[SweepPoint | UnusablePoint]",
    experiments: "Sequence[Experiment]",
    workers: WorkersRequest,
    *,
    fails_fast: bool,
) -> "list[StoredPoint]":
    """Give points in order from a results file, once it has those that it lacks.

    Points that failed before are tried again. A bug is recorded like any other failure, and
    raised after the last point.

    Parameters
    ----------
    fails_fast
        Whether the first failure ends the sweep.

    Raises
    ------
    InputError
        If the file cannot be used or written; of a point, only if `fails_fast`.
    """
    from accel_sim.results_file import open_results, settings_key

    keys = [settings_key(settings_of(point, experiments)) for point in points]
    with open_results(path, creates=True) as file:
        damaged = file.repair()
        if damaged:
            show_error(
                f"{path}: {_count(damaged, 'damaged row')} taken out; what this command needs of "
                "that is computed again"
            )
        there = file.done_keys()
        known = sum(key in there for key in keys)
        if known:
            show_error(f"{path}: {known} of {_count(len(keys), 'point')} there")
        missing = {key: point for key, point in zip(keys, points, strict=True) if key not in there}
        try:
            _simulate(file, list(missing.values()), experiments, workers, fails_fast=fails_fast)
        except KeyboardInterrupt:
            there = file.done_keys()
            known = sum(key in there for key in keys)
            show_error(
                f"{path}: {known} of {_count(len(keys), 'point')} kept; the same command goes on "
                "from there"
            )
            raise
        return [_found(file, key) for key in keys]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun} was" if number == 1 else f"{number} {noun}s were"


def _found(file: "ResultsFile", key: str) -> "StoredPoint":
    point = file.find(key)
    if point is None:
        raise InputError(
            str(file.path), "lost a point that was just kept; run the same command again"
        )
    return point


def settings_of(
    point: "SweepPoint | UnusablePoint", experiments: "Sequence[Experiment]"
) -> dict[str, Any]:
    """Give everything that determines what becomes of a point, as JSON values."""
    from accel_sim.hardware.load import find_machine, read_text
    from accel_sim.sweep.point_records import point_settings, unusable_settings
    from accel_sim.sweep.points import UnusablePoint

    shared = experiments[point.experiment].settings
    if isinstance(point, UnusablePoint):
        return unusable_settings(point, read_text(find_machine(point.machine)), shared)
    return point_settings(point, shared)


def _simulate(
    file: "ResultsFile",
    points: "Sequence[SweepPoint | UnusablePoint]",
    experiments: "Sequence[Experiment]",
    workers: WorkersRequest,
    *,
    fails_fast: bool,
) -> None:
    from accel_sim.results_file import StoredPoint, settings_key
    from accel_sim.sweep.dispatch import PointDone
    from accel_sim.sweep.point_records import failure_record, given_names
    from accel_sim.sweep.points import UnusablePoint

    bugs: list[BaseException] = []

    def keep(outcome: "PointDone | PointFailed") -> None:
        if isinstance(outcome, PointDone):
            settings = settings_of(outcome.point, experiments)
            record = {**outcome.totals, **given_names(outcome.point)}
            file.add(StoredPoint(settings=settings, record=record, error=None))
        else:
            keep_failure(outcome.point, outcome.error)

    def keep_failure(point: "SweepPoint | UnusablePoint", error: BaseException) -> None:
        is_bug = not isinstance(error, InputError)
        file.add(
            StoredPoint(
                settings=settings_of(point, experiments),
                record=failure_record(point, experiments[point.experiment].network),
                error=f"bug: {type(error).__name__}: {error}" if is_bug else str(error),
            )
        )
        if fails_fast:
            raise error
        if is_bug:
            bugs.append(error)

    def is_needed(point: "SweepPoint") -> bool:
        # Another process may have been faster.
        found = file.find(settings_key(settings_of(point, experiments)))
        return found is None or not found.is_done

    usable: list[SweepPoint] = []
    for point in points:
        if isinstance(point, UnusablePoint):
            keep_failure(point, point.error)
        else:
            usable.append(point)
    run_points(usable, experiments, workers, keep, is_needed=is_needed)
    if bugs:
        raise bugs[0]
