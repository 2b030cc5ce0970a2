"""An energy and how far its sources disagree."""

from collections.abc import Iterable
from dataclasses import dataclass, replace


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
    confidence
        ``high``, ``medium``, ``low``, or ``user`` where the machine's file states it.
    source
        Who measured what, at which node and supply, and how it was scaled.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    confidence: str
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high:
            raise ValueError(f"expected 0 <= low <= value <= high, got {self}")

    def times(self, count: float) -> Energy:
        """Energy of `count` events, for a constant whose unit is pJ per event."""
        return Energy(
            value_pJ=self.value * count, low_pJ=self.low * count, high_pJ=self.high * count
        )

    def scaled(self, factor: float, note: str) -> "Constant":
        """Multiply by a factor, with the note on why it is done."""
        return replace(
            self,
            value=self.value * factor,
            low=self.low * factor,
            high=self.high * factor,
            source=self.source + note,
        )


def sum_constants(name: str, unit: str, constants: Iterable[Constant]) -> Constant:
    """Sum of constants of one unit; ends of bands add, and the first one's confidence holds."""
    terms = tuple(constants)
    return Constant(
        name=name,
        unit=unit,
        value=sum(term.value for term in terms),
        low=sum(term.low for term in terms),
        high=sum(term.high for term in terms),
        confidence=terms[0].confidence,
        source="; and ".join(dict.fromkeys(term.source for term in terms)),
    )
