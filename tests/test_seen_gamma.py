"""Is a sample whose largest value is known what it says: one value there, the rest below?

Ground truth: numerical integration of the density that is cut off, and drawn samples.
"""

import math

import numpy as np
import pytest
from scipy import integrate

from quantizer.distortion import Side, distortion
from quantizer.ggd import GeneralizedGamma, SeenGamma
from quantizer.step_size import optimum_step

EXPONENTIAL = GeneralizedGamma(k=1.0, p=1.0, scale=2.0)
HEAVY = GeneralizedGamma(k=0.6, p=0.7, scale=0.3)
SAMPLES = [
    SeenGamma(distribution=EXPONENTIAL, count=100, largest=9.0),
    SeenGamma(distribution=HEAVY, count=16, largest=1.1),
    SeenGamma(distribution=HEAVY, count=10**6, largest=30.0),
]


def others(sample: SeenGamma, order: int, low: float, high: float) -> float:
    """``E[X**order; low < X < high]`` of the distribution cut off at the largest."""

    def integral(low: float, high: float, order: int) -> float:
        # Over ln x, where a spike at zero is smooth.
        value, _ = integrate.quad(
            lambda t: float(sample.distribution.density(math.exp(t))) * math.exp((order + 1) * t),
            math.log(low) if low else -60.0,
            math.log(high),
            limit=400,
            epsabs=0,
        )
        return value

    return integral(low, high, order) / integral(0.0, sample.largest, 0)


@pytest.mark.parametrize("sample", SAMPLES)
def test_moments_are_those_of_one_largest_and_the_rest_below(sample: SeenGamma) -> None:
    n, largest = sample.count, sample.largest
    edge = 0.4 * largest
    for order in (0, 1, 2):
        rest = others(sample, order, 0.0, largest)
        below = others(sample, order, 0.0, edge)
        whole = (n - 1) / n * rest + largest**order / n
        assert sample.moment(order) == pytest.approx(whole, rel=1e-8)
        assert float(sample.lower_moment(order, edge)) == pytest.approx(
            (n - 1) / n * below, rel=1e-8
        )
        tail = (n - 1) / n * others(sample, order, edge, largest) + largest**order / n
        assert float(sample.tail_moment(order, edge)) == pytest.approx(tail, rel=1e-8)
    excess = (n - 1) / n * (
        others(sample, 1, edge, largest) - edge * others(sample, 0, edge, largest)
    ) + (largest - edge) / n
    assert float(sample.tail_excess(edge)) == pytest.approx(excess, rel=1e-8)


@pytest.mark.parametrize("sample", SAMPLES)
def test_nothing_lies_beyond_the_largest(sample: SeenGamma) -> None:
    beyond = np.array([1.0, 1.5, 40.0]) * sample.largest
    for order in (0, 1, 2):
        assert not sample.tail_moment(order, beyond).any()
        np.testing.assert_allclose(sample.lower_moment(order, beyond), sample.moment(order))
    assert not sample.tail_excess(beyond).any()
    assert not sample.density(beyond).any()


def test_of_many_samples_with_a_far_largest_the_distribution_is_left() -> None:
    sample = SeenGamma(distribution=EXPONENTIAL, count=10**12, largest=56.0)
    x = np.array([0.1, 1.0, 5.0, 20.0])
    np.testing.assert_allclose(sample.tail_excess(x), EXPONENTIAL.tail_excess(x), rtol=1e-5)
    np.testing.assert_allclose(sample.density(x), EXPONENTIAL.density(x), rtol=1e-9)
    side = {"share": 1.0, "levels": 15}
    one, other = (optimum_step([Side(distribution=d, **side)]) for d in (sample, EXPONENTIAL))
    assert one == pytest.approx(other, rel=1e-6)


def test_the_error_is_that_of_samples_drawn_with_this_largest() -> None:
    """4000 samples of 50 values below 7, by inversion, and one at 7; 1 % is three deviations."""
    sample = SeenGamma(distribution=EXPONENTIAL, count=51, largest=7.0)
    rng = np.random.default_rng(0)
    uniform = rng.random((4000, 50)) * -math.expm1(-7.0 / 2.0)
    drawn = np.append(-2.0 * np.log1p(-uniform), np.full((4000, 1), 7.0), axis=1)
    for step, levels in ((0.5, 7), (0.8, 15)):
        level = np.minimum(np.rint(drawn / step), levels)
        measured = float(np.mean((drawn - level * step) ** 2))
        side = Side(share=1.0, distribution=sample, levels=levels)
        assert distortion([side], step) == pytest.approx(measured, rel=0.01)


def test_a_known_largest_moves_the_clipping_towards_it() -> None:
    """Nothing lies beyond 12, where the distribution has a tail; so clipping starts lower."""
    for largest in (12.0, 40.0):
        sample = SeenGamma(distribution=EXPONENTIAL, count=1000, largest=largest)
        step = optimum_step([Side(share=1.0, distribution=sample, levels=255)])
        population = optimum_step([Side(share=1.0, distribution=EXPONENTIAL, levels=255)])
        assert (step < population) == (largest < 255 * population)
        assert step * 255 < largest
