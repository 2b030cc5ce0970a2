"""``accel-sim report``: the points of a results file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_sim.cli import options
from accel_sim.cli.console import count_columns, show
from accel_sim.cli.outputs import check_outputs
from quantizer.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from accel_sim.results_file import Contents

Record = Mapping[str, Any]

_WIDTHS = ("weight_bits", "activation_bits")
_RESULTS = (
    "sqnr_dB",
    "energy_uJ",
    "latency_us",
    "dram_read_bytes",
    "dram_write_bytes",
    "top1_accuracy_fraction",
)
"""What is shown of a point unless columns are given; a narrow terminal has room for the first."""

TEXT_COLUMNS = 24
DIGEST_COLUMNS = 8
"""Room for a name, and for a digest, in a table."""

Results = Annotated[
    Path,
    typer.Argument(
        metavar="RESULTS.db", parser=options.parse_path, help="What sweep -o RESULTS.db wrote."
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY=VALUE",
        help="Keep the points of which it holds; also with !=, <, <=, > or >=; repeatable. KEY is "
        "any column, among them every key of the machine.",
    ),
]
ParetoColumns = Annotated[
    str | None,
    typer.Option(
        "--pareto",
        metavar="X,Y",
        help="Keep the points that no other of the same network beats in these columns, such as "
        "energy_uJ,sqnr_dB; of others write -X if low is better, or +X if high is.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="LIST", help="Show these, such as hardware,area_mm2."),
]
Sort = Annotated[
    str | None,
    typer.Option("--sort", metavar="KEY", help="From low to high; -KEY: from high to low."),
]
Failed = Annotated[
    bool, typer.Option("--failed", help="Show the points that failed instead, and why they did.")
]
CsvOut = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="F",
        parser=options.parse_path,
        help="Write the same points, with all of their results unless columns are given.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selection:
    """Points to show.

    Attributes
    ----------
    settings
        Columns that say what was simulated, not what came out.
    asked
        Columns that were asked about, and are therefore shown.
    varied
        Settings that tell points of one machine apart.
    """

    records: list[Record]
    settings: tuple[str, ...]
    asked: tuple[str, ...]
    varied: tuple[str, ...]


def report(
    results: Results,
    where: Where = None,
    pareto: ParetoColumns = None,
    columns: Columns = None,
    sort: Sort = None,
    failed: Failed = False,
    csv: CsvOut = None,
) -> None:
    """List, filter and export the points of a results file, or its Pareto front.

    Points stand in the order in which they were kept, unless --sort or --pareto says otherwise.
    """
    check_outputs({"--csv": csv}, [results])
    if failed and pareto is not None:
        raise InputError("--pareto", "has no use with --failed; leave one of them out")

    from accel_sim.point_records import setting_columns
    from accel_sim.report.as_csv import to_csv_bytes
    from accel_sim.report.output_file import write_file
    from accel_sim.report.point_selection import known_columns, parse_columns
    from accel_sim.results_file import open_results

    with open_results(results, creates=False) as file:
        contents = file.read()
    points = [point for point in contents.points if point.is_done is not failed]
    settings = [setting_columns(point.settings) for point in points]
    everything: list[Record] = [
        {**point.record, **own} | ({"error": point.error} if failed else {})
        for point, own in zip(points, settings, strict=True)
    ]
    selection = _select(everything, known_columns(settings), where or [], pareto, sort)
    given = None
    if columns is not None and everything:
        given = parse_columns("--columns", columns, known_columns(everything))
    if csv is not None:
        if not selection.records:
            raise InputError("--csv", f"{results} holds no such point; leave it out")
        exported = given or _all_results(selection, points[0].record)
        table = to_csv_bytes(
            [{column: record.get(column) for column in exported} for record in selection.records]
        )
        write_file(csv, lambda file: file.write(table))
    show(_describe(results, contents, failed=failed))
    if where or pareto:
        show(f"{len(selection.records)} of {len(everything)} shown")
    shown = given or _shown_columns(selection)
    for text, records in _groups(selection.records).items():
        if text is not None:
            show("", text)
        _show_table(shown, replace(selection, records=records))
    if contents.damaged:
        raise InputError(
            str(results),
            f"{contents.damaged} damaged row{'s are' if contents.damaged > 1 else ' is'} left out; "
            "the sweep that wrote them computes them again",
        )


def _select(
    records: list[Record],
    settings: Sequence[str],
    where: Sequence[str],
    pareto: str | None,
    sort: str | None,
) -> _Selection:
    """Filter, then keep the front, then sort; where there are no points, nothing is asked."""
    from accel_sim.report.pareto import pareto_front, parse_objectives
    from accel_sim.report.point_selection import (
        known_columns,
        parse_condition,
        sort_records,
        varied_columns,
    )

    known, asked = known_columns(records), []
    if known:
        for text in where:
            holds = parse_condition(text, known)
            records = [record for record in records if holds(record)]
    varied = varied_columns(records, settings)
    if known and pareto is not None:
        objectives = parse_objectives("--pareto", pareto, known)
        asked += [objective.column for objective in objectives]
        records = pareto_front(records, objectives)
    if known and sort is not None:
        records = sort_records(records, sort, known)
        asked.append(sort.removeprefix("-"))
    return _Selection(
        records=records, settings=tuple(settings), asked=tuple(asked), varied=tuple(varied)
    )


def _describe(path: Path, contents: "Contents", *, failed: bool) -> str:
    """Count the points."""
    count, failures = len(contents.points), sum(not point.is_done for point in contents.points)
    words = f"{path}: 1 point" if count == 1 else f"{path}: {count} points"
    if failures or failed:
        words += f", {failures} failed" + " (--failed says why)" * (not failed)
    return words


def _identity(selection: _Selection) -> list[str]:
    networks = {record["network"] for record in selection.records}
    return ["hardware", "network"] if len(networks) > 1 else ["hardware"]


def _groups(records: Sequence[Record]) -> dict[str | None, list[Record]]:
    """Group points that failed by their errors; one group of others."""
    groups: dict[str | None, list[Record]] = {}
    for record in records:
        groups.setdefault(record.get("error"), []).append(record)
    return groups


def _show_table(columns: Sequence[str], selection: _Selection) -> None:
    cells = {column: _cells(column, selection) for column in columns}
    headings = _headings(columns, selection.varied)
    fitting = _fit(headings, cells)
    show("", _table(headings, {column: cells[column] for column in fitting}))
    if len(fitting) < len(columns):
        left_out = ", ".join(column for column in columns if column not in fitting)
        show("", f"No room for {left_out}; --columns chooses.")


def _shown_columns(selection: _Selection) -> list[str]:
    results = (
        column
        for column in _RESULTS
        if any(record.get(column) is not None for record in selection.records)
    )
    return list(
        dict.fromkeys(
            (*_identity(selection), *selection.varied, *_WIDTHS, *selection.asked, *results)
        )
    )


def _all_results(selection: _Selection, record: Record) -> list[str]:
    """Give the columns of a complete export: what varies, then every result."""
    return list(
        dict.fromkeys(("hardware", "network", *selection.varied, *record, *selection.asked))
    )


def _cells(column: str, selection: _Selection) -> list[str]:
    from accel_sim.report.quantities import format_sqnr

    if column == "sqnr_dB":
        return [
            format_sqnr(record.get(column), record.get("exact")) for record in selection.records
        ]
    is_setting = column in selection.settings
    return [_format(column, record.get(column), is_setting) for record in selection.records]


def _format(column: str, value: Any, is_setting: bool) -> str:
    import json

    from accel_sim.report.quantities import format_count, format_figures, shorten_name

    match value:
        case None:
            return "-"
        case str() if column.endswith("_digest"):
            return value[:DIGEST_COLUMNS]
        case str():
            return shorten_name(value, TEXT_COLUMNS)
        case bool() | list() | dict():
            return shorten_name(json.dumps(value), TEXT_COLUMNS)
        case _ if is_setting:
            return f"{value:g}"
        case int():
            return format_count(value)
        case _:
            return format_figures(value)


def _headings(columns: Sequence[str], varied: Sequence[str]) -> dict[str, str]:
    """Give names in two lines, of which the second is the unit or the last part of a key.

    Settings that vary go by their last parts: columns stay narrow.
    """
    from accel_sim.report.point_selection import short_names

    names = dict(zip(columns, columns, strict=True)) | dict(
        zip(varied, short_names(varied), strict=True)
    )
    return {
        column: names[column].replace(".", ".\n", 1)
        if "." in names[column]
        else "\n".join(names[column].rsplit("_", 1))
        for column in columns
    }


def _fit(headings: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the first columns, as many as a line has room for."""
    room = count_columns()
    fitting: list[str] = []
    for column, heading in headings.items():
        room -= max(map(len, (*heading.split("\n"), *cells[column])))
        if room < 0 and fitting:
            break
        fitting.append(column)
        room -= 1
    return fitting


def _table(headings: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> "Table":
    from accel_sim.report.as_table import make_table

    names = [index for index, column in enumerate(cells) if column in ("hardware", "network")]
    table = make_table(*(headings[column] for column in cells), left=names)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return table
