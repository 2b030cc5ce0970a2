"""ACIQ: analytical clipping for a Laplacian or Gaussian of the map's spread.

The clipping value alpha minimises overload plus granular error ``alpha**2 / (3 * 4**M)`` of
a symmetric density on M bits, that is ``T1(alpha) / alpha = 1 / (3 * 4**M)``, with T1 the
mean excess of ``|x|`` over alpha. Behind a ReLU the range is one-sided and the constants are
those of M + 1 bits.

Notes
-----
Source: Banner, Nahshan, Soudry, "Post training 4-bit quantization of convolutional networks
for rapid-deployment", NeurIPS 2019, with the authors' code (`int_quantizer.py`:
get_alpha_laplace, get_alpha_gaus, alpha2DeltaOffset, __gemmlowpQuantize1__): the spread is
taken over all samples, zeros among them; the range is ``2 alpha`` for signed maps and
``max(mean, 0) + alpha`` for unsigned ones; the step is the range over the number of steps
between the outermost levels. The code has the clipping values to two decimals; here the
equations are solved. It centres a signed range on the mean with a zero point; a fixed-point
format has none, so here it is centred on zero.
"""

import math

from scipy import optimize, special

from quantizer.grid import Grid
from quantizer.map_statistics import MapStatistics


def aciq_laplace_step(statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    """Clip at `laplace_clipping` times the mean absolute deviation.

    Returns
    -------
    float or None
        None where the map is constant.
    """
    spread = statistics.mean_absolute_deviation
    return _step(statistics, bits, grid, spread * laplace_clipping(bits + (not grid.is_signed)))


def aciq_gauss_step(statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    """Clip at `gauss_clipping` times the standard deviation, of n samples over n - 1.

    Returns
    -------
    float or None
        None where the map is constant.
    """
    freedom = max(statistics.count - 1, 1)
    spread = math.sqrt(statistics.variance * (statistics.count / freedom))
    return _step(statistics, bits, grid, spread * gauss_clipping(bits + (not grid.is_signed)))


def _step(statistics: MapStatistics, bits: int, grid: Grid, alpha: float) -> float | None:
    if alpha == 0:
        return None
    threshold = alpha if grid.is_signed else alpha + max(statistics.mean, 0.0)
    return threshold / grid.half_span(bits)


def laplace_clipping(bits: int) -> float:
    """Optimal clipping value of a Laplacian, over its mean absolute deviation.

    ``exp(-alpha) / alpha = 1 / (3 * 4**bits)``, that is ``alpha = W0(3 * 4**bits)``.
    """
    return float(special.lambertw(3.0 * 4.0**bits).real)


def gauss_clipping(bits: int) -> float:
    """Optimal clipping value of a Gaussian, over its standard deviation.

    ``2 (phi(alpha) - alpha Q(alpha)) / alpha = 1 / (3 * 4**bits)``.
    """

    def excess(alpha: float) -> float:
        density = math.exp(-alpha * alpha / 2) / math.sqrt(2 * math.pi)
        tail = math.erfc(alpha / math.sqrt(2)) / 2
        return math.log(2 * (density - alpha * tail) / alpha) + math.log(3.0 * 4.0**bits)

    return float(optimize.brentq(excess, 1e-3, 10.0, xtol=1e-12))
