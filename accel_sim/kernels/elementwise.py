"""Elementwise operators on raw integers, over flat maps or maps of flat channels."""

import numpy as np

from accel_sim.kernels.output_stage import store
from quantizer.fixedpoint.arith import round_real_scalar
from quantizer.fixedpoint.jit import jit


@jit
def encode(real, scale, raw_min, raw_max, rounding, raw):
    """Encode reals: ``raw = clip(round(real * scale))``, as `QFormat.encode`.

    Parameters
    ----------
    real : float64[n]
    scale : float64
        A power of two.
    raw_min, raw_max : int
        Range of the format.
    rounding : int
        A `Rounding` value.
    raw : integers[n]
        Every element is overwritten.

    Returns
    -------
    int
        How many reals are NaN.
    """
    low, high, unknown = np.float64(raw_min), np.float64(raw_max), np.int64(0)
    for i in range(raw.size):
        scaled = real[i] * scale
        unknown += np.int64(scaled != scaled)
        # No rounding carries a number over an integer: the clip may come first.
        raw[i] = np.int64(round_real_scalar(min(max(scaled, low), high), rounding))
    return unknown


@jit
def add(left, left_scale, right, right_scale, shift, rounding, bounds, ofm):
    """Add or subtract two maps: both aligned exactly, one exact sum, one requantize.

    ``ofm = clip(round((left * left_scale + right * right_scale) * 2**-shift))``.

    Parameters
    ----------
    left, right : integers[n]
    left_scale, right_scale : int
        ``2**places`` to the finer of the two formats, at most ``2**40``, and the sign.
    shift : int
        Fraction bits of the aligned sum minus those of the ofm.
    rounding : int
        A `Rounding` value.
    bounds
        As in `output_stage.bound`.
    ofm : integers[n]
        Every element is overwritten.

    Returns
    -------
    int
        Outputs that the format clipped.
    """
    saturations = np.int64(0)
    for i in range(ofm.size):
        total = np.int64(left[i]) * left_scale + np.int64(right[i]) * right_scale
        raw, clipped = store(total, shift, rounding, bounds)
        saturations += clipped
        ofm[i] = raw
    return saturations


@jit
def multiply(left, right, shift, rounding, bounds, ofm):
    """Multiply two maps: ``ofm = clip(round(left * right * 2**-shift))``.

    Parameters
    ----------
    left, right : integers[n]
    shift : int
        Fraction bits of both together minus those of the ofm.
    rounding, bounds, ofm
        As in `add`.

    Returns
    -------
    int
        Outputs that the format clipped.
    """
    saturations = np.int64(0)
    for i in range(ofm.size):
        total = np.int64(left[i]) * np.int64(right[i])
        raw, clipped = store(total, shift, rounding, bounds)
        saturations += clipped
        ofm[i] = raw
    return saturations


@jit
def scale_channels(ifm, weights, bias, shift, rounding, bounds, ofm):
    """Scale and offset each channel: ``ofm = clip(round((ifm * w[c] + b[c]) * 2**-shift[c]))``.

    Parameters
    ----------
    ifm : int32[C, n]
    weights, bias : int64[C]
        The bias in the format of the products; magnitude at most ``2**60``.
    shift : int64[C]
        Fraction bits of the products minus those of the ofm.
    rounding, bounds
        As in `add`.
    ofm : int32[C, n]
        Every element is overwritten.

    Returns
    -------
    int
        Outputs that the format clipped.
    """
    saturations = np.int64(0)
    for c in range(ifm.shape[0]):
        for i in range(ifm.shape[1]):
            total = np.int64(ifm[c, i]) * weights[c] + bias[c]
            raw, clipped = store(total, shift[c], rounding, bounds)
            saturations += clipped
            ofm[c, i] = raw
    return saturations


@jit
def prelu(ifm, slopes, slope_frac_bits, shift, rounding, bounds, ofm):
    """Multiply negative values by their slope; requantize all.

    Parameters
    ----------
    ifm, slopes : integers[n]
    slope_frac_bits : int
    shift : int
        Fraction bits of the ifm minus those of the ofm.
    rounding, bounds
        As in `add`.
    ofm : integers[n]
        Every element is overwritten.

    Returns
    -------
    int
        Outputs that the format clipped.
    """
    saturations = np.int64(0)
    for i in range(ofm.size):
        total, places = np.int64(ifm[i]), shift
        if total < 0:
            total, places = total * slopes[i], shift + slope_frac_bits
        raw, clipped = store(total, places, rounding, bounds)
        saturations += clipped
        ofm[i] = raw
    return saturations


@jit
def change_format(ifm, shift, rounding, bounds, ofm):
    """Requantize a map that cannot share its Concat's format.

    Parameters
    ----------
    ifm : integers[n]
    shift : int
        Fraction bits of the ifm minus those of the ofm.
    rounding, bounds, ofm
        As in `add`.

    Returns
    -------
    int
        Values that the new format clipped.
    """
    saturations = np.int64(0)
    for i in range(ofm.size):
        raw, clipped = store(np.int64(ifm[i]), shift, rounding, bounds)
        saturations += clipped
        ofm[i] = raw
    return saturations
