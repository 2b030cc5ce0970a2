"""Every rule that chooses the step of a feature map, by name.

A rule sees the statistics of one map, the width and the grid, and gives a real-valued step;
rounding it to a power of two is another matter. All see the same record, so that they
differ in nothing but the rule.
"""

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
from quantizer.errors import InputError, nearest
from quantizer.estimators import Estimator
from quantizer.ggd_steps import ChosenStep, ClosedForm, ggd_step
from quantizer.grid import Grid
from quantizer.map_statistics import MapStatistics


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
