"""How long a sweep will take, from one exact run and a few points of it that are timed now."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

from accel_sim.sweep.exact_run import ExactRun
from accel_sim.sweep.points import Experiment, SweepPoint
from accel_sim.sweep.runner import PointRunner
from quantizer.errors import InputError

_POINTS_TIMED = 8
_IMAGES_TIMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimes:
    """What the jobs of one experiment take.

    Attributes
    ----------
    preparation_s
        Of an exact run: to choose formats, with all processors, and all else but its images.
    image_s
        To run one image exactly, on one processor.
    point_s
        To find what a point costs, on one processor.
    """

    preparation_s: float
    image_s: float
    point_s: float

    def exact_run_s(self, images: int, processors: int) -> float:
        """Time of an exact run whose images are shared among processors."""
        return self.preparation_s + images * self.image_s / processors


def time_jobs(experiment: Experiment, points: Sequence[SweepPoint]) -> JobTimes:
    """Do an exact run of a few images, and a few points; once before, to warm up.

    Parameters
    ----------
    points
        Of the experiment, all with the integers of the first.

    Raises
    ------
    InputError
        What `PointRunner` refuses of the first.
    """
    first, *others = (replace(point, experiment=0) for point in points)
    one, few = (_with_images(experiment, count) for count in (1, _IMAGES_TIMED))
    runner, exact, preparation_s, image_s = PointRunner((one,)), None, 0.0, 0.0
    order = runner.find_order(first)
    if experiment.is_quantized:
        exact = runner.run_exact(first, order)
        preparation_s = _time(lambda: PointRunner((one,)).run_exact(first, order))
        if one.images is not None and few.images is not None:
            # The network is still there: what is left are the images, and what all share.
            one_s = _time(lambda: runner.run_exact(first, order, threads=1))
            runner.experiments = (few,)
            few_s = _time(lambda: runner.run_exact(first, order, threads=1))
            more = len(few.images) - 1
            image_s = max((few_s - one_s) / more, 0.0) if more else one_s
            preparation_s = max(preparation_s - image_s, 0.0)
    runner.simulate_totals(first, exact)
    seconds = []
    for point in others[:: max(1, len(others) // _POINTS_TIMED)][:_POINTS_TIMED] or [first]:
        # One that fails takes no time, and is no news yet.
        with suppress(InputError):
            seconds.append(_time(partial(_simulate, runner, point, exact)))
    point_s = sum(seconds) / max(1, len(seconds))
    return JobTimes(preparation_s=preparation_s, image_s=image_s, point_s=point_s)


def _with_images(experiment: Experiment, count: int) -> Experiment:
    """Give the experiment on its first images."""
    images = experiment.images
    if images is None:
        return experiment
    labels = None if images.labels is None else images.labels[:count].copy()
    return replace(
        experiment, images=replace(images, images=images.images[:count].copy(), labels=labels)
    )


def _simulate(runner: PointRunner, point: SweepPoint, exact: ExactRun | None) -> None:
    runner.find_order(point)
    runner.simulate_totals(point, exact)


def _time(job: Callable[[], object]) -> float:
    started = perf_counter()
    job()
    return perf_counter() - started
