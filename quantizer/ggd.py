"""The generalized gamma distribution (GGD) of a magnitude, and its fit.

Density (Stacy 1962), x >= 0, with shapes k, p and a scale::

    g(x) = p / (scale * Gamma(k)) * (x / scale)**(p*k - 1) * exp(-(x / scale)**p)

Half-normal is (k, p) = (1/2, 2), exponential (1, 1), Rayleigh (1, 2), Maxwell (3/2, 2).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

K_RANGE = (0.02, 50.0)
P_RANGE = (0.1, 12.0)
"""Where a fitted shape is believed; outside, the two moment ratios hardly move."""

_STARTS = ((1.0, 1.0), (0.5, 2.0), (0.3, 3.0), (2.0, 0.6), (0.1, 6.0))
_MAX_RESIDUAL = 1e-3
"""Of a log moment ratio: 0.1 % in the ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralizedGamma:
    """Distribution of a positive magnitude; methods take and give float64 of any shape."""

    k: float
    p: float
    scale: float

    def _reduced(self, x: NDArray[np.float64] | float) -> NDArray[np.float64]:
        # exp(-1000) is already 0; the bound keeps the power and its logarithm finite.
        ratio = np.minimum(np.asarray(x, np.float64) / self.scale, 1000 ** (1 / self.p))
        return np.asarray(np.power(ratio, self.p))

    def density(self, x: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Probability density ``g(x)``, for ``x > 0``."""
        reduced = self._reduced(x)
        log_density = (
            math.log(self.p / self.scale)
            - math.lgamma(self.k)
            + (self.k - 1 / self.p) * np.log(reduced)
            - reduced
        )
        return np.asarray(np.exp(log_density))

    def moment(self, order: int) -> float:
        """``E[X**order]``."""
        log_ratio = math.lgamma(self.k + order / self.p) - math.lgamma(self.k)
        return math.exp(order * math.log(self.scale) + log_ratio)

    def tail_moment(self, order: int, x: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """``E[X**order; X > x]``; order 0 is the probability of the tail."""
        tail = special.gammaincc(self.k + order / self.p, self._reduced(x))
        return np.asarray(self.moment(order) * tail)

    def tail_excess(self, x: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """``E[max(X - x, 0)]``."""
        return np.maximum(self.tail_moment(1, x) - x * self.tail_moment(0, x), 0.0)


def _log_moment_ratios(k: float, p: float) -> tuple[float, float]:
    """``ln E[x^2]/E[x]^2`` and ``ln E[x^4]/E[x^2]^2``; independent of the scale."""
    base, first = math.lgamma(k), math.lgamma(k + 1 / p)
    second, fourth = math.lgamma(k + 2 / p), math.lgamma(k + 4 / p)
    return second - 2 * first + base, fourth - 2 * second + base


def fit_moments(mean: float, mean_square: float, mean_fourth: float) -> GeneralizedGamma | None:
    """Fit by the first, second and fourth moment of positive samples.

    Matches the two scale-free ratios by bounded least squares in (ln k, ln p), then the
    scale by the second moment. Even moments weigh the tail, which decides where a
    quantizer should clip; so this estimator suffers least when the samples are not GGD.

    Parameters
    ----------
    mean, mean_square, mean_fourth
        Sample moments of ``x > 0``.

    Returns
    -------
    GeneralizedGamma or None
        None where no GGD inside `K_RANGE` x `P_RANGE` has these moments: a constant
        map, a handful of samples, two far apart clusters.
    """
    if not (mean > 0 and mean_square > 0 and mean_fourth > 0):
        return None
    target = np.log([mean_square / mean / mean, mean_fourth / mean_square / mean_square])
    if not np.isfinite(target).all() or target.min() <= 1e-9:
        return None
    lower, upper = np.log([K_RANGE[0], P_RANGE[0]]), np.log([K_RANGE[1], P_RANGE[1]])

    def residual(log_shape: NDArray[np.float64]) -> NDArray[np.float64]:
        k, p = np.exp(log_shape)
        return np.array(_log_moment_ratios(float(k), float(p))) - target

    for start in _STARTS:
        fit = optimize.least_squares(
            residual, np.log(start), bounds=(lower, upper), xtol=1e-12, ftol=1e-12, gtol=1e-12
        )
        if np.abs(fit.fun).max() <= _MAX_RESIDUAL:
            k, p = (float(value) for value in np.exp(fit.x))
            log_scale = 0.5 * (math.log(mean_square) + math.lgamma(k) - math.lgamma(k + 2 / p))
            return GeneralizedGamma(k=k, p=p, scale=math.exp(log_scale))
    return None
