"""Is the band of a ratio the one that all factors span?"""

import itertools

import numpy as np
import pytest

from accel_sim.report.comparison import compare_reports
from accel_sim.report.shared_factors import BandedEnergy, bound_ratio
from tests.report.sample import with_values


def energy(value, low=0.5, high=2.0):
    return BandedEnergy(value=value, low=value * low, high=value * high)


def test_a_report_does_not_differ_from_itself():
    same = {"mac": energy(3.0), "buffers": energy(5.0, 0.7, 3.0)}
    assert bound_ratio(same, same) == pytest.approx((1.0, 1.0))


def test_one_factor_cancels():
    assert bound_ratio({"mac": energy(3.0)}, {"mac": energy(6.0)}) == pytest.approx((2.0, 2.0))


def test_factors_of_their_own_do_not_cancel():
    first, other = {"dram": energy(3.0, 0.5, 1.0)}, {"dram": energy(6.0, 0.8, 1.5)}
    assert bound_ratio(first, other) == pytest.approx((6 * 0.8 / 3, 6 * 1.5 / 1.5))


def test_what_only_one_of_both_has_errs_alone():
    first = {"mac": energy(4.0), "files": energy(0.0)}
    other = {"mac": energy(4.0), "files": energy(1.0, 0.5, 3.0)}
    assert bound_ratio(first, other) == pytest.approx((1 + 0.5 / 8, 1 + 3 / 2))


def test_a_ratio_to_nothing_has_no_band():
    assert bound_ratio({"mac": energy(0.0)}, {"mac": energy(1.0)}) is None
    assert bound_ratio({"mac": energy(1.0, 0.0)}, {"mac": energy(1.0, 0.0)}) is None


@pytest.mark.parametrize("seed", range(200))
def test_the_band_is_that_of_all_corners(seed):
    """A linear-fractional function has its extremes at corners of the box of factors."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    bands = [(float(rng.uniform(0.2, 1)), float(rng.uniform(1, 3))) for _ in range(n)]
    others = [
        band if rng.random() < 0.6 else (float(rng.uniform(0.2, 1)), float(rng.uniform(1, 3)))
        for band in bands
    ]
    values = rng.uniform(0, 10, size=(2, n)) * (rng.random((2, n)) < 0.85)
    values[0, 0] = 1.0
    first = {str(i): energy(float(values[0, i]), *bands[i]) for i in range(n)}
    other = {str(i): energy(float(values[1, i]), *others[i]) for i in range(n)}
    ratios = []
    for ends in itertools.product((0, 1), repeat=2 * n):
        mine = [bands[i][ends[i]] for i in range(n)]
        theirs = [
            # A component that one report lacks takes the other's band.
            bands[i][ends[i]] if others[i] == bands[i] else others[i][ends[n + i]]
            for i in range(n)
        ]
        ratios.append(float(np.dot(theirs, values[1]) / np.dot(mine, values[0])))
    assert bound_ratio(first, other) == pytest.approx((min(ratios), max(ratios)))


def test_total_energies_are_compared_with_their_bands():
    report = with_values().to_document()
    metrics = {metric.key: metric for metric in compare_reports([report, report])}
    for key in ("energy_uJ", "chip_energy_uJ"):
        assert metrics[key].delta_bands[1] == pytest.approx((0.0, 0.0))
    assert metrics["latency_us"].delta_bands == (None, None)
