"""Are maps turned from channels to pixels and back without a value lost?"""

from typing import Any

import numpy as np
import pytest

from accel_sim.kernels.micro_moves import pack_map, unpack_map

CHANNELS = [1, 3, 15, 16, 17, 33, 48]
SIZES = [(1, 1), (1, 16), (2, 15), (3, 17), (2, 35), (5, 5)]
UNTOUCHED = 99


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("stored", "low", "high", "offset"),
    [
        (np.uint8, 0, 255, 0),
        (np.uint8, -128, 127, 128),
        (np.int16, -(2**15), 2**15 - 1, 0),
        (np.int16, 0, 2**16 - 1, -(2**15)),
        (np.int32, -(2**31), 2**31 - 1, 0),
    ],
)
def test_a_map_is_packed_inside_its_padding(
    stored: type[Any], low: int, high: int, offset: int, channels: int, height: int, width: int
) -> None:
    rng = np.random.default_rng(0)
    ifm = rng.integers(low, high, (channels, height, width), np.int32, endpoint=True)
    expected = np.full((height + 3, width + 3, channels), UNTOUCHED, stored)
    expected[1 : height + 1, 2 : width + 2] = ifm.transpose(1, 2, 0).astype(np.int64) + offset
    packed = np.full(expected.size, UNTOUCHED, stored)
    row_step = (width + 3) * channels
    pack_map(ifm, offset, row_step, row_step + 2 * channels, packed)
    np.testing.assert_array_equal(packed.reshape(expected.shape), expected)


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
