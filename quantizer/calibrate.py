"""Sums over feature maps of calibration images, in one pass.

Nothing is kept of the maps themselves, so memory does not grow with the number of images.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.format_errors import FormatErrors
from quantizer.map_statistics import MapStatistics
from quantizer.map_sums import MapSums, RunningSums, sum_up
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.ordered_map import map_in_order

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedMap:
    """What calibration knows of a feature map.

    Attributes
    ----------
    statistics
        From which a step is chosen.
    errors
        By which the step is rounded to a power of two.
    """

    statistics: MapStatistics
    errors: FormatErrors


def collect_maps(
    runner: FloatRunner,
    images: ImageSet,
    tensors: Collection[str],
    rounding: Rounding,
    progress: Progress,
) -> dict[str, CalibratedMap]:
    """Run all images and sum up the named feature maps.

    The sums of an image are made on the thread that runs it, and added in the order of the
    images.

    Parameters
    ----------
    rounding
        By which the machine would encode the samples.
    progress
        Called with images done and images in all.

    Raises
    ------
    InputError
        A map holds NaN or infinity: the network or its preprocessing is broken.
    """

    def sum_up_image(index: int) -> dict[str, MapSums]:
        maps = runner.run(images.real(index))
        for name in tensors:
            check_finite(images, index, name, maps[name])
        return {name: sum_up(maps[name], rounding) for name in tensors}

    running: dict[str, RunningSums] = {}
    for index, sums in enumerate(map_in_order(sum_up_image, len(images))):
        for name, part in sums.items():
            if name in running:
                running[name].add(part)
            else:
                running[name] = RunningSums(part)
        progress(index + 1, len(images))
    totals = {name: sums.total() for name, sums in running.items()}
    return {
        name: CalibratedMap(statistics=sums.statistics(), errors=sums.errors())
        for name, sums in totals.items()
    }


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
