"""Points that no other beats: the Pareto front over any columns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accel_sim.report.point_selection import find_column
from quantizer.errors import InputError

_LOW_IS_BETTER = (
    "cycles",
    "latency_us",
    "latency_us_per_image",
    "dram_read_bytes",
    "dram_write_bytes",
    "average_power_mW",
    "energy_delay_pJs",
)
_LOW_STEMS = ("energy_uJ", "chip_energy_uJ", "dram_energy_uJ", "area_mm2")
"""Starts of the names of energies and areas: by component, per image, and ends of bands."""
_HIGH_IS_BETTER = (
    "sqnr_dB",
    "top1_accuracy_fraction",
    "top1_agreement_fraction",
    "frames_per_second",
    "utilization_fraction",
    "effective_TOPS",
    "TOPS_per_W",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A column, and which end of it is better."""

    column: str
    is_high_better: bool

    def cost(self, record: Mapping[str, Any]) -> float | None:
        """Give what is to be small; None where the record has no number.

        Values without any noise have an SQNR that is infinite, which files hold as null.
        """
        value = record.get(self.column)
        if value is None and self.column == "sqnr_dB" and record.get("exact"):
            value = math.inf
        if not isinstance(value, int | float):
            return None
        return -float(value) if self.is_high_better else float(value)


def is_high_better(column: str) -> bool | None:
    """Say which end of a column is better; None where that is not known."""
    if column in _HIGH_IS_BETTER:
        return True
    return False if column in _LOW_IS_BETTER or column.startswith(_LOW_STEMS) else None


def parse_objectives(option: str, text: str, columns: Sequence[str]) -> tuple[Objective, ...]:
    """Read ``energy_uJ,sqnr_dB``; ``-X`` says that low is better, ``+X`` that high is.

    Raises
    ------
    InputError
        There is no such column, it is given twice, or nothing says which end is better.
    """
    objectives: list[Objective] = []
    for part in (part.strip() for part in text.split(",")):
        sign, name = (part[0], part[1:]) if part[:1] in ("+", "-") else ("", part)
        column = find_column(option, name, columns)
        if column in (objective.column for objective in objectives):
            raise InputError(option, f"{column!r} is given twice; leave one of them out")
        known = is_high_better(column)
        if not sign and known is None:
            raise InputError(
                option,
                f"which end of {column!r} is better is not known; write -{column} for the low "
                f"one or +{column} for the high one",
            )
        objectives.append(
            Objective(column=column, is_high_better=sign == "+" if sign else bool(known))
        )
    return tuple(objectives)


def pareto_front(
    records: Sequence[Mapping[str, Any]], objectives: Sequence[Objective]
) -> list[Mapping[str, Any]]:
    """Give the records that no other beats, sorted from the best of the first objective on.

    One beats another if it is nowhere worse and somewhere better; of equals all stay. Networks
    are no alternatives to one another: each has a front of its own, one after the other.
    Records without a number in one of the columns are on none.
    """
    front: list[Mapping[str, Any]] = []
    for network in dict.fromkeys(record["network"] for record in records):
        own = [record for record in records if record["network"] == network]
        front += _front_of_one_network(own, objectives)
    return front


def _front_of_one_network(
    records: Sequence[Mapping[str, Any]], objectives: Sequence[Objective]
) -> list[Mapping[str, Any]]:
    priced: list[tuple[tuple[float, ...], Mapping[str, Any]]] = []
    for record in records:
        costs = [objective.cost(record) for objective in objectives]
        numbers = tuple(cost for cost in costs if cost is not None)
        if len(numbers) == len(objectives):
            priced.append((numbers, record))
    # What beats a record comes before it in this order, and is itself beaten by none but these.
    priced.sort(key=lambda entry: entry[0])
    front: list[tuple[tuple[float, ...], Mapping[str, Any]]] = []
    for numbers, record in priced:
        if not any(_beats(other, numbers) for other, _ in front):
            front.append((numbers, record))
    return [record for _, record in front]


def _beats(costs: Sequence[float], others: Sequence[float]) -> bool:
    return costs != others and all(cost <= other for cost, other in zip(costs, others, strict=True))
