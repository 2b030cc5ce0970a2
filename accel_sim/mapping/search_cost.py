"""What a search for tiles minimises."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCost:
    """What the search minimises: ``fixed + per_cycle * cycles``, perhaps times cycles.

    Attributes
    ----------
    fixed
        float64[order, candidate], the part that time does not change.
    is_times_cycles
        Whether the sum is multiplied by the cycles (energy-delay product).
    """

    fixed: NDArray[np.float64]
    per_cycle: float
    is_times_cycles: bool

    def price(self, fixed: NDArray[np.float64], cycles: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cost of schedules of known fixed part and cycles."""
        cost = fixed + self.per_cycle * cycles
        return cost * cycles if self.is_times_cycles else cost
