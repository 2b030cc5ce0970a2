"""Seeds of tests that draw what they try: a few for every run, more for a thorough one."""

from typing import Any

import pytest


def seeds(fast: int, slow: int, *, start: int = 0) -> list[Any]:
    """Consecutive numbers as parameters; all but the first are left out by `make test`."""
    last = start + fast + slow
    more = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(start + fast, last)]
    return [*range(start, start + fast), *more]
