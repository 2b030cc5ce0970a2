"""Fits of a generalized gamma distribution to the magnitudes of a feature map.

Three estimators. `fit_moments` weighs the tail, which decides where a quantizer should
clip, and suffers least where the samples are not GGD: the default. `fit_maximum_likelihood`
is the most efficient where they are. `fit_log_cumulants` needs no iteration in two
dimensions, but small values dominate ln x: for comparison.

All work on samples over their mean, so that they are equivariant under scaling, and give
None rather than a distribution that the samples do not support.
"""

import math
from dataclasses import replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from quantizer.ggd import GeneralizedGamma
from quantizer.map_statistics import Histogram, SignStatistics

K_RANGE = (0.02, 50.0)
P_RANGE = (0.1, 12.0)
"""Where a fitted shape is believed; outside, the statistics hardly move with it."""

MIN_SAMPLES = 16
"""Fewer samples say nothing of a tail."""

_MAX_RESIDUAL = 1e-3
"""Of a log moment ratio: 0.1 % in the ratio."""

_SMALLEST_SPREAD = 1e-9
"""Of a log moment ratio or of the variance of ln x: below, all values are as good as equal."""


class Estimator(Enum):
    """Ways to fit a distribution."""

    MOMENTS = "moments"
    MAXIMUM_LIKELIHOOD = "maximum_likelihood"
    LOG_CUMULANTS = "log_cumulants"


def fit(
    estimator: Estimator, statistics: SignStatistics, magnitudes: Histogram
) -> GeneralizedGamma | None:
    """Fit the magnitudes of one sign.

    Parameters
    ----------
    statistics
        Their sums.
    magnitudes
        Their histogram; only maximum likelihood reads it.

    Returns
    -------
    GeneralizedGamma or None
        None for fewer than `MIN_SAMPLES` samples, for a constant, and where no GGD with
        shapes inside `K_RANGE` x `P_RANGE` fits.
    """
    if statistics.count < MIN_SAMPLES or statistics.is_constant:
        return None
    count = statistics.count
    match estimator:
        case Estimator.MOMENTS:
            return fit_moments(
                statistics.sum_abs / count,
                statistics.sum_square / count,
                statistics.sum_fourth / count,
            )
        case Estimator.MAXIMUM_LIKELIHOOD:
            values, counts = magnitudes.occupied()
            return fit_maximum_likelihood(values, counts, statistics.sum_log / count)
        case Estimator.LOG_CUMULANTS:
            return fit_log_cumulants(
                statistics.sum_log / count,
                statistics.sum_log_square / count,
                statistics.sum_log_cube / count,
            )


def _log_moment_ratios(k: float, p: float) -> NDArray[np.float64]:
    """``ln E[x^2]/E[x]^2`` and ``ln E[x^4]/E[x^2]^2``; independent of the scale."""
    base, first, second, fourth = special.gammaln(k + np.array([0, 1, 2, 4]) / p)
    return np.array([second - 2 * first + base, fourth - 2 * second + base])


def _slopes_of_ratios(k: float, p: float) -> NDArray[np.float64]:
    """Give the derivatives of both ratios (rows) with respect to ln k and ln p (columns)."""
    base, first, second, fourth = special.psi(k + np.array([0, 1, 2, 4]) / p)
    by_log_k = [k * (second - 2 * first + base), k * (fourth - 2 * second + base)]
    by_log_p = [2 / p * (first - second), 4 / p * (second - fourth)]
    return np.array([by_log_k, by_log_p]).T


def fit_moments(mean: float, mean_square: float, mean_fourth: float) -> GeneralizedGamma | None:
    """Fit by the first, second and fourth moment of positive samples.

    Matches the two scale-free ratios by bounded least squares in (ln k, ln p), then the
    scale by the second moment.

    Parameters
    ----------
    mean, mean_square, mean_fourth
        Sample moments of ``x > 0``.

    Returns
    -------
    GeneralizedGamma or None
        None where no GGD inside `K_RANGE` x `P_RANGE` has these moments to 0.1 %: a
        constant map, two far apart clusters, values that crowd at their maximum.
    """
    if not (mean > 0 and mean_square > 0 and mean_fourth > 0):
        return None
    target = np.log([mean_square / mean / mean, mean_fourth / mean_square / mean_square])
    if not np.isfinite(target).all() or target.min() <= _SMALLEST_SPREAD:
        return None
    lower, upper = np.log([K_RANGE[0], P_RANGE[0]]), np.log([K_RANGE[1], P_RANGE[1]])

    def residual(log_shape: NDArray[np.float64]) -> NDArray[np.float64]:
        return _log_moment_ratios(*np.exp(log_shape)) - target

    def slopes(log_shape: NDArray[np.float64]) -> NDArray[np.float64]:
        return _slopes_of_ratios(*np.exp(log_shape))

    # From the exponential, k = p = 1, every distribution inside the bounds is reached.
    found = optimize.least_squares(
        residual, np.zeros(2), slopes, (lower, upper), xtol=1e-14, ftol=1e-14, gtol=1e-14
    )
    if np.abs(found.fun).max() > _MAX_RESIDUAL:
        return None
    k, p = (float(value) for value in np.exp(found.x))
    reduced = GeneralizedGamma(k=k, p=p, scale=1.0)
    return replace(reduced, scale=math.sqrt(mean_square / reduced.moment(2)))


