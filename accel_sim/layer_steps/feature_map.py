"""How the exact run keeps feature maps: as narrow integers, channels innermost in memory.

A map has the shape that the network says. One of ``[C, H, W]`` lies in memory as ``[H, W, C]``,
which is what the micro-kernels read and write, and others as they are. Every step takes any
memory order and any integers that hold the values: what is kept otherwise costs time only.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from accel_sim.kernels import elementwise
from accel_sim.kernels.micro_moves import unpack_map
from accel_sim.layer_steps.step import Raw
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.layers import Shape

_CHW = 3


def has_pixels(shape: Shape) -> bool:
    """Tell whether a map is one of ``[C, H, W]``."""
    return len(shape) == _CHW


def storage(fmt: QFormat) -> np.dtype[np.integer[Any]]:
    """Find the integers that a map of a format is kept in.

    Wider than 16 bits, unsigned values are kept as their low bits.
    """
    size = 1 if fmt.bits <= 8 else 2 if fmt.bits <= 16 else 4
    return np.dtype(f"{'i' if fmt.signed or size == 4 else 'u'}{size}")


def encode(real: NDArray[np.floating[Any]], fmt: QFormat, rounding: Rounding) -> NDArray[np.int32]:
    """Encode reals of any shape, as `QFormat.encode` does, in one pass.

    Unsigned values of 32 bits are given as their low bits.

    Raises
    ------
    ValueError
        An element is NaN.
    """
    raw = np.empty(real.shape, np.int32)
    flat, scale = np.ascontiguousarray(real, np.float64).reshape(-1), 2.0**fmt.frac_bits
    unknown = elementwise.encode(
        flat, scale, fmt.raw_min, fmt.raw_max, int(rounding), raw.reshape(-1)
    )
    if unknown:
        raise ValueError(f"cannot encode NaN as {fmt}")
    return raw


def encode_map(real: NDArray[np.float64], fmt: QFormat, rounding: Rounding) -> Raw:
    """Encode a map of any shape, to be kept; see `encode`."""
    raw = encode(real, fmt, rounding)
    return from_channels_last(channels_last(raw, storage(fmt)), raw.shape)


def channels_last(raw: Raw, dtype: DTypeLike) -> Raw:
    """Give a map as it is kept, as a C-contiguous array: ``[H, W, C]`` where it has pixels."""
    raw = raw.astype(dtype, copy=False)
    if not has_pixels(raw.shape):
        return np.ascontiguousarray(raw)
    kept = raw.transpose(1, 2, 0)
    if kept.strides[-1] == kept.itemsize:
        return np.ascontiguousarray(kept)
    # Channel by channel, a copy is faster than value by value.
    return np.stack(list(raw), axis=-1)


def make_room(shape: Shape, fmt: QFormat) -> Raw:
    """Make a map of some shape, to be kept, whose values are still to be written."""
    return from_channels_last(np.empty(math.prod(shape), storage(fmt)), shape)


def from_channels_last(kept: Raw, shape: Shape) -> Raw:
    """Give a map its shape again: the reverse of `channels_last`, of a flat array too."""
    if not has_pixels(shape):
        return kept.reshape(shape)
    return kept.reshape(*shape[1:], shape[0]).transpose(2, 0, 1)


def kept_axis(axis: int, shape: Shape) -> int:
    """Find where an axis of a map of some shape is in what `channels_last` gives."""
    return (axis - 1) % len(shape) if has_pixels(shape) else axis


def channels_first(raw: Raw) -> NDArray[np.int32]:
    """Give a map as a C-contiguous int32 array of its own shape."""
    if not has_pixels(raw.shape) or raw.flags.c_contiguous:
        return np.ascontiguousarray(raw, np.int32)
    kept = channels_last(raw, raw.dtype)
    channels, pixels = raw.shape[0], math.prod(raw.shape[1:])
    widened = np.empty((channels, pixels), np.int32)
    unpack_map(kept.reshape(pixels, channels), widened)
    return widened.reshape(raw.shape)
