"""What feature maps hold, beside the distribution that was fitted and the format chosen."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.measure import decoded_constants
from quantizer.calibrate import collect_maps
from quantizer.fixedpoint.qformat import QFormat
from quantizer.ggd import GeneralizedGamma
from quantizer.map_statistics import Histogram, MapStatistics
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.quantized import MapChoice, QuantizedNetwork

MOST_BINS = 96
"""Of a histogram: what a chart on a screen can show."""
CURVE_POINTS = 48
"""Of the density of one sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapHistogram:
    """Samples of a feature map from the network with its quantized constants.

    Densities are those of the samples other than zero, of both signs together.

    Attributes
    ----------
    layer
        That writes the map; None for the input of the network.
    fmt
        In which the map is stored.
    width
        Of a bin, a power of two.
    first
        Index of the first bin, counted in widths from zero; negative left of it.
    densities : float64[n]
        Share of the samples in a bin over its width.
    zeros_fraction
        Of all samples, those that are exactly zero.
    choice
        Why the map has its format; None where it shares that of another, or was given it.
    curves : tuple of float64[2, m]
        Values and their density after the fitted distribution of a sign, scaled to the mean
        of its samples; none where nothing was fitted.
    """

    tensor: str
    layer: str | None
    fmt: QFormat
    width: float
    first: int
    densities: NDArray[np.float64]
    zeros_fraction: float
    choice: MapChoice | None
    curves: tuple[NDArray[np.float64], ...]

    @property
    def edges(self) -> NDArray[np.float64]:
        """Of the bins, float64[n + 1]."""
        indices = np.arange(self.first, self.first + self.densities.size + 1)
        return np.asarray(self.width * indices, np.float64)


def measure_histograms(
    network: QuantizedNetwork, images: ImageSet, progress: Callable[[int, int], None]
) -> tuple[MapHistogram, ...]:
    """Run images through the float network with quantized constants; sum up every feature map.

    Parameters
    ----------
    images
        Those that formats were chosen from, if they are there.
    progress
        Called with images done and images in all.

    Returns
    -------
    tuple[MapHistogram, ...]
        Of the input, then of the outputs of the layers; maps that are zero throughout have none.

    Raises
    ------
    InputError
        An image makes a map NaN or infinite.
    """
    graph = network.network
    writers = {graph.input: None} | {layer.ofm: layer.name for layer in graph.layers}
    runner = FloatRunner(graph, decoded_constants(network))
    maps = collect_maps(runner, images, tuple(writers), network.rules.requantize_rounding, progress)
    return tuple(
        _histogram(network, tensor, writers[tensor], collected.statistics)
        for tensor, collected in maps.items()
        if collected.statistics.histogram.total
    )


def _histogram(
    network: QuantizedNetwork, tensor: str, layer: str | None, statistics: MapStatistics
) -> MapHistogram:
    bins = _coarsen(statistics.histogram)
    fmt, choice = network.formats[tensor], network.choices.get(tensor)
    if choice is not None and network.tuning is not None:
        # It was predicted of the format before tuning, which may have moved it.
        choice = replace(choice, predicted_sqnr_dB=None)
    return MapHistogram(
        tensor=tensor,
        layer=layer,
        fmt=fmt,
        width=bins.width,
        first=bins.first,
        densities=bins.counts / (bins.total * bins.width),
        zeros_fraction=statistics.zeros / statistics.count,
        choice=choice,
        curves=() if choice is None else tuple(_curves(statistics, choice, fmt)),
    )


def _coarsen(fine: Histogram) -> Histogram:
    """Join bins until there are few enough."""
    exponent = fine.exponent
    while True:
        first, end = fine.span(exponent)
        if end - first <= MOST_BINS:
            break
        exponent += 1
    empty = np.zeros(1)
    frame = Histogram(
        exponent=exponent, first=first, counts=np.zeros(1, np.int64), sums=empty, squares=empty
    )
    return frame.merged(fine)


def _curves(
    statistics: MapStatistics, choice: MapChoice, fmt: QFormat
) -> list[NDArray[np.float64]]:
    """Evaluate the densities of the signs that have samples and levels, as they were fitted.

    Nothing where these samples have other signs than those that were fitted.
    """
    signs = [(1.0, statistics.positive)]
    if fmt.signed:
        signs.append((-1.0, statistics.negative))
    signs = [(sign, sums) for sign, sums in signs if sums.count]
    if len(signs) != len(choice.shapes):
        return []
    count = statistics.positive.count + statistics.negative.count
    # Methods of one density give it for every sign.
    curves = []
    for (sign, sums), (k, p) in zip(signs, choice.shapes, strict=True):
        mean = sums.sum_abs / sums.count
        scale = mean * math.exp(math.lgamma(k) - math.lgamma(k + 1 / p))
        distribution = GeneralizedGamma(k=k, p=p, scale=scale)
        # Denser towards zero, where a density may have a pole.
        values = sums.largest * np.linspace(0.0, 1.0, CURVE_POINTS + 1)[1:] ** 2
        densities = distribution.density(values) * sums.count / count
        curves.append(np.stack((sign * values, densities)))
    return curves
