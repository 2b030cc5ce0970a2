"""Squared error of a grid on the samples of a histogram."""

import numpy as np
from numpy.typing import NDArray

from quantizer.grid import Grid
from quantizer.map_statistics import Histogram

_EQUAL = 1 + 1e-14
"""Mean square over squared mean up to which samples differ by nothing but rounding."""


def squared_error(histogram: Histogram, step: float, bits: int, grid: Grid) -> float:
    """Sum ``(x - Q(x))**2`` over the samples other than zero; Q rounds to nearest, then clips.

    Exact wherever a bin lies within one cell of the grid, overload included: so for every
    power-of-two step of at least twice the bin width. Exact too for a bin whose samples are
    all equal. Any other bin across a decision threshold counts as filled evenly.

    Parameters
    ----------
    step
        Above 0, of any size.
    """
    low_edges, high_edges = histogram.edges[:-1], histogram.edges[1:]
    highest, lowest = grid.highest(bits), -grid.lowest(bits)
    # Level of the bin's lower edge, and of the largest value short of its upper edge.
    low_levels = np.clip(np.floor(low_edges / step + 0.5), lowest, highest)
    high_levels = np.clip(np.ceil(high_edges / step - 0.5), lowest, highest)
    nearest = low_levels * step
    within = histogram.squares - 2 * nearest * histogram.sums + nearest**2 * histogram.counts
    filled = _integral(high_edges, high_levels, step) - _integral(low_edges, low_levels, step)
    across = histogram.counts * filled / histogram.width
    errors = np.where(low_levels == high_levels, np.maximum(within, 0.0), across)
    means = histogram.sums / np.maximum(histogram.counts, 1)
    at_means = (
        histogram.counts * (means - np.clip(np.rint(means / step), lowest, highest) * step) ** 2
    )
    is_point = histogram.squares * histogram.counts <= histogram.sums**2 * _EQUAL
    return float(np.where(is_point, at_means, errors).sum())


def _integral(
    values: NDArray[np.float64], levels: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    """Integral of the squared error from zero to `values`, which round to `levels`."""
    return np.asarray((values - levels * step) ** 3 / 3 + levels * step**3 / 12)
