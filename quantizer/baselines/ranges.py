"""Steps from the range of a map: the largest magnitude, or a percentile of it."""

import math

import numpy as np

from quantizer.grid import Grid
from quantizer.map_statistics import MapStatistics


def max_range_step(statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    """Smallest power of two at which the integer part holds the largest magnitude.

    ``2**(ceil(log2 max) + s - bits)``, s = 1 on signed grids for the sign bit.

    Returns
    -------
    float or None
        None where the grid sees no sample other than zero.

    Notes
    -----
    Source: Gysel, Motamedi, Ghiasi, "Hardware-oriented approximation of convolutional neural
    networks", 2016; its Ristretto, `quantization.cpp`, Quantize2DynamicFixedPoint:
    ``il_params = ceil(log2(max) + 1)``, ``fl = bw - il``. For activations Ristretto drops the
    1, on a signed grid all the same. On an unsigned grid that is this rule; on a signed one
    it would clip at half the range, so the rule of the parameters is taken there.
    """
    largest = statistics.seen_by(grid).largest
    if largest == 0:
        return None
    mantissa, exponent = math.frexp(largest)
    integer_bits = exponent - (mantissa == 0.5) + grid.is_signed
    return math.ldexp(1.0, integer_bits - bits)


def min_max_step(statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    """Smallest step at which no sample is clipped: each extreme on its outermost level.

    Returns
    -------
    float or None
        None where the grid sees no sample other than zero.
    """
    step = statistics.positive.largest / grid.highest(bits)
    if grid.is_signed:
        step = max(step, statistics.negative.largest / grid.lowest(bits))
    return step if step > 0 else None


def percentile_step(
    statistics: MapStatistics, bits: int, grid: Grid, fraction: float
) -> float | None:
    """Put a quantile of the magnitudes on the outermost positive level.

    Zeros count as samples. Within a bin the quantile is interpolated; it is held at the
    largest magnitude.

    Parameters
    ----------
    fraction
        Of the magnitudes that are not clipped, 0 to 1.

    Returns
    -------
    float or None
        None where the quantile is zero.

    Notes
    -----
    Source: the symmetric percentile calibration of onnxruntime (`calibrate.py`,
    compute_percentile) and of NVIDIA's pytorch-quantization, which take the edge of the bin.
    """
    magnitudes = statistics.histogram.magnitudes(grid)
    seen = magnitudes.total + statistics.zeros
    rank = fraction * seen - statistics.zeros
    if magnitudes.total == 0 or rank <= 0:
        return None
    cumulated = np.cumsum(magnitudes.counts)
    index = min(int(np.searchsorted(cumulated, rank)), cumulated.size - 1)
    before = int(cumulated[index]) - int(magnitudes.counts[index])
    inside = (rank - before) / int(magnitudes.counts[index])
    threshold = min((index + inside) * magnitudes.width, statistics.seen_by(grid).largest)
    return threshold / grid.highest(bits)
