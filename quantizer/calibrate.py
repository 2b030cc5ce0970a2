"""Statistics of feature maps over calibration images.

Two passes over the same images: running sums for the distribution fit, then, once there
are candidate formats, the squared error that each of them makes on the samples. Nothing
is kept of the maps themselves, so memory does not grow with the number of images.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.ordered_map import map_in_order
from quantizer.sample_sums import add_moments, squared_errors

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""

_COUNT, _SUM, _SQUARE, _FOURTH, _MAX = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideStatistics:
    """Samples of one sign: their number, moments and largest value, as magnitudes."""

    count: int
    mean: float
    mean_square: float
    mean_fourth: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorStatistics:
    """What calibration keeps of a feature map; zeros are left out."""

    positive: SideStatistics
    negative: SideStatistics

    @property
    def largest(self) -> float:
        """Largest magnitude of either sign."""
        return max(self.positive.largest, self.negative.largest)


@dataclass(slots=True)
class _RunningSums:
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 5)))
    compensation: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 5)))

    def statistics(self) -> TensorStatistics:
        totals = self.sums + self.compensation
        positive, negative = (
            SideStatistics(
                count=int(row[_COUNT]),
                mean=float(row[_SUM] / max(row[_COUNT], 1)),
                mean_square=float(row[_SQUARE] / max(row[_COUNT], 1)),
                mean_fourth=float(row[_FOURTH] / max(row[_COUNT], 1)),
                largest=float(row[_MAX]),
            )
            for row in totals
        )
        return TensorStatistics(positive=positive, negative=negative)


def collect_statistics(
    runner: FloatRunner,
    images: ImageSet,
    tensors: Collection[str],
    progress: Progress,
) -> dict[str, TensorStatistics]:
    """Run all images and sum up the named feature maps.

    Raises
    ------
    InputError
        A map holds NaN or infinity: the network or its preprocessing is broken.
    """
    running = {name: _RunningSums() for name in tensors}
    for index, maps in enumerate(_float_maps(runner, images)):
        for name, state in running.items():
            check_finite(images, index, name, maps[name])
            add_moments(maps[name].reshape(-1), state.sums, state.compensation)
        progress(index + 1, len(images))
    return {name: state.statistics() for name, state in running.items()}


def check_finite(images: ImageSet, index: int, name: str, values: NDArray[np.float32]) -> None:
    """Refuse a map that the float network makes of an image, if no format can hold it.

    Raises
    ------
    InputError
        A value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise InputError(
            f"{images.source}: image {index}",
            f"makes feature map {name!r} NaN or infinite; expected finite values",
        )


@dataclass(slots=True)
class FormatError:
    """Squared error that one format makes on all samples of a map, by its cause."""

    granular: float = 0.0
    overload: float = 0.0


def measure_errors(
    runner: FloatRunner,
    images: ImageSet,
    candidates: Mapping[str, Sequence[QFormat]],
    rounding: Rounding,
    progress: Progress,
) -> dict[str, list[FormatError]]:
    """Run all images again and sum up the error of every candidate format of every map."""
    errors = {name: [FormatError() for _ in formats] for name, formats in candidates.items()}
    for index, maps in enumerate(_float_maps(runner, images)):
        for name, formats in candidates.items():
            values = maps[name].reshape(-1)
            for fmt, error in zip(formats, errors[name], strict=True):
                granular, overload = squared_errors(
                    values, fmt.frac_bits, fmt.raw_min, fmt.raw_max, int(rounding)
                )
                error.granular += granular
                error.overload += overload
        progress(index + 1, len(images))
    return errors


def _float_maps(runner: FloatRunner, images: ImageSet) -> Iterator[dict[str, NDArray[np.float32]]]:
    return map_in_order(lambda index: runner.run(images.real(index)), len(images))
