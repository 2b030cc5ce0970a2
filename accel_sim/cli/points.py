"""Simulating several points of one workload, for the verbs that do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accel_sim.cli.console import Progress, progress_bar
from accel_sim.cli.formats import quantize_for
from accel_sim.cli.inputs import FormatRequest
from accel_sim.cli.workload import Workload

if TYPE_CHECKING:
    from accel_sim.sweep import SweepPoint, SweepResult
    from quantizer.network.graph import Network
    from quantizer.quantized import QuantizedNetwork


def simulate_points(
    points: "Sequence[SweepPoint]", workload: Workload, numbers: FormatRequest
) -> "list[SweepResult]":
    """Simulate points in order, with a progress bar; refuse a bad one before the first runs."""
    from accel_sim.machine_fit import check_fit
    from accel_sim.report.facts import Datapath
    from accel_sim.simulation import ignore_progress
    from accel_sim.sweep import run_sweep
    from quantizer.qonnx.read import give_rules

    def quantize(point: "SweepPoint", progress: Progress) -> "QuantizedNetwork | Network":
        return quantize_for(
            point.hardware,
            workload,
            point.bits,
            numbers,
            progress,
            is_rebuilt=point.datapath is Datapath.REBUILT,
        )

    network: QuantizedNetwork | Network = workload.network
    if workload.is_quantized:
        network = quantize(points[0], ignore_progress)
    for point in points:
        if workload.qonnx is not None:
            give_rules(workload.qonnx, point.hardware.numeric_rules)
        if numbers.formats is None:
            check_fit(point.machine_for(network), network, point.bits)

    with progress_bar("Simulating") as progress:
        return list(
            run_sweep(
                points,
                quantize,
                workload.images,
                image_steps=0 if workload.calibration is None else len(workload.calibration),
                progress=progress,
            )
        )
