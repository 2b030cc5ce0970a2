"""Running a test on both whole-network oracles, and comparing what they return."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.oracles import fake_quant, integer_network

Run = Callable[..., dict[str, NDArray[np.int64]]]
BOTH = pytest.mark.parametrize(
    "run", [integer_network.run, fake_quant.run], ids=["integer", "fake_quant"]
)


def assert_equal(got: dict[str, NDArray[np.int64]], expected: dict[str, NDArray[np.int64]]) -> None:
    """Every tensor of both, bit for bit."""
    assert got.keys() == expected.keys()
    for name, raw in expected.items():
        np.testing.assert_array_equal(got[name], raw, err_msg=name)
