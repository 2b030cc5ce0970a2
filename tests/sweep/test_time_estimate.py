"""Are the jobs of a sweep timed as a sweep does them, and no more of them than needed?"""

from dataclasses import replace

import pytest

from accel_sim.sweep.time_estimate import JobTimes, time_jobs
from quantizer.errors import InputError
from tests.digits import load_digits
from tests.sweep.points import NARROW_ACCUMULATORS, count_calls, make_experiment, make_point


@pytest.fixture(scope="module")
def network():
    return load_digits(10)[0]


@pytest.fixture(scope="module")
def images():
    return load_digits(10)[1]


def test_images_are_shared_among_processors_and_the_rest_is_not():
    times = JobTimes(preparation_s=2.0, image_s=0.5, point_s=1.0)
    assert times.exact_run_s(12, 3) == 2.0 + 12 * 0.5 / 3
    assert times.exact_run_s(0, 3) == 2.0


@pytest.mark.parametrize("overrides", [(), NARROW_ACCUMULATORS])
def test_formats_are_chosen_once_to_warm_up_and_once_on_the_clock(network, images, overrides):
    calls, quantize = count_calls(network, images)
    points = [make_point(4, *overrides, f"clock_MHz={clock}") for clock in (100, 200, 300)]
    times = time_jobs(make_experiment(network, images, quantize), points)
    assert len(calls) == 2
    assert min(times.preparation_s, times.point_s) > 0
    assert times.image_s >= 0


def test_one_image_is_enough(network, images):
    one = replace(images, images=images.images[:1].copy(), labels=None)
    times = time_jobs(make_experiment(network, one), [make_point(8)])
    assert times.image_s > 0


def test_costs_alone_have_no_images_and_a_float_network_no_formats(network, images):
    points = [make_point(8)]
    costs = time_jobs(replace(make_experiment(network, images), images=None), points)
    assert costs.preparation_s > 0
    floats = make_experiment(network, None, is_quantized=False)
    assert time_jobs(floats, points).preparation_s == costs.image_s == 0


def test_the_first_point_has_to_run_and_others_need_not(network):
    floats = make_experiment(network, None, is_quantized=False)
    good = make_point(8)
    psum = good.hardware.buffers.psum.model_copy(update={"capacity_KiB": 1 / 1024})
    buffers = good.hardware.buffers.model_copy(update={"psum": psum})
    bad = replace(good, hardware=good.hardware.model_copy(update={"buffers": buffers}))
    assert time_jobs(floats, [good, bad]).point_s == 0
    with pytest.raises(InputError, match="psum"):
        time_jobs(floats, [bad, good])
