"""Squared error of every power-of-two format on the samples of a map, from sums per octave.

The range of such a format ends at a power of two but for the last half step, so every octave
of magnitudes lies within it or beyond it. Within, rounding leaves the low bits of a sample:
their squares are summed per octave for every step. Beyond, the distance to the outermost
level follows from the sums of the samples and of their squares. All sums are of positive
terms, so nothing cancels, and a format that represents all samples has the error 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantizer import sample_sums
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.octave_sums import OctaveSums

_MOST_BITS = 16
_FIRST, _LAST = sample_sums.FIRST_SHIFT, sample_sums.LAST_SHIFT
_KINDS = {
    Rounding.TO_NEG: (sample_sums.DOWN, sample_sums.UP),
    Rounding.TO_ZERO: (sample_sums.DOWN, sample_sums.DOWN),
}


def magnitude_kinds(rounding: Rounding) -> tuple[int, int]:
    """Give what a rounding does to positive and to negative magnitudes: NEAREST, DOWN or UP.

    Where a tie goes does not matter: both neighbours are as far.
    """
    return _KINDS.get(rounding, (sample_sums.NEAREST, sample_sums.NEAREST))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatError:
    """Squared error that a format makes on all samples of a map, by its cause.

    Attributes
    ----------
    granular
        Of the samples within the range of the format.
    overload
        Of those beyond.
    """

    granular: float
    overload: float

    @property
    def total(self) -> float:
        """Of all samples."""
        return self.granular + self.overload


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatErrors:
    """What gives the error of any format on the samples of one map.

    Attributes
    ----------
    rounding
        By which samples become integers.
    positive, negative
        Sums of each sign.
    """

    rounding: Rounding
    positive: OctaveSums
    negative: OctaveSums

    def of(self, fmt: QFormat) -> FormatError:
        """Sum ``(x - decode(encode(x)))**2`` over all samples.

        Parameters
        ----------
        fmt
            2 to 16 bits.
        """
        if not 2 <= fmt.bits <= _MOST_BITS:
            raise ValueError(f"errors are known for 2 to {_MOST_BITS} bits, got {fmt.bits}")
        upper, lower = magnitude_kinds(self.rounding)
        level_bits = fmt.bits - fmt.signed
        positive = _side_error(self.positive, upper, fmt.frac_bits, level_bits, is_closed=False)
        if not fmt.signed:
            nearest = np.zeros(len(self.negative))
            lost = _squared_distances(self.negative, nearest) * _unit_squares(self.negative)
            return FormatError(
                granular=positive.granular, overload=positive.overload + float(lost.sum())
            )
        negative = _side_error(self.negative, lower, fmt.frac_bits, level_bits, is_closed=True)
        return FormatError(
            granular=positive.granular + negative.granular,
            overload=positive.overload + negative.overload,
        )


def _side_error(
    sums: OctaveSums, kind: int, frac_bits: int, level_bits: int, *, is_closed: bool
) -> FormatError:
    """Error of one sign on the levels from 0 to ``2**level_bits``, that one if `is_closed`."""
    totals = sums.totals
    # In units of each octave the step is 2**shift.
    shifts = -frac_bits - sums.units
    is_within = shifts + level_bits >= _LAST
    is_below_half_step = shifts > _LAST

    columns = sample_sums.REMAINDERS + np.clip(shifts, _FIRST, _LAST) - _FIRST
    remainders = totals[np.arange(len(sums)), columns]
    nearest = np.ldexp(1.0, shifts) if kind == sample_sums.UP else np.zeros(len(sums))
    granular = np.where(is_below_half_step, _squared_distances(sums, nearest), remainders)
    outermost = np.ldexp(float((1 << level_bits) - (not is_closed)), shifts)
    overload = np.where(is_within, 0.0, _squared_distances(sums, outermost))

    if kind == sample_sums.NEAREST and not is_closed:
        # The half step below the end of the range is nearest to a level that is not there.
        last = shifts + level_bits == _LAST
        place = _LAST - level_bits - _FIRST
        count, total, square = (
            totals[last, column + place]
            for column in (sample_sums.TOP_COUNTS, sample_sums.TOP_SUMS, sample_sums.TOP_SQUARES)
        )
        step = float(1 << (_LAST - level_bits))
        granular[last] -= square
        overload[last] = count * step * step - 2 * step * total + square
    unit_squares = _unit_squares(sums)
    return FormatError(
        granular=float(np.sum(granular * unit_squares, where=is_within)),
        overload=float(np.sum(overload * unit_squares)),
    )


def _squared_distances(sums: OctaveSums, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum ``(m - point)**2`` over each octave, in its units, for points outside it."""
    gap, totals = sums.low_ends - point, sums.totals
    return np.asarray(
        totals[:, sample_sums.SQUARE]
        + 2 * gap * totals[:, sample_sums.SUM]
        + gap * gap * totals[:, sample_sums.COUNT]
    )


def _unit_squares(sums: OctaveSums) -> NDArray[np.float64]:
    return np.ldexp(1.0, 2 * sums.units)
