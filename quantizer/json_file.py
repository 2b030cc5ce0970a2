"""JSON files that the user gives: an object, read strictly."""

import json
from pathlib import Path
from typing import Any

from quantizer.errors import InputError
from quantizer.input_file import read_input

_MAX_BYTES = 1 << 26


def read_object(path: Path, *, expected: str, holding: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Parameters
    ----------
    expected
        What the file should be, for messages: ``a formats file``.
    holding
        What the object should hold, for messages.

    Raises
    ------
    InputError
        The file cannot be read, is no JSON object, or an object in it names a key twice.
    """
    content = read_input(path, expected, limit_bytes=_MAX_BYTES)

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise InputError(str(path), f"{key!r} is given twice; expected once")
            seen[key] = value
        return seen

    try:
        found = json.loads(content.decode(), object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}", f"not valid JSON ({error.msg})") from None
    except RecursionError:
        raise InputError(f"{path}:1", "not valid JSON (nested too deeply)") from None
    except UnicodeDecodeError:
        raise InputError(str(path), "cannot be read (not UTF-8 text)") from None
    except ValueError:  # of int(), which reads no numbers of thousands of digits
        raise InputError(str(path), "not valid JSON (a number has too many digits)") from None
    if not isinstance(found, dict):
        raise InputError(str(path), f"expected an object of {holding}")
    return found


def is_integer(value: object) -> bool:
    """Whether a JSON value is an integer; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)
