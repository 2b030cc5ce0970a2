"""OCTAV: the clipping scalar of least squared error, by Newton's method on the samples.

Notes
-----
Source: Sakr et al., "Optimal clipping and magnitude-aware differentiation for improved
quantization-aware training", ICML 2022 (arXiv 2206.06501), equation 6; the constants 3 and
12 also as documented in Google's AI Edge Quantizer (`octav.py`).
"""

import math

import numpy as np

from quantizer.grid import Grid
from quantizer.map_statistics import MapStatistics

_MOST_ITERATIONS = 200
_SIGNED_DIVISOR, _UNSIGNED_DIVISOR = 3.0, 12.0


def octav_step(statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    """Step of the range that OCTAV clips to: ``s * 2**(1 - bits)``, unsigned ``s * 2**-bits``.

    Iterates, from the mean magnitude until nothing changes::

        s <- sum |x| [|x| > s] / (4**-bits / d * count[0 < |x| <= s] + count[|x| > s])

    with d = 3 for signed and 12 for unsigned maps. Bins of the histogram stand for their
    samples. Zeros do not count, as in the source.

    Returns
    -------
    float or None
        None where the grid sees no sample other than zero.
    """
    values, counts = statistics.histogram.magnitudes(grid).occupied()
    if values.size == 0:
        return None
    divisor = _SIGNED_DIVISOR if grid.is_signed else _UNSIGNED_DIVISOR
    granular = 4.0**-bits / divisor
    # Sums over the bins from each one up; the last entry stands for "none is above".
    above = np.append(np.cumsum(counts[::-1])[::-1], 0)
    sums_above = np.append(np.cumsum((counts * values)[::-1])[::-1], 0.0)
    total = float(above[0])
    clipping = float(sums_above[0]) / total
    for _ in range(_MOST_ITERATIONS):
        index = int(np.searchsorted(values, clipping, side="right"))
        clipped = float(above[index])
        if clipped == 0:  # nothing above: the samples end here
            break
        previous = clipping
        clipping = float(sums_above[index]) / (granular * (total - clipped) + clipped)
        if math.isclose(clipping, previous, rel_tol=1e-9):
            break
    return clipping / grid.cells(bits)
