"""Sums over the magnitudes of one sign, octave by octave."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantizer import sample_sums


@dataclass(frozen=True, slots=True, kw_only=True)
class OctaveSums:
    """Sums over positive magnitudes, by octave, in units of the octave.

    An octave is ``[2**E, 2**(E+1))``, its unit the spacing of float32 there.

    Attributes
    ----------
    first
        Exponent bits of the first octave, ``E + 127``; those of the denormals are 0.
    sums : float64[octaves, sample_sums.COLUMNS]
        As `sample_sums.add_octave_sums` makes them.
    lost : float64[octaves, sample_sums.COLUMNS]
        What rounding took from the sums.
    """

    first: int
    sums: NDArray[np.float64]
    lost: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.sums.shape != self.lost.shape:
            raise ValueError("sums and what they lost must have one shape")
        for array in (self.sums, self.lost):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def totals(self) -> NDArray[np.float64]:
        """``float64[octaves, sample_sums.COLUMNS]``."""
        return self.sums + self.lost

    @property
    def count(self) -> int:
        """Number of samples."""
        return int(self.totals[:, sample_sums.COUNT].sum())

    @property
    def units(self) -> NDArray[np.int64]:
        """Binary logarithm of the unit of every octave, int64[octaves]."""
        return np.maximum(self.first + np.arange(len(self)), 1) - sample_sums.UNIT_BIAS

    @property
    def low_ends(self) -> NDArray[np.float64]:
        """Lower end of every octave, in its unit, float64[octaves]."""
        is_normal = self.first + np.arange(len(self)) > 0
        return np.where(is_normal, float(1 << sample_sums.MANTISSA_BITS), 0.0)

    def merged(self, other: "OctaveSums") -> "OctaveSums":
        """Add the sums of further samples; what rounding takes is kept (Knuth's two-sum)."""
        if len(other) == 0:
            return self
        if len(self) == 0:
            return other
        first = min(self.first, other.first)
        end = max(self.first + len(self), other.first + len(other))
        mine, theirs = self._spread(first, end), other._spread(first, end)
        sums = mine.sums + theirs.sums
        added = sums - mine.sums
        error = (mine.sums - (sums - added)) + (theirs.sums - added)
        return OctaveSums(first=first, sums=sums, lost=mine.lost + theirs.lost + error)

    def _spread(self, first: int, end: int) -> "OctaveSums":
        if (first, end) == (self.first, self.first + len(self)):
            return self
        sums, lost = np.zeros((2, end - first, sample_sums.COLUMNS))
        rows = slice(self.first - first, self.first - first + len(self))
        sums[rows], lost[rows] = self.sums, self.lost
        return OctaveSums(first=first, sums=sums, lost=lost)


class RunningOctaves:
    """A sum of sums by octave: the bits of `OctaveSums.merged`, one after the other.

    Few hold an octave beyond all before them; the others are added in place.
    """

    def __init__(self, begin: OctaveSums) -> None:
        self._take(begin)

    def _take(self, total: OctaveSums) -> None:
        self._first, self._sums, self._lost = total.first, total.sums.copy(), total.lost.copy()

    def add(self, part: OctaveSums) -> None:
        """Add the sums of further samples."""
        row = part.first - self._first
        if row >= 0 and row + len(part) <= len(self._sums):
            sample_sums.add_octaves(part.sums, part.lost, row, self._sums, self._lost)
        else:
            self._take(self.total().merged(part))

    def total(self) -> OctaveSums:
        """Give the sum of those so far."""
        return OctaveSums(first=self._first, sums=self._sums.copy(), lost=self._lost.copy())


def sum_octaves(samples: "GroupedSamples", kind: int) -> OctaveSums:
    """Sum up magnitudes.

    Parameters
    ----------
    kind
        How they are rounded: NEAREST, DOWN or UP of `sample_sums`.
    """
    sums = np.zeros((samples.counts.size, sample_sums.COLUMNS))
    sample_sums.add_octave_sums(
        samples.mantissas,
        samples.counts,
        samples.first,
        kind,
        sums,
        np.empty(sample_sums.BLOCK, np.uint32),
        np.empty(sample_sums.BLOCK),
    )
    return OctaveSums(first=samples.first, sums=sums, lost=np.zeros_like(sums))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedSamples:
    """Positive magnitudes, grouped by octave; in their order within an octave.

    Attributes
    ----------
    mantissas : uint32[n]
        In units of their octave.
    counts : int64[octaves]
        How many belong to each octave, from the first to the last that has any.
    first
        Exponent bits of the first octave.
    """

    mantissas: NDArray[np.uint32]
    counts: NDArray[np.int64]
    first: int


def group_samples(bits: NDArray[np.int32]) -> GroupedSamples:
    """Group positive magnitudes by octave.

    Parameters
    ----------
    bits : int32[n]
        Finite, as float32 bits.
    """
    counts = np.zeros(sample_sums.FIELDS, np.int64)
    sample_sums.count_fields(bits, counts)
    mantissas = np.empty(bits.size, np.uint32)
    sample_sums.group_by_field(bits, (np.cumsum(counts) - counts).astype(np.uint64), mantissas)
    used = np.flatnonzero(counts)
    first, end = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
    return GroupedSamples(mantissas=mantissas, counts=counts[first:end], first=first)
