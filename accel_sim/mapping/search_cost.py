"""What a search for tiles minimises."""

import math
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

MANY_CYCLES = 1 << 62
"""More than any schedule takes."""
ROUNDING = 1e-9
"""Relative error of a cost, far above what sums of doubles have."""


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

    @overload
    def price(self, fixed: float, cycles: int) -> float: ...

    @overload
    def price(
        self, fixed: NDArray[np.float64], cycles: NDArray[np.int64]
    ) -> NDArray[np.float64]: ...

    def price(self, fixed: Any, cycles: Any) -> Any:
        """Cost of a schedule, or of many, of known fixed part and cycles."""
        cost = fixed + self.per_cycle * cycles
        return cost * cycles if self.is_times_cycles else cost

    def most_cycles(self, fixed: float, limit: float) -> int:
        """Bound the cycles of a schedule that costs no more than `limit` from above."""
        if self.per_cycle == 0 or math.isinf(limit):
            return MANY_CYCLES
        limit *= 1 + ROUNDING
        if self.is_times_cycles:
            root = math.sqrt(fixed * fixed + 4 * self.per_cycle * limit)
            cycles = 2 * limit / (fixed + root)
        else:
            cycles = max(0.0, limit - fixed) / self.per_cycle
        return min(int(cycles) + 1, MANY_CYCLES)
