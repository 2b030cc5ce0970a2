"""The jobs of a sweep, as whatever process has them does them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from accel_sim.accumulation import NO_PLANS
from accel_sim.hardware.load import config_digest
from accel_sim.machine_fit import COSTS_ALONE, check_fit, check_signs, check_values, find_schedules
from accel_sim.report.model import RunReport
from accel_sim.results_file import settings_key
from accel_sim.scheduling import collect_plans
from accel_sim.simulation import assemble_report, ignore_progress
from accel_sim.sweep.exact_run import (
    ExactRun,
    digest_plans,
    find_formats,
    formats_settings,
)
from accel_sim.sweep.point_records import totals_record
from accel_sim.sweep.points import Experiment, Progress, SweepPoint
from quantizer.fixedpoint.qformat import Overflow
from quantizer.network.graph import Network
from quantizer.ordered_map import limit_threads
from quantizer.quantized import QuantizedNetwork

_NETWORKS_KEPT = 2
"""Quantized networks that wait for another exact run, under another order of additions."""


class PointRunner:
    """Computes what the points of some experiments need."""

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        self.experiments = tuple(experiments)
        self._networks: OrderedDict[str, QuantizedNetwork] = OrderedDict()

    def __reduce__(self) -> tuple[type["PointRunner"], tuple[tuple[Experiment, ...]]]:
        """Go to another process without the networks that this one has made."""
        return PointRunner, (self.experiments,)

    def find_order(self, point: SweepPoint) -> str | None:
        """Digest the order of additions, where integers depend on it; None where they do not.

        Raises
        ------
        InputError
            What `find_schedules` refuses.
        """
        experiment = self.experiments[point.experiment]
        if not depends_on_order(point, experiment):
            return None
        if not experiment.follows_widths:
            # Plans follow from word lengths, which are known once there are formats.
            return f"{config_digest(point.hardware)} {point.datapath}"
        network = experiment.network
        schedules = find_schedules(point.machine_for(network), network, point.bits)
        return digest_plans(collect_plans(schedules))

    def run_exact(
        self,
        point: SweepPoint,
        order: str | None,
        *,
        threads: int | None = None,
        progress: Progress = ignore_progress,
    ) -> ExactRun:
        """Choose formats and, if there are images, run them exactly.

        Parameters
        ----------
        order
            From `find_order`.
        threads
            How many work, at most.
        progress
            Called with steps done and steps in all, in images.

        Raises
        ------
        InputError
            What `simulate` refuses of this point, whichever others share its integers.
        """
        experiment, hardware = self.experiments[point.experiment], point.hardware
        images, image_steps = experiment.images, experiment.image_steps
        if images is not None:
            check_values(hardware, otherwise=COSTS_ALONE)
        if experiment.follows_widths:
            network = experiment.network
            check_fit(point.machine_for(network), network, point.bits)
        total = image_steps + (0 if images is None else len(images))
        with limit_threads(threads):
            quantized = self._find_network(
                point, order, lambda done, steps: progress(done * image_steps // steps, total)
            )
            check_signs(hardware, quantized)
            values = None
            if images is not None:
                # Costs alone need no kernels, which take a second to load.
                from accel_sim.measure import measure_values

                plans = NO_PLANS
                if order is not None:
                    machine = point.machine_for(quantized)
                    plans = collect_plans(find_schedules(machine, quantized, point.bits))
                values = measure_values(
                    quantized,
                    images,
                    plans=plans,
                    zero_run_bits=hardware.zero_run_bits,
                    progress=lambda done, _: progress(image_steps + done, total),
                )
        return ExactRun(formats=find_formats(quantized), values=values)

    def simulate(self, point: SweepPoint, exact: ExactRun | None) -> RunReport:
        """Find what a point costs.

        Parameters
        ----------
        exact
            With the integers of the point; None if it has none.

        Raises
        ------
        InputError
            What `simulate` refuses.
        """
        started = perf_counter()
        experiment, hardware = self.experiments[point.experiment], point.hardware
        if experiment.images is not None:
            check_values(hardware, otherwise=COSTS_ALONE)
        network: QuantizedNetwork | Network = experiment.network
        if exact is not None:
            network = exact.formats.without_integers(experiment.network, hardware.numeric_rules)
            check_signs(hardware, network)
        machine = point.machine_for(network)
        return assemble_report(
            machine,
            network,
            experiment.images,
            find_schedules(machine, network, point.bits),
            None if exact is None else exact.values,
            bits=point.bits,
            explain=False,
            started=started,
            datapath=point.datapath,
        )

    def simulate_totals(self, point: SweepPoint, exact: ExactRun | None) -> dict[str, Any]:
        """Do `simulate`, and give the totals alone: less to carry between processes."""
        return totals_record(self.simulate(point, exact).to_document())

    def _find_network(
        self, point: SweepPoint, order: str | None, progress: Progress
    ) -> QuantizedNetwork:
        experiment = self.experiments[point.experiment]
        key = settings_key(
            {
                "experiment": point.experiment,
                **formats_settings(point, experiment, order),
            }
        )
        network = self._networks.pop(key, None)
        if network is None:
            made = experiment.quantize(point, progress)
            assert isinstance(made, QuantizedNetwork)
            network = replace(made, rules=point.hardware.numeric_rules)
        self._networks[key] = network
        while len(self._networks) > _NETWORKS_KEPT:
            self._networks.popitem(last=False)
        return network


def depends_on_order(point: SweepPoint, experiment: Experiment) -> bool:
    """Tell whether the order in which a machine adds is part of its integers or its formats."""
    saturates = point.hardware.precision.accumulator_overflow is Overflow.SAT
    return saturates and (experiment.images is not None or experiment.is_tuned)
