"""Does one pass over the images see all of them, in an order that nothing changes?"""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantizer import ordered_map
from quantizer.calibrate import CalibratedMap, collect_maps
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.quantize import calibrate, quantize
from quantizer.quantized import BitWidths
from tests.test_quantize import MAP, chain, images

TENSORS = ("x", "a.out", "b.out", "total", "means", "scores")


def no_progress(done: int, total: int) -> None:
    del done, total


def collect(calibration: ImageSet) -> dict[str, CalibratedMap]:
    runner = FloatRunner(chain())
    return collect_maps(runner, calibration, TENSORS, Rounding.TIES_POS, no_progress)


def numbers(calibrated: CalibratedMap) -> list[NDArray[np.float64]]:
    """All that is kept of a map, as arrays."""
    statistics, errors = calibrated.statistics, calibrated.errors
    histogram = statistics.histogram
    return [
        np.array([repr(statistics.positive), repr(statistics.negative), str(statistics.zeros)]),
        np.array([histogram.exponent, histogram.first]),
        histogram.counts, histogram.sums, histogram.squares,
        errors.positive.sums, errors.positive.lost, errors.negative.sums, errors.negative.lost,
    ]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_any_number_of_threads_gives_the_same_bits(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = images(MAP, count=40)
    expected = collect(calibration)
    monkeypatch.setattr(ordered_map.os, "sched_getaffinity", lambda _: set(range(threads)))
    found = collect(calibration)
    for name in TENSORS:
        for mine, theirs in zip(numbers(found[name]), numbers(expected[name]), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_the_pass_is_the_sum_of_passes_over_single_images() -> None:
    """However images are batched, each adds what it would add alone, in its turn."""
    calibration = images(MAP, count=9)
    found = collect(calibration)
    for name in TENSORS:
        values = [FloatRunner(chain()).run(calibration.real(index))[name] for index in range(9)]
        reals = np.concatenate([value.reshape(-1) for value in values]).astype(np.float64)
        statistics = found[name].statistics
        assert statistics.count == reals.size
        assert statistics.mean == pytest.approx(float(reals.mean()), rel=1e-12)
        assert statistics.mean_square == pytest.approx(float(np.mean(reals**2)), rel=1e-12)
        fmt = QFormat(bits=8, frac_bits=5)
        noise = fmt.decode(fmt.encode(reals, Rounding.TIES_POS)) - reals
        assert found[name].errors.of(fmt).total == pytest.approx(float(np.sum(noise**2)), rel=1e-12)


def test_every_image_is_run_once_and_reported_in_turn() -> None:
    calls = []

    class Counting(FloatRunner):
        def run(self, image: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
            calls.append(float(image[0, 0, 0]))
            return super().run(image)

    calibration = images(MAP, count=23)
    steps: list[tuple[int, int]] = []
    collect_maps(
        Counting(chain()),
        calibration,
        TENSORS,
        Rounding.TIES_POS,
        lambda done, total: steps.append((done, total)),
    )
    assert sorted(calls) == sorted(float(calibration.real(index)[0, 0, 0]) for index in range(23))
    assert steps == [(done, 23) for done in range(1, 24)]


def test_nothing_that_is_kept_grows_with_the_number_of_images() -> None:
    few, many = collect(images(MAP, count=5)), collect(images(MAP, count=50))
    for name in TENSORS:
        # Bins and octaves reach from the smallest to the largest sample: bounded, and no more
        # than a handful apart from five images to fifty.
        assert many[name].statistics.histogram.counts.size < 2 * 2**13
        assert len(many[name].errors.positive) < 60
        assert len(many[name].errors.positive) <= len(few[name].errors.positive) + 10


def test_the_first_image_that_is_not_finite_is_named() -> None:
    calibration = images(MAP, count=12)
    values = calibration.images.copy()
    values[7:] = 3e38
    with pytest.raises(InputError) as error:
        collect(replace(calibration, images=values))
    assert str(error.value) == (
        "made: image 7: makes feature map 'means' NaN or infinite; expected finite values"
    )


def test_one_calibration_serves_all_widths_and_methods() -> None:
    calibration = images(MAP, count=12)
    calibrated = calibrate(chain(), calibration, BitWidths(weights=6))
    for method in ("ggd", "max_range"):
        for bits in (4, 8, 12):
            widths = BitWidths(weights=6, activations=bits)
            mine = quantize(chain(), calibrated, widths, method=method)
            theirs = quantize(chain(), calibration, widths, method=method)
            assert mine.formats == theirs.formats
            assert mine.choices == theirs.choices
