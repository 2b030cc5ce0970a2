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


class StepRule(Protocol):
    """Choose a step from the statistics of a map."""

    def __call__(self, statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
        """Return a step above 0; None where the rule has no answer for this map."""
        ...


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
    """

    name: str
    summary: str
    rule: StepRule


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
        known = list(rules)
        raise InputError(
            "--method",
            f"unknown method {name!r}; expected one of {', '.join(known)}{nearest(name, known)}",
        )
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
        yield NamedRule(name=name, summary=summary, rule=rule)


def _rivals() -> Iterator[NamedRule]:
    rules: tuple[tuple[str, str, StepRule], ...] = (
        ("max_range", "smallest power of two that holds the largest (Ristretto)", max_range_step),
        ("min_max", "nothing is clipped, real-valued", min_max_step),
        (
            "percentile_99_9",
            "clips 0.1 % of the magnitudes",
            partial(percentile_step, fraction=0.999),
        ),
        (
            "percentile_99_99",
            "clips 0.01 % of the magnitudes",
            partial(percentile_step, fraction=0.9999),
        ),
        (
            "lin_gaussian",
            "Max's table times the root mean square (Lin 2016)",
            partial(lin_step, density=Density.GAUSSIAN),
        ),
        (
            "lin_laplacian",
            "the Laplacian table times the root mean square (Lin 2016)",
            partial(lin_step, density=Density.LAPLACIAN),
        ),
        (
            "lin_gamma",
            "the Gamma table times the root mean square (Lin 2016)",
            partial(lin_step, density=Density.GAMMA),
        ),
        ("aciq_laplace", "clipping of a Laplacian (Banner 2019)", aciq_laplace_step),
        ("aciq_gauss", "clipping of a Gaussian (Banner 2019)", aciq_gauss_step),
        ("tensorrt_kl", "clipping of least divergence (Migacz 2017)", tensorrt_kl_step),
        ("octav", "clipping of least error, Newton's method (Sakr 2022)", octav_step),
        ("mse", "step of least error on the samples, exhaustive search", mse_step),
    )
    return (NamedRule(name=name, summary=summary, rule=rule) for name, summary, rule in rules)


def ggd_step(
    statistics: MapStatistics, bits: int, grid: Grid, form: ClosedForm, estimator: Estimator
) -> float | None:
    """Fit a generalized gamma distribution, and take its optimum step by a closed form.

    Forms of one density (`quantizer.closed_forms`) read the magnitudes of a map with both
    signs as one sample; the others fit each sign. Held at the step that clips nothing: a
    coarser one only loses resolution. Where nothing fits, the step of least error on the
    histogram.

    Returns
    -------
    float or None
        None where the grid sees no sample other than zero, and where the form has no value.
    """
    covering = min_max_step(statistics, bits, grid)
    if covering is None:
        return None
    match form:
        case ClosedForm.END_CORRECTED | ClosedForm.HUI_NEUHOFF:
            sides = fit_sides(statistics, bits, grid, estimator)
            if sides is None:
                return mse_step(statistics, bits, grid)
            if form is ClosedForm.HUI_NEUHOFF:
                step: float | None = hui_neuhoff_step(sides, grid.cells(bits))
            else:
                step = optimum_step(sides, bits)
        case ClosedForm.LEADING | ClosedForm.LOGLOG | ClosedForm.LAMBERT:
            magnitudes = statistics.histogram.magnitudes(grid)
            distribution = _fit(estimator, statistics.seen_by(grid), magnitudes)
            if distribution is None:
                return mse_step(statistics, bits, grid)
            step = _explicit_step(form, distribution, bits, grid)
    if step is None or not math.isfinite(step):
        return None
    return min(step, covering)


def _explicit_step(
    form: ClosedForm, distribution: GeneralizedGamma, bits: int, grid: Grid
) -> float | None:
    if form is ClosedForm.LEADING:
        return leading_step(distribution, bits, grid)
    if form is ClosedForm.LOGLOG:
        return loglog_step(distribution, bits, grid)
    return lambert_step(distribution, bits, grid)


def fit_sides(
    statistics: MapStatistics, bits: int, grid: Grid, estimator: Estimator
) -> list[Side] | None:
    """Fit each sign that has samples and levels.

    Returns
    -------
    list of Side or None
        None where one of them cannot be fitted, or there is none.
    """
    used = [(statistics.positive, statistics.histogram.positive(), grid.highest(bits))]
    if grid.is_signed:
        used.append((statistics.negative, statistics.histogram.negative(), grid.lowest(bits)))
    count = sum(sign.count for sign, _, _ in used)
    sides = []
    for sign, magnitudes, levels in used:
        if sign.count == 0:
            continue
        distribution = _fit(estimator, sign, magnitudes)
        if distribution is None:
            return None
        sides.append(Side(share=sign.count / count, distribution=distribution, levels=levels))
    return sides or None


def _fit(
    estimator: Estimator, sign: SignStatistics, magnitudes: Histogram
) -> GeneralizedGamma | None:
    """Fit by the estimator, else by maximum likelihood."""
    found = fit(estimator, sign, magnitudes)
    if found is None and estimator is not Estimator.MAXIMUM_LIKELIHOOD:
        return fit(Estimator.MAXIMUM_LIKELIHOOD, sign, magnitudes)
    return found
