"""Reports side by side, with differences against the first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from accel_sim.energy.layer_energy import COMPONENTS
from accel_sim.report.document import ReportDocument
from accel_sim.report.shared_factors import BandedEnergy, bound_ratio


class Difference(StrEnum):
    """How two values of one metric are compared."""

    RELATIVE = "relative"
    """``(value - first) / first``."""
    ABSOLUTE = "absolute"
    """``value - first``, for dB and for fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of a comparison.

    Attributes
    ----------
    key
        Path in the report file below ``totals``.
    values
        One per report; None where a report has none.
    delta_bands
        Ends of each delta of a total energy, one factor per source in both reports; None of
        anything else.
    """

    key: str
    difference: Difference
    values: tuple[float | None, ...]
    delta_bands: tuple[tuple[float, float] | None, ...]

    @property
    def deltas(self) -> tuple[float | None, ...]:
        """Against the first report; None where either is missing, or the first is next to zero."""
        first = self.values[0]
        return tuple(self._delta(first, value) for value in self.values)

    def _delta(self, first: float | None, value: float | None) -> float | None:
        if first is None or value is None:
            return None
        if self.difference is Difference.ABSOLUTE:
            return value - first
        delta = (value - first) / first if first else math.inf
        return delta if math.isfinite(delta) else None


_RELATIVE = (
    "latency_us",
    "frames_per_second",
    "energy_uJ",
    "energy_uJ_by_component.mac",
    "energy_uJ_by_component.register_file",
    "energy_uJ_by_component.wires",
    "energy_uJ_by_component.buffers",
    "energy_uJ_by_component.dram_dynamic",
    "energy_uJ_by_component.dram_background",
    "energy_uJ_by_component.post_processing",
    "energy_uJ_by_component.clock_control",
    "energy_uJ_by_component.leakage",
    "energy_uJ_low",
    "energy_uJ_high",
    "chip_energy_uJ",
    "average_power_mW",
    "dram_read_bytes",
    "dram_write_bytes",
    "dram_average_GBps",
    "TOPS_per_W",
    "area_mm2",
)
_ABSOLUTE = (
    "utilization_fraction",
    "sqnr_dB",
    "top1_accuracy_fraction",
    "top1_agreement_fraction",
)


_TOTAL_ENERGIES = {
    "energy_uJ": COMPONENTS,
    "chip_energy_uJ": tuple(name for name in COMPONENTS if not name.startswith("dram_")),
}
"""Components of the totals whose differences have a band."""


def compare_reports(reports: Sequence[ReportDocument]) -> tuple[Metric, ...]:
    """Line up the totals of reports; metrics that no report has are left out."""
    metrics = (*_metrics(reports, _RELATIVE, Difference.RELATIVE),
               *_metrics(reports, _ABSOLUTE, Difference.ABSOLUTE))  # fmt: skip
    return tuple(metric for metric in metrics if any(v is not None for v in metric.values))


def _metrics(
    reports: Sequence[ReportDocument], keys: Sequence[str], difference: Difference
) -> Iterator[Metric]:
    for key in keys:
        bands: tuple[tuple[float, float] | None, ...] = (None,) * len(reports)
        if key in _TOTAL_ENERGIES:
            energies = [_components(report, _TOTAL_ENERGIES[key]) for report in reports]
            bands = tuple(_delta_band(energies[0], energy) for energy in energies)
        yield Metric(
            key=key,
            difference=difference,
            values=tuple(_look_up(report, key) for report in reports),
            delta_bands=bands,
        )


def _delta_band(
    first: Mapping[str, BandedEnergy], other: Mapping[str, BandedEnergy]
) -> tuple[float, float] | None:
    ends = bound_ratio(first, other)
    return None if ends is None else (ends[0] - 1, ends[1] - 1)


def _components(report: ReportDocument, names: Sequence[str]) -> dict[str, BandedEnergy]:
    section = report.totals.energy_uJ_by_component
    return {
        name: BandedEnergy(
            value=getattr(section, name),
            low=getattr(section, f"{name}_low"),
            high=getattr(section, f"{name}_high"),
        )
        for name in names
    }


def _look_up(report: ReportDocument, key: str) -> float | None:
    section: Any = report.totals
    for name in key.split("."):
        section = getattr(section, name)
    return None if section is None else float(section)


def comparison_to_json(labels: Sequence[str], reports: Sequence[ReportDocument]) -> dict[str, Any]:
    """Give a comparison the form of its file; ``deltas`` are against the first report."""
    return {
        "schema_version": 1,
        "reports": [
            {
                "label": label,
                "hardware": {"name": report.hardware.name, "digest": report.hardware.digest},
                "network": {"name": report.network.name, "digest": report.network.digest},
                "quantization": report.quantization.model_dump(mode="json"),
                "datapath": report.totals.datapath,
            }
            for label, report in zip(labels, reports, strict=True)
        ],
        "metrics": [
            {
                "key": metric.key,
                "values": list(metric.values),
                "difference": metric.difference,
                "deltas": list(metric.deltas),
                "delta_bands": [band and list(band) for band in metric.delta_bands],
            }
            for metric in compare_reports(reports)
        ],
    }
