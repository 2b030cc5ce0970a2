"""Does each point get its own result, and each exact run happen once?"""

import os
import signal
from concurrent.futures import BrokenExecutor, Future

import pytest

from accel_sim.simulation import simulate
from accel_sim.sweep.dispatch import Dispatch, PointDone, PointFailed
from accel_sim.sweep.exact_cache import ExactCache
from accel_sim.sweep.point_records import totals_record
from accel_sim.sweep.runner import PointRunner
from accel_sim.sweep.workers import Processes, ThisProcess
from quantizer.errors import InputError
from quantizer.quantize import quantize
from tests.digits import load_digits
from tests.sweep.points import NARROW_ACCUMULATORS, QuantizeOn, make_experiment, make_point

COLUMNS = ("mac_array.drain=hidden", "mac_array.dataflow=weight_stationary")
POINTS = (
    make_point(4),
    make_point(8),
    make_point(4, "mac_array.rows=8"),
    make_point(8, *NARROW_ACCUMULATORS),
    make_point(8, *NARROW_ACCUMULATORS, *COLUMNS),
    make_point(8, *NARROW_ACCUMULATORS, "dram.channels=2"),
    make_point(8, "mapping.batch=2"),
)
EXACT_RUNS = 4


@pytest.fixture(scope="module")
def network():
    return load_digits(4)[0]


@pytest.fixture(scope="module")
def images():
    return load_digits(4)[1]


@pytest.fixture(scope="module")
def alone(network, images):
    """The totals of each point, simulated by itself."""
    totals = []
    for point in POINTS:
        quantized = quantize(network, images, point.bits, point.hardware.numeric_rules)
        report = simulate(point.hardware, quantized, images)
        totals.append(totals_record(report.to_document()))
    return totals


def in_order(outcomes):
    return sorted(outcomes, key=lambda outcome: POINTS.index(outcome.point))


@pytest.mark.parametrize("processes", [1, 2])
def test_totals_are_those_of_each_point_alone(network, images, alone, tmp_path, processes):
    experiments = [make_experiment(network, images)]
    runner = PointRunner(experiments)
    workers = ThisProcess(runner) if processes == 1 else Processes(runner, processes)
    with workers:
        dispatch = Dispatch(POINTS, experiments, workers, ExactCache(tmp_path))
        outcomes = in_order(dispatch.run())
    assert [outcome.totals for outcome in outcomes] == alone
    assert [list(outcome.totals) for outcome in outcomes] == list(map(list, alone))
    assert dispatch.exact_runs == EXACT_RUNS
    # What is on disk does the same again, without any run.
    with ThisProcess(runner) as workers:
        again = Dispatch(POINTS, experiments, workers, ExactCache(tmp_path))
        assert [outcome.totals for outcome in in_order(again.run())] == alone
    assert again.exact_runs == 0


def test_points_of_several_experiments_keep_to_their_own(network, images, tmp_path):
    fewer = load_digits(2)[1]
    experiments = [make_experiment(network, some) for some in (images, fewer)]
    points = [make_point(8, experiment=index) for index in (1, 0)]
    with ThisProcess(PointRunner(experiments)) as workers:
        dispatch = Dispatch(points, experiments, workers, ExactCache(tmp_path))
        outcomes = {outcome.point.experiment: outcome.totals for outcome in dispatch.run()}
    assert dispatch.exact_runs == 2
    assert [outcomes[index]["images"] for index in (0, 1)] == [4, 2]


class QuantizeSome(QuantizeOn):
    def __call__(self, point, progress):
        if point.bits.weights == 5:
            raise ZeroDivisionError("a bug")
        if "mac_array.cols" in point.changes:
            raise InputError("this machine", "is not for us")
        return super().__call__(point, progress)


def test_points_after_one_that_fails_run_all_the_same(network, images, tmp_path):
    """Also those that waited for the exact run of one that failed."""
    points = [
        make_point(8, "mac_array.cols=8"),
        make_point(8),
        make_point(9),
        make_point(5),
        make_point(8, "precision.psum_storage_bits=16"),
        make_point(4),
    ]
    experiment = make_experiment(network, images)
    some = QuantizeSome(network, images)
    experiments = [experiment.__class__(network=network, images=images, quantize=some, settings={})]
    with ThisProcess(PointRunner(experiments)) as workers:
        dispatch = Dispatch(points, experiments, workers, ExactCache(tmp_path))
        found = {id(outcome.point): outcome for outcome in dispatch.run()}
    outcomes = [found[id(point)] for point in points]
    assert [type(outcome) for outcome in outcomes] == [
        PointFailed,
        PointDone,
        PointFailed,
        PointFailed,
        PointFailed,
        PointDone,
    ]
    assert str(outcomes[0].error) == "this machine: is not for us"
    assert str(outcomes[2].error).startswith("layer 'conv1': its weights have 9 bits")
    assert isinstance(outcomes[3].error, ZeroDivisionError)
    assert "partial sums of 32 bits are cut" in str(outcomes[4].error)
    assert dispatch.exact_runs == 2


