"""Two factors by least squares, each inside a band of its own."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fit_factors(
    parts: NDArray[np.float64], missing: NDArray[np.float64], bands: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Solve for the factors inside their bands that come nearest to what is missing.

    The sum of squares is convex: its least is inside the bands, or on an edge, or at a corner.
    Where layers cannot tell one factor from the other, those nearest to 1 are taken.

    Parameters
    ----------
    parts : float64[layers, 2]
        What each factor is on.
    missing : float64[layers]
        What ``parts @ (factors - 1)`` should be.
    """
    free = 1 + np.linalg.lstsq(parts, missing, rcond=None)[0]
    if all(low <= value <= high for value, (low, high) in zip(free, bands, strict=True)):
        return np.asarray(free)
    candidates = []
    for fixed, end in itertools.product((0, 1), (0, 1)):
        other = 1 - fixed
        point = np.empty(2)
        point[fixed] = bands[fixed][end]
        rest = missing - parts[:, fixed] * (point[fixed] - 1)
        along = 1 + np.linalg.lstsq(parts[:, [other]], rest, rcond=None)[0][0]
        point[other] = np.clip(along, *bands[other])
        candidates.append(point)
    return min(candidates, key=lambda point: float(np.sum((parts @ (point - 1) - missing) ** 2)))
