"""The page of a results file: ``report --html``."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.report.charts.chart import Chart
from accel_sim.report.charts.points import draw_points
from accel_sim.report.page.page import Fact, Fold, Page, Section
from accel_sim.report.page.table import Column, Table, make_table
from accel_sim.report.point_selection import known_columns, varied_numbers

Record = Mapping[str, Any]

_PREFERRED = ("energy_uJ", "sqnr_dB", "latency_us", "area_mm2")
"""Of an axis, unless columns are asked for: the first of them in which points differ."""


def make_points_page(
    source: str,
    records: Sequence[Record],
    *,
    shown: Sequence[str],
    told_by: Sequence[str],
    axes: Sequence[str],
) -> Page:
    """Put a page of points together.

    Parameters
    ----------
    source
        Name of the results file.
    records
        At least one.
    shown
        Columns of the table.
    told_by
        Settings that tell points of one machine apart.
    axes
        Columns that the chart begins with, if there are two of numbers that vary among them.
    """
    numbers = varied_numbers(records)
    begin = list(
        dict.fromkeys(column for column in (*axes, *_PREFERRED, *numbers) if column in numbers)
    )[:2]
    charts: tuple[Chart, ...] = ()
    if begin:
        charts = (draw_points(records, (begin[0], begin[-1]), told_by, numbers),)
    columns = [
        Column(
            key=column,
            title=column.replace(".", "\n"),
            is_number=not any(isinstance(record.get(column), str) for record in records),
        )
        for column in shown
    ]
    machines = dict.fromkeys(record["hardware"] for record in records)
    networks = dict.fromkeys(record["network"] for record in records)
    return Page(
        title=f"{len(records):,} {'point' if len(records) == 1 else 'points'} of {source}",
        facts=(
            Fact(what="Networks", words=", ".join(map(str, networks))),
            Fact(what="Machines", words=", ".join(map(str, machines))),
        ),
        sections=(
            *((Section(title="Trade-offs", charts=charts),) if charts else ()),
            Section(
                title="Points",
                tables=(make_table("points", "Settings and results", columns, records),),
            ),
            Section(
                title="What all of them share",
                folds=(Fold(title="Columns of one value", table=_shared(records)),),
            ),
        ),
    )


def _shared(records: Sequence[Record]) -> Table:
    """Give the columns in which no point differs from another."""
    first = records[0]
    shared = [
        {"column": column, "value": first[column]}
        for column in known_columns(records)
        if first.get(column) is not None
        and all(record.get(column) == first[column] for record in records)
    ]
    columns = (
        Column(key="column", title="column", is_number=False),
        Column(key="value", title="value", is_number=False),
    )
    return make_table("shared", "Columns of one value", columns, shared)
