"""``accel-sim report``: the points of a results file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel_sim.cli import options
from accel_sim.cli.console import show
from accel_sim.cli.outputs import check_outputs
from accel_sim.cli.pages import ChartFormat, ChartsOut, HtmlOut, write_page
from accel_sim.cli.point_table import Record, Selection, show_points
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.results_file import Contents, StoredPoint

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


def report(
    results: Results,
    where: Where = None,
    pareto: ParetoColumns = None,
    columns: Columns = None,
    sort: Sort = None,
    failed: Failed = False,
    csv: CsvOut = None,
    html: HtmlOut = None,
    charts: ChartsOut = None,
    chart_format: ChartFormat = "svg",
) -> None:
    """List, filter and export the points of a results file, or its Pareto front.

    Points stand in the order of machines, networks, what varies, and widths, unless --sort or
    --pareto says otherwise.
    """
    check_outputs({"--csv": csv, "--html": html, "--charts": charts}, [results])
    if failed and pareto is not None:
        raise InputError("--pareto", "has no use with --failed; leave one of them out")

    from accel_sim.report.as_csv import to_csv_bytes
    from accel_sim.report.output_file import write_file
    from accel_sim.report.point_selection import known_columns, parse_columns
    from accel_sim.results_file import open_results

    with open_results(results, creates=False) as file:
        contents = file.read()
    # Which worker was faster must not tell.
    kept = sorted(contents.points, key=lambda point: point.key)
    points = [point for point in kept if point.is_done is not failed]
    settings = [_settings(point) for point in points]
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
        known_results = known_columns([point.record for point in points])
        exported = given or _exported_columns(selection, known_results, failed=failed)
        table = to_csv_bytes(
            [{column: record.get(column) for column in exported} for record in selection.records]
        )
        write_file(csv, lambda file: file.write(table))
    shown = given or _shown_columns(selection)
    if html is not None or charts is not None:
        from accel_sim.report.page.points_page import make_points_page

        if not selection.records:
            option = "--charts" if html is None else "--html"
            raise InputError(option, f"{results} holds no such point; leave it out")
        page = make_points_page(
            results.name,
            selection.records,
            shown=shown,
            told_by=selection.varied,
            axes=selection.asked,
        )
        write_page(page, html, charts, chart_format)
    show(_describe(results, contents, failed=failed))
    if where or pareto:
        show(f"{len(selection.records)} of {len(everything)} shown")
    for text, records in _groups(selection.records).items():
        if text is not None:
            show("", text)
        show_points(shown, replace(selection, records=records))
    if contents.damaged:
        words = (
            "1 damaged row is left out; its sweep computes it again"
            if contents.damaged == 1
            else f"{contents.damaged} damaged rows are left out; their sweeps compute them again"
        )
        raise InputError(str(results), words)


def _settings(point: "StoredPoint") -> Record:
    from accel_sim.sweep.point_records import BITS_FILE, setting_columns

    names = {key: name for key, name in point.record.items() if key == BITS_FILE}
    return {**setting_columns(point.settings), **names}


def _select(
    records: list[Record],
    settings: Sequence[str],
    where: Sequence[str],
    pareto: str | None,
    sort: str | None,
) -> Selection:
    """Filter, then keep the front, then sort; where there are no points, nothing is asked."""
    from accel_sim.report.pareto import pareto_front, parse_objectives
    from accel_sim.report.point_selection import (
        known_columns,
        order_records,
        parse_condition,
        sort_records,
        varied_columns,
    )

    known, asked = known_columns(records), []
    if known:
        for text in where:
            holds = parse_condition(text, known)
            records = [record for record in records if holds(record)]
    varied = _without_named_widths(records, varied_columns(records, settings))
    records = order_records(records, ("hardware", "network", *varied, *_WIDTHS))
    if known and pareto is not None:
        objectives = parse_objectives("--pareto", pareto, known)
        asked += [objective.column for objective in objectives]
        records = pareto_front(records, objectives)
    if known and sort is not None:
        records = sort_records(records, sort, known)
        asked.append(sort.removeprefix("-"))
    return Selection(
        records=records, settings=tuple(settings), asked=tuple(asked), varied=tuple(varied)
    )


def _without_named_widths(records: Sequence[Record], varied: Sequence[str]) -> list[str]:
    """Leave out the widths of layers, where the names of their files tell them apart."""
    from accel_sim.sweep.point_records import BITS_FILE, LAYER_BITS

    pairs = {(record.get(BITS_FILE), str(record.get(LAYER_BITS))) for record in records}
    are_named = BITS_FILE in varied and len(pairs) == len({name for name, _ in pairs})
    return [column for column in varied if column != LAYER_BITS or not are_named]


def _describe(path: Path, contents: "Contents", *, failed: bool) -> str:
    """Count the points."""
    count, failures = len(contents.points), sum(not point.is_done for point in contents.points)
    words = f"{path}: 1 point" if count == 1 else f"{path}: {count} points"
    if failures or failed:
        words += f", {failures} failed" + " (--failed says why)" * (not failed)
    return words


def _identity(selection: Selection) -> list[str]:
    networks = {record["network"] for record in selection.records}
    return ["hardware", "network"] if len(networks) > 1 else ["hardware"]


def _groups(records: Sequence[Record]) -> dict[str | None, list[Record]]:
    """Group points that failed by their errors; one group of others."""
    groups: dict[str | None, list[Record]] = {}
    for record in records:
        groups.setdefault(record.get("error"), []).append(record)
    return groups


def _shown_columns(selection: Selection) -> list[str]:
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


def _exported_columns(selection: Selection, results: Sequence[str], *, failed: bool) -> list[str]:
    """Give the columns of a complete export: what varies, then every result."""
    columns = ("hardware", "network", *selection.varied, *results, *selection.asked)
    return list(dict.fromkeys((*columns, *("error",) * failed)))
