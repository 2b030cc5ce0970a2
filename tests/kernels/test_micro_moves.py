"""Are maps turned from pixels to channels without a value lost?"""

from typing import Any

import numpy as np
import pytest

from accel_sim.kernels.micro_moves import unpack_map

CHANNELS = [1, 3, 15, 16, 17, 33, 48]
SIZES = [(1, 1), (1, 16), (2, 15), (3, 17), (2, 35), (5, 5)]
UNTOUCHED = 99


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("stored", [np.int8, np.uint8, np.int16, np.uint16, np.int32])
def test_a_stored_map_is_widened(stored: type[Any], channels: int, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    held = np.iinfo(stored)
    pixels = rng.integers(held.min, held.max, (height * width, channels), stored, endpoint=True)
    ofm = np.full((channels, height * width), UNTOUCHED, np.int32)
    unpack_map(pixels, ofm)
    np.testing.assert_array_equal(ofm, pixels.T)
