"""The step of least squared error on the samples themselves, by exhaustive search.

No model to be wrong; it needs the histogram where the others need a few numbers. As in the
mean-squared-error calibration of NVIDIA's pytorch-quantization and of Sony's Model
Compression Toolkit, there over thresholds, here over steps.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from quantizer.baselines.ranges import min_max_step
from quantizer.grid import Grid
from quantizer.histogram_error import squared_errors
from quantizer.map_statistics import MapStatistics

_PER_OCTAVE, _FINE_PER_OCTAVE = 16, 256
_OCTAVES = 12
"""How far below the covering step the optimum can be: 12 octaves clip all but 0.02 %."""


def mse_step(statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    """Scan steps around the covering one in sixteenths of an octave, then finer by the best.

    Coarser steps than the covering one count too, as long as any sample reaches the first
    level: on narrow grids a step that leaves levels unused can fit better. The finer scan is
    for the ripple that clustered samples make. Of equal errors the covering step wins.

    Returns
    -------
    float or None
        None where the grid sees no sample other than zero.
    """
    covering = min_max_step(statistics, bits, grid)
    if covering is None:
        return None

    def errors(octaves: NDArray[np.float64]) -> NDArray[np.float64]:
        return squared_errors(statistics.histogram, covering * np.exp2(octaves), bits, grid)

    def best_of(scan: NDArray[np.float64]) -> float:
        return float(scan[int(np.argmin(errors(scan)))])

    coarsest = math.log2(statistics.seen_by(grid).largest / covering)
    finer = np.arange(0, -_OCTAVES * _PER_OCTAVE, -1) / _PER_OCTAVE
    coarser = np.arange(1, (coarsest + 1) * _PER_OCTAVE) / _PER_OCTAVE
    around = np.linspace(-0.25, 0.25, _FINE_PER_OCTAVE // 2 + 1)
    best = best_of(np.concatenate([finer, coarser]))
    best = best_of(np.concatenate([[best], best + around]))
    found = optimize.minimize_scalar(
        lambda octaves: float(errors(np.array([octaves]))[0]),
        bounds=(best - 1 / _FINE_PER_OCTAVE, best + 1 / _FINE_PER_OCTAVE),
        method="bounded",
        options={"xatol": 1e-6},
    )
    candidates = np.array([best, float(found.x)])
    return covering * float(np.exp2(best_of(candidates)))
