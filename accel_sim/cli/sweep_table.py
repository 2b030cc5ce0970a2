"""The tables of the points of a sweep, cut to the width of the terminal."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from accel_sim.cli.console import count_columns, show

if TYPE_CHECKING:
    from rich.table import Table

    from accel_sim.report.facts import Datapath

Record = Mapping[str, Any]

_NUMBER = re.compile(r"[+-]?[0-9][0-9.e+-]*")
_NARROWEST = 8
"""To which a column of long texts may be cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of texts, one per point.

    Attributes
    ----------
    folded
        The heading in two lines, where there is little room; empty if that does not help.
    is_name
        Whether its texts may be cut; numbers never are.
    is_extra
        Whether it is the first to go if there is no room.
    """

    heading: str
    cells: list[str]
    folded: str = ""
    is_name: bool = False
    is_extra: bool = False

    @property
    def width(self) -> int:
        """Characters."""
        return max(map(len, (*self.heading.split("\n"), *self.cells)))

    @property
    def narrowest(self) -> int:
        """Characters to which it may be cut."""
        if not self.is_name:
            return self.width
        numbers = (cell for cell in self.cells if _NUMBER.fullmatch(cell))
        return min(self.width, max(_NARROWEST, *map(len, (*self.heading.split("\n"), *numbers))))

    def cut(self, width: int) -> "Column":
        """Give the column with its texts in so many characters."""
        from accel_sim.report.quantities import shorten_alike

        return replace(self, cells=shorten_alike(self.cells, width))


def describe_sweep(records: Sequence[Record], datapath: "Datapath") -> str:
    """Give the line above the table."""
    names = []
    for key, noun in (("network", "networks"), ("hardware", "machines")):
        found = list(dict.fromkeys(record[key] for record in records))
        names.append(found[0] if len(found) == 1 else f"{len(found)} {noun}")
    count = "1 point" if len(records) == 1 else f"{len(records):,} points"
    return f"{' on '.join(names)}, {count}, {datapath} datapath"


def identity_columns(records: Sequence[Record], varied: Sequence[str]) -> list[Column]:
    """Give the columns that say what was simulated: machine and network where there are several.

    Parameters
    ----------
    records
        From `point_record`.
    varied
        Keys that vary besides machine, network and widths.
    """
    from accel_sim.report.point_selection import short_names

    columns = [
        Column(heading=heading, cells=[record[key] for record in records], is_name=True)
        for heading, key in (("machine", "hardware"), ("network", "network"))
        if len({record[key] for record in records}) > 1
    ]
    # Whole keys would not leave room for results.
    columns += [
        Column(
            heading=name.replace(".", ".\n").replace("_file", "\nfile"),
            folded="" if "." in name else "\n".join(name.rsplit("_", 1)),
            cells=[record[key] or "-" for record in records],
            is_name=True,
        )
        for name, key in zip(short_names(varied), varied, strict=True)
    ]
    columns += [
        Column(
            heading=heading, folded=folded, cells=[str(record[key] or "-") for record in records]
        )
        for heading, folded, key in (
            ("weights", "weight\nbits", "weight_bits"),
            ("activations", "act.\nbits", "activation_bits"),
        )
    ]
    return columns


def result_columns(records: Sequence[Record], *, has_values: bool) -> Iterator[Column]:
    """Give the columns that say what came out; a point that failed has no numbers.

    Parameters
    ----------
    has_values
        Whether values were computed.
    """
    from accel_sim.report.quantities import (
        format_energy,
        format_percent,
        format_power,
        format_sqnr,
        format_storage,
        format_time,
    )

    formats: dict[str, Callable[[Record], str]] = {}
    if has_values:
        formats["SQNR dB"] = lambda record: format_sqnr(record["sqnr_dB"], record["exact"])
        if any(record["top1_accuracy_fraction"] is not None for record in records):
            formats |= {
                "top-1": lambda record: format_percent(record["top1_accuracy_fraction"]),
                "float": lambda record: format_percent(record["float_top1_accuracy_fraction"]),
            }
        else:  # without labels
            formats["as float"] = lambda record: format_percent(record["top1_agreement_fraction"])
    formats |= {
        "DRAM": lambda record: format_storage(
            record["dram_read_bytes"] + record["dram_write_bytes"]
        ),
        "energy": lambda record: format_energy(record["energy_uJ"]),
        "latency": lambda record: format_time(record["latency_us"]),
        "power": lambda record: format_power(record["average_power_mW"]),
    }
    failed = "failed"
    for heading, format_result in formats.items():
        cells = [
            failed if record["cycles"] is None else format_result(record) for record in records
        ]
        # The float network is the same at all points.
        yield Column(
            heading=heading,
            folded=heading.replace(" ", "\n"),
            cells=cells,
            is_extra=heading == "float",
        )
        failed = ""


def show_columns(columns: Sequence[Column]) -> None:
    """Print a table; headings and names give way to numbers, and last columns to the first."""
    kept = list(columns)
    if _width([column.narrowest for column in kept]) > count_columns():
        kept = [replace(column, heading=column.folded or column.heading) for column in kept]
    folded = list(kept)
    while _width([column.narrowest for column in kept]) > count_columns() and len(kept) > 1:
        extra = [index for index, column in enumerate(kept) if column.is_extra]
        del kept[extra[0] if extra else -1]
    show(_table(_narrow(kept)))
    if len(kept) < len(columns):
        left_out = ", ".join(
            column.heading.replace("\n", "")
            for column, shown in zip(columns, folded, strict=True)
            if shown not in kept
        )
        show("", f"No room for {left_out}; a file (-o) has them.")


def _width(widths: Sequence[int]) -> int:
    """Count the characters of a line, with a space between columns."""
    return sum(widths) + len(widths) - 1


def _narrow(columns: Sequence[Column]) -> list[Column]:
    """Cut the widest names first, until a line has room for all columns."""
    widths = [column.width for column in columns]
    while _width(widths) > count_columns():
        spare = [index for index, column in enumerate(columns) if widths[index] > column.narrowest]
        if not spare:
            break
        widths[max(spare, key=lambda index: widths[index])] -= 1
    return [
        column.cut(width) if width < column.width else column
        for column, width in zip(columns, widths, strict=True)
    ]


def _table(columns: Sequence[Column]) -> "Table":
    from accel_sim.report.layer_table import make_table

    names = [
        index
        for index, column in enumerate(columns)
        if column.is_name and not all(map(_NUMBER.fullmatch, column.cells))
    ]
    table = make_table(*(column.heading for column in columns), left=names)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table
