"""``accel-sim sweep --dry-run``: what a sweep would do, and how long that would take."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.cli.console import progress_bar, show
from accel_sim.cli.run_points import WorkersRequest
from accel_sim.cli.sweep_plan import Plan, make_plan
from accel_sim.cli.sweep_points import Axes, Combination, check_all_points, require_machines
from accel_sim.cli.sweep_table import Column, describe_sweep, identity_columns, show_columns
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.sweep.time_estimate import JobTimes

POINTS_SHOWN = 30
_START_S = 2.0
"""In which processes start and load compiled code."""


def show_plan(
    axes: Axes, combinations: Sequence[Combination], who: WorkersRequest, output: Path | None
) -> None:
    """Print points, what is to be done, and an estimate of the time; write nothing.

    Parameters
    ----------
    output
        A results file, if there is to be one.

    Raises
    ------
    InputError
        If points will fail; without a results file the first of them ends the sweep.
    """
    if output is None:
        check_all_points(require_machines([each.point for each in combinations]), axes.studies)
    plan = make_plan(combinations, axes.studies, output)
    with progress_bar("Timing"):
        plan, times = _time_networks(plan, axes)
    if output is None and plan.errors:
        raise next(iter(plan.errors.values()))
    _show_points(axes, combinations, plan)
    show("", *_describe_work(plan, output))
    if plan.missing:
        show(_describe_time(plan, axes, times, who))
    if plan.errors:
        show("")
        for error, count in Counter(map(str, plan.errors.values())).items():
            show(f"{_count(count, 'point')} {'fails' if count == 1 else 'fail'}: {error}")
        raise InputError(
            str(output), f"{len(plan.errors)} of {len(combinations)} points would fail"
        )


def _show_points(axes: Axes, combinations: Sequence[Combination], plan: Plan) -> None:
    """Print the first points: what is asked, and what is known of it."""
    from accel_sim.sweep.point_records import failure_record, point_record

    experiments = [study.experiment for study in axes.studies]
    records = [
        point_record(
            each.columns,
            {
                **failure_record(each.point, experiments[each.point.experiment].network),
                "hardware": each.machine,
                "network": each.network,
            },
        )
        for each in combinations
    ]
    states = ["fails" if key in plan.errors else "there" * (key in plan.there) for key in plan.keys]
    columns = identity_columns(records, axes.varied)
    if any(states):
        columns.append(Column(heading="state", cells=states))
    show(describe_sweep(records, axes.datapath), "")
    show_columns([replace(column, cells=column.cells[:POINTS_SHOWN]) for column in columns])
    if len(records) > POINTS_SHOWN:
        show(f"and {len(records) - POINTS_SHOWN:,} more")


def _time_networks(plan: Plan, axes: Axes) -> "tuple[Plan, dict[str, JobTimes]]":
    """Time the jobs of each network that has any; a point that fails is put among those."""
    from accel_sim.sweep.time_estimate import time_jobs

    times: dict[str, JobTimes] = {}
    errors, missing = dict(plan.errors), dict(plan.missing)
    names = {id(point): key for key, point in missing.items()}
    for points in plan.groups.values():
        study = axes.studies[points[0].experiment]
        while study.network not in times and points:
            try:
                times[study.network] = time_jobs(study.experiment, points)
            except InputError as error:
                first, *points = points
                errors[names[id(first)]] = error
                del missing[names[id(first)]]
    return replace(plan, errors=errors, missing=missing), times


def _describe_work(plan: Plan, output: Path | None) -> list[str]:
    lines = []
    if output is not None:
        lines.append(
            f"{output}: {len(plan.there):,} of {_count(len(set(plan.keys)), 'point')} there"
        )
    runs = _count(len(plan.exact_runs), "exact run")
    if plan.is_at_most and plan.exact_runs:
        runs = f"at most {runs}"
    lines.append(f"To do: {runs}, {_count(len(plan.missing), 'simulation')}")
    return lines


def _describe_time(
    plan: Plan, axes: Axes, times: "dict[str, JobTimes]", who: WorkersRequest
) -> str:
    """Scale what was timed to all that is to be done."""
    is_remote = who.scheduler is not None
    processes = 1 if is_remote else who.count_processes(len(plan.missing))
    processors = 1 if is_remote else len(os.sched_getaffinity(0))
    seconds = _START_S
    for key, (first, *_) in plan.groups.items():
        study = axes.studies[first.experiment]
        if key in plan.exact_runs and study.network in times:
            images = study.experiment.images
            count = 0 if images is None else len(images)
            seconds += times[study.network].exact_run_s(count, processors)
    for point in plan.missing.values():
        seconds += times[axes.studies[point.experiment].network].point_s / processes
    where = "in this process" if processes == 1 else f"on {processes} processes"
    if is_remote:
        where = "of one processor like this, for the workers of the cluster to share"
    return (
        f"About {_format_duration(seconds)} {where}: an estimate, from a few images and points "
        "of each network, timed just now"
    )


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _format_duration(seconds: float) -> str:
    """Write as many figures as an estimate has."""
    for unit, unit_s, limit_s in (("s", 1, 100), ("min", 60, 6_000), ("h", 3_600, 360_000)):
        if seconds < limit_s:
            number = seconds / unit_s
            return f"{max(number, 0.1):.1f} {unit}" if number < 9.95 else f"{number:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"
