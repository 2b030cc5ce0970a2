"""Many points over `simulate`: products of machines, overrides and bit widths."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from accel_sim.hardware.config import HardwareConfig
from accel_sim.report.document import ReportDocument
from accel_sim.report.model import RunReport
from accel_sim.simulation import assemble_report, check_signs
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.quantized import BitWidths, QuantizedNetwork

if TYPE_CHECKING:
    from accel_sim.measure import ValueReport

Progress = Callable[[int, int], None]
Quantize = Callable[[HardwareConfig, BitWidths, Progress], QuantizedNetwork | Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One machine with what was changed about it, and the widths it runs.

    Attributes
    ----------
    changes
        Value by dotted key, as given; only those that the sweep varies.
    """

    hardware: HardwareConfig
    changes: Mapping[str, str]
    bits: BitWidths


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A point and what it gave."""

    point: SweepPoint
    report: RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """A network quantized one way, and what its exact run measured."""

    network: QuantizedNetwork | Network
    report: "ValueReport | None"


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
    takes, and on nothing else of it.

    Parameters
    ----------
    quantize
        Gives the network for a machine and bit widths; called once per set of integers.
    images
        None for costs alone.
    image_steps
        Images that one call of `quantize` counts as, in progress.
    progress
        Called with steps done and steps in all, in images.
    """
    per_set = image_steps + (0 if images is None else len(images))
    total = per_set * len({_integers_key(point) for point in points})
    known: dict[object, _Values] = {}
    for point in points:
        started = time.perf_counter()
        key = _integers_key(point)
        if key not in known:
            known[key] = _find_values(
                point, quantize, images, image_steps, _after(per_set * len(known), total, progress)
            )
        values = known[key]
        report = assemble_report(
            point.hardware,
            values.network,
            images,
            values.report,
            bits=point.bits,
            explain=False,
            started=started,
        )
        yield SweepResult(point=point, report=report)


def _after(before: int, total: int, progress: Progress) -> Callable[[int], None]:
    """Progress of one set of integers as progress of the whole sweep."""
    return lambda done: progress(before + done, total)


def _integers_key(point: SweepPoint) -> tuple[object, ...]:
    return point.bits, point.hardware.numeric_rules, point.hardware.precision.activations


def _find_values(
    point: SweepPoint,
    quantize: Quantize,
    images: ImageSet | None,
    image_steps: int,
    progress: Callable[[int], None],
) -> _Values:
    network = quantize(
        point.hardware, point.bits, lambda done, total: progress(done * image_steps // total)
    )
    if isinstance(network, QuantizedNetwork):
        check_signs(point.hardware, network)
    if images is None or not isinstance(network, QuantizedNetwork):
        return _Values(network=network, report=None)
    from accel_sim.measure import measure_values

    network = replace(network, rules=point.hardware.numeric_rules)
    report = measure_values(network, images, progress=lambda done, _: progress(image_steps + done))
    return _Values(network=network, report=report)


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
