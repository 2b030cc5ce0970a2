"""Squared error of a grid on the samples of a histogram."""

import numpy as np
from numpy.typing import NDArray

from quantizer.grid import Grid
from quantizer.map_statistics import Histogram

_EQUAL = 1e-14
"""Variance over mean square up to which samples differ by nothing but rounding."""


def squared_errors(
    histogram: Histogram, steps: NDArray[np.float64], bits: int, grid: Grid
) -> NDArray[np.float64]:
    """Sum ``(x - Q(x))**2`` over the samples other than zero; Q rounds to nearest, then clips.

    Exact wherever a bin lies within one cell of the grid, overload included: so for every
    power-of-two step of at least twice the bin width. Exact too for a bin whose samples are
    all equal. Any other bin across a decision threshold counts as filled evenly.

    Parameters
    ----------
    steps : float64[n]
        Above 0, of any size.

    Returns
    -------
    float64[n]
    """
    held = np.flatnonzero(histogram.counts)
    low_edges, high_edges = histogram.edges[held], histogram.edges[held + 1]
    counts, squares = histogram.counts[held], histogram.squares[held]
    means = histogram.sums[held] / counts
    spreads = np.maximum(squares - counts * means**2, 0.0)
    is_spread = spreads > _EQUAL * squares
    highest, lowest = grid.highest(bits), -grid.lowest(bits)

    def held_to_grid(levels: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.minimum(np.maximum(levels, lowest), highest)

    def error(step: float) -> float:
        levels = held_to_grid(np.rint(means / step))
        errors = counts * (means - levels * step) ** 2 + spreads
        # Level of the bin's lower edge, and of the largest value short of its upper edge.
        low_levels = held_to_grid(np.floor(low_edges / step + 0.5))
        high_levels = held_to_grid(np.ceil(high_edges / step - 0.5))
        across = (low_levels != high_levels) & is_spread
        filled = _integral(high_edges[across], high_levels[across], step)
        filled -= _integral(low_edges[across], low_levels[across], step)
        errors[across] = counts[across] * filled / histogram.width
        return float(errors.sum())

    return np.array([error(step) for step in steps.tolist()])


def _integral(
    values: NDArray[np.float64], levels: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    """Integral of the squared error from zero to `values`, which round to `levels`."""
    return np.asarray((values - levels * step) ** 3 / 3 + levels * step**3 / 12)
