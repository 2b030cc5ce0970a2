"""Are the moments and tails those of the density?

Ground truth: numerical integration over ln x, textbook values of special shapes.
"""

import math

import numpy as np
import pytest
from scipy import integrate

from quantizer.ggd import GeneralizedGamma, SeenGamma
from tests.oracles.ggd_error import mean_below

HALF_NORMAL = GeneralizedGamma(k=0.5, p=2.0, scale=math.sqrt(2))
EXPONENTIAL = GeneralizedGamma(k=1.0, p=1.0, scale=3.0)
RAYLEIGH = GeneralizedGamma(k=1.0, p=2.0, scale=math.sqrt(2))
MAXWELL = GeneralizedGamma(k=1.5, p=2.0, scale=math.sqrt(2))
SPIKE = GeneralizedGamma(k=0.3, p=0.7, scale=3.0)
BUMP = GeneralizedGamma(k=2.5, p=1.6, scale=0.02)
ROOT = math.sqrt(2 / math.pi)
SHAPES = [HALF_NORMAL, EXPONENTIAL, RAYLEIGH, MAXWELL, SPIKE, BUMP]


@pytest.mark.parametrize(
    ("distribution", "density", "mean"),
    [
        (HALF_NORMAL, lambda x: ROOT * math.exp(-x * x / 2), ROOT),
        (EXPONENTIAL, lambda x: math.exp(-x / 3) / 3, 3.0),
        (RAYLEIGH, lambda x: x * math.exp(-x * x / 2), math.sqrt(math.pi / 2)),
        (MAXWELL, lambda x: ROOT * x * x * math.exp(-x * x / 2), 2 * ROOT),
    ],
)  # fmt: skip
def test_special_shapes_are_the_textbook_distributions(distribution, density, mean):
    for x in (0.01, 0.5, 1.0, 2.5, 6.0):
        assert float(distribution.density(x)) == pytest.approx(density(x), rel=1e-14)
    assert distribution.moment(1) == pytest.approx(mean, rel=1e-14)


@pytest.mark.parametrize("distribution", SHAPES)
def test_moments_and_tails_equal_numerical_integration(distribution):
    def integral(order: int, low: float) -> float:
        # Over ln x, where the spike at zero of small shapes is smooth.
        value, _ = integrate.quad(
            lambda t: float(distribution.density(math.exp(t))) * math.exp((order + 1) * t),
            math.log(low) if low else -200.0,
            math.log(distribution.scale) + 12.0,
            limit=500,
            points=[math.log(distribution.scale)],
            epsabs=0,
        )
        return value

    edge = 0.7 * distribution.moment(1)
    for order in (0, 1, 2, 4):
        assert integral(order, 0.0) == pytest.approx(distribution.moment(order), rel=1e-8)
        tail = float(distribution.tail_moment(order, edge))
        assert integral(order, edge) == pytest.approx(tail, rel=1e-8)
        lower = float(distribution.lower_moment(order, edge))
        assert lower + tail == pytest.approx(distribution.moment(order), rel=1e-14)
    excess = integral(1, edge) - edge * integral(0, edge)
    assert float(distribution.tail_excess(edge)) == pytest.approx(excess, rel=1e-8)


@pytest.mark.parametrize("exponent", [-160, -7, 1, 250])  # all results are normal numbers
@pytest.mark.parametrize("distribution", SHAPES)
def test_a_power_of_two_in_the_scale_is_exactly_that_power_in_all_results(distribution, exponent):
    factor = 2.0**exponent
    scaled = GeneralizedGamma(k=distribution.k, p=distribution.p, scale=distribution.scale * factor)
    x = np.geomspace(1e-3, 15.0, 40) * distribution.scale
    assert np.array_equal(scaled.density(x * factor) * factor, distribution.density(x))
    assert np.array_equal(scaled.tail_excess(x * factor), distribution.tail_excess(x) * factor)
    for order in (0, 1, 2):
        power = factor**order
        assert scaled.moment(order) == distribution.moment(order) * power
        tails = distribution.tail_moment(order, x) * power
        assert np.array_equal(scaled.tail_moment(order, x * factor), tails)
        lower = distribution.lower_moment(order, x) * power
        assert np.array_equal(scaled.lower_moment(order, x * factor), lower)


@pytest.mark.parametrize("distribution", SHAPES)
def test_far_out_there_is_nothing_rather_than_nan(distribution):
    for x in (1e6, 1e100, 1e300):
        assert float(distribution.density(x)) == 0
        assert float(distribution.tail_moment(2, x)) == 0
        assert float(distribution.tail_excess(x)) == 0
        assert float(distribution.lower_moment(2, x)) == distribution.moment(2)


@pytest.mark.parametrize(("k", "p"), [(0.5, 2), (1, 1), (0.3, 0.7), (2.5, 1.6)])
@pytest.mark.parametrize(("count", "largest"), [(20, 0.8), (1000, 3.0)])
def test_samples_of_a_known_largest_are_those_below_it_and_itself(k, p, count, largest):
    seen = SeenGamma(
        distribution=GeneralizedGamma(k=k, p=p, scale=1.0), count=count, largest=largest
    )
    cut_off = mean_below(k, p, lambda x: 1.0, largest)

    def expected(function):
        others = mean_below(k, p, function, largest) / cut_off
        return others * (1 - 1 / count) + function(largest) / count

    edge = 0.4 * largest
    for order in (0, 1, 2):
        assert seen.moment(order) == pytest.approx(expected(lambda x: x**order), rel=1e-9)  # noqa: B023
        # The edge cuts the integrand in two, so each part by itself.
        lower = mean_below(k, p, lambda x: x**order, edge) / cut_off * (1 - 1 / count)  # noqa: B023
        assert float(seen.lower_moment(order, edge)) == pytest.approx(lower, rel=1e-9)
        both = float(seen.lower_moment(order, edge) + seen.tail_moment(order, edge))
        assert both == pytest.approx(seen.moment(order), rel=1e-12)
    excess = float(seen.tail_moment(1, edge)) - edge * float(seen.tail_moment(0, edge))
    assert float(seen.tail_excess(edge)) == pytest.approx(excess, rel=1e-12)
    inside = float(seen.density(edge)) * cut_off
    assert inside == pytest.approx(
        (1 - 1 / count) * float(seen.distribution.density(edge)), rel=1e-12
    )


def test_beyond_the_largest_there_is_nothing():
    seen = SeenGamma(distribution=HALF_NORMAL, count=50, largest=2.0)
    assert (seen.end, seen.mass_at_end) == (2.0, 0.02)
    for x in (2.0, 3.0, 1e9):
        assert float(seen.density(x)) == float(seen.tail_excess(x)) == 0
        assert float(seen.tail_moment(1, x)) == 0
        assert float(seen.lower_moment(2, x)) == pytest.approx(seen.moment(2), rel=1e-15)
    just_below = math.nextafter(2.0, 0)
    assert float(seen.tail_moment(1, just_below)) == pytest.approx(0.04, rel=1e-12)


def test_a_largest_out_of_reach_changes_nothing():
    seen = SeenGamma(distribution=EXPONENTIAL, count=10**12, largest=200.0)
    for x in (0.1, 3.0, 20.0):
        assert float(seen.tail_moment(1, x)) == pytest.approx(
            float(EXPONENTIAL.tail_moment(1, x)), rel=1e-6
        )
