"""Squared error of a grid on the samples of a histogram."""

import numpy as np
from numpy.typing import NDArray

from quantizer.grid import Grid
from quantizer.map_statistics import Histogram

_EQUAL = 1e-14
"""Variance over mean square up to which samples differ by nothing but rounding."""


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
    held = np.flatnonzero(histogram.counts)
    counts, squares = histogram.counts[held], histogram.squares[held]
    means = histogram.sums[held] / counts
    spreads = np.maximum(squares - counts * means**2, 0.0)
    highest, lowest = grid.highest(bits), -grid.lowest(bits)

    low_edges, high_edges = histogram.edges[held], histogram.edges[held + 1]
    # Level of the bin's lower edge, and of the largest value short of its upper edge.
    low_levels = np.clip(np.floor(low_edges / step + 0.5), lowest, highest)
    high_levels = np.clip(np.ceil(high_edges / step - 0.5), lowest, highest)
    levels = np.clip(np.rint(means / step), lowest, highest)
    errors = counts * (means - levels * step) ** 2 + spreads

    across = (low_levels != high_levels) & (spreads > _EQUAL * squares)
    filled = _integral(high_edges[across], high_levels[across], step)
    filled -= _integral(low_edges[across], low_levels[across], step)
    errors[across] = counts[across] * filled / histogram.width
    return float(errors.sum())


def _integral(
    values: NDArray[np.float64], levels: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    """Integral of the squared error from zero to `values`, which round to `levels`."""
    return np.asarray((values - levels * step) ** 3 / 3 + levels * step**3 / 12)
