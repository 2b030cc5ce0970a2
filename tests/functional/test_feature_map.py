"""Do maps keep their shapes and values, however they lie in memory?"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.functional import ExactNetwork
from accel_sim.layer_steps.feature_map import (
    channels_first,
    channels_last,
    encode_map,
    from_channels_last,
    kept_axis,
    storage,
)
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.layers import Concat
from tests.functional.by_hand import quantized, relu_copy, signed, unsigned

SHAPES = [(7,), (3, 5), (1, 1, 1), (3, 4, 5), (33, 17, 2), (2, 3, 4, 5)]


def counted(shape: tuple[int, ...], dtype: type[Any] = np.int8) -> NDArray[Any]:
    return (np.arange(np.prod(shape)) % 251 - 100).astype(dtype).reshape(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_kept_map_has_its_shape_and_channels_innermost(shape: tuple[int, ...]) -> None:
    raw = counted(shape)
    kept = channels_last(raw, np.int8)
    assert kept.flags.c_contiguous
    if len(shape) == 3:
        assert kept[-1, 0].tolist() == raw[:, -1, 0].tolist()
    for back in (from_channels_last(kept, shape), from_channels_last(kept.reshape(-1), shape)):
        np.testing.assert_array_equal(back, raw)
        assert np.shares_memory(channels_last(back, np.int8), kept)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_a_map_in_any_order_becomes_int32_channel_by_channel(
    dtype: type[Any], shape: tuple[int, ...]
) -> None:
    raw = counted(shape, dtype)
    for kept in (raw, from_channels_last(channels_last(raw, dtype), shape), raw.T.copy().T):
        found = channels_first(kept)
        assert found.dtype == np.int32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, raw)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_is_found_again(axis: int) -> None:
    kept = channels_last(counted((3, 4, 5)), np.int8)
    assert kept.shape[kept_axis(axis, (3, 4, 5))] == (3, 4, 5)[axis]
    assert kept_axis(axis, (3, 4, 5, 6)) == axis


@pytest.mark.parametrize(
    ("fmt", "name"),
    [
        (signed(2, 0), "int8"), (signed(8, 0), "int8"), (unsigned(8, 0), "uint8"),
        (signed(9, 0), "int16"), (unsigned(9, 0), "uint16"), (unsigned(16, 0), "uint16"),
    ],
)  # fmt: skip
def test_a_format_is_kept_in_the_narrowest_integers(fmt: QFormat, name: str) -> None:
    assert storage(fmt) == np.dtype(name)


@given(
    bits=st.integers(2, 16),
    frac_bits=st.integers(-64, 64),
    is_signed=st.booleans(),
    rounding=st.sampled_from(Rounding),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_map_is_encoded_as_its_format_says(
    bits: int, frac_bits: int, is_signed: bool, rounding: Rounding, seed: int
) -> None:
    fmt = QFormat(bits=bits, frac_bits=frac_bits, signed=is_signed)
    rng = np.random.default_rng(seed)
    # Ties, neighbours of ties, values beyond the range, and what scaling makes infinite.
    raw = rng.integers(-(1 << bits), 1 << bits, (2, 3, 4)) + rng.choice([0, 0.5, 0.25], (2, 3, 4))
    with np.errstate(over="ignore", under="ignore"):
        real = np.ldexp(np.nextafter(raw, rng.choice([-1e9, 1e9], raw.shape)), -frac_bits)
        real.reshape(-1)[:12] = np.ldexp(raw.reshape(-1)[:12], -frac_bits)
    real[0, 0, 0], real[1, 2, 3] = np.inf, -1e308
    encoded = encode_map(real, fmt, rounding)
    assert encoded.shape == real.shape
    np.testing.assert_array_equal(encoded, fmt.encode(real, rounding))


def test_what_is_no_number_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="cannot encode NaN"):
        encode_map(np.array([1.0, np.nan]), signed(8, 0), Rounding.TIES_POS)


def test_maps_are_freed_but_the_outputs() -> None:
    fmt = signed(8, 2)
    network = quantized(
        relu_copy(),
        Concat(name="concat", inputs=("x", "r"), ofm="y", axis=0),
        maps={"x": (fmt, (1, 2, 2)), "r": (fmt, (1, 2, 2)), "y": (fmt, (2, 2, 2))},
    )
    exact, image = ExactNetwork(network), np.array([[[-1.0, 0.5], [2.0, -3.0]]])
    every, last = exact.run(image), exact.run(image, keeps_maps=False)
    assert set(every.tensors) == {"x", "r", "y"}
    assert set(last.tensors) == {"y"}
    np.testing.assert_array_equal(last.tensors["y"], every.tensors["y"])
    assert last.tensors["y"].tolist() == [[[-4, 2], [8, -12]], [[0, 2], [8, 0]]]
    assert last.events == every.events
