"""The integer grids that a feature map is rounded to.

All have a level at zero (mid-tread) and equal steps, so a grid is told by the index of its
outermost level on either side. Mid-rise grids, without a level at zero, are not here: most
samples of a feature map behind a ReLU are zero, and would be the worst represented.
"""

from enum import Enum


class Grid(Enum):
    """Which integers of a width are used.

    ``UNSIGNED``: 0 to ``2**bits - 1``. ``TWOS_COMPLEMENT``: ``-2**(bits-1)`` to
    ``2**(bits-1) - 1``. ``RESTRICTED``: the same without the lowest level, symmetric.
    """

    UNSIGNED = "unsigned"
    TWOS_COMPLEMENT = "twos_complement"
    RESTRICTED = "restricted"

    @property
    def is_signed(self) -> bool:
        """Negative values have levels."""
        return self is not Grid.UNSIGNED

    def highest(self, bits: int) -> int:
        """Index of the outermost level above zero."""
        return (1 << (bits - self.is_signed)) - 1

    def lowest(self, bits: int) -> int:
        """Index of the outermost level below zero, as a magnitude; 0 where there is none."""
        if self is Grid.UNSIGNED:
            return 0
        return (1 << (bits - 1)) - (self is Grid.RESTRICTED)

    def half_span(self, bits: int) -> float:
        """Outermost level of a side, in steps: the mean of both where they differ."""
        if self is Grid.UNSIGNED:
            return float(self.highest(bits))
        return (self.highest(bits) + self.lowest(bits)) / 2

    def cells(self, bits: int) -> int:
        """Count the steps of a side's support in the asymptotic theory."""
        return 1 << (bits - self.is_signed)
