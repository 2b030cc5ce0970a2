"""Tables of points by any columns, cut to the width of the terminal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accel_sim.cli.console import count_columns, show

if TYPE_CHECKING:
    from rich.table import Table

Record = Mapping[str, Any]

TEXT_COLUMNS = 24
DIGEST_COLUMNS = 8
"""Room for a name, and for a digest, in a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Points to show, and what is known of their columns.

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


def show_points(columns: Sequence[str], selection: Selection) -> None:
    """Print a table of points, and name the columns that it has no room for."""
    cells = {column: _cells(column, selection) for column in columns}
    headings = _headings(columns, selection.varied)
    fitting = _fit(headings, cells)
    show("", _table(headings, {column: cells[column] for column in fitting}))
    if len(fitting) < len(columns):
        left_out = ", ".join(column for column in columns if column not in fitting)
        show("", f"No room for {left_out}; --columns chooses.")


def _cells(column: str, selection: Selection) -> list[str]:
    from accel_sim.report.quantities import format_sqnr

    if column == "sqnr_dB":
        return [
            format_sqnr(record.get(column), record.get("exact")) for record in selection.records
        ]
    is_setting = column in selection.settings
    return [_format(column, record.get(column), is_setting) for record in selection.records]


def _format(column: str, value: Any, is_setting: bool) -> str:
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
    from accel_sim.report.layer_table import make_table

    names = [index for index, column in enumerate(cells) if column in ("hardware", "network")]
    table = make_table(*(headings[column] for column in cells), left=names)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return table
