"""Every rule that chooses the step of a feature map, by name.

A rule sees the statistics of one map, the width and the grid, and gives a real-valued step;
rounding it to a power of two is another matter. All see the same record, so that they
differ in nothing but the rule.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol

from quantizer.baselines.aciq import aciq_gauss_step, aciq_laplace_step
from quantizer.baselines.lin import Density, lin_step
from quantizer.baselines.mse import mse_step
from quantizer.baselines.octav import octav_step
from quantizer.baselines.ranges import max_range_step, min_max_step, percentile_step
from quantizer.baselines.tensorrt_kl import tensorrt_kl_step
from quantizer.closed_forms import lambert_step, leading_step, loglog_step
from quantizer.distortion import Side
from quantizer.errors import InputError, nearest
from quantizer.estimators import Estimator, fit
from quantizer.ggd import GeneralizedGamma
from quantizer.grid import Grid
from quantizer.map_statistics import Histogram, MapStatistics, SignStatistics
from quantizer.step_size import hui_neuhoff_step, optimum_step


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStep:
    """What a rule says of a map.

    Attributes
    ----------
    step
        Above 0; None where the rule has no answer for this map.
    sides
        The distribution that it fitted; empty where it fits none, or none fits.
    """

    step: float | None
    sides: tuple[Side, ...] = ()


class StepRule(Protocol):
    """Choose a step from the statistics of a map."""

    def __call__(self, statistics: MapStatistics, bits: int, grid: Grid) -> ChosenStep:
        """Read nothing but the statistics; `bits` is the width of the grid."""
        ...


class StepRounding(Enum):
    """Ways from a real-valued step to one of the two powers of two around it.

    ``SAMPLE_ERROR``: the one of less squared error on the samples. ``MODEL_ERROR``: the one of
    less distortion of the fitted distribution, without looking at a sample; where none is
    fitted, as ``SAMPLE_ERROR``. ``NEAREST``: the nearer one by its logarithm. ``COARSER``: the
    larger one.
    """

    SAMPLE_ERROR = "sample_error"
    MODEL_ERROR = "model_error"
    NEAREST = "nearest"
    COARSER = "coarser"


class ClosedForm(Enum):
    """Ways from a fitted distribution to a step."""

    LEADING = "leading"
    LOGLOG = "loglog"
    LAMBERT = "lambert"
    HUI_NEUHOFF = "hui_neuhoff"
    END_CORRECTED = "end_corrected"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRule:
    """A rule as the command line knows it.

    Attributes
    ----------
    summary
        One line: what it does, and whose it is.
    fits_distribution
        Whether it depends on the estimator.
    own_rounding
        How its source goes to a power of two. Of those that only know real-valued steps, the
        nearest one.
    """

    name: str
    summary: str
    rule: StepRule
    fits_distribution: bool
    own_rounding: StepRounding


def step_rules(estimator: Estimator) -> tuple[NamedRule, ...]:
    """List all rules; the default first.

    Parameters
    ----------
    estimator
        Of the rules that fit a generalized gamma distribution.
    """
    return tuple(_ggd_rules(estimator)) + tuple(_rivals())


def find_step_rule(name: str, estimator: Estimator) -> NamedRule:
    """Look a rule up by its name.

    Raises
    ------
    InputError
        There is no rule of this name.
    """
    rules = {entry.name: entry for entry in step_rules(estimator)}
    if name not in rules:
        hint = nearest(name, list(rules)) or "; give a name of: accel-sim list methods"
        raise InputError("--method", f"unknown method {name!r}{hint}")
    return rules[name]


def _ggd_rules(estimator: Estimator) -> Iterator[NamedRule]:
    summaries = {
        ClosedForm.END_CORRECTED: "generalized gamma fit, end-corrected closed form (default)",
        ClosedForm.LEADING: "generalized gamma fit, leading term of the asymptote only",
        ClosedForm.LOGLOG: "generalized gamma fit, two explicit terms of the asymptote",
        ClosedForm.LAMBERT: "generalized gamma fit, Lambert W with the first correction",
        ClosedForm.HUI_NEUHOFF: "generalized gamma fit, Hui and Neuhoff's equation solved",
    }
    for form, summary in summaries.items():
        name = "ggd" if form is ClosedForm.END_CORRECTED else f"ggd:{form.value}"
        rule = partial(ggd_step, form=form, estimator=estimator)
        yield NamedRule(
            name=name,
            summary=summary,
            rule=rule,
            fits_distribution=True,
            own_rounding=StepRounding.SAMPLE_ERROR,
        )


class _Rival(Protocol):
    def __call__(self, statistics: MapStatistics, bits: int, grid: Grid) -> float | None: ...


def _rivals() -> Iterator[NamedRule]:
    nearest_step, coarser_step = StepRounding.NEAREST, StepRounding.COARSER
    rules: tuple[tuple[str, str, _Rival, StepRounding], ...] = (
        (
            "max_range",
            "smallest power of two that holds the largest (Ristretto)",
            max_range_step,
            nearest_step,  # it is one already
        ),
        ("min_max", "nothing is clipped", min_max_step, coarser_step),
        (
            "percentile_99_9",
            "clips 0.1 % of the magnitudes",
            partial(percentile_step, fraction=0.999),
            nearest_step,
        ),
        (
            "percentile_99_99",
            "clips 0.01 % of the magnitudes",
            partial(percentile_step, fraction=0.9999),
            nearest_step,
        ),
        # Lin 2016, section 3: n = -ceil(log2 s).
        (
            "lin_gaussian",
            "Max's table times the root mean square (Lin 2016)",
            partial(lin_step, density=Density.GAUSSIAN),
            coarser_step,
        ),
        (
            "lin_laplacian",
            "the Laplacian table times the root mean square (Lin 2016)",
            partial(lin_step, density=Density.LAPLACIAN),
            coarser_step,
        ),
        (
            "lin_gamma",
            "the Gamma table times the root mean square (Lin 2016)",
            partial(lin_step, density=Density.GAMMA),
            coarser_step,
        ),
        ("aciq_laplace", "clipping of a Laplacian (Banner 2019)", aciq_laplace_step, nearest_step),
        ("aciq_gauss", "clipping of a Gaussian (Banner 2019)", aciq_gauss_step, nearest_step),
        (
            "tensorrt_kl",
            "clipping of least divergence (Migacz 2017)",
            tensorrt_kl_step,
            nearest_step,
        ),
        (
            "octav",
            "clipping of least error, Newton's method (Sakr 2022)",
            octav_step,
            nearest_step,
        ),
        (
            "mse",
            "step of least error on the samples, exhaustive search",
            mse_step,
            StepRounding.SAMPLE_ERROR,
        ),
    )
    for name, summary, rival, own_rounding in rules:
        rule = partial(_without_model, rival=rival)
        yield NamedRule(
            name=name,
            summary=summary,
            rule=rule,
            fits_distribution=False,
            own_rounding=own_rounding,
        )


def _without_model(statistics: MapStatistics, bits: int, grid: Grid, rival: _Rival) -> ChosenStep:
    return ChosenStep(step=rival(statistics, bits, grid))


def ggd_step(
    statistics: MapStatistics, bits: int, grid: Grid, form: ClosedForm, estimator: Estimator
) -> ChosenStep:
    """Fit a generalized gamma distribution, and take its optimum step by a closed form.

    Forms of one density (`quantizer.closed_forms`) read the magnitudes of a map with both
    signs as one sample; the others fit each sign. Held at the step that clips nothing: a
    coarser one only loses resolution. Where nothing fits, the step of least error on the
    histogram. No step where the grid sees no sample other than zero, and where the form has
    no value.
    """
    covering = min_max_step(statistics, bits, grid)
    if covering is None:
        return ChosenStep(step=None)
    is_of_sides = form in (ClosedForm.END_CORRECTED, ClosedForm.HUI_NEUHOFF)
    fit_to = fit_sides if is_of_sides else fit_magnitudes
    sides = fit_to(statistics, bits, grid, estimator)
    if not sides:
        return ChosenStep(step=mse_step(statistics, bits, grid))
    step = _closed_form_step(form, sides, bits, grid)
    if step is None or not math.isfinite(step):
        return ChosenStep(step=None, sides=sides)
    return ChosenStep(step=min(step, covering), sides=sides)


def _closed_form_step(
    form: ClosedForm, sides: tuple[Side, ...], bits: int, grid: Grid
) -> float | None:
    distribution = sides[0].distribution
    match form:
        case ClosedForm.END_CORRECTED:
            return optimum_step(sides, bits)
        case ClosedForm.HUI_NEUHOFF:
            return hui_neuhoff_step(sides, grid.cells(bits))
        case ClosedForm.LEADING:
            return leading_step(distribution, bits, grid)
        case ClosedForm.LOGLOG:
            return loglog_step(distribution, bits, grid)
        case ClosedForm.LAMBERT:
            return lambert_step(distribution, bits, grid)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SignOnGrid:
    """Samples of one sign, and the outermost level that a grid has for them."""

    statistics: SignStatistics
    magnitudes: Histogram
    levels: int


def _signs_on(statistics: MapStatistics, bits: int, grid: Grid) -> list[_SignOnGrid]:
    """List the signs that have both samples and levels."""
    signs = [
        _SignOnGrid(
            statistics=statistics.positive,
            magnitudes=statistics.histogram.positive(),
            levels=grid.highest(bits),
        )
    ]
    if grid.is_signed:
        signs.append(
            _SignOnGrid(
                statistics=statistics.negative,
                magnitudes=statistics.histogram.negative(),
                levels=grid.lowest(bits),
            )
        )
    return [sign for sign in signs if sign.statistics.count]


def fit_sides(
    statistics: MapStatistics, bits: int, grid: Grid, estimator: Estimator
) -> tuple[Side, ...]:
    """Fit each sign that has samples and levels; nothing where one of them cannot be fitted."""
    signs = _signs_on(statistics, bits, grid)
    count = sum(sign.statistics.count for sign in signs)
    sides = []
    for sign in signs:
        distribution = _fit(estimator, sign.statistics, sign.magnitudes)
        if distribution is None:
            return ()
        share = sign.statistics.count / count
        sides.append(Side(share=share, distribution=distribution, levels=sign.levels))
    return tuple(sides)


def fit_magnitudes(
    statistics: MapStatistics, bits: int, grid: Grid, estimator: Estimator
) -> tuple[Side, ...]:
    """Fit the magnitudes of both signs at once: sides of one distribution, or nothing."""
    signs = _signs_on(statistics, bits, grid)
    seen = statistics.seen_by(grid)
    distribution = _fit(estimator, seen, statistics.histogram.magnitudes(grid))
    if distribution is None:
        return ()
    return tuple(
        Side(
            share=sign.statistics.count / seen.count,
            distribution=distribution,
            levels=sign.levels,
        )
        for sign in signs
    )


def _fit(
    estimator: Estimator, sign: SignStatistics, magnitudes: Histogram
) -> GeneralizedGamma | None:
    """Fit by the estimator, else by maximum likelihood."""
    found = fit(estimator, sign, magnitudes)
    if found is None and estimator is not Estimator.MAXIMUM_LIKELIHOOD:
        return fit(Estimator.MAXIMUM_LIKELIHOOD, sign, magnitudes)
    return found
