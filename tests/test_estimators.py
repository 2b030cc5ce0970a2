"""Do the estimators find the distribution that the samples are from, and else nothing?

Ground truth: exact moments and cumulants of known distributions, large seeded samples, and
scipy's own (slow, generic) maximum likelihood.
"""

import math
from itertools import product

import numpy as np
import pytest
from scipy import special, stats

from quantizer.estimators import (
    K_RANGE,
    MIN_SAMPLES,
    P_RANGE,
    Estimator,
    fit,
    fit_log_cumulants,
    fit_maximum_likelihood,
    fit_moments,
)
from quantizer.ggd import GeneralizedGamma
from tests.step_rules.records import record, scaled

SHAPES = list(product((0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0), (0.3, 0.5, 1.0, 2.0, 4.0)))
SCALE = 1.3


def fit_samples(estimator: Estimator, samples: list[float]) -> GeneralizedGamma | None:
    statistics = record(samples)
    return fit(estimator, statistics.positive, statistics.histogram.positive())


def draw(k: float, p: float, count: int, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    samples = SCALE * rng.gamma(k, 1.0, count) ** (1 / p)
    return samples.astype(np.float32).astype(float).tolist()


@pytest.mark.parametrize(("k", "p"), SHAPES)
def test_moments_give_the_distribution_back(k, p):
    given = GeneralizedGamma(k=k, p=p, scale=SCALE)
    found = fit_moments(given.moment(1), given.moment(2), given.moment(4))
    assert found is not None
    # Steep in places: 1e-14 of a moment is up to 1e-8 of a shape.
    assert (found.k, found.p, found.scale) == pytest.approx((k, p, SCALE), rel=1e-7)


@pytest.mark.parametrize(("k", "p"), list(product(K_RANGE, P_RANGE)))
def test_moments_are_matched_in_the_corners_of_the_domain(k, p):
    given = GeneralizedGamma(k=k, p=p, scale=SCALE)
    found = fit_moments(given.moment(1), given.moment(2), given.moment(4))
    assert found is not None
    for order in (1, 2, 4):  # the search ends a little inside its bounds
        assert found.moment(order) == pytest.approx(given.moment(order), rel=1e-6)


@pytest.mark.parametrize(("k", "p"), SHAPES)
def test_log_cumulants_give_the_distribution_back(k, p):
    first = math.log(SCALE) + float(special.psi(k)) / p
    second = float(special.polygamma(1, k)) / p**2
    third = float(special.polygamma(2, k)) / p**3
    square, cube = second + first**2, third + 3 * first * second + first**3
    found = fit_log_cumulants(first, square, cube)
    assert found is not None
    assert (found.k, found.p, found.scale) == pytest.approx((k, p, SCALE), rel=1e-9)


# Tails of k = 2, p = 1/2 reach 60 times the mean: the fourth moment of a sample is noise.
@pytest.mark.parametrize(("k", "p"), [(0.5, 2), (1, 1), (0.3, 1.2), (0.2, 4), (1.5, 2)])
@pytest.mark.parametrize("estimator", Estimator)
def test_many_samples_give_their_distribution_back(estimator, k, p):
    found = fit_samples(estimator, draw(k, p, 50_000, seed=3))
    assert found is not None
    # Four standard errors (of 12 seeds): 8 % of a shape and 1.5 % of a moment; for the log
    # cumulants, which take the tail from the spread of the smallest samples, 19 % and 6 %.
    shape, moment = (0.76, 0.24) if estimator is Estimator.LOG_CUMULANTS else (0.32, 0.06)
    assert (found.k, found.p) == pytest.approx((k, p), rel=shape)
    given = GeneralizedGamma(k=k, p=p, scale=SCALE)
    for order in (1, 2):
        assert found.moment(order) == pytest.approx(given.moment(order), rel=moment)


@pytest.mark.parametrize(("k", "p", "seed"), [(0.5, 2.0, 1), (1.0, 1.0, 2), (2.0, 1.5, 3)])
def test_maximum_likelihood_is_that_of_scipy(k, p, seed):
    samples = np.array(draw(k, p, 1500, seed))
    found = fit_maximum_likelihood(
        samples, np.ones(samples.size, np.int64), float(np.mean(np.log(samples)))
    )
    assert found is not None
    a, c, _, scale = stats.gengamma.fit(samples, k, p, floc=0, scale=SCALE)
    # Where the likelihood is flat scipy's simplex stops 1e-4 of a shape short.
    assert (found.k, found.p, found.scale) == pytest.approx((a, c, scale), rel=2e-3)
    ours = float(np.sum(stats.gengamma.logpdf(samples, found.k, found.p, scale=found.scale)))
    theirs = float(np.sum(stats.gengamma.logpdf(samples, a, c, scale=scale)))
    assert theirs - 1e-9 <= ours <= theirs + 1e-2


def test_maximum_likelihood_of_bins_is_that_of_their_samples():
    samples = draw(0.8, 1.5, 20_000, seed=5)
    of_bins = fit_samples(Estimator.MAXIMUM_LIKELIHOOD, samples)
    of_samples = fit_maximum_likelihood(
        np.array(samples), np.ones(20_000, np.int64), math.fsum(map(math.log, samples)) / 20_000
    )
    assert of_bins is not None
    assert of_samples is not None
    # Bins are 1/3000 of the range wide; within one, the mean stands for the power of p.
    assert (of_bins.k, of_bins.p) == pytest.approx((of_samples.k, of_samples.p), rel=1e-4)


@pytest.mark.parametrize("estimator", Estimator)
@pytest.mark.parametrize("exponent", [1, -1, 20, -100])
def test_twice_the_samples_are_twice_the_scale(estimator, exponent):
    statistics = record(draw(0.7, 1.4, 5000, seed=11))
    doubled = scaled(statistics, exponent)
    here, there = (
        fit(estimator, one.positive, one.histogram.positive()) for one in (statistics, doubled)
    )
    assert here is not None
    assert there is not None
    if estimator is Estimator.MOMENTS:
        exact = GeneralizedGamma(k=here.k, p=here.p, scale=math.ldexp(here.scale, exponent))
        assert there == exact
    else:
        # Sums of logarithms shift, and their cumulants are differences: of ln x near
        # -70, at 2**-100, the third power leaves 10 of 16 digits.
        tolerance = 1e-12 if abs(exponent) == 1 else 1e-9
        assert (there.k, there.p) == pytest.approx((here.k, here.p), rel=tolerance)
        assert there.scale == pytest.approx(math.ldexp(here.scale, exponent), rel=tolerance)


@pytest.mark.parametrize("estimator", Estimator)
@pytest.mark.parametrize(
    "samples",
    [
        [],
        [0.0] * 100,
        [-1.0, -2.0] * 50,
        [3.0] * 100,
        [1e-45] * 1000,
        [1.0] * 99 + [0.0] * 99,
        [0.1 * index for index in range(MIN_SAMPLES)],  # of which one is zero
    ],
    ids=["empty", "zeros", "negative", "constant", "denormal", "constant or zero", "handful"],
)
def test_no_distribution_is_made_up_where_there_is_none(estimator, samples):
    assert fit_samples(estimator, samples) is None


@pytest.mark.parametrize("estimator", Estimator)
def test_as_many_samples_as_needed_are_enough(estimator):
    assert fit_samples(estimator, draw(0.5, 2.0, MIN_SAMPLES, seed=1)) is not None


@pytest.mark.parametrize("estimator", Estimator)
def test_two_values_far_apart_have_no_distribution(estimator):
    assert fit_samples(estimator, [1e-6] * 500 + [1.0] * 500) is None


@pytest.mark.parametrize("estimator", Estimator)
def test_what_is_found_lies_inside_the_domain(estimator):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        samples = (rng.standard_normal(40) ** rng.integers(2, 9)).tolist()
        found = fit_samples(estimator, samples)
        if found is not None:
            assert K_RANGE[0] <= found.k <= K_RANGE[1]
            assert P_RANGE[0] <= found.p <= P_RANGE[1]
            assert 0 < found.scale < math.inf


@pytest.mark.parametrize(
    "moments",
    [
        (0.0, 0.0, 0.0),
        (3.0, 9.0, 81.0),
        (1.0, 1.2, 1.3),  # no sample at all has these
        (1.0, 1e9, 1e30),
        (math.inf, math.inf, math.inf),
        (math.nan, 1.0, 1.0),
    ],
)
def test_impossible_moments_give_none(moments):
    assert fit_moments(*moments) is None


@pytest.mark.parametrize(
    "cumulants",
    [
        (0.0, 0.0, 0.0),
        (0.0, 1.0, 0.0),  # ln x symmetric: log-normal, the limit of infinite k
        (0.0, 1.0, 1.0),  # ln x skewed to the right
        (0.0, 1.0, -2.5),  # skewed more than a power of x near zero
        (0.0, 1e-4, -1e-6),  # p of 100 and more
        (0.0, 400.0, -8000.0),  # p below 0.1
        (math.nan, math.nan, math.nan),
    ],
)
def test_impossible_log_cumulants_give_none(cumulants):
    first, second, third = cumulants
    assert fit_log_cumulants(first, second, third) is None


def test_a_spike_of_zeros_changes_nothing():
    samples = draw(0.8, 1.0, 4000, seed=5)
    for estimator in Estimator:
        assert fit_samples(estimator, samples + [0.0] * 9000) == fit_samples(estimator, samples)


@pytest.mark.slow  # 5 s
def test_moments_are_matched_all_over_the_domain():
    rng = np.random.default_rng(0)
    lower, upper = np.log([K_RANGE[0], P_RANGE[0]]), np.log([K_RANGE[1], P_RANGE[1]])
    for _ in range(500):
        k, p = np.exp(rng.uniform(lower, upper))
        given = GeneralizedGamma(k=float(k), p=float(p), scale=SCALE)
        found = fit_moments(given.moment(1), given.moment(2), given.moment(4))
        assert found is not None
        for order in (1, 2, 4):
            assert found.moment(order) == pytest.approx(given.moment(order), rel=1e-6)
