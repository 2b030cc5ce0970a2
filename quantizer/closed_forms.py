"""Asymptotic optimum steps of one generalized gamma density, without a root finder.

All approximate the root of ``T1(L) / L = 1 / (12 M^2)``, with T1 the tail excess, L the
support of a side and M its length in steps (Hui and Neuhoff 2001), from the expansion::

    T1(L) / L = u^(k-2) exp(-u) / (p Gamma(k)) * (1 + c1/u + ...),  u = (L / scale)^p,
    c1 = 2 k - 3 + 1/p

They are for one density of magnitudes: one side, or two that mirror each other. A map
whose sides differ is taken as its magnitudes; `quantizer.step_size` can do better.
"""

import math

from scipy import special

from quantizer.ggd import GeneralizedGamma
from quantizer.grid import Grid

_SWEEPS = 8
_NEWTON_STEPS = 50


def leading_step(distribution: GeneralizedGamma, bits: int, grid: Grid) -> float:
    """``scale * (2 ln N)^(1/p) / M``, ``N = 2**bits``: the leading term of the asymptote.

    Loses up to 13 dB: the terms it drops vanish only as ``ln ln N / ln N``.
    """
    reduced = 2 * bits * math.log(2)
    return _edge(distribution, reduced) / grid.cells(bits)


def loglog_step(distribution: GeneralizedGamma, bits: int, grid: Grid) -> float | None:
    """``u = ln(12 M^2 / (p Gamma(k))) - (2 - k) ln(2 ln N)``, explicit in N.

    Returns
    -------
    float or None
        None where u is not above 0: narrow grids and large k.
    """
    cells = grid.cells(bits)
    correction = (2 - distribution.k) * math.log(2 * bits * math.log(2))
    reduced = _log_target(distribution, cells) - correction
    return _edge(distribution, reduced) / cells if reduced > 0 else None


def lambert_step(distribution: GeneralizedGamma, bits: int, grid: Grid) -> float | None:
    """Exact root of the leading asymptote, then of that with its first correction.

    ``u + (2 - k) ln u = ln A`` is solved by Lambert's W, with
    ``A = 12 R^2 / (p Gamma(k))``, R the outermost level. The correction C(u) multiplies A
    and is found in 8 fixed-point sweeps: ``1 + c1/u``, or ``1 / (1 - c1/u)`` where c1 is
    negative, which cannot turn it negative.

    Returns
    -------
    float or None
        None where the asymptote has no root above 0: k > 2 on narrow grids.
    """
    k, p = distribution.k, distribution.p
    half_span = grid.half_span(bits)
    first = 2 * k - 3 + 1 / p
    log_target = _log_target(distribution, half_span)
    reduced = _asymptote_root(k, log_target)
    for _ in range(_SWEEPS):
        if not reduced:
            return None
        ratio = first / reduced
        log_correction = math.log1p(ratio) if first > 0 else -math.log1p(-ratio)
        reduced = _asymptote_root(k, log_target + log_correction)
    return _edge(distribution, reduced) / half_span if reduced else None


def _log_target(distribution: GeneralizedGamma, half_span: float) -> float:
    log_gamma = math.lgamma(distribution.k)
    return math.log(12 * half_span * half_span / distribution.p) - log_gamma


def _edge(distribution: GeneralizedGamma, reduced: float) -> float:
    return distribution.scale * math.pow(reduced, 1 / distribution.p)


def _asymptote_root(k: float, log_target: float) -> float | None:
    """Solve ``u + (2 - k) ln u = log_target`` for the larger u; None where there is none."""
    order = 2 - k
    if order == 0:
        return log_target if log_target > 0 else None
    if order > 0:
        # Wright's omega is W0(exp(.)), which itself would overflow as k nears 2.
        return order * float(special.wrightomega(log_target / order - math.log(order)))
    # With v = u / (k-2): v - ln v = y, that is v = -W_-1(-exp(-y)), for y >= 1.
    target = log_target / -order + math.log(-order)
    if target < 1:
        return None
    ratio = target + math.log(target) + 1  # right of the root, where Newton falls on it
    for _ in range(_NEWTON_STEPS):
        previous, ratio = ratio, ratio * (target + math.log(ratio) - 1) / (ratio - 1)
        if math.isclose(ratio, previous, rel_tol=1e-14):
            break
    return -order * ratio
