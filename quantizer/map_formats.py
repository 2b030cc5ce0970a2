"""The format of a feature map: candidates from its distribution, choice by its samples."""

import math
from collections.abc import Sequence

import numpy as np

from quantizer import fraction_length
from quantizer.calibrate import FormatError, TensorStatistics
from quantizer.distortion import Side
from quantizer.estimators import fit_moments
from quantizer.fixedpoint.qformat import QFormat, Rounding, round_real
from quantizer.ggd import GeneralizedGamma
from quantizer.step_size import optimum_step

_FINE_GRID = 8
"""From this many places on, a sum's own grid is as good as continuous."""


def candidate_formats(
    name: str, statistics: TensorStatistics, bits: int, is_signed: bool
) -> list[QFormat]:
    """List the formats of a feature map to compare on its samples, by rising fraction length.

    The two powers of two around the closed-form step. Where no distribution fits (a
    constant map, a handful of samples) the max-range format and three finer ones.
    """
    where = f"feature map {name!r}"
    high = (1 << (bits - is_signed)) - 1
    low = (1 << (bits - 1)) if is_signed else 0
    positive, negative = statistics.positive, statistics.negative
    if statistics.largest == 0.0 or (not is_signed and positive.count == 0):
        return [QFormat(bits=bits, frac_bits=bits - is_signed, signed=is_signed)]
    # The clamp to max / R: a coarser step than the one that just covers the samples
    # only loses resolution.
    coarsest = max(positive.largest / high, negative.largest / low if low else 0.0)
    sides = []
    used = [(positive, high), (negative, low)] if is_signed else [(positive, high)]
    count = sum(side.count for side, _ in used)
    for side, levels in used:
        if side.count:
            fit = fit_moments(side.mean, side.mean_square, side.mean_fourth)
            sides.append((side.count / count, fit, levels))
    step = _step(sides, bits)
    if step is None:
        finest = math.floor(-math.log2(coarsest))
        lengths = list(range(finest, finest + 4))
    else:
        exponent = -math.log2(min(step, coarsest))
        lengths = sorted({math.floor(exponent), math.ceil(exponent)})
    return [
        QFormat(bits=bits, frac_bits=fraction_length.in_range(where, length), signed=is_signed)
        for length in lengths
    ]


def _step(sides: list[tuple[float, GeneralizedGamma | None, int]], bits: int) -> float | None:
    fitted = [
        Side(share=share, distribution=fit, levels=levels)
        for share, fit, levels in sides
        if fit is not None
    ]
    return optimum_step(fitted, bits) if len(fitted) == len(sides) else None


def choose_format(candidates: Sequence[QFormat], errors: Sequence[FormatError]) -> QFormat:
    """Take the candidate of least squared error; on equal error the earlier (coarser) one."""
    totals = [error.granular + error.overload for error in errors]
    return candidates[int(np.argmin(totals))]


def choose_sum_format(
    candidates: Sequence[QFormat],
    errors: Sequence[FormatError],
    operands: Sequence[int],
    rounding: Rounding,
) -> QFormat:
    """Take the candidate of least squared error for the output of an Add.

    The samples are continuous, but what the machine adds already lies on the finer grid
    of its operands. A format as fine as that rounds nothing; one that is a single place
    coarser meets a tie at every other sum. So the granular error of the samples counts by
    how far it is from that of a sum on its grid.

    Parameters
    ----------
    operands
        Fraction lengths of what is added.
    """
    totals = []
    for fmt, error in zip(candidates, errors, strict=True):
        places = max(operands) - fmt.frac_bits
        totals.append(error.granular * grid_error_ratio(places, rounding) + error.overload)
    return candidates[int(np.argmin(totals))]


def grid_error_ratio(places: int, rounding: Rounding) -> float:
    """Mean squared error of dropping `places` bits, over that of rounding a continuous value.

    0 where nothing is dropped; 3/2 for one place to nearest (every other value is a tie);
    towards 1 for many.
    """
    if places <= 0:
        return 0.0
    if places >= _FINE_GRID:
        return 1.0
    grid = np.arange(2**places) / 2**places
    is_nearest = rounding in (Rounding.TIES_POS, Rounding.TIES_EVEN, Rounding.TIES_AWAY)
    continuous = 1 / 12 if is_nearest else 1 / 3
    return float(np.mean((round_real(grid, rounding) - grid) ** 2) / continuous)
