"""The table that a sweep prints."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def make_sweep_table(
    records: Sequence[Mapping[str, Any]], varied: Sequence[str], *, has_values: bool
) -> "Table":
    """Make a table of records, with a column per key that varies.

    Parameters
    ----------
    records
        From `point_record`; a point that failed has no numbers.
    has_values
        Whether values were computed.
    """
    from accel_sim.report.as_table import make_table
    from accel_sim.report.point_selection import short_names
    from accel_sim.report.quantities import (
        format_energy,
        format_percent,
        format_power,
        format_sqnr,
        format_storage,
        format_time,
    )

    # Whole keys would not leave room for results.
    settings = [name.replace(".", ".\n") for name in short_names(varied)]
    measured = ("SQNR dB", "top-1", "float") if has_values else ()
    table = make_table(
        "machine",
        *settings,
        "weights",
        "activations",
        *measured,
        "DRAM",
        "energy",
        "latency",
        "power",
    )
    for record in records:
        point = (
            record["hardware"],
            *(record[key] for key in varied),
            str(record["weight_bits"] or "-"),
            str(record["activation_bits"] or "-"),
        )
        if record["cycles"] is None:
            table.add_row(*point, "failed")
            continue
        values = (
            format_sqnr(record["sqnr_dB"], record["exact"]),
            format_percent(record["top1_accuracy_fraction"]),
            format_percent(record["float_top1_accuracy_fraction"]),
        )
        table.add_row(
            *point,
            *(values if has_values else ()),
            format_storage(record["dram_read_bytes"] + record["dram_write_bytes"]),
            format_energy(record["energy_uJ"]),
            format_time(record["latency_us"]),
            format_power(record["average_power_mW"]),
        )
    return table
