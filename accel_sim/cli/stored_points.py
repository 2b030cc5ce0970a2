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
    from accel_sim.sweep import SweepPoint, UnusablePoint


def simulate_missing_points(
    path: Path,
    points: "Sequence[SweepPoint | UnusablePoint]",
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
    from accel_sim.point_records import shared_settings
    from accel_sim.results_file import open_results, settings_key

    check_numbers(workload, numbers)
    shared = shared_settings(
        workload.network,
        quantized_digest=None if workload.qonnx is None else workload.qonnx.digest,
        calibration=workload.calibration,
        images=workload.images,
        quantization=describe_numbers(numbers),
    )
    keys = [settings_key(_settings(point, shared)) for point in points]
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


def _settings(point: "SweepPoint | UnusablePoint", shared: Mapping[str, Any]) -> dict[str, Any]:
    from accel_sim.hardware.load import find_machine, read_text
    from accel_sim.point_records import point_settings, unusable_settings
    from accel_sim.sweep import UnusablePoint

    if isinstance(point, UnusablePoint):
        return unusable_settings(point, read_text(find_machine(point.machine)), shared)
    return point_settings(point, shared)


def _simulate(
    file: "ResultsFile",
    points: "Sequence[SweepPoint | UnusablePoint]",
    workload: Workload,
    numbers: FormatRequest,
    shared: Mapping[str, Any],
    *,
    fails_fast: bool,
) -> None:
    from accel_sim.point_records import failure_record, totals_record
    from accel_sim.results_file import StoredPoint, settings_key
    from accel_sim.sweep import SweepFailure, UnusablePoint, try_points

    bugs: list[Exception] = []

    def keep_failure(point: "SweepPoint | UnusablePoint", error: Exception) -> None:
        is_bug = not isinstance(error, InputError)
        file.add(
            StoredPoint(
                settings=_settings(point, shared),
                record=failure_record(point, workload.network),
                error=f"bug: {type(error).__name__}: {error}" if is_bug else str(error),
            )
        )
        if fails_fast:
            raise error
        if is_bug:
            bugs.append(error)

    def is_needed(point: "SweepPoint") -> bool:
        # Another process may have been faster.
        found = file.find(settings_key(_settings(point, shared)))
        return found is None or not found.is_done

    # What has no machine or does not fit it is told before anything runs.
    usable = [point for point in points if not isinstance(point, UnusablePoint)]
    check = find_check(usable, workload, numbers)
    fitting: list[SweepPoint] = []
    for point in points:
        if isinstance(point, UnusablePoint):
            keep_failure(point, point.error)
            continue
        try:
            check(point)
        except InputError as error:
            keep_failure(point, error)
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
            if isinstance(outcome, SweepFailure):
                keep_failure(outcome.point, outcome.error)
                continue
            record = totals_record(outcome.report.to_document())
            file.add(
                StoredPoint(settings=_settings(outcome.point, shared), record=record, error=None)
            )
    if bugs:
        raise bugs[0]
