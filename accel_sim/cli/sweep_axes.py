"""The values along each axis of a sweep, as the user lists them."""

import glob
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from accel_sim.cli.options import is_number
from quantizer.errors import InputError
from quantizer.input_file import exists

MOST_IN_A_RANGE = 10_000
"""Values: more are a slip of the keyboard."""

_SEPARATOR = re.compile(r",(?![^\[{]*[\]}])")
"""A comma that no bracket closes after, unless one opens first."""
_RANGE = re.compile(r"(?P<first>[0-9]{1,9}):(?P<last>[0-9]{1,9})(:(?P<factor>x?)(?P<step>[0-9]+))?")


def expand_names(
    option: str, patterns: Sequence[str], known: Sequence[str] = (), *, kind: str = ""
) -> tuple[str, ...]:
    """Give files and names, each once; a pattern stands for what it matches, sorted.

    It matches names, or files if there is no such name. What exists as a file is no pattern.

    Parameters
    ----------
    option
        What took the patterns; empty for an argument.
    known
        Names that are no files.
    kind
        What the names are of: ``shipped machine``.

    Raises
    ------
    InputError
        If a pattern matches nothing.
    """
    names: list[str] = []
    for pattern in patterns:
        if not glob.has_magic(pattern) or exists(Path(pattern)):
            names.append(pattern)
            continue
        matches = [name for name in known if fnmatchcase(name, pattern)]
        # Path.glob takes no absolute pattern.
        files = glob.glob(pattern, recursive=True)  # noqa: PTH207
        matches = matches or [path for path in files if Path(path).is_file()]
        if not matches:
            none = "matches no file"
            if kind:
                none += f" and no {kind}; accel-sim list {kind.split()[-1]}s shows those"
            raise InputError(f"{option} {pattern}".strip(), none)
        names += sorted(matches)
    return tuple(dict.fromkeys(names))


def parse_names(option: str, text: str | None, example: str) -> tuple[str | None, ...]:
    """``"ggd,min_max"`` as names, each once; nothing as the default.

    Parameters
    ----------
    example
        Of a list.
    """
    if text is None:
        return (None,)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise InputError(option, f"{text!r} is not a list of names; write it as in {example}")
    return names


def parse_widths(option: str, text: str | None) -> tuple[int | None, ...]:
    """``"4,6,8"`` or ``"4:8"`` (both ends) as widths; nothing as the machine's own."""
    if text is None:
        return (None,)
    widths: dict[int, None] = {}
    for part in text.split(","):
        low, colon, high = (word.strip() for word in part.partition(":"))
        high = high if colon else low
        are_numbers = is_number(low) and is_number(high)
        if not (are_numbers and 2 <= int(low) <= int(high) <= 16):
            raise InputError(
                option, f"{text!r} is not a list of widths from 2 to 16; write 4,6,8 or 4:8"
            )
        widths |= dict.fromkeys(range(int(low), int(high) + 1))
    return tuple(widths)


def parse_changes(overrides: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``["mac_array.rows=8,16:64:x2"]`` as values by key; brackets hold together."""
    changes: dict[str, tuple[str, ...]] = {}
    for override in overrides:
        where = f"--set {override}"
        key, equals, text = (part.strip() for part in override.partition("="))
        parts = tuple(value.strip() for value in _SEPARATOR.split(text))
        if not equals or not key or not all(parts):
            raise InputError(where, "is not KEY=V1,V2; write it as in mac_array.rows=8,16")
        if key in changes:
            raise InputError(where, f"is given twice; list its values in one, as in {key}=8,16")
        changes[key] = tuple(value for part in parts for value in _expand_range(where, part))
    return changes


def _expand_range(where: str, text: str) -> tuple[str, ...]:
    """``"4:8"``, ``"8:64:8"`` or ``"8:64:x2"`` as integers; all else as it is."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return (text,)
    first, last = int(found["first"]), int(found["last"])
    step, multiplies = int(found["step"] or 1), bool(found["factor"])
    if first > last:
        raise InputError(where, f"{text} is empty; write the lower end first")
    if step < 1 + multiplies or (multiplies and first == 0):
        raise InputError(
            where, f"{text} never ends; write it as in 4:32, 8:64:8 (steps of 8) or 8:64:x2"
        )
    values: list[str] = []
    while first <= last and len(values) <= MOST_IN_A_RANGE:
        values.append(str(first))
        first = first * step if multiplies else first + step
    if len(values) > MOST_IN_A_RANGE:
        raise InputError(where, f"{text} has over {MOST_IN_A_RANGE:,} values; take larger steps")
    return tuple(values)
