"""From accumulator to feature map: wrap, bias, rounding shift, clamp, saturate."""

import numpy as np

from quantizer.fixedpoint.arith import requantize, wrap
from quantizer.fixedpoint.jit import jit


@jit
def bound(value, bounds):
    """Apply an activation function's bounds, then the format's.

    Parameters
    ----------
    value : int64
        Rounded, in the format's scale; may lie outside its range.
    bounds : (int64, int64, int64, int64)
        Lowest and highest raw value of the format, then of the activation function; the
        two ranges meet.

    Returns
    -------
    tuple of int64
        The raw value, and 1 if the format clipped it, else 0. What the activation
        function holds inside the range (the zero of a Relu) is not clipped.
    """
    raw_min, raw_max, clamp_low, clamp_high = bounds
    active = min(max(value, clamp_low), clamp_high)
    raw = min(max(active, raw_min), raw_max)
    return raw, np.int64(raw != active)


@jit
def store(total, shift, rounding, bounds):
    """Requantize an exact result and bound it: the last step of every arithmetic layer.

    Parameters
    ----------
    total : int64
        Magnitude at most ``2**61``.
    shift : int
        Fraction bits of the total minus those of the ofm; any sign.
    rounding : int
        A `Rounding` value.
    bounds
        As in `bound`.

    Returns
    -------
    tuple of int64
        As of `bound`.
    """
    raw_min, raw_max, _, _ = bounds
    # One beyond the range tells a clipped value from one on the bound.
    return bound(requantize(total, shift, rounding, raw_min - 1, raw_max + 1), bounds)


@jit
def finish(acc, acc_bits, bias, shift, rounding, bounds, ofm):
    """Run the output stage on all accumulators of one image.

    ``ofm = clip(round((wrap(acc) + bias) * 2**-shift))``. The bias is added exactly,
    behind the accumulator.

    Parameters
    ----------
    acc : int32 or int64[K, P, W]
        Exact sums without bias; columns from Q on are ignored.
    acc_bits : int
        Accumulator width, 8 to 48.
    bias : int64[K]
        In the accumulator's format; magnitude at most ``2**60``.
    shift : int64[K]
        Fraction bits of the accumulator minus those of the ofm.
    rounding : int
        A `Rounding` value.
    bounds
        As in `bound`.
    ofm : int32[K, P, Q]
        Every element is overwritten.

    Returns
    -------
    tuple of int
        Outputs whose exact sum left the accumulator, and outputs that the format clipped.
    """
    n_filters, out_height, out_width = ofm.shape
    overflows = np.int64(0)
    saturations = np.int64(0)
    for k in range(n_filters):
        for p in range(out_height):
            for q in range(out_width):
                total = np.int64(acc[k, p, q])
                wrapped = wrap(total, acc_bits)
                overflows += np.int64(wrapped != total)
                raw, clipped = store(wrapped + bias[k], shift[k], rounding, bounds)
                saturations += clipped
                ofm[k, p, q] = raw
    return overflows, saturations
