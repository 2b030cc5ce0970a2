"""The output stage of a layer as the micro-kernels take it: constants by blocks of filters."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels.micro_layout import Layout, aligned
from accel_sim.kernels.micro_stage import (
    BIAS,
    CLIP_HIGH,
    CLIP_LOW,
    HALF,
    HIGH,
    LOW,
    ODD,
    SHIFT,
    SIGN,
    START,
    TOGETHER,
    UNUSED_BITS,
    Stage,
)
from accel_sim.layer_steps.output_stage import OutputStage
from quantizer.fixedpoint.qformat import Rounding


def fits_32_bits(
    rules: OutputStage, wraps: bool, low: NDArray[np.int64], high: NDArray[np.int64]
) -> bool:
    """Tell whether the accumulators of a layer pass its output stage in 32 bits."""
    if wraps:
        half = 1 << (rules.acc_bits - 1)
        low, high = np.full_like(low, -half), np.full_like(high, half - 1)
    magnitude = np.maximum(np.abs(low + rules.bias), np.abs(high + rules.bias))
    half = 1 << np.maximum(np.minimum(rules.shift, 31) - 1, 0)
    return bool((magnitude + half + 1 < 1 << 31).all())


def arrange_stage(
    layout: Layout,
    rules: OutputStage,
    wraps: bool,
    starts: NDArray[np.int32],
    dtype: type[np.int32] | type[np.int64],
) -> Stage:
    """Lay constants out by blocks of filters.

    Unused filters get zeros, which give zeros, which are in the range of every format.
    """
    bits = np.iinfo(dtype).bits
    rounding = Rounding(rules.rounding)
    # What is shifted by more is less than one half.
    shift = np.minimum(rules.shift, bits - 1)
    is_shifted = (shift > 0).astype(np.int64)
    half = is_shifted << np.maximum(shift - 1, 0)
    zeros = np.zeros_like(shift)
    sign = {
        Rounding.TIES_AWAY: -is_shifted,
        # The largest integer where the shift is one less than its bits.
        Rounding.TO_ZERO: (half - is_shifted) + half,
    }.get(rounding, zeros)
    is_even = rounding is Rounding.TIES_EVEN
    if rounding in (Rounding.TO_NEG, Rounding.TO_ZERO):
        half = zeros
    by_row = {
        BIAS: rules.bias,
        HALF: half - is_shifted if is_even else half,
        SHIFT: shift,
        SIGN: sign,
        ODD: is_shifted if is_even else zeros,
    }
    blocks = layout.filters.blocks
    constants = aligned((len(blocks), TOGETHER + 1, layout.kernel.filters), dtype)
    constants[:] = 0
    constants[:, START] = starts
    for row, values in by_row.items():
        for block, (first, count, _) in enumerate(blocks.tolist()):
            constants[block, row, :count] = values[first : first + count]
    constants[:, TOGETHER] = constants[:, [START, BIAS, HALF]].sum(axis=1, dtype=dtype)
    raw_min, raw_max, low, high = rules.bounds
    held = np.iinfo(dtype)
    limits = {
        LOW: min(max(low, raw_min), raw_max),
        HIGH: max(min(high, raw_max), raw_min),
        CLIP_LOW: raw_min if low < raw_min else held.min,
        CLIP_HIGH: raw_max if high > raw_max else held.max,
        UNUSED_BITS: bits - rules.acc_bits if wraps else 0,
    }
    in_order = [min(max(limits[place], held.min), held.max) for place in sorted(limits)]
    return Stage(
        constants=constants,
        limits=np.array(in_order, dtype),
        is_simple=not wraps and rounding in (Rounding.TO_NEG, Rounding.TIES_POS),
    )