def test_points_that_are_not_needed_cost_nothing(network, images, tmp_path):
    experiments = [make_experiment(network, images)]
    with ThisProcess(PointRunner(experiments)) as workers:
        dispatch = Dispatch(
            POINTS[:3], experiments, workers, ExactCache(tmp_path),
            is_needed=lambda point: point.bits.weights == 8,
        )  # fmt: skip
        assert [outcome.point for outcome in dispatch.run()] == [POINTS[1]]
    assert [point.bits.weights for point in experiments[0].quantize.calls] == [8]


def test_a_float_network_has_no_exact_runs(network, tmp_path):
    experiments = [make_experiment(network, None, is_quantized=False)]
    with ThisProcess(PointRunner(experiments)) as workers:
        dispatch = Dispatch(POINTS, experiments, workers, ExactCache(tmp_path))
        outcomes = in_order(dispatch.run())
    for point, outcome in zip(POINTS, outcomes, strict=True):
        report = simulate(point.hardware, network, bits=point.bits)
        assert outcome.totals == totals_record(report.to_document())
    assert dispatch.exact_runs == 0


@pytest.mark.parametrize(("is_tuned", "expected"), [(True, [0, 1, 2]), (False, [0, 2])])
def test_formats_tuned_by_a_saturating_machine_are_its_own(
    network, images, tmp_path, is_tuned, expected
):
    """What one machine's order of additions made must not depend on which came first."""
    points = [
        make_point(8, *NARROW_ACCUMULATORS),
        make_point(8, *NARROW_ACCUMULATORS, *COLUMNS),
        make_point(8),
        make_point(8),
    ]
    quantize_once = QuantizeOn(network, images)
    experiments = [make_experiment(network, None, quantize_once, is_tuned=is_tuned)]
    with ThisProcess(PointRunner(experiments)) as workers:
        dispatch = Dispatch(points, experiments, workers, ExactCache(tmp_path))
        assert len(list(dispatch.run())) == len(points)
    assert experiments[0].quantize.calls == [points[index] for index in expected]


class DiesAt(ThisProcess):
    """A pool whose only process dies at some points, each so many times."""

    def __init__(self, runner, deaths):
        super().__init__(runner)
        self.most_jobs, self.deaths, self.restarts, self.broken = 3, deaths, 0, False

    def submit(self, job, point, *args, **kwargs):
        if self.broken or self.deaths.get(point.bits.weights, 0) > 0:
            self.deaths[point.bits.weights] = self.deaths.get(point.bits.weights, 0) - 1
            self.broken = True
            future = Future()
            future.set_exception(BrokenExecutor("a process died"))
            return future
        return super().submit(job, point, *args, **kwargs)

    def restart(self):
        self.restarts += 1
        self.broken = False


def test_a_point_that_kills_every_process_fails_alone(network, tmp_path):
    points = [make_point(weights) for weights in (3, 4, 5, 6, 7, 8)]
    experiments = [make_experiment(network, None, is_quantized=False)]
    with DiesAt(PointRunner(experiments), {5: 9, 7: 1}) as workers:
        outcomes = list(Dispatch(points, experiments, workers, ExactCache(tmp_path)).run())
    failed = [outcome for outcome in outcomes if isinstance(outcome, PointFailed)]
    assert len(outcomes) == len(points)
    assert [outcome.point.bits.weights for outcome in failed] == [5]
    assert str(failed[0].error) == (
        "edge_16x16: each of 3 processes died that had this point; if memory is short, "
        "--workers 1 needs least"
    )


class KillsOnce(QuantizeOn):
    """Kills its own process, the first time."""

    def __init__(self, network, images, mark):
        super().__init__(network, images)
        self.mark = mark

    def __call__(self, point, progress):
        if not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(point, progress)


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced(network, images, alone, tmp_path):
    quantize = KillsOnce(network, images, tmp_path / "mark")
    experiments = [make_experiment(network, images, quantize)]
    with Processes(PointRunner(experiments), 2) as workers:
        dispatch = Dispatch(POINTS, experiments, workers, ExactCache(tmp_path / "cache"))
        outcomes = in_order(dispatch.run())
    assert quantize.mark.exists()
    assert [outcome.totals for outcome in outcomes] == alone
