"""Does the closed form find the step of least error?

Ground truth: numerical integration, exact minimisation, and (with the reference data)
brute-force optima over fifteen distributions.
"""

import csv
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate

from quantizer.distortion import Side, distortion
from quantizer.estimators import fit_moments
from quantizer.ggd import GeneralizedGamma
from quantizer.step_size import end_corrected_step, exact_optimum_step, optimum_step

HALF_NORMAL = GeneralizedGamma(k=0.5, p=2.0, scale=math.sqrt(2))
EXPONENTIAL = GeneralizedGamma(k=1.0, p=1.0, scale=1.0)
SHAPES = [HALF_NORMAL, EXPONENTIAL, GeneralizedGamma(k=0.3, p=0.7, scale=3.0),
          GeneralizedGamma(k=2.5, p=1.6, scale=0.02)]  # fmt: skip


def unsigned(distribution: GeneralizedGamma, bits: int) -> list[Side]:
    return [Side(share=1.0, distribution=distribution, levels=2**bits - 1)]


def signed(distribution: GeneralizedGamma, bits: int) -> list[Side]:
    return [
        Side(share=0.5, distribution=distribution, levels=2 ** (bits - 1) - 1),
        Side(share=0.5, distribution=distribution, levels=2 ** (bits - 1)),
    ]


@pytest.mark.parametrize("distribution", SHAPES)
def test_moments_and_tails_equal_numerical_integration(distribution: GeneralizedGamma) -> None:
    def integral(order: int, low: float) -> float:
        # Over ln x, where the spike at zero of small shapes is smooth.
        value, _ = integrate.quad(
            lambda t: float(distribution.density(math.exp(t))) * math.exp((order + 1) * t),
            math.log(low) if low else -200.0,
            math.log(distribution.scale) + 12.0,
            limit=500,
            points=[math.log(distribution.scale)],
        )
        return value

    edge = 0.7 * distribution.moment(1)
    for order in (0, 1, 2, 4):
        assert integral(order, 0.0) == pytest.approx(distribution.moment(order), rel=1e-8)
        assert integral(order, edge) == pytest.approx(
            float(distribution.tail_moment(order, edge)), rel=1e-8
        )
    excess = integral(1, edge) - edge * integral(0, edge)
    assert float(distribution.tail_excess(edge)) == pytest.approx(excess, rel=1e-8)


@pytest.mark.parametrize("distribution", SHAPES)
def test_a_fit_by_moments_gives_the_distribution_back(distribution: GeneralizedGamma) -> None:
    fit = fit_moments(distribution.moment(1), distribution.moment(2), distribution.moment(4))
    assert fit is not None
    assert (fit.k, fit.p, fit.scale) == pytest.approx(
        (distribution.k, distribution.p, distribution.scale), rel=1e-5
    )


@pytest.mark.parametrize(
    "moments",
    [(0.0, 0.0, 0.0), (3.0, 9.0, 81.0), (1.0, 1e9, 1e30), (math.inf, math.inf, math.inf)],
)
def test_no_distribution_is_made_up_where_none_fits(moments: tuple[float, float, float]) -> None:
    assert fit_moments(*moments) is None


@pytest.mark.parametrize("distribution", SHAPES)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_exact_distortion_equals_numerical_integration(
    distribution: GeneralizedGamma, bits: int
) -> None:
    step = 1.3 * end_corrected_step(unsigned(distribution, bits))

    def squared_error(t: float) -> float:
        x = math.exp(t)
        level = min(round(x / step), 2**bits - 1) * step
        return float(distribution.density(x)) * (x - level) ** 2 * x

    edges = [math.log((j + 0.5) * step) for j in range(2**bits - 1)]
    end = math.log(distribution.scale) + math.log(100) / distribution.p  # exp(-100) is left
    bounds = [-80.0, *(edge for edge in edges if edge < end), end]
    expected = sum(
        integrate.quad(squared_error, low, high, limit=200, epsabs=0)[0]
        for low, high in pairwise(bounds)
    )
    assert distortion(unsigned(distribution, bits), step) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("distribution", SHAPES)
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_the_closed_form_loses_next_to_nothing_on_unsigned_grids(
    distribution: GeneralizedGamma, bits: int
) -> None:
    sides = unsigned(distribution, bits)
    closed, exact = end_corrected_step(sides), exact_optimum_step(sides)
    loss_dB = 10 * math.log10(distortion(sides, closed) / distortion(sides, exact))
    assert 0 <= loss_dB + 1e-9 <= 0.0035
    # And it is a minimum: the octave beside it is worse by far more.
    for factor in (0.5, 2.0):
        assert distortion(sides, factor * closed) > 1.25 * distortion(sides, closed)


def test_the_step_scales_with_the_distribution() -> None:
    for bits in (3, 8):
        for grid in (unsigned, signed):
            small = optimum_step(grid(GeneralizedGamma(k=0.6, p=1.2, scale=1.0), bits), bits)
            large = optimum_step(grid(GeneralizedGamma(k=0.6, p=1.2, scale=64.0), bits), bits)
            assert large == pytest.approx(64 * small, rel=1e-6)


def test_sides_that_differ_share_one_step_between_theirs() -> None:
    wide = GeneralizedGamma(k=1.0, p=1.0, scale=4.0)
    sides = [
        Side(share=0.7, distribution=EXPONENTIAL, levels=127),
        Side(share=0.3, distribution=wide, levels=128),
    ]
    step = optimum_step(sides, 8)
    alone = [optimum_step([Side(share=1.0, distribution=d, levels=127)], 8)
             for d in (EXPONENTIAL, wide)]  # fmt: skip
    assert alone[0] < step < alone[1]
    assert distortion(sides, step) < min(distortion(sides, 0.95 * step),
                                         distortion(sides, 1.05 * step))  # fmt: skip


def test_golden_steps(reference_data: Path) -> None:
    """Brute-force optima over 15 distributions: the loss of the closed form, in dB."""
    with (reference_data / "references" / "ggd_golden_steps.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["grid"] in ("utread", "stread")]
    checked = 0
    for row in rows:
        bits = int(row["bits"])
        distribution = GeneralizedGamma(
            k=float(row["k"]), p=float(row["p"]), scale=float(row["theta"])
        )
        sides = (unsigned if row["grid"] == "utread" else signed)(distribution, bits)
        step, optimum = optimum_step(sides, bits), float(row["opt_step"])
        limit_dB = 0.0035 if row["grid"] == "utread" else 0.02
        if bits <= 8:
            loss = 10 * math.log10(distortion(sides, step) / distortion(sides, optimum))
            assert loss <= limit_dB, row
        # Where the distortion is flat the step may move: 2.5 % at 2 bits, 0.1 % at 8.
        assert step == pytest.approx(optimum, rel=0.025 if bits < 6 else 0.006), row
        checked += 1
    assert checked > 300


def test_a_spike_of_zeros_changes_nothing() -> None:
    """Only x > 0 is fitted: the same positive samples, any number of zeros."""
    samples = np.random.default_rng(5).gamma(0.8, 2.0, 4000)
    moments = [float(np.mean(samples**order)) for order in (1, 2, 4)]
    fit = fit_moments(moments[0], moments[1], moments[2])
    assert fit is not None
    assert fit.moment(2) == pytest.approx(moments[1], rel=1e-9)
