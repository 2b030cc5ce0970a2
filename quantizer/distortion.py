"""Mean squared error of a grid on generalized gamma magnitudes, exactly.

Notation: a mid-tread grid ``j * step``; ``levels`` R is the index of the outermost level
of a side and ``c = R * step`` its value. A map with both signs has two sides, each with
its own distribution and share of the nonzero samples; zeros have no error on such a grid
and do not count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantizer.ggd import Magnitude

_QUADRATURE_POINTS = 12
"""Of a cell: 1e-12 of it, next to a zero cell whose density has a pole at zero."""

_MOST_CANCELLATION = 1e4
"""Signal over error up to which a difference of the two keeps 10 digits of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One sign of a feature map on a grid.

    Attributes
    ----------
    share
        Fraction of the nonzero samples, 0 to 1; shares of all sides sum to 1.
    distribution
        Of the magnitude.
    levels
        Index R of the outermost level, at least 1.
    """

    share: float
    distribution: Magnitude
    levels: int


def distortion(sides: Sequence[Side], step: float) -> float:
    """Mean squared error of the nonzero samples, cell by cell, with the overload."""
    return sum(side.share * _side_distortion(side, step) for side in sides)


def predicted_sqnr_dB(sides: Sequence[Side], step: float) -> float:
    """Signal over `distortion`, in dB; zeros count in neither."""
    power = sum(side.share * side.distribution.moment(2) for side in sides)
    return 10 * math.log10(power / distortion(sides, step))


def _side_distortion(side: Side, step: float) -> float:
    power = side.distribution.moment(2)
    if power <= _MOST_CANCELLATION * step * step / 12:  # else the sum is long, and in vain
        error = _distortion_by_kinks(side, step)
        if power <= _MOST_CANCELLATION * error:
            return error
    return _distortion_by_cells(side, step)


def _distortion_by_kinks(side: Side, step: float) -> float:
    """``E[X^2] - 2 D sum_j E[max(X - t_j, 0)]``, over the decision thresholds t_j.

    The squared error is x**2 up to the first threshold; at each its slope jumps by -2 D.
    Closed form for any shape, but a difference of nearly equal numbers on fine grids.
    """
    thresholds = np.arange(0.5, side.levels) * step
    excess = float(np.sum(side.distribution.tail_excess(thresholds)))
    return side.distribution.moment(2) - 2 * step * excess


def _distortion_by_cells(side: Side, step: float) -> float:
    """Zero cell and overload in closed form, cells between by Gauss-Legendre quadrature.

    No cancellation. Used for a density that is smooth over a cell: the grid is fine, or the
    tail so heavy that the density changes by orders of magnitude only.
    """
    distribution = side.distribution
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE_POINTS)
    levels = np.arange(1.0, side.levels)
    low = np.minimum((levels - 0.5) * step, distribution.end)
    high = np.minimum((levels + 0.5) * step, distribution.end)
    half = (high - low) / 2
    values = (low + half)[:, None] + half[:, None] * nodes
    errors = (values - levels[:, None] * step) ** 2
    total = float(np.sum((distribution.density(values) * errors) @ weights * half))
    top = side.levels * step
    edge = top - step / 2
    if step / 2 < distribution.end <= edge:  # else in the zero cell or the overload
        error = distribution.end - round(distribution.end / step) * step
        total += distribution.mass_at_end * error * error
    # E[(X - c)^2; X > edge]; its terms cancel to no less than about 1/(p u)^2 of one.
    tails = [float(distribution.tail_moment(order, edge)) for order in range(3)]
    overload = tails[2] - 2 * top * tails[1] + top * top * tails[0]
    return float(distribution.lower_moment(2, step / 2)) + total + max(overload, 0.0)
