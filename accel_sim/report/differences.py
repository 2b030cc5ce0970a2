"""Where two report files differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_APART = ("run", "tool")
"""Sections that are about who wrote a report, and not about what came out."""
MISSING = "nothing"
"""What stands for a field that one of the reports lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """One field and what the two reports hold there, as JSON values.

    Attributes
    ----------
    path
        Keys and indices, as in ``layers[3].cycles.total``.
    """

    path: str
    there: Any
    now: Any


def find_differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[FieldDifference]:
    """List all fields that differ, in the order of the reports; circumstances do not count.

    Parameters
    ----------
    there, now
        Reports as JSON values.
    """
    return list(
        _compare(
            "",
            {key: value for key, value in there.items() if key not in _APART},
            {key: value for key, value in now.items() if key not in _APART},
        )
    )


def _compare(path: str, there: Any, now: Any) -> Iterator[FieldDifference]:
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys((*there, *now)):
            name = f"{path}.{key}" if path else str(key)
            yield from _compare(name, there.get(key, MISSING), now.get(key, MISSING))
    elif isinstance(there, list) and isinstance(now, list) and len(there) == len(now):
        for index, pair in enumerate(zip(there, now, strict=True)):
            yield from _compare(f"{path}[{index}]", *pair)
    elif type(there) is not type(now) or there != now:
        yield FieldDifference(path=path, there=there, now=now)
