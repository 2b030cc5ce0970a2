"""What the steps of all layers share: raw maps, events, bounds of the output."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.qformat import QFormat, Rounding, round_real
from quantizer.network.layers import Clamp

Raw = NDArray[np.integer[Any]]
"""A feature map, in integers that hold its raw values; see `feature_map`."""
Bounds = tuple[int, int, int, int]
"""Lowest and highest raw value of a format, then of an activation function."""

BEYOND = 1 << 40
"""Stands for an infinite real in raw units: beyond every raw value and one more."""


class Events(NamedTuple):
    """What happened in one layer, counted over one image.

    Attributes
    ----------
    accumulator_overflows
        Outputs whose exact sum left the range of an accumulator that wraps; additions that
        were clamped, of one that saturates.
    output_saturations
        Outputs that the format clipped; a Relu's zero is not one.
    """

    accumulator_overflows: int = 0
    output_saturations: int = 0


Maps = Mapping[str, Raw]
Step = Callable[[Maps], tuple[Raw, Events]]
"""Runs one layer: maps by name in, the ofm and events out."""


def round_scaled(
    real: NDArray[np.float64], fmt: QFormat, rounding: Rounding
) -> NDArray[np.float64]:
    """Round reals in units of a format's step, held within -`BEYOND` and `BEYOND`."""
    with np.errstate(over="ignore"):
        scaled = np.ldexp(real, fmt.frac_bits)
    return round_real(np.clip(scaled, -BEYOND, BEYOND), rounding)


def find_bounds(fmt: QFormat, clamp: Clamp | None, rounding: Rounding) -> Bounds:
    """Raw bounds of a format, then of an activation function in that format's scale.

    An activation function whose bounds miss the format's range ends at the range's edge:
    only a rounded value beyond the edge is then clipped by the format.
    """
    clamp = clamp or Clamp(low=-np.inf, high=np.inf)
    low, high = round_scaled(np.array([clamp.low, clamp.high]), fmt, rounding)
    return fmt.raw_min, fmt.raw_max, min(int(low), fmt.raw_max), max(int(high), fmt.raw_min)


def bound_all(
    values: NDArray[np.int64], bounds: Bounds
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Bound rounded values as the kernels do, and tell which the format clipped."""
    raw_min, raw_max, low, high = bounds
    active = np.clip(values, low, high)
    raw = np.clip(active, raw_min, raw_max)
    return raw.astype(np.int32), raw != active
