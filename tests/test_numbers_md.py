"""Does the worked example of the number contract come out as written?"""

import doctest
from pathlib import Path

import quantizer


def test_the_worked_example_comes_out_as_written() -> None:
    path = Path(quantizer.__file__).parent / "NUMBERS.md"
    outcome = doctest.testfile(str(path), module_relative=False, verbose=False)
    assert outcome.failed == 0
    assert outcome.attempted >= 10
