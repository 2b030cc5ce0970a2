"""Steps from a generalized gamma fit of a map: what fits it, and the closed forms.

Two signs have two sides, each with its own distribution. Forms of one density
(`quantizer.closed_forms`) read the magnitudes of both as one sample.
"""

import math
from dataclasses import dataclass
from enum import Enum

from quantizer.baselines.mse import mse_step
from quantizer.baselines.ranges import min_max_step
from quantizer.closed_forms import lambert_step, leading_step, loglog_step
from quantizer.distortion import Side
from quantizer.estimators import Estimator, fit
from quantizer.ggd import GeneralizedGamma, SeenGamma
from quantizer.grid import Grid
from quantizer.map_statistics import Histogram, MapStatistics, SignStatistics
from quantizer.step_size import hui_neuhoff_step, optimum_step


class ClosedForm(Enum):
    """Ways from a fitted distribution to a step."""

    LEADING = "leading"
    LOGLOG = "loglog"
    LAMBERT = "lambert"
    HUI_NEUHOFF = "hui_neuhoff"
    END_CORRECTED = "end_corrected"


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedSign:
    """A sign of a map that has samples and levels, and the distribution fitted to it.

    Attributes
    ----------
    distribution
        Of the magnitudes.
    statistics
        To which it is fitted.
    share
        Fraction of the nonzero samples on the grid.
    levels
        Index of the outermost level.
    """

    distribution: GeneralizedGamma
    statistics: SignStatistics
    share: float
    levels: int

    @property
    def population(self) -> Side:
        """The samples as any from the distribution."""
        return Side(share=self.share, distribution=self.distribution, levels=self.levels)

    @property
    def sample(self) -> Side:
        """The samples as those from the distribution that were seen: their largest is known."""
        seen = SeenGamma(
            distribution=self.distribution,
            count=self.statistics.count,
            largest=self.statistics.largest,
        )
        return Side(share=self.share, distribution=seen, levels=self.levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStep:
    """What a rule says of a map.

    Attributes
    ----------
    step
        Above 0; None where the rule has no answer for this map.
    signs
        What it fitted; empty where it fits nothing, or nothing fits.
    """

    step: float | None
    signs: tuple[FittedSign, ...] = ()

    @property
    def sides(self) -> list[Side]:
        """The model of the samples on the grid; empty without one."""
        return [sign.sample for sign in self.signs]


def ggd_step(
    statistics: MapStatistics, bits: int, grid: Grid, form: ClosedForm, estimator: Estimator
) -> ChosenStep:
    """Fit a generalized gamma distribution, and take its optimum step by a closed form.

    Held at the step that clips nothing: a coarser one only loses resolution. Where nothing
    fits, the step of least error on the histogram. No step where the grid sees no sample
    other than zero, and where the form has no value.
    """
    covering = min_max_step(statistics, bits, grid)
    if covering is None:
        return ChosenStep(step=None)
    is_of_signs = form in (ClosedForm.END_CORRECTED, ClosedForm.HUI_NEUHOFF)
    fit_to = fit_signs if is_of_signs else fit_magnitudes
    signs = fit_to(statistics, bits, grid, estimator)
    if not signs:
        return ChosenStep(step=mse_step(statistics, bits, grid))
    if form is ClosedForm.END_CORRECTED:
        step: float | None = _end_corrected_step(signs, covering)
    elif form is ClosedForm.HUI_NEUHOFF:
        step = hui_neuhoff_step([sign.population for sign in signs], grid.cells(bits))
    else:
        step = _explicit_step(form, signs[0].distribution, bits, grid)
    if step is None or not 0 < step < math.inf:
        return ChosenStep(step=None, signs=signs)
    return ChosenStep(step=min(step, covering), signs=signs)


def _end_corrected_step(signs: tuple[FittedSign, ...], covering: float) -> float:
    """Find the optimum of the population; where it would clip samples, that of the sample.

    What is clipped are the largest few, and the largest of all is known: the tail beyond it
    is not there.
    """
    step = optimum_step([sign.population for sign in signs])
    return step if step >= covering else optimum_step([sign.sample for sign in signs])


def _explicit_step(
    form: ClosedForm, distribution: GeneralizedGamma, bits: int, grid: Grid
) -> float | None:
    if form is ClosedForm.LEADING:
        return leading_step(distribution, bits, grid)
    if form is ClosedForm.LOGLOG:
        return loglog_step(distribution, bits, grid)
    return lambert_step(distribution, bits, grid)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sign:
    """Samples of one sign, and the outermost level that a grid has for them."""

    statistics: SignStatistics
    magnitudes: Histogram
    levels: int


def _signs_on(statistics: MapStatistics, bits: int, grid: Grid) -> list[_Sign]:
    """List the signs that have both samples and levels."""
    signs = [
        _Sign(
            statistics=statistics.positive,
            magnitudes=statistics.histogram.positive(),
            levels=grid.highest(bits),
        )
    ]
    if grid.is_signed:
        signs.append(
            _Sign(
                statistics=statistics.negative,
                magnitudes=statistics.histogram.negative(),
                levels=grid.lowest(bits),
            )
        )
    return [sign for sign in signs if sign.statistics.count]


def fit_signs(
    statistics: MapStatistics, bits: int, grid: Grid, estimator: Estimator
) -> tuple[FittedSign, ...]:
    """Fit each sign by itself; nothing where one of them cannot be fitted."""
    signs = _signs_on(statistics, bits, grid)
    count = sum(sign.statistics.count for sign in signs)
    fitted = []
    for sign in signs:
        distribution = _fit(estimator, sign.statistics, sign.magnitudes)
        if distribution is None:
            return ()
        fitted.append(_fitted(sign, distribution, count))
    return tuple(fitted)


def fit_magnitudes(
    statistics: MapStatistics, bits: int, grid: Grid, estimator: Estimator
) -> tuple[FittedSign, ...]:
    """Fit the magnitudes of all signs at once; nothing where they cannot be fitted."""
    seen = statistics.seen_by(grid)
    distribution = _fit(estimator, seen, statistics.histogram.magnitudes(grid))
    if distribution is None:
        return ()
    signs = _signs_on(statistics, bits, grid)
    return tuple(_fitted(sign, distribution, seen.count) for sign in signs)


def _fitted(sign: _Sign, distribution: GeneralizedGamma, count: int) -> FittedSign:
    return FittedSign(
        distribution=distribution,
        statistics=sign.statistics,
        share=sign.statistics.count / count,
        levels=sign.levels,
    )


def _fit(
    estimator: Estimator, sign: SignStatistics, magnitudes: Histogram
) -> GeneralizedGamma | None:
    """Fit by the estimator, else by maximum likelihood."""
    found = fit(estimator, sign, magnitudes)
    if found is None and estimator is not Estimator.MAXIMUM_LIKELIHOOD:
        return fit(Estimator.MAXIMUM_LIKELIHOOD, sign, magnitudes)
    return found
