"""How far a ratio of two energies can be off when one wrong constant errs the same way in both.

Every component of an energy carries a factor between the ends of its band. Where both reports
have the same ends, relative to the value, the component comes from the same sources, and the
factor is one for both; where they differ, each report has a factor of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FACTOR_ROUNDING = 1e-9
"""Relative difference up to which two ends are the same: they are quotients of sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandedEnergy:
    """An energy and the ends of its band, in one unit."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one factor multiplies in both energies, and its ends."""

    first: float
    other: float
    low: float
    high: float


def bound_ratio(
    first: Mapping[str, BandedEnergy], other: Mapping[str, BandedEnergy]
) -> tuple[float, float] | None:
    """Bound the other total over the first, whatever the factors.

    Parameters
    ----------
    first, other
        By component, the same in both.

    Returns
    -------
    tuple[float, float] | None
        Least and greatest ratio; None where the first may be nothing.

    Notes
    -----
    A quotient of two linear functions is greatest at a corner: the factors of the shares with the
    greatest quotients of their own at their high ends, all others at their low ends.
    """
    shares = [
        share for name in first for share in _shares(first[name], other[name]) if share.high > 0
    ]
    if sum(share.first * share.low for share in shares) <= 0:
        return None
    # Shares of the other energy alone come first: their quotient is infinite.
    shares.sort(key=lambda share: share.other / share.first if share.first else float("inf"))
    ratios = [
        sum(share.other * end for share, end in zip(shares, ends, strict=True))
        / sum(share.first * end for share, end in zip(shares, ends, strict=True))
        for ends in _corners(shares)
    ]
    return min(ratios), max(ratios)


def _shares(first: BandedEnergy, other: BandedEnergy) -> list[_Share]:
    if first.value <= 0 or other.value <= 0 or _have_one_source(first, other):
        known = first if first.value > 0 else other
        if known.value <= 0:
            return []
        low, high = known.low / known.value, known.high / known.value
        return [_Share(first=first.value, other=other.value, low=low, high=high)]
    return [
        _Share(
            first=first.value, other=0.0, low=first.low / first.value, high=first.high / first.value
        ),
        _Share(
            first=0.0, other=other.value, low=other.low / other.value, high=other.high / other.value
        ),
    ]


def _have_one_source(first: BandedEnergy, other: BandedEnergy) -> bool:
    return all(
        abs(one / first.value - two / other.value) <= FACTOR_ROUNDING * one / first.value
        for one, two in ((first.low, other.low), (first.high, other.high))
    )


def _corners(shares: list[_Share]) -> list[list[float]]:
    """Factors that may give the least or the greatest ratio, with the shares in rising order."""
    corners = []
    for cut in range(len(shares) + 1):
        below, above = shares[:cut], shares[cut:]
        corners.append([share.low for share in below] + [share.high for share in above])
        corners.append([share.high for share in below] + [share.low for share in above])
    return corners
