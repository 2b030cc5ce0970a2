"""The generalized gamma distribution (GGD) of a magnitude.

Density (Stacy 1962), x >= 0, with shapes k, p and a scale::

    g(x) = p / (scale * Gamma(k)) * (x / scale)**(p*k - 1) * exp(-(x / scale)**p)

Half-normal is (k, p) = (1/2, 2), exponential (1, 1), Rayleigh (1, 2), Maxwell (3/2, 2).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Reals = NDArray[np.float64] | float


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralizedGamma:
    """Distribution of a positive magnitude; methods take and give float64 of any shape."""

    k: float
    p: float
    scale: float

    def reduced(self, x: Reals) -> NDArray[np.float64]:
        """``(x / scale)**p``, which is gamma distributed with shape k."""
        # exp(-1000) is already 0; the bound keeps the power and its logarithm finite.
        ratio = np.minimum(np.asarray(x, np.float64) / self.scale, 1000 ** (1 / self.p))
        return np.asarray(np.power(ratio, self.p))

    def density(self, x: Reals) -> NDArray[np.float64]:
        """Probability density ``g(x)``, for ``x > 0``."""
        reduced = self.reduced(x)
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

    def lower_moment(self, order: int, x: Reals) -> NDArray[np.float64]:
        """``E[X**order; X <= x]``; order 0 is the distribution function."""
        return np.asarray(
            self.moment(order) * special.gammainc(self.k + order / self.p, self.reduced(x))
        )

    def tail_moment(self, order: int, x: Reals) -> NDArray[np.float64]:
        """``E[X**order; X > x]``; order 0 is the probability of the tail."""
        tail = special.gammaincc(self.k + order / self.p, self.reduced(x))
        return np.asarray(self.moment(order) * tail)

    def tail_excess(self, x: Reals) -> NDArray[np.float64]:
        """``E[max(X - x, 0)]``."""
        return np.maximum(self.tail_moment(1, x) - x * self.tail_moment(0, x), 0.0)
