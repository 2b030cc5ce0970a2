"""An energy and how far its sources disagree."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """An energy with the band that its sources span, in pJ."""

    value_pJ: float
    low_pJ: float
    high_pJ: float

    def __post_init__(self) -> None:
        if not 0 <= self.low_pJ <= self.value_pJ <= self.high_pJ:
            raise ValueError(f"expected 0 <= low <= value <= high, got {self}")


def sum_energies(energies: Iterable[Energy]) -> Energy:
    """Sum of energies; ends of bands add, because one table entry errs one way everywhere."""
    terms = tuple(energies)
    return Energy(
        value_pJ=sum(term.value_pJ for term in terms),
        low_pJ=sum(term.low_pJ for term in terms),
        high_pJ=sum(term.high_pJ for term in terms),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One resolved constant of a machine: its value, its band and where it comes from.

    Attributes
    ----------
    low, high
        Ends of the band, in `unit`.
    source
        Who measured what, at which node and supply, and how it was scaled.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high:
            raise ValueError(f"expected 0 <= low <= value <= high, got {self}")

    def times(self, count: float) -> Energy:
        """Energy of `count` events, for a constant whose unit is pJ per event."""
        return Energy(
            value_pJ=self.value * count, low_pJ=self.low * count, high_pJ=self.high * count
        )
