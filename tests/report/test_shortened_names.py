"""Are long texts of a column cut where it tells least?"""

import pytest

from accel_sim.report.quantities import shorten_alike


@pytest.mark.parametrize(
    ("texts", "columns", "expected"),
    [
        (["short", "8"], 5, ["short", "8"]),
        (["abcdefghij"], 5, ["ab…ij"]),
        (["abcdefghij", "0123456789"], 6, ["abc…ij", "012…89"]),
        (["abcdefghij", "abcdeFghij"], 8, ["…bcdefg…", "…bcdeFg…"]),
        (["abcdefXhijklmnopqr", "abcdefYhijklmnopqr"], 8, ["…cdefXh…", "…cdefYh…"]),
        (["aXcdefghijkl", "aYcdefghijkl", "8"], 8, ["aXcd…jkl", "aYcd…jkl", "8"]),
        (["\x1b[1m23"], 8, ["\\x1b…m23"]),
    ],
)
def test_the_middle_goes_or_what_all_begin_with(texts, columns, expected):
    shortened = shorten_alike(texts, columns)
    assert shortened == expected
    assert max(map(len, shortened)) <= columns
