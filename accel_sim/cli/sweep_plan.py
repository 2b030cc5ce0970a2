"""What a sweep has to do: which points, and which exact runs they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.cli.points import find_check
from accel_sim.cli.stored_points import settings_of
from accel_sim.cli.sweep_points import Combination
from accel_sim.cli.sweep_studies import Study
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.sweep.points import Experiment, SweepPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    keys
        Of all points in their order, as in a results file.
    there
        Keys that are in the results file.
    errors
        Why points will fail, by key.
    missing
        Points to simulate, by key.
    groups
        The same by what determines their integers, so far as that is known; those of float
        networks by their experiment.
    exact_runs
        Which of the groups need an exact run that is not in the cache.
    is_at_most
        Whether there may be fewer: machines whose sums saturate can add in the same order.
    """

    keys: Sequence[str]
    there: frozenset[str]
    errors: Mapping[str, InputError]
    missing: "Mapping[str, SweepPoint]"
    groups: "Mapping[str, Sequence[SweepPoint]]"
    exact_runs: frozenset[str]
    is_at_most: bool


def make_plan(
    combinations: Sequence[Combination], studies: Sequence[Study], output: Path | None
) -> Plan:
    """Find what is to be done.

    Parameters
    ----------
    output
        A results file; None if there is none.

    Raises
    ------
    InputError
        If the results file cannot be read.
    """
    from accel_sim.results_file import settings_key
    from accel_sim.sweep.exact_cache import ExactCache
    from accel_sim.sweep.points import UnusablePoint
    from accel_sim.sweep.runner import depends_on_order

    experiments = [study.experiment for study in studies]
    points = [each.point for each in combinations]
    keys = [settings_key(settings_of(point, experiments)) for point in points]
    there = _find_there(output)
    errors, missing = {}, {}
    usable = [point for point in points if not isinstance(point, UnusablePoint)]
    checks = [
        find_check(
            [point for point in usable if point.experiment == index], study.workload, study.numbers
        )
        for index, study in enumerate(studies)
    ]
    for key, point in zip(keys, points, strict=True):
        if key in there:
            continue
        if isinstance(point, UnusablePoint):
            errors[key] = point.error
            continue
        try:
            checks[point.experiment](point)
            missing[key] = point
        except InputError as error:
            errors[key] = error
    groups: dict[str, list[SweepPoint]] = {}
    for point in missing.values():
        groups.setdefault(_group(point, experiments[point.experiment]), []).append(point)
    cache = ExactCache()
    return Plan(
        keys=keys,
        there=there & set(keys),
        errors=errors,
        missing=missing,
        groups=groups,
        exact_runs=frozenset(
            key
            for key, (first, *_) in groups.items()
            if experiments[first.experiment].is_quantized and cache.find(key) is None
        ),
        is_at_most=any(
            depends_on_order(point, experiments[point.experiment]) for point in missing.values()
        ),
    )


def _find_there(output: Path | None) -> frozenset[str]:
    from accel_sim.results_file import open_results

    if output is None or not output.exists() or not output.stat().st_size:
        return frozenset()
    with open_results(output, creates=False) as file:
        return file.done_keys()


def _group(point: "SweepPoint", experiment: "Experiment") -> str:
    """Find which points share integers; of machines that saturate, those that surely do."""
    from accel_sim.hardware.load import config_digest
    from accel_sim.results_file import settings_key
    from accel_sim.sweep.exact_run import exact_settings
    from accel_sim.sweep.runner import depends_on_order

    if not experiment.is_quantized:
        return f"experiment {point.experiment}"
    order = None
    if depends_on_order(point, experiment):
        order = f"{config_digest(point.hardware)} {point.datapath}"
    return settings_key(exact_settings(point, experiment, order))
