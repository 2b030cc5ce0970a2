"""A report as a fragment of HTML, for notebooks."""

from html import escape

from accel_sim.report.as_csv import layer_records
from accel_sim.report.document import ReportDocument
from accel_sim.report.quantities import (
    format_energy,
    format_figures,
    format_power,
    format_sqnr,
    format_time,
)

_COLUMNS = (
    ("layer", "name"),
    ("op", "op"),
    ("MACs", "macs"),
    ("cycles", "cycles.total"),
    ("bound by", "bound_by"),
    ("utilization_fraction", "utilization_fraction"),
    ("SQNR dB", "sqnr_dB"),
)


def to_html(report: ReportDocument) -> str:
    """One caption with the totals and one row per layer; names are escaped."""
    totals = report.totals
    caption = (
        f"{report.network.name} on {report.hardware.name}: {format_time(totals.latency_us)}, "
        f"{format_energy(totals.energy_uJ)}, {format_power(totals.average_power_mW)}"
    )
    if totals.images:
        caption += f", SQNR {format_sqnr(totals.sqnr_dB, totals.exact)} dB"
    head = "".join(f"<th>{escape(title)}</th>" for title, _ in _COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(record[key])}</td>" for _, key in _COLUMNS) + "</tr>"
        for record in layer_records(report)
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return format_figures(value)
        case int():
            return f"{value:,}"
        case _:
            return escape(str(value))
