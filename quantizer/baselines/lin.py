"""Lin, Talathi and Annapureddy: optimal symmetric uniform quantizers of a standard density.

The step is the effective standard deviation of the map times that of the optimal symmetric
uniform quantizer (Max 1960) of a density of unit variance.

Notes
-----
Source: Lin, Talathi, Annapureddy, "Fixed point quantization of deep convolutional networks",
ICML 2016 (arXiv 1511.06393), section 3. The Gaussian column is Max's (IRE Trans. Inf. Theory
6(1), 1960, table 2, to 5 bits) and the one used in a published program by Talathi, to three
digits; the others agree with the tables of Paez and Glisson (1972) and of NASA TN D-8384
(Jones 1977) as quoted in textbooks. All are recomputed here to six digits: the source prints
fewer, and 17 bits are needed. How the paper defines the effective standard deviation of a
map with a mean was not verified; the root mean square is taken.
"""

import math
from enum import Enum

from quantizer.grid import Grid
from quantizer.map_statistics import MapStatistics


class Density(Enum):
    """Symmetric densities of unit variance."""

    GAUSSIAN = "gaussian"
    LAPLACIAN = "laplacian"
    GAMMA = "gamma"


# Steps of the optimal symmetric mid-rise quantizer, from 1 bit on.
_GAUSSIAN = (
    1.59577, 0.995687, 0.586019, 0.335201, 0.188139, 0.104063, 0.0568677, 0.0307624, 0.0164990,
    0.00878546, 0.00464984, 0.00244841, 0.00128362, 0.000670452, 0.000349059, 0.000181224,
    9.38565e-5,
)  # fmt: skip
_LAPLACIAN = (
    1.41421, 1.08739, 0.730933, 0.460995, 0.279989, 0.165681, 0.0960989, 0.0548443, 0.0308828,
    0.0171955, 0.00948391, 0.00518856, 0.00281899, 0.00152243, 0.000817924, 0.000437420,
    0.000232984,
)  # fmt: skip
_GAMMA = (
    1.15470, 1.06601, 0.795737, 0.539960, 0.345949, 0.213002, 0.127312, 0.0743615, 0.0426449,
    0.0240961, 0.0134509, 0.00743317, 0.00407304, 0.00221585, 0.00119807, 0.000644320,
    0.000344898,
)  # fmt: skip


def unit_step(density: Density, bits: int) -> float:
    """Step of the optimal symmetric uniform quantizer at unit variance; 1 to 17 bits."""
    match density:
        case Density.GAUSSIAN:
            return _GAUSSIAN[bits - 1]
        case Density.LAPLACIAN:
            return _LAPLACIAN[bits - 1]
        case Density.GAMMA:
            return _GAMMA[bits - 1]


def lin_step(statistics: MapStatistics, bits: int, grid: Grid, density: Density) -> float | None:
    """Scale the step of a standard density by the root mean square of the map.

    An unsigned grid is one side of a symmetric one of one bit more. Zeros are left out:
    behind a ReLU they are the other side of that symmetric density.

    Returns
    -------
    float or None
        None where the grid sees no sample other than zero.
    """
    seen = statistics.seen_by(grid)
    if seen.count == 0:
        return None
    root_mean_square = math.sqrt(seen.sum_square / seen.count)
    return root_mean_square * unit_step(density, bits + (not grid.is_signed))
