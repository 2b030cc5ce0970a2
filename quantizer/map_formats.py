"""The format of a feature map: a step by a rule, rounded to a power of two."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from quantizer import fraction_length
from quantizer.baselines.ranges import min_max_step
from quantizer.calibrate import CalibratedMap
from quantizer.distortion import distortion, predicted_sqnr_dB
from quantizer.fixedpoint.qformat import MAX_FRAC_BITS, MIN_FRAC_BITS, QFormat, Rounding, round_real
from quantizer.format_errors import FormatErrors
from quantizer.ggd_steps import ChosenStep
from quantizer.grid import Grid
from quantizer.quantized import MapChoice
from quantizer.step_rules import NamedRule, StepRounding

_FINE_GRID = 8
"""From this many places on, a sum's own grid is as good as continuous."""

_HEADROOM_WIDTH = 12
"""From this width on, one sample beyond the range can cost more than a bit of resolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatMethod:
    """How formats of feature maps are chosen.

    Attributes
    ----------
    rule
        Of the real-valued step.
    rounding
        To a power of two.
    headroom_bits
        By how many bits the range of a map of 12 bits or more is widened, 0 or 1.
    """

    rule: NamedRule
    rounding: StepRounding
    headroom_bits: int

    def __post_init__(self) -> None:
        if self.headroom_bits not in (0, 1):
            raise ValueError(f"headroom_bits must be 0 or 1, got {self.headroom_bits}")


def choose_format(
    name: str,
    calibrated: CalibratedMap,
    bits: int,
    is_signed: bool,
    method: FormatMethod,
    operands: Sequence[int],
) -> tuple[QFormat, MapChoice]:
    """Choose the format of a feature map.

    Where the rule has no answer, the step is the smallest that clips nothing. A map without
    a sample that the format could hold, other than zero, gets ``bits - is_signed``
    fraction bits.

    Parameters
    ----------
    name
        For messages.
    operands
        Fraction lengths of what is added, where the map is the output of an Add whose
        operands have formats; else empty.

    Raises
    ------
    InputError
        The samples are so large or so small that no format holds them.
    """
    grid = Grid.TWOS_COMPLEMENT if is_signed else Grid.UNSIGNED
    chosen = method.rule.rule(calibrated.statistics, bits, grid)
    step = chosen.step or min_max_step(calibrated.statistics, bits, grid)
    if step is None:
        fmt = QFormat(bits=bits, frac_bits=bits - is_signed, signed=is_signed)
        return fmt, MapChoice(shapes=(), step=None, predicted_sqnr_dB=None)
    where = f"feature map {name!r}"
    candidates = _candidates(where, step, bits, is_signed, method.rounding)
    fmt = min(candidates, key=_cost(calibrated.errors, chosen, method.rounding, operands))
    if bits >= _HEADROOM_WIDTH and method.headroom_bits:
        lengths = fraction_length.in_range(where, fmt.frac_bits - method.headroom_bits)
        fmt = QFormat(bits=bits, frac_bits=lengths, signed=is_signed)
    return fmt, MapChoice(
        shapes=tuple((sign.distribution.k, sign.distribution.p) for sign in chosen.signs),
        step=step,
        predicted_sqnr_dB=(predicted_sqnr_dB(chosen.sides, fmt.step) if chosen.sides else None),
    )


def _candidates(
    where: str, step: float, bits: int, is_signed: bool, rounding: StepRounding
) -> list[QFormat]:
    """List the formats to compare, the coarser first: the earlier wins where all is equal."""
    exponent = -math.log2(step)
    match rounding:
        case StepRounding.SAMPLE_ERROR | StepRounding.MODEL_ERROR:
            lengths = sorted({math.floor(exponent), math.ceil(exponent)})
        case StepRounding.NEAREST:
            lengths = [math.ceil(exponent - 0.5)]
        case StepRounding.COARSER:
            lengths = [math.floor(exponent)]
    known = [length for length in lengths if MIN_FRAC_BITS <= length <= MAX_FRAC_BITS]
    if not known:
        fraction_length.in_range(where, lengths[0])
    return [QFormat(bits=bits, frac_bits=length, signed=is_signed) for length in known]


def _cost(
    errors: FormatErrors, chosen: ChosenStep, rounding: StepRounding, operands: Sequence[int]
) -> Callable[[QFormat], float]:
    """Give what makes a candidate worse than another."""
    if rounding is StepRounding.MODEL_ERROR and chosen.sides:
        return lambda fmt: distortion(chosen.sides, fmt.step)
    if operands:
        return lambda fmt: _sum_error(errors, fmt, max(operands))
    return lambda fmt: errors.of(fmt).total


def _sum_error(errors: FormatErrors, fmt: QFormat, finest: int) -> float:
    """Squared error of a format on the output of an Add.

    The samples are continuous, but what the machine adds already lies on the finer grid
    of its operands. A format as fine as that rounds nothing; one that is a single place
    coarser meets a tie at every other sum. So the granular error of the samples counts by
    how far it is from that of a sum on its grid.
    """
    error = errors.of(fmt)
    ratio = grid_error_ratio(finest - fmt.frac_bits, errors.rounding)
    return error.granular * ratio + error.overload


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
