"""A browser for all tests of a file."""

from collections.abc import Iterator

import pytest

from tests.report.browser import Browser, start_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start_browser() as browser:
        yield browser