def fit_log_cumulants(
    mean_log: float, mean_log_square: float, mean_log_cube: float
) -> GeneralizedGamma | None:
    """Fit by the first three cumulants of ln x.

    ``psi''(k)**2 / psi'(k)**3 = k3**2 / k2**3`` gives k, ``p = sqrt(psi'(k) / k2)``, and
    ``ln scale = k1 - psi(k) / p``. Values near zero, which matter least to a quantizer,
    weigh most.

    Parameters
    ----------
    mean_log, mean_log_square, mean_log_cube
        Sample moments of ``ln x``, ``x > 0``.

    Returns
    -------
    GeneralizedGamma or None
        None where ln x is not skewed to the left, is skewed more than for any k, or asks
        for shapes outside `K_RANGE` x `P_RANGE`.
    """
    second = mean_log_square - mean_log**2
    third = mean_log_cube - 3 * mean_log * mean_log_square + 2 * mean_log**3
    if not (second > _SMALLEST_SPREAD and third < 0):
        return None
    target = math.log(third**2 / second**3)

    def excess(log_k: float) -> float:
        k = math.exp(log_k)
        skewness = float(special.polygamma(2, k)) ** 2 / float(special.polygamma(1, k)) ** 3
        return math.log(skewness) - target

    low, high = math.log(K_RANGE[0]), math.log(K_RANGE[1])
    if excess(low) < 0 or excess(high) > 0:  # the skewness falls with k
        return None
    k = math.exp(optimize.brentq(excess, low, high, xtol=1e-13))
    p = math.sqrt(float(special.polygamma(1, k)) / second)
    if not P_RANGE[0] <= p <= P_RANGE[1]:
        return None
    return GeneralizedGamma(k=k, p=p, scale=math.exp(mean_log - float(special.psi(k)) / p))


def fit_maximum_likelihood(
    values: NDArray[np.float64], counts: NDArray[np.int64], mean_log: float
) -> GeneralizedGamma | None:
    """Fit by the maximum of the likelihood over p, with k and the scale in closed form of p.

    For a given p, ``y = x**p`` is gamma distributed: k solves
    ``ln k - psi(k) = ln mean(y) - mean(ln y)`` by the Newton iteration of Minka (2002,
    "Estimating a Gamma distribution"), and ``scale = (mean(y) / k)**(1 / p)``. What is left
    is a search over ln p: a scan, then the root of the derivative
    ``1/p - k (mean(y ln x) / mean(y) - mean(ln x))`` beside its best.

    Parameters
    ----------
    values : float64[n]
        Positive samples, or the means of bins; these stand for all samples of their bin.
    counts : int64[n]
        How many samples each stands for.
    mean_log
        Mean of ``ln x``, of the samples rather than of the bins.

    Returns
    -------
    GeneralizedGamma or None
        None where the maximum is on the edge of `K_RANGE` x `P_RANGE`.
    """
    weights = counts / counts.sum()
    mean = float(np.sum(weights * values))
    log_values = np.log(values / mean)
    largest = float(log_values.max())
    mean_log_ratio = mean_log - math.log(mean)

    def shape(log_p: float) -> tuple[float, float]:
        """Give k, and the logarithm of the mean of y; k is NaN where y does not vary."""
        p = math.exp(log_p)
        # Over the largest: an outlier to the power of 12 may be beyond float64.
        mean_power = float(np.sum(weights * np.exp(p * (log_values - largest))))
        log_mean_power = math.log(mean_power) + p * largest
        spread = log_mean_power - p * mean_log_ratio
        return _gamma_shape(spread) if spread > _SMALLEST_SPREAD else math.nan, log_mean_power

    def likelihood(log_p: float) -> float:
        """Give the logarithm of the likelihood, per sample."""
        k, log_mean_power = shape(log_p)
        if math.isnan(k):
            return -math.inf
        value = log_p + k * (math.log(k) - log_mean_power - 1) - math.lgamma(k)
        return value + (math.exp(log_p) * k - 1) * mean_log_ratio

    def slope(log_p: float) -> float:
        """Give the derivative of the likelihood with respect to p."""
        p = math.exp(log_p)
        k, log_mean_power = shape(log_p)
        tilted = weights * np.exp(p * log_values - log_mean_power)
        return 1 / p - k * (float(np.sum(tilted * log_values)) - mean_log_ratio)

    scan = np.linspace(math.log(P_RANGE[0]), math.log(P_RANGE[1]), 40)
    best = int(np.argmax([likelihood(log_p) for log_p in scan]))
    if best in (0, scan.size - 1):
        return None
    low, high = float(scan[best - 1]), float(scan[best + 1])
    if not slope(low) > 0 > slope(high):
        return None
    log_p = float(optimize.brentq(slope, low, high, xtol=1e-13))
    k, log_mean_power = shape(log_p)
    if not K_RANGE[0] <= k <= K_RANGE[1]:
        return None
    p = math.exp(log_p)
    return GeneralizedGamma(k=k, p=p, scale=mean * math.exp((log_mean_power - math.log(k)) / p))


def _gamma_shape(spread: float) -> float:
    """Solve ``ln k - psi(k) = spread``, ``spread > 0``."""
    k = (3 - spread + math.sqrt((spread - 3) ** 2 + 24 * spread)) / (12 * spread)
    for _ in range(20):
        gap = math.log(k) - float(special.psi(k)) - spread
        slope = k * k * (1 / k - float(special.polygamma(1, k)))
        previous, k = k, 1 / (1 / k + gap / slope)
        if math.isclose(k, previous, rel_tol=1e-13):
            break
    return k
