"""A jitted function and the Python that it was compiled from: both must be right."""

from collections.abc import Callable
from typing import Any

import pytest

from quantizer.fixedpoint.qformat import Rounding

Version = Callable[[Any], Any]


def jitted(function: Any) -> Any:
    return function


def plain(function: Any) -> Any:
    return function.py_func


JITTED_AND_PLAIN = pytest.mark.parametrize("version", [jitted, plain])
ROUNDINGS = pytest.mark.parametrize("rounding", Rounding, ids=lambda rounding: rounding.name)


def oracle_name(rounding: Rounding) -> str:
    """What the oracles call it."""
    return rounding.name.lower()
