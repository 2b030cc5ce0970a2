"""The step that minimises the mean squared error of a generalized gamma map.

Root finders over the closed forms of `quantizer.ggd`; for the notation see
`quantizer.distortion`. Sides may differ in distribution, share and outermost level.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize

from quantizer.distortion import Side, distortion

_SWEEPS = 60
_CORRECTION_RANGE = (1e-6, 3.0)
_EXACT_LEVELS = 8
"""Up to so many levels on a side the asymptotic form is weak: 4 bits signed, 3 unsigned."""


def optimum_step(sides: Sequence[Side]) -> float:
    """Choose between the closed form and exact minimisation by their known limits.

    With more than 8 levels on every side, the end-corrected closed form loses at most
    0.002 dB for shapes 0.1 <= k <= 10, 0.3 <= p <= 5; with fewer, up to some dB.
    """
    if min(side.levels for side in sides) <= _EXACT_LEVELS:
        return exact_optimum_step(sides)
    return end_corrected_step(sides)


def end_corrected_step(sides: Sequence[Side]) -> float:
    """Asymptotic optimum step, with corrections for the last cell and the zero cell.

    Solves, for the step D and over the sides s::

        sum share_s R_s T1_s(R_s D) = D/12 * C(D)
        C(D) = sum share_s [ T0_s(D/2) + D/2 g_s(D/2) - T0_s(c_s) + c_s g_s(c_s)/2 ]

    with T0 the tail probability and T1 the tail excess. ``C = 1`` is the stationary
    point of granular plus overload error (Hui and Neuhoff 2001); C takes out of the
    granular error what falls into the zero cell and beyond the outermost level, and adds
    the Euler-Maclaurin term of that level's half cell. Found by fixed-point sweeps, which
    settle wherever a side has more than 8 levels; with fewer they can swing about the root.

    Returns
    -------
    float
        The step, above 0.
    """
    extents = [float(side.levels) for side in sides]
    correction = 1.0
    step = math.nan
    for _ in range(_SWEEPS):
        previous, step = step, _stationary_step(sides, extents, correction)
        if math.isclose(step, previous, rel_tol=1e-10):
            break
        correction = float(np.clip(_granular_share(sides, step), *_CORRECTION_RANGE))
    return step


def hui_neuhoff_step(sides: Sequence[Side], cells: int) -> float:
    """Stationary point of granular plus overload error, without corrections.

    The root of ``sum share_s M T1_s(M D) = D / 12``: for one side
    ``T1(L) / L = 1 / (12 M^2)``, ``D = L / M``.

    Parameters
    ----------
    cells
        Length M of a side's support in steps.

    Notes
    -----
    Source: Hui and Neuhoff, "Asymptotic analysis of optimal fixed-rate uniform scalar
    quantization", IEEE Trans. Inf. Theory 47(3), 2001.
    """
    return _stationary_step(sides, [float(cells)] * len(sides), 1.0)


def _granular_share(sides: Sequence[Side], step: float) -> float:
    total = 0.0
    for side in sides:
        edge, half = side.levels * step, step / 2
        g = side.distribution
        inner = g.tail_moment(0, half) + half * g.density(half)
        total += side.share * float(inner - g.tail_moment(0, edge) + edge * g.density(edge) / 2)
    return total


def _stationary_step(sides: Sequence[Side], extents: Sequence[float], correction: float) -> float:
    """Root of ``sum share E T1(E D) / D = correction / 12``; the left side falls with D.

    ``extents`` E are where the sides end, in steps.
    """
    start = max(
        side.distribution.moment(1) / extent for side, extent in zip(sides, extents, strict=True)
    )

    def excess(log_ratio: float) -> float:
        step = start * math.exp(log_ratio)
        overload = sum(
            side.share * extent * float(side.distribution.tail_excess(extent * step))
            for side, extent in zip(sides, extents, strict=True)
        )
        return overload / step - correction / 12

    low = high = 0.0
    while excess(low) <= 0:
        low -= 1.0
    while excess(high) >= 0:
        high += 1.0
    return start * math.exp(optimize.brentq(excess, low, high, xtol=1e-13, rtol=1e-13))


def exact_optimum_step(sides: Sequence[Side]) -> float:
    """Minimise `distortion` numerically: a coarse scan, then a bounded search.

    The scan is needed because narrow grids can have more than one local minimum.
    """
    start = end_corrected_step(sides)

    def error(log_ratio: float) -> float:
        return distortion(sides, start * math.exp(log_ratio))

    scan = np.linspace(-3.0, 3.0, 121)
    best = float(scan[int(np.argmin([error(point) for point in scan]))])
    found = optimize.minimize_scalar(
        error, bounds=(best - 0.05, best + 0.05), method="bounded", options={"xatol": 1e-7}
    )
    return start * math.exp(float(found.x))
