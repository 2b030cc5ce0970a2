"""Many points over `simulate`: products of machines, overrides and bit widths."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import config_digest
from accel_sim.machine_fit import (
    COSTS_ALONE,
    check_signs,
    check_values,
    find_schedules,
    rebuild_datapath,
)
from accel_sim.report.document import ReportDocument
from accel_sim.report.facts import Datapath
from accel_sim.report.model import RunReport
from accel_sim.scheduling import LayerSchedule, collect_plans
from accel_sim.simulation import assemble_report
from quantizer.fixedpoint.qformat import Overflow
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.quantized import BitWidths, QuantizedNetwork

if TYPE_CHECKING:
    from accel_sim.measure import ValueReport

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One machine with what was changed about it, and the widths it runs.

    Attributes
    ----------
    changes
        Value by dotted key, as given; only those that the sweep varies.
    datapath
        Whether the machine runs as it is, or is rebuilt for its operands.
    """

    hardware: HardwareConfig
    changes: Mapping[str, str]
    bits: BitWidths
    datapath: Datapath = Datapath.FIXED

    def machine_for(self, network: QuantizedNetwork | Network) -> HardwareConfig:
        """Give the machine that runs a network here."""
        if self.datapath is Datapath.FIXED:
            return self.hardware
        return rebuild_datapath(self.hardware, network, self.bits)


Quantize = Callable[[SweepPoint, Progress], QuantizedNetwork | Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A point and what it gave."""

    point: SweepPoint
    report: RunReport


def run_sweep(
    points: Sequence[SweepPoint],
    quantize: Quantize,
    images: ImageSet | None,
    *,
    image_steps: int,
    progress: Progress,
) -> Iterator[SweepResult]:
    """Simulate every point, in order; points of equal integers share one exact run.

    Integers depend on the bit widths, the numeric rules and the signs that the machine
    takes; where accumulators saturate, on the order in which the machine adds as well. Points
    that code feature maps in other ways measure them anew.

    Parameters
    ----------
    quantize
        Gives the network of a point; called once per set of formats.
    images
        None for costs alone.
    image_steps
        Images that one call of `quantize` counts as, in progress.
    progress
        Called with steps done and steps in all, in images.

    Raises
    ------
    InputError
        What `simulate` refuses; of values, before the first point runs.
    """
    if images is not None:
        for point in points:
            check_values(point.hardware, otherwise=COSTS_ALONE)
    steps = image_steps, 0 if images is None else len(images)
    done = _Steps(
        total=steps[0] * len({_formats_key(point) for point in points})
        + steps[1] * len({_integers_key(point) for point in points}),
        report=progress,
    )
    networks: dict[object, QuantizedNetwork | Network] = {}
    values: dict[object, ValueReport | None] = {}
    for point in points:
        started = time.perf_counter()
        formats_key, integers_key = _formats_key(point), _integers_key(point)
        if formats_key not in networks:
            networks[formats_key] = quantize(point, done.of_part(steps[0]))
            done = done.after(steps[0])
        network = networks[formats_key]
        if isinstance(network, QuantizedNetwork):
            check_signs(point.hardware, network)
            network = replace(network, rules=point.hardware.numeric_rules)
        hardware = point.machine_for(network)
        schedules = find_schedules(hardware, network, point.bits)
        if integers_key not in values:
            values[integers_key] = _measure(
                network, images, schedules, point.hardware.zero_run_bits, done.of_part(steps[1])
            )
            done = done.after(steps[1])
        report = assemble_report(
            hardware,
            network,
            images,
            schedules,
            values[integers_key],
            bits=point.bits,
            explain=False,
            started=started,
            datapath=point.datapath,
        )
        yield SweepResult(point=point, report=report)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """How far a sweep is."""

    total: int
    report: Progress
    before: int = 0

    def of_part(self, steps: int) -> Progress:
        """Progress of the next part, which counts as so many steps, as that of the sweep."""
        return lambda done, total: self.report(self.before + done * steps // total, self.total)

    def after(self, steps: int) -> "_Steps":
        """Count a part as done."""
        return replace(self, before=self.before + steps)


def _formats_key(point: SweepPoint) -> tuple[object, ...]:
    return point.bits, point.hardware.numeric_rules, point.hardware.precision.activations


def _integers_key(point: SweepPoint) -> tuple[object, ...]:
    saturates = point.hardware.precision.accumulator_overflow is Overflow.SAT
    order = (config_digest(point.hardware), point.datapath) if saturates else None
    return *_formats_key(point), point.hardware.zero_run_bits, order


def _measure(
    network: QuantizedNetwork | Network,
    images: ImageSet | None,
    schedules: tuple[LayerSchedule, ...],
    zero_run_bits: int | None,
    progress: Progress,
) -> "ValueReport | None":
    if images is None or not isinstance(network, QuantizedNetwork):
        return None
    from accel_sim.measure import measure_values

    return measure_values(
        network,
        images,
        plans=collect_plans(schedules),
        zero_run_bits=zero_run_bits,
        progress=progress,
    )


def to_records(results: Sequence[SweepResult]) -> list[dict[str, Any]]:
    """Give one flat record per point: what was varied, then the totals.

    Keys of totals are those of the report file.
    """
    return [_record(result.point, result.report.to_document()) for result in results]


_TOTALS = (
    "sqnr_dB",
    "exact",
    "top1_accuracy_fraction",
    "float_top1_accuracy_fraction",
    "top1_agreement_fraction",
    "top1_tie_fraction",
    "images",
    "batch",
    "macs",
    "cycles",
    "latency_us",
    "frames_per_second",
    "utilization_fraction",
    "dram_read_bytes",
    "dram_write_bytes",
    "dram_average_GBps",
    "energy_uJ",
    "energy_uJ_low",
    "energy_uJ_high",
    "chip_energy_uJ",
    "chip_energy_uJ_low",
    "chip_energy_uJ_high",
    "average_power_mW",
    "TOPS_per_W",
    "datapath",
)


def _record(point: SweepPoint, report: ReportDocument) -> dict[str, Any]:
    totals = report.totals.model_dump(mode="json")
    return {
        "hardware": report.hardware.name,
        "network": report.network.name,
        **point.changes,
        "weight_bits": report.quantization.weight_bits,
        "activation_bits": report.quantization.activation_bits,
        "input_bits": report.quantization.input_bits,
        **{key: totals[key] for key in _TOTALS},
    }
