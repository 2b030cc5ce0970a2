"""Optimum uniform mid-rise quantizers of symmetric densities of unit variance.

What Max (1960) tabulated for the Gaussian: N levels ``+-(j + 1/2) * step``, the outermost
cells open. Every cell is integrated numerically.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

RealArray = NDArray[np.float64]

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_FAR = 64.0
"""No density here has 1e-20 of its variance beyond."""


def gaussian(x: RealArray) -> RealArray:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def laplacian(x: RealArray) -> RealArray:
    return np.exp(-math.sqrt(2) * x) / math.sqrt(2)


def gamma(x: RealArray) -> RealArray:
    """Paez and Glisson (1972), for the amplitudes of speech; infinite at zero."""
    return np.sqrt(math.sqrt(3) / (8 * math.pi * x)) * np.exp(-math.sqrt(3) / 2 * x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    step: float
    distortion: float


def moment_of_error(
    density: Callable[[RealArray], RealArray], levels: int, step: float, order: int, weight: int
) -> float:
    """``E[e**order * (level / step)**weight]``, ``e = x - level``, over both sides."""
    edges = np.arange(levels // 2) * step
    tail = np.linspace(math.sqrt(edges[-1]), math.sqrt(_FAR), 200) ** 2
    # Over y = sqrt(x), in which the Gamma density times dx/dy is finite at zero.
    low = np.sqrt(np.concatenate([edges[:-1], tail[:-1]]))
    high = np.sqrt(np.concatenate([edges[1:], tail[1:]]))
    index = np.append(np.arange(levels // 2 - 1), np.full(tail.size - 1, levels // 2 - 1)) + 0.5
    y = (high + low)[:, None] / 2 + (high - low)[:, None] / 2 * _POINTS
    x = y * y
    cells = ((x - index[:, None] * step) ** order * density(x) * 2 * y) @ _WEIGHTS
    return 2 * float(np.sum(index**weight * cells * (high - low) / 2))


@cache
def optimum(density: Callable[[RealArray], RealArray], levels: int) -> Optimum:
    """Bisect for the step at which the derivative of ``E[e**2]``, ``-2 E[e level/step]``, is 0."""
    low, high = 2.0 / levels, 2 * _FAR / levels
    while high - low > 1e-12 * high:
        step = (low + high) / 2
        is_too_fine = moment_of_error(density, levels, step, order=1, weight=1) > 0
        low, high = (step, high) if is_too_fine else (low, step)
    return Optimum(step=low, distortion=moment_of_error(density, levels, low, order=2, weight=0))
