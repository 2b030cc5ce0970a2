"""Seeds of tests that draw what they try: a few for every run, more for a thorough one."""

from collections.abc import Iterator

import pytest


def seeds(fast: int, slow: int, *, start: int = 0) -> Iterator[object]:
    """Consecutive numbers, of which all but the first are only for `make test-slow`."""
    for seed in range(start, start + fast + slow):
        is_slow = seed >= start + fast
        yield pytest.param(seed, marks=[pytest.mark.slow] if is_slow else [])
