"""Points one after another, in this process, with whole reports: for a few of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from accel_sim.machine_fit import COSTS_ALONE, check_values
from accel_sim.report.model import RunReport
from accel_sim.results_file import settings_key
from accel_sim.sweep.exact_run import ExactRun, exact_settings
from accel_sim.sweep.points import Experiment, Progress, SweepPoint
from accel_sim.sweep.runner import PointRunner


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A point and what it gave."""

    point: SweepPoint
    report: RunReport


def run_in_order(
    points: Sequence[SweepPoint], experiment: Experiment, progress: Progress
) -> Iterator[SweepResult]:
    """Simulate points of one experiment; those of equal integers share one exact run.

    Parameters
    ----------
    progress
        Called with steps done and steps in all, in images.

    Raises
    ------
    InputError
        What `simulate` refuses; of values, before the first point runs.
    """
    runner = PointRunner((experiment,))
    if experiment.images is not None:
        for point in points:
            check_values(point.hardware, otherwise=COSTS_ALONE)
    orders = [runner.find_order(point) for point in points]
    keys = [
        settings_key(exact_settings(point, experiment, order))
        for point, order in zip(points, orders, strict=True)
    ]
    steps = _Steps(parts=len(set(keys)), report=progress)
    exact: dict[str, ExactRun] = {}
    for point, order, key in zip(points, orders, keys, strict=True):
        if experiment.is_quantized and key not in exact:
            exact[key] = runner.run_exact(point, order, progress=steps.report_part)
            steps = replace(steps, before=steps.before + 1)
        yield SweepResult(point=point, report=runner.simulate(point, exact.get(key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """How far all exact runs together are, each of as many steps."""

    parts: int
    report: Progress
    before: int = 0

    def report_part(self, done: int, total: int) -> None:
        self.report(self.before * total + done, self.parts * total)
