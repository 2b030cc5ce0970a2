"""The generalized gamma distribution (GGD) of a magnitude.

Density (Stacy 1962), x >= 0, with shapes k, p and a scale::

    g(x) = p / (scale * Gamma(k)) * (x / scale)**(p*k - 1) * exp(-(x / scale)**p)

Half-normal is (k, p) = (1/2, 2), exponential (1, 1), Rayleigh (1, 2), Maxwell (3/2, 2).

Nothing here takes the logarithm of the scale or of x, but in ratio: a power of two times
the scale is exactly that power times every result.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

Reals = NDArray[np.float64] | float


class Magnitude(Protocol):
    """Distribution of a positive magnitude; methods take and give float64 of any shape."""

    @property
    def end(self) -> float:
        """No magnitude is larger; may be infinite."""
        ...

    @property
    def mass_at_end(self) -> float:
        """Probability of exactly that magnitude."""
        ...

    def density(self, x: Reals) -> NDArray[np.float64]:
        """Probability density, for ``0 < x < end``."""
        ...

    def moment(self, order: int) -> float:
        """``E[X**order]``."""
        ...

    def lower_moment(self, order: int, x: Reals) -> NDArray[np.float64]:
        """``E[X**order; X <= x]``."""
        ...

    def tail_moment(self, order: int, x: Reals) -> NDArray[np.float64]:
        """``E[X**order; X > x]``."""
        ...

    def tail_excess(self, x: Reals) -> NDArray[np.float64]:
        """``E[max(X - x, 0)]``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralizedGamma:
    """Distribution of a positive magnitude; methods take and give float64 of any shape."""

    k: float
    p: float
    scale: float

    @property
    def end(self) -> float:
        """Infinite."""
        return math.inf

    @property
    def mass_at_end(self) -> float:
        """None."""
        return 0.0

    def reduced(self, x: Reals) -> NDArray[np.float64]:
        """``(x / scale)**p``, which is gamma distributed with shape k."""
        # exp(-1000) is already 0; the bound keeps the power and its logarithm finite.
        ratio = np.minimum(np.asarray(x, np.float64) / self.scale, 1000 ** (1 / self.p))
        return np.asarray(np.power(ratio, self.p))

    def density(self, x: Reals) -> NDArray[np.float64]:
        """Probability density ``g(x)``, for ``x > 0``."""
        reduced = self.reduced(x)
        log_ratio = (self.k - 1 / self.p) * np.log(reduced) - reduced - math.lgamma(self.k)
        return np.asarray(self.p / self.scale * np.exp(log_ratio))

    def moment(self, order: int) -> float:
        """``E[X**order]``, for a natural order and ``k + order/p`` up to 170."""
        ratio = math.gamma(self.k + order / self.p) / math.gamma(self.k)
        return _power(self.scale, order) * ratio

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenGamma:
    """What is expected of samples of a distribution whose largest is known.

    Given their largest, the others are independent samples of the distribution cut off
    there. So this is ``(1 - 1/n)`` of that, and ``1/n`` at the largest: a finite sample has
    no tail beyond it.

    Attributes
    ----------
    distribution
        Of which they are samples.
    count
        Their number n.
    largest
        The largest of them, above 0.
    """

    distribution: GeneralizedGamma
    count: int
    largest: float

    @property
    def end(self) -> float:
        """The largest."""
        return self.largest

    @property
    def mass_at_end(self) -> float:
        """One of n."""
        return 1 / self.count

    def _mixed(self, below: Reals, at_largest: Reals) -> NDArray[np.float64]:
        """Weigh an integral over the distribution up to the largest, and its value there."""
        cut_off = float(self.distribution.lower_moment(0, self.largest))
        of_others = np.asarray(below, np.float64) / cut_off
        return np.asarray((1 - 1 / self.count) * of_others + np.asarray(at_largest) / self.count)

    def density(self, x: Reals) -> NDArray[np.float64]:
        """Probability density of all but the largest."""
        return self._mixed(np.where(x < self.largest, self.distribution.density(x), 0.0), 0.0)

    def moment(self, order: int) -> float:
        """``E[X**order]``."""
        below = self.distribution.lower_moment(order, self.largest)
        return float(self._mixed(below, _power(self.largest, order)))

    def lower_moment(self, order: int, x: Reals) -> NDArray[np.float64]:
        """``E[X**order; X <= x]``; order 0 is the distribution function."""
        below = self.distribution.lower_moment(order, np.minimum(x, self.largest))
        return self._mixed(below, np.where(x < self.largest, 0.0, _power(self.largest, order)))

    def tail_moment(self, order: int, x: Reals) -> NDArray[np.float64]:
        """``E[X**order; X > x]``; order 0 is the probability of the tail."""
        start = np.minimum(x, self.largest)
        tail = self.distribution.tail_moment(order, start)
        tail = tail - self.distribution.tail_moment(order, self.largest)
        return self._mixed(tail, np.where(x < self.largest, _power(self.largest, order), 0.0))

    def tail_excess(self, x: Reals) -> NDArray[np.float64]:
        """``E[max(X - x, 0)]``."""
        start = np.minimum(x, self.largest)
        beyond = self.distribution.tail_excess(self.largest)
        beyond = beyond + (self.largest - start) * self.distribution.tail_moment(0, self.largest)
        excess = np.maximum(self.distribution.tail_excess(start) - beyond, 0.0)
        return self._mixed(excess, self.largest - start)


def _power(base: float, order: int) -> float:
    """Multiply `base` by itself; unlike pow, exact where base is a power of two."""
    return math.prod([base] * order)
