"""Tables of a page: words for the reader, and the values behind them, which sort."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accel_sim.report.quantities import format_count, format_figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A place of a table.

    Attributes
    ----------
    value
        As JSON, in full.
    """

    words: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What stands below one another.

    Attributes
    ----------
    key
        As the files call it.
    title
        As the reader does.
    """

    key: str
    title: str
    is_number: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells, which sort by any column."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def make_table(
    name: str,
    title: str,
    columns: Sequence[Column],
    records: Iterable[Mapping[str, Any]],
    write: Callable[[str, Any], str] | None = None,
) -> Table:
    """Make a table of records.

    Parameters
    ----------
    write
        Words of a value in the column of a key; `write_value` unless given.
    """
    words = write or (lambda key, value: write_value(value))
    return Table(
        name=name,
        title=title,
        columns=tuple(columns),
        rows=tuple(
            tuple(
                Cell(
                    words=words(column.key, record.get(column.key)),
                    value=json.dumps(record.get(column.key), allow_nan=False, ensure_ascii=False),
                )
                for column in columns
            )
            for record in records
        ),
    )


def write_value(value: Any) -> str:
    """Write any value of a file as a reader would; nothing for none."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case int():
            return format_count(value)
        case float() if value < 0:
            return f"-{format_figures(-value)}"
        case float():
            return format_figures(value)
        case list() | tuple():
            return ", ".join(write_value(each) for each in value)
        case _:
            return json.dumps(value)
