"""Are histograms those of the samples, and curves those of the fit?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.map_histograms import MOST_BINS, measure_histograms
from accel_sim.measure import decoded_constants
from quantizer.network.float_run import FloatRunner
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, Tuning
from tests.digits import load_digits

IMAGES = 6


@pytest.fixture(scope="module")
def quantized():
    network, images = load_digits(IMAGES)
    return quantize(network, images, BitWidths()), images


@pytest.fixture(scope="module")
def histograms(quantized):
    return measure_histograms(*quantized, lambda done, total: None)


@pytest.fixture(scope="module")
def samples(quantized):
    """All samples of every map, by its name."""
    network, images = quantized
    runner = FloatRunner(network.network, decoded_constants(network))
    runs = [runner.run(images.real(index)) for index in range(IMAGES)]
    return {name: np.concatenate([run[name].ravel() for run in runs]) for name in runs[0]}


def test_every_map_has_a_histogram_in_the_order_of_the_network(quantized, histograms):
    graph = quantized[0].network
    assert [(each.tensor, each.layer) for each in histograms] == [
        (graph.input, None),
        *((layer.ofm, layer.name) for layer in graph.layers),
    ]


def test_densities_are_those_of_all_samples_but_zeros(histograms, samples):
    for each in histograms:
        values = samples[each.tensor].astype(np.float64)
        nonzero = values[values != 0]
        assert each.zeros_fraction == pytest.approx(1 - nonzero.size / values.size)
        assert len(each.densities) <= MOST_BINS
        # The end nearer to zero belongs to a bin.
        counts = np.histogram(np.abs(nonzero[nonzero > 0]), each.edges)[0]
        mirrored = np.histogram(-nonzero[nonzero < 0], -each.edges[::-1])[0][::-1]
        expected = (counts + mirrored) / (nonzero.size * np.diff(each.edges))
        np.testing.assert_allclose(each.densities, expected, rtol=1e-12)
        assert (each.densities * np.diff(each.edges)).sum() == pytest.approx(1)


def test_bins_are_as_narrow_as_their_number_allows(histograms):
    for each in histograms:
        assert len(each.densities) > MOST_BINS / 4


def test_a_curve_has_the_share_and_the_mean_of_its_sign(histograms, samples):
    """But for the tail beyond the largest sample, where the curve ends."""
    fitted = [each for each in histograms if each.choice is not None and each.choice.shapes]
    assert len(fitted) > 5
    for each in fitted:
        values = samples[each.tensor].astype(np.float64)
        nonzero = values[values != 0]
        assert len(each.curves) == len(each.choice.shapes)
        for curve in each.curves:
            sign = np.sign(curve[0, 0])
            own = nonzero[np.sign(nonzero) == sign]
            # A density with a pole at zero has what the first point leaves out.
            share = np.trapezoid(curve[1], np.abs(curve[0]))
            mean = np.trapezoid(curve[1] * np.abs(curve[0]), np.abs(curve[0])) * nonzero.size
            assert np.abs(curve[0]).max() == np.abs(own).max()
            assert share == pytest.approx(own.size / nonzero.size, rel=0.1)
            assert mean == pytest.approx(np.abs(own).sum(), rel=0.05)


def test_a_map_that_shares_a_format_has_samples_and_no_curve(histograms):
    shared = [each for each in histograms if each.choice is None]
    assert shared
    assert all(each.curves == () and each.densities.any() for each in shared)


def test_a_fit_of_other_signs_than_these_samples_have_is_not_shown(quantized, histograms):
    network, images = quantized
    shown = next(each for each in histograms if each.curves)
    of_more_signs = replace(shown.choice, shapes=(*shown.choice.shapes, (1.0, 1.0)))
    fitted_to_others = replace(network, choices={shown.tensor: of_more_signs})
    maps = measure_histograms(fitted_to_others, images, lambda done, total: None)
    (without,) = [each for each in maps if each.tensor == shown.tensor]
    assert without.choice == of_more_signs
    assert without.curves == ()


def test_a_format_that_tuning_may_have_moved_has_no_prediction(quantized):
    network, images = quantized
    tuned = replace(network, tuning=Tuning())
    maps = measure_histograms(tuned, images, lambda done, total: None)
    choices = [each.choice for each in maps if each.choice is not None]
    assert any(choice.shapes for choice in choices)
    assert [choice for choice in choices if choice.predicted_sqnr_dB is not None] == []
