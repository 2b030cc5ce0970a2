"""Conditions on a comparison that make it fail, for machines that check changes."""

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accel_sim.report.document import ReportDocument
from quantizer.errors import InputError, nearest

_CONDITION = re.compile(
    r"\s*(?P<key>[A-Za-z_0-9.]+)\s*(?P<relation><=|>=|<|>)\s*"
    r"(?P<sign>[+-]?)(?P<size>[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?)\s*(?P<percent>%?)\s*"
)
_RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a comparison fails: ``energy_uJ>+2%``, ``sqnr_dB<-0.5`` or ``latency_us>1000``.

    Attributes
    ----------
    text
        As it was given.
    key
        Of the totals of a report.
    is_change
        Whether `limit` is of the change against the first report (it was given with a sign), or
        of the value itself.
    is_relative
        Whether the change is a fraction of the first report's value.
    """

    text: str
    key: str
    relation: str
    limit: float
    is_change: bool
    is_relative: bool


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises
    ------
    InputError
        If it is none.
    """
    where = f"--fail-if {text}"
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InputError(
            where, "is no condition; write KEY, a relation and a limit, as in 'energy_uJ>+2%'"
        )
    is_change, is_relative = bool(found["sign"]), bool(found["percent"])
    if is_relative and not is_change:
        raise InputError(where, f"a share is one of the change; write +{found['size']}%")
    limit = float(found["sign"] + found["size"])
    return Condition(
        text=text,
        key=found["key"],
        relation=found["relation"],
        limit=limit / 100 if is_relative else limit,
        is_change=is_change,
        is_relative=is_relative,
    )


def check_condition(
    condition: Condition, labels: Sequence[str], reports: Sequence[ReportDocument]
) -> Iterator[str]:
    """Give a sentence for every report but the first of which a condition holds.

    Raises
    ------
    InputError
        If totals have no such number, or the first report's is 0 and a share of it is asked for.
    """
    where = f"--fail-if {condition.text}"
    numbers = [dict(_flatten("", report.totals.model_dump(mode="json"))) for report in reports]
    key = condition.key
    for label, mine in zip(labels, numbers, strict=True):
        if key not in mine:
            known = list(mine)
            suggestion = nearest(key, known) or f"; it has {', '.join(known[:3])} and others"
            raise InputError(where, f"{label} has no number {key!r} among its totals{suggestion}")
    first = numbers[0][key]
    for label, mine in zip(labels[1:], numbers[1:], strict=True):
        value, found = mine[key], f"{mine[key]:.6g}"
        if condition.is_change:
            value -= first
            found = f"{value:+.6g} against {labels[0]}"
        if condition.is_relative:
            if first == 0:
                raise InputError(where, f"{key} of {labels[0]} is 0, of which there is no share")
            value /= abs(first)
            found = f"{100 * value:+.4g} % against {labels[0]}"
        if _RELATIONS[condition.relation](value, condition.limit):
            yield f"{label}: {key} {found}; fails {condition.text}"


def _flatten(prefix: str, section: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers with their dotted keys; what is null, a word or a list is none."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flatten(f"{prefix}{key}.", value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
