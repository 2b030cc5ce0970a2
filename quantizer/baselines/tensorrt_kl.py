"""TensorRT's calibration: the threshold at which a coarse histogram tells most like a fine one.

Notes
-----
Source: Migacz, "8-bit inference with TensorRT", GTC 2017 (S7310), the pseudocode of entropy
calibration. NVIDIA's pytorch-quantization (`histogram.py`, _compute_amax_entropy) generalises
the 128 levels to ``2**(bits - 1)``, unsigned ``2**bits``, still starts at 128 bins, and
overwrites the bin of the zeros, which otherwise decides alone; here zeros are left out.
"""

import math

import numpy as np
from numpy.typing import NDArray

from quantizer.grid import Grid
from quantizer.map_statistics import Histogram, MapStatistics

_MOST_BINS = 2048
_FEWEST_BINS = 128


def tensorrt_kl_step(statistics: MapStatistics, bits: int, grid: Grid) -> float | None:
    """Put the threshold of least Kullback-Leibler divergence on the outermost level.

    The histogram of magnitudes is merged, two bins at a time, until at most 2048 bins reach
    up to the largest; at least 128 of them are kept.

    Returns
    -------
    float or None
        None where the grid sees no sample other than zero.
    """
    largest = statistics.seen_by(grid).largest
    if largest == 0:
        return None
    counts, width = _coarse_bins(statistics.histogram.magnitudes(grid))
    kept = _best_length(counts, grid.cells(bits))
    threshold = largest if kept == counts.size else (kept + 0.5) * width
    return threshold / grid.highest(bits)


def _coarse_bins(magnitudes: Histogram) -> tuple[NDArray[np.int64], float]:
    """Give the counts from zero to the last occupied bin, and their width."""
    counts = magnitudes.counts[: int(np.flatnonzero(magnitudes.counts)[-1]) + 1]
    width = magnitudes.width
    while counts.size > _MOST_BINS:
        counts = np.pad(counts, (0, counts.size % 2)).reshape(-1, 2).sum(axis=1)
        width *= 2
    return counts, width


def _best_length(counts: NDArray[np.int64], levels: int) -> int:
    """Choose the number of bins to keep; of equal divergences the longest."""
    lengths = range(min(_FEWEST_BINS, counts.size), counts.size + 1)
    divergences = np.array([_divergence(counts, length, levels) for length in lengths])
    # The last minimum, as NVIDIA's code takes it.
    return lengths[divergences.size - 1 - int(np.argmin(divergences[::-1]))]


def _divergence(counts: NDArray[np.int64], length: int, levels: int) -> float:
    """Kullback-Leibler divergence of the first bins from their quantized form.

    The reference holds what lies beyond in its last bin. The candidate does not: each level
    spreads its count evenly over its occupied bins.
    """
    kept = counts[:length]
    reference = kept.astype(np.float64)
    reference[-1] += counts[length:].sum()
    level_of = np.arange(length) * levels // length
    if levels > length:  # a level of its own for every bin; no room for those between
        level_of = np.arange(length)
    occupied = kept > 0
    mass = np.bincount(level_of, weights=kept)
    bins = np.bincount(level_of, weights=occupied)
    held = reference > 0
    # An empty last bin that takes all outliers: the candidate gives it no probability.
    if (held & ~occupied).any():
        return math.inf
    candidate = mass[level_of[held]] / bins[level_of[held]]
    reference = reference[held] / reference.sum()
    return float(np.sum(reference * np.log(reference / (candidate / candidate.sum()))))
