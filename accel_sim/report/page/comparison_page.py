"""The page of several runs side by side: ``compare --html``."""

from collections.abc import Iterator, Sequence
from typing import Any

from accel_sim.report.as_table import why
from accel_sim.report.charts.bars import draw_run_bars
from accel_sim.report.charts.deltas import draw_deltas
from accel_sim.report.comparison import Difference, Metric, compare_reports
from accel_sim.report.document import ReportDocument
from accel_sim.report.layer_table import layer_energy_pJ
from accel_sim.report.page.page import Fact, Page, Section
from accel_sim.report.page.table import Cell, Column, Table, make_table, write_value
from accel_sim.report.quantities import format_figures


def make_comparison_page(labels: Sequence[str], reports: Sequence[ReportDocument]) -> Page:
    """Put a page of reports together; differences are against the first.

    Parameters
    ----------
    labels
        One per report; those that are not the first of their kind get a number.
    """
    names = tuple(_told_apart(labels))
    metrics = compare_reports(reports)
    deltas = draw_deltas(names, metrics)
    return Page(
        title=f"{', '.join(names[1:])} against {names[0]}",
        facts=tuple(
            Fact(what=name, words=_describe(report))
            for name, report in zip(names, reports, strict=True)
        ),
        sections=(
            Section(
                title="Differences",
                charts=() if deltas is None else (deltas,),
                tables=(_metric_table(names, metrics),),
            ),
            Section(
                title="Where time, energy and traffic go", charts=draw_run_bars(names, reports)
            ),
            *_layer_sections(names, reports),
        ),
    )


def _told_apart(labels: Sequence[str]) -> Iterator[str]:
    taken: set[str] = set()
    for label in labels:
        name, number = label, 1
        while name in taken:
            number += 1
            name = f"{label} ({number})"
        taken.add(name)
        yield name


def _describe(report: ReportDocument) -> str:
    numbers = report.quantization
    words = (
        f"{report.network.name} on {report.hardware.name}, {numbers.weight_bits}-bit weights, "
        f"{numbers.activation_bits}-bit activations, {report.totals.datapath} datapath, "
        f"batch {report.totals.batch}"
    )
    return words if report.doubling is None else f"{words}. {why(report, report.doubling)}"


def _metric_table(names: Sequence[str], metrics: Sequence[Metric]) -> Table:
    columns = [Column(key="metric", title="metric", is_number=False)]
    for number, name in enumerate(names):
        columns.append(Column(key=f"value.{number}", title=name))
        if number:
            columns.append(Column(key=f"delta.{number}", title="difference"))
            columns.append(Column(key=f"band.{number}", title="its band"))
    records = [_metric_record(metric) for metric in metrics]
    absolute = {metric.key for metric in metrics if metric.difference is Difference.ABSOLUTE}
    written = make_table("metrics", "All metrics", columns, records)
    return Table(
        name=written.name,
        title=written.title,
        columns=written.columns,
        rows=tuple(
            tuple(
                Cell(
                    words=_write(column.key, record[column.key], record["metric"] in absolute),
                    value=cell.value,
                )
                for column, cell in zip(columns, row, strict=True)
            )
            for record, row in zip(records, written.rows, strict=True)
        ),
    )


def _metric_record(metric: Metric) -> dict[str, Any]:
    record: dict[str, Any] = {"metric": metric.key}
    for number, value in enumerate(metric.values):
        record[f"value.{number}"] = value
        record[f"delta.{number}"] = metric.deltas[number]
        record[f"band.{number}"] = metric.delta_bands[number]
    return record


def _write(key: str, value: Any, is_absolute: bool) -> str:
    if value is None:
        return ""
    match key.partition(".")[0]:
        case "delta":
            return f"{value:+.3f}" if is_absolute else f"{100 * value:+.1f} %"
        case "metric":
            return str(value).replace("energy_uJ_by_component.", "energy_uJ: ")
        case "band":
            return f"{100 * value[0]:+.0f} to {100 * value[1]:+.0f} %"
        case _:
            return write_value(value)


def _layer_sections(names: Sequence[str], reports: Sequence[ReportDocument]) -> tuple[Section, ...]:
    """Put the layers of one network side by side; different networks have no such table."""
    layers = [layer.name for layer in reports[0].layers]
    if any([layer.name for layer in report.layers] != layers for report in reports):
        return ()
    columns = [
        Column(key="name", title="layer", is_number=False),
        *(
            Column(key=f"{quantity}.{number}", title=f"{title}\n{name}")
            for quantity, title in (("cycles", "cycles"), ("energy", "energy nJ"))
            for number, name in enumerate(names)
        ),
    ]
    records = []
    for row in zip(*(report.layers for report in reports), strict=True):
        record: dict[str, Any] = {"name": row[0].name}
        for number, layer in enumerate(row):
            record[f"cycles.{number}"] = layer.cycles.total
            record[f"energy.{number}"] = layer_energy_pJ(layer)
        records.append(record)
    table = make_table("layers", "Cycles and energy", columns, records, _write_layer)
    return (Section(title="Layers", tables=(table,)),)


def _write_layer(key: str, value: Any) -> str:
    return format_figures(value / 1e3) if key.startswith("energy.") else write_value(value)
