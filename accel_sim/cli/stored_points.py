"""Simulating the points that a results file lacks, and keeping each as soon as it is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.cli.console import progress_bar, show_error
from accel_sim.cli.formats import check_numbers, describe_numbers
from accel_sim.cli.inputs import FormatRequest
from accel_sim.cli.points import count_image_steps, find_check, find_quantize
from accel_sim.cli.workload import Workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.results_file import ResultsFile, StoredPoint
    from accel_sim.sweep import SweepFailure, SweepPoint, SweepResult


def simulate_missing_points(
    path: Path,
    points: "Sequence[SweepPoint]",
    workload: Workload,
    numbers: FormatRequest,
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
    from accel_sim.point_records import point_settings, shared_settings
    from accel_sim.results_file import open_results, settings_key

    check_numbers(workload, numbers)
    shared = shared_settings(
        workload.network,
        quantized_digest=None if workload.qonnx is None else workload.qonnx.digest,
        calibration=workload.calibration,
        images=workload.images,
        quantization=describe_numbers(numbers),
    )
    keys = [settings_key(point_settings(point, shared)) for point in points]
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
        _simulate(file, list(missing.values()), workload, numbers, shared, fails_fast=fails_fast)
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


def _simulate(
    file: "ResultsFile",
    points: "Sequence[SweepPoint]",
    workload: Workload,
    numbers: FormatRequest,
    shared: Mapping[str, Any],
    *,
    fails_fast: bool,
) -> None:
    from accel_sim.point_records import failure_record, point_settings, totals_record
    from accel_sim.results_file import StoredPoint, settings_key
    from accel_sim.sweep import SweepFailure, try_points

    bugs: list[Exception] = []

    def keep(outcome: "SweepResult | SweepFailure") -> None:
        error, settings = None, point_settings(outcome.point, shared)
        if isinstance(outcome, SweepFailure):
            record = failure_record(outcome.point, workload.network)
            error = str(outcome.error)
            if not isinstance(outcome.error, InputError):
                error = f"bug: {type(outcome.error).__name__}: {error}"
                bugs.append(outcome.error)
        else:
            record = totals_record(outcome.report.to_document())
        file.add(StoredPoint(settings=settings, record=record, error=error))
        if fails_fast and isinstance(outcome, SweepFailure):
            raise outcome.error

    def is_needed(point: "SweepPoint") -> bool:
        # Another process may have been faster.
        found = file.find(settings_key(point_settings(point, shared)))
        return found is None or not found.is_done

    # What fits nowhere is told before anything runs, not where its turn comes.
    check, fitting = find_check(points, workload, numbers), []
    for point in points:
        try:
            check(point)
        except InputError as error:
            keep(SweepFailure(point=point, error=error))
        else:
            fitting.append(point)
    with progress_bar("Simulating") as progress:
        for outcome in try_points(
            fitting,
            find_quantize(workload, numbers),
            workload.images,
            image_steps=count_image_steps(workload),
            progress=progress,
            is_tuned=numbers.tune,
            is_needed=is_needed,
        ):
            keep(outcome)
    if bugs:
        raise bugs[0]
