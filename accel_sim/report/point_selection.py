"""Flat records of points by their columns: which to keep, in which order, what to show."""

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quantizer.errors import InputError, nearest

Record = Mapping[str, Any]

_CONDITION = re.compile(r"(?P<key>[^<>=!]+)(?P<relation><=|>=|!=|=|<|>)(?P<value>.*)")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def known_columns(records: Sequence[Record]) -> list[str]:
    """Give every column that some record has, in their order."""
    return list(dict.fromkeys(column for record in records for column in record))


def varied_numbers(records: Sequence[Record]) -> list[str]:
    """Give the columns of numbers in which records differ."""
    return [
        column
        for column in known_columns(records)
        if all(_is_number(value) or value is None for value in _values(records, column))
        and len(set(_values(records, column))) > 1
    ]


def _values(records: Sequence[Record], column: str) -> list[Any]:
    return [record.get(column) for record in records]


def find_column(option: str, name: str, columns: Sequence[str]) -> str:
    """Give a column that exists.

    Raises
    ------
    InputError
        Suggesting the nearest, if there is no such column.
    """
    if name in columns:
        return name
    hint = nearest(name, list(columns)) or "; such as energy_uJ, sqnr_dB or mac_array.rows"
    raise InputError(option, f"no column {name!r}{hint}")


def parse_columns(option: str, text: str, columns: Sequence[str]) -> list[str]:
    """Read ``hardware,energy_uJ``."""
    return [find_column(option, name.strip(), columns) for name in text.split(",")]


def parse_condition(text: str, columns: Sequence[str]) -> Callable[[Record], bool]:
    """Read ``KEY=VALUE``, or with ``!=``, ``<``, ``<=``, ``>`` or ``>=``.

    A number compares as one, all else as text; ``null`` is where a record has nothing.

    Raises
    ------
    InputError
        It is no condition, there is no such column, or its values cannot be compared so.
    """
    option = f"--where {text}"
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InputError(option, "is no condition; write it as in mac_array.rows=8")
    column = find_column(option, found["key"].strip(), columns)
    relation, wanted = found["relation"], found["value"].strip()

    def holds(record: Record) -> bool:
        value = record.get(column)
        if relation in _ORDERS:
            if value is None:
                return False
            if not _is_number(value):
                raise InputError(option, f"{column} is no number; compare it with = or !=")
            return bool(_ORDERS[relation](value, _as_number(option, column, wanted)))
        if value is None or wanted == "null":
            is_equal = value is None and wanted == "null"
        elif _is_number(value):
            is_equal = value == _as_number(option, column, wanted)
        else:
            is_equal = wanted == (value if isinstance(value, str) else json.dumps(value))
        return is_equal is (relation == "=")

    return holds


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(option: str, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(option, f"{column} is a number, {text!r} is none; give one") from None


def sort_records(records: Sequence[Record], text: str, columns: Sequence[str]) -> list[Record]:
    """Sort by a column, from low to high; by ``-KEY`` from high to low.

    Records that have nothing there come last, and equals keep their order.
    """
    descends = text.startswith("-")
    column = find_column("--sort", text.removeprefix("-"), columns)
    filled = [record for record in records if record.get(column) is not None]
    empty = [record for record in records if record.get(column) is None]
    return sorted(filled, key=lambda record: _order(record[column]), reverse=descends) + empty


def order_records(records: Sequence[Record], columns: Sequence[str]) -> list[Record]:
    """Sort by several columns from low to high, the first first; equals keep their order."""
    return sorted(records, key=lambda record: [_order(record.get(column)) for column in columns])


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers before all else, also those that made no machine and are kept as they were typed."""
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return False, float(value), ""
    return True, 0.0, value if isinstance(value, str) else json.dumps(value)


def varied_columns(records: Sequence[Record], settings: Sequence[str]) -> list[str]:
    """Give the settings in which records of one machine and one network differ.

    Between machines most settings differ, and the name of the machine says so.

    Parameters
    ----------
    settings
        Columns to look at.
    """
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault((record["hardware"], record["network"]), []).append(record)
    return [
        column
        for column in settings
        if any(
            len({json.dumps(record[column]) for record in group if column in record}) > 1
            for group in groups.values()
        )
    ]


def short_names(columns: Sequence[str]) -> list[str]:
    """Give the last parts of dotted columns, as many as it takes to tell them apart."""
    names = []
    for column in columns:
        parts = column.split(".")
        endings = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        others = [other for other in columns if other != column]
        unique = (
            ending
            for ending in endings
            if not any(other == ending or other.endswith(f".{ending}") for other in others)
        )
        names.append(next(unique, column))
    return names
