"""Simulating several points of one workload, for the verbs that do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accel_sim.cli.console import Progress, progress_bar
from accel_sim.cli.formats import check_numbers, describe_numbers, has_no_formats, quantize_for
from accel_sim.cli.inputs import FormatRequest
from accel_sim.cli.workload import Workload

if TYPE_CHECKING:
    from accel_sim.sweep.in_order import SweepResult
    from accel_sim.sweep.points import Experiment, SweepPoint
    from quantizer.network.graph import Network
    from quantizer.quantized import QuantizedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantize:
    """Makes the network of a point, in whatever process."""

    workload: Workload
    numbers: FormatRequest

    def __call__(self, point: "SweepPoint", progress: Progress) -> "QuantizedNetwork | Network":
        from accel_sim.report.facts import Datapath

        return quantize_for(
            point.hardware,
            self.workload,
            point.bits,
            self.numbers,
            progress,
            is_rebuilt=point.datapath is Datapath.REBUILT,
        )


def make_experiment(workload: Workload, numbers: FormatRequest) -> "Experiment":
    """Give what the points of a workload share.

    Raises
    ------
    InputError
        What `check_numbers` refuses.
    """
    from accel_sim.sweep.point_records import shared_settings
    from accel_sim.sweep.points import Experiment

    check_numbers(workload, numbers)
    return Experiment(
        network=workload.network,
        images=workload.images,
        quantize=_Quantize(workload=workload, numbers=numbers),
        settings=shared_settings(
            workload.network,
            quantized_digest=None if workload.qonnx is None else workload.qonnx.digest,
            calibration=workload.calibration,
            images=workload.images,
            quantization=describe_numbers(numbers),
        ),
        is_quantized=not has_no_formats(workload, numbers),
        follows_widths=workload.qonnx is None and numbers.formats is None,
        is_tuned=numbers.tune,
        image_steps=0 if workload.calibration is None else len(workload.calibration),
    )


def simulate_points(
    points: "Sequence[SweepPoint]", workload: Workload, numbers: FormatRequest
) -> "list[SweepResult]":
    """Simulate points in order, with a progress bar; refuse a bad one before the first runs."""
    from accel_sim.sweep.in_order import run_in_order

    check_points(points, workload, numbers)
    with progress_bar("Simulating") as progress:
        return list(run_in_order(points, make_experiment(workload, numbers), progress))


def check_points(
    points: "Sequence[SweepPoint]", workload: Workload, numbers: FormatRequest
) -> None:
    """Refuse points that their machine cannot run, before any image does."""
    check = find_check(points, workload, numbers)
    for point in points:
        check(point)


def find_check(
    points: "Sequence[SweepPoint]", workload: Workload, numbers: FormatRequest
) -> "Callable[[SweepPoint], None]":
    """Give what refuses a point of a workload that its machine cannot run, before any image does.

    Parameters
    ----------
    points
        All that will be asked about.
    """
    from accel_sim.machine_fit import COSTS_ALONE, check_fit, check_values
    from accel_sim.simulation import ignore_progress
    from quantizer.qonnx.read import give_rules

    network: QuantizedNetwork | Network = workload.network
    if workload.is_quantized and points:
        # Under the rules of the file: whether a machine has others is asked of each.
        network = quantize_for(None, workload, points[0].bits, numbers, ignore_progress)

    def check(point: "SweepPoint") -> None:
        if workload.images is not None:
            check_values(point.hardware, otherwise=COSTS_ALONE)
        if workload.qonnx is not None:
            give_rules(workload.qonnx, point.hardware.numeric_rules)
        if numbers.formats is None:
            check_fit(point.machine_for(network), network, point.bits)

    return check
