"""What one bit of the operands brings and costs: SQNR against traffic, energy and area."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accel_sim.report.comparison import Metric, compare_reports
from accel_sim.report.document import ReportDocument, Totals
from accel_sim.report.facts import Datapath


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthPoint:
    """One network whose weights and feature maps have so many bits, on two machines.

    Attributes
    ----------
    fixed, rebuilt
        On the datapath that holds every width, and on one as wide as the operands.
    """

    bits: int
    fixed: ReportDocument
    rebuilt: ReportDocument

    def on(self, datapath: Datapath) -> ReportDocument:
        """Give the report of one of the two."""
        return self.fixed if datapath is Datapath.FIXED else self.rebuilt


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Share that is saved against the widest operands; negative where more is spent.

    Attributes
    ----------
    energy_band
        Ends for one factor per source, the same in both runs; None where there are none.
    """

    dram_fraction: float
    energy_fraction: float
    energy_band: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BitPrice:
    """What a bit brings and costs on average, from the narrowest to the widest operands.

    Attributes
    ----------
    sqnr_dB
        None without values, or where the narrowest or widest run has no noise.
    dram_bytes, energy_uJ, area_mm2
        By datapath.
    """

    from_bits: int
    to_bits: int
    sqnr_dB: float | None
    dram_bytes: Mapping[Datapath, float]
    energy_uJ: Mapping[Datapath, float]
    area_mm2: Mapping[Datapath, float]


def dram_bytes(totals: Totals) -> int:
    """Bytes read and written."""
    return totals.dram_read_bytes + totals.dram_write_bytes


def find_saved(points: Sequence[WidthPoint], point: WidthPoint, datapath: Datapath) -> Saved:
    """Compare a point with that of the widest operands."""
    widest, report = points[-1].on(datapath), point.on(datapath)
    energy = _energy_metric(widest, report)
    band, delta = energy.delta_bands[1], energy.deltas[1]
    assert delta is not None
    all_bytes = dram_bytes(widest.totals)
    return Saved(
        dram_fraction=1 - dram_bytes(report.totals) / all_bytes if all_bytes else 0.0,
        energy_fraction=0.0 - delta,
        energy_band=None if band is None else (0.0 - band[1], 0.0 - band[0]),
    )


def _energy_metric(first: ReportDocument, other: ReportDocument) -> Metric:
    (metric,) = (m for m in compare_reports((first, other)) if m.key == "energy_uJ")
    return metric


def price_bit(points: Sequence[WidthPoint]) -> BitPrice | None:
    """Share the differences between the narrowest and the widest point among their bits.

    Parameters
    ----------
    points
        By rising width.

    Returns
    -------
    BitPrice | None
        None where there is one width only.
    """
    first, last = points[0], points[-1]
    bits = last.bits - first.bits
    if not bits:
        return None

    def per_bit(figure: Callable[[Totals], float]) -> dict[Datapath, float]:
        return {
            datapath: (figure(last.on(datapath).totals) - figure(first.on(datapath).totals)) / bits
            for datapath in Datapath
        }

    low, high = first.fixed.totals.sqnr_dB, last.fixed.totals.sqnr_dB
    return BitPrice(
        from_bits=first.bits,
        to_bits=last.bits,
        sqnr_dB=None if low is None or high is None else (high - low) / bits,
        dram_bytes=per_bit(dram_bytes),
        energy_uJ=per_bit(lambda totals: totals.energy_uJ),
        area_mm2=per_bit(lambda totals: totals.area_mm2 or 0.0),
    )


_VALUES = (
    "sqnr_dB",
    "exact",
    "top1_accuracy_fraction",
    "float_top1_accuracy_fraction",
    "top1_agreement_fraction",
)
_COSTS = (
    "cycles",
    "latency_us",
    "dram_read_bytes",
    "dram_write_bytes",
    "energy_uJ",
    "energy_uJ_low",
    "energy_uJ_high",
    "chip_energy_uJ",
    "chip_energy_uJ_low",
    "chip_energy_uJ_high",
    "area_mm2",
    "area_mm2_low",
    "area_mm2_high",
)


def width_records(points: Sequence[WidthPoint]) -> list[dict[str, Any]]:
    """Give one flat record per width, as in ``fixed.energy_uJ`` and ``rebuilt.energy_uJ``.

    Keys of totals are those of the report file. Both sides have values of their own: where
    accumulators saturate, these depend on the machine.
    """
    return [
        {
            f"{name}.{key}" if key else name: value
            for name, part in _section(points, point).items()
            for key, value in (part.items() if isinstance(part, dict) else [("", part)])
        }
        for point in points
    ]


def _section(points: Sequence[WidthPoint], point: WidthPoint) -> dict[str, Any]:
    sides = {str(datapath): _side(points, point, datapath) for datapath in Datapath}
    return {"bits": point.bits, "input_bits": point.fixed.quantization.input_bits, **sides}


def _side(points: Sequence[WidthPoint], point: WidthPoint, datapath: Datapath) -> dict[str, Any]:
    report = point.on(datapath)
    totals = report.totals.model_dump(mode="json")
    precision, saved = report.hardware.config["precision"], find_saved(points, point, datapath)
    low, high = saved.energy_band or (None, None)
    return {
        "built_weight_bits": precision["weight_bits"],
        "built_activation_bits": precision["activation_bits"],
        **{key: totals[key] for key in (*_VALUES, *_COSTS)},
        "dram_saved_fraction": saved.dram_fraction,
        "energy_saved_fraction": saved.energy_fraction,
        "energy_saved_fraction_low": low,
        "energy_saved_fraction_high": high,
    }


def width_law_to_json(points: Sequence[WidthPoint]) -> dict[str, Any]:
    """Give the whole trade-off the form of its file."""
    first, price = points[0].fixed, price_bit(points)
    return {
        "schema_version": 1,
        "hardware": {"name": first.hardware.name, "digest": first.hardware.digest},
        "network": {"name": first.network.name, "digest": first.network.digest},
        "method": first.quantization.method,
        "images": first.totals.images,
        "batch": first.totals.batch,
        "points": [_section(points, point) for point in points],
        "per_bit": None if price is None else _price_section(price),
    }


def _price_section(price: BitPrice) -> dict[str, Any]:
    sides = {
        str(datapath): {
            "dram_bytes": price.dram_bytes[datapath],
            "energy_uJ": price.energy_uJ[datapath],
            "area_mm2": price.area_mm2[datapath],
        }
        for datapath in Datapath
    }
    return {
        "from_bits": price.from_bits,
        "to_bits": price.to_bits,
        "sqnr_dB": price.sqnr_dB,
        **sides,
    }
