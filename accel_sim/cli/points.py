"""Simulating several points of one workload, for the verbs that do."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from accel_sim.cli.console import Progress, progress_bar
from accel_sim.cli.formats import quantize_for
from accel_sim.cli.inputs import FormatRequest
from accel_sim.cli.workload import Workload

if TYPE_CHECKING:
    from accel_sim.sweep import Quantize, SweepPoint, SweepResult
    from quantizer.network.graph import Network
    from quantizer.quantized import QuantizedNetwork


def simulate_points(
    points: "Sequence[SweepPoint]", workload: Workload, numbers: FormatRequest
) -> "list[SweepResult]":
    """Simulate points in order, with a progress bar; refuse a bad one before the first runs."""
    from accel_sim.sweep import run_sweep

    check = find_check(points, workload, numbers)
    for point in points:
        check(point)
    with progress_bar("Simulating") as progress:
        return list(
            run_sweep(
                points,
                find_quantize(workload, numbers),
                workload.images,
                image_steps=count_image_steps(workload),
                progress=progress,
                is_tuned=numbers.tune,
            )
        )


def find_quantize(workload: Workload, numbers: FormatRequest) -> "Quantize":
    """Give what makes the network of a point."""
    from accel_sim.report.facts import Datapath

    def quantize(point: "SweepPoint", progress: Progress) -> "QuantizedNetwork | Network":
        return quantize_for(
            point.hardware,
            workload,
            point.bits,
            numbers,
            progress,
            is_rebuilt=point.datapath is Datapath.REBUILT,
        )

    return quantize


def find_check(
    points: "Sequence[SweepPoint]", workload: Workload, numbers: FormatRequest
) -> "Callable[[SweepPoint], None]":
    """Give what refuses a point that its machine cannot run, before any image does."""
    from accel_sim.machine_fit import check_fit
    from accel_sim.simulation import ignore_progress
    from quantizer.qonnx.read import give_rules

    network: QuantizedNetwork | Network = workload.network
    if workload.is_quantized and points:
        # Under the rules of the file: whether a machine has others is asked of each.
        network = quantize_for(None, workload, points[0].bits, numbers, ignore_progress)

    def check(point: "SweepPoint") -> None:
        if workload.qonnx is not None:
            give_rules(workload.qonnx, point.hardware.numeric_rules)
        if numbers.formats is None:
            check_fit(point.machine_for(network), network, point.bits)

    return check


def count_image_steps(workload: Workload) -> int:
    """Count the images behind the formats, by which progress goes."""
    return 0 if workload.calibration is None else len(workload.calibration)
