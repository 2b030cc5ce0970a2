"""What a search for tiles minimises."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MANY_CYCLES = 1 << 62
"""More than any schedule takes."""


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

    def most_cycles(self, fixed: float, limit: float) -> int:
        """Find the most cycles at which a schedule costs no more than `limit`.

        0 where it costs more in any case, `MANY_CYCLES` where it never does.
        """
        low, high = 0, MANY_CYCLES + 1
        while high - low > 1:
            middle = (low + high) // 2
            if self.price(np.array(fixed), np.array(middle)) <= limit:
                low = middle
            else:
                high = middle
        return low
