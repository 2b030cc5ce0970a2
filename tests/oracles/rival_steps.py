"""The steps of published rules on the samples themselves, equation by equation.

Every function takes all samples of a feature map, the width, and whether the grid is two's
complement (``-2**(bits-1)`` to ``2**(bits-1) - 1``) or unsigned (0 to ``2**bits - 1``).
No histogram but where the rule is about one. None of them is given an empty map.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from tests.oracles.midrise_quantizer import RealArray, optimum
from tests.oracles.sample_statistics import sort_into_bins

Samples = Sequence[float]


def highest_level(bits: int, is_signed: bool) -> int:
    return 2 ** (bits - 1) - 1 if is_signed else 2**bits - 1


def _magnitudes(samples: Samples, is_signed: bool) -> list[float]:
    """What the grid can see, zeros left out, in rising order."""
    return sorted(abs(x) for x in samples if x > 0 or (is_signed and x < 0))


def max_range(samples: Samples, bits: int, is_signed: bool) -> float:
    """Ristretto: ``il = ceil(log2(max)) + sign bit``, ``step = 2**(il - bits)``."""
    largest, integer_bits = _magnitudes(samples, is_signed)[-1], -200
    while 2.0**integer_bits < largest:
        integer_bits += 1
    return 2.0 ** (integer_bits + is_signed - bits)


def min_max(samples: Samples, bits: int, is_signed: bool) -> float:
    """The least step at which no sample lies beyond the outermost levels."""
    step = max(samples) / highest_level(bits, is_signed)
    return max(step, -min(samples) / 2 ** (bits - 1)) if is_signed else step


def percentile(samples: Samples, bits: int, is_signed: bool, fraction: float) -> float:
    """The least magnitude that `fraction` of all do not exceed, on the outermost level."""
    ordered = sorted(abs(x) for x in samples if x >= 0 or is_signed)
    rank = math.ceil(fraction * len(ordered))
    return ordered[rank - 1] / highest_level(bits, is_signed)


def lin(
    samples: Samples, bits: int, is_signed: bool, density: Callable[[RealArray], RealArray]
) -> float:
    """Root mean square times Max's step of a density; unsigned is half of one bit more."""
    magnitudes = _magnitudes(samples, is_signed)
    mean_square = math.fsum(x * x for x in magnitudes) / len(magnitudes)
    levels = 2**bits if is_signed else 2 ** (bits + 1)
    return math.sqrt(mean_square) * optimum(density, levels).step


def aciq_laplace(samples: Samples, bits: int, is_signed: bool) -> float:
    """``alpha / b = W``, with b the mean absolute deviation and ``W exp(W) = 3 * 4**M``."""
    mean = math.fsum(samples) / len(samples)
    deviation = math.fsum(abs(x - mean) for x in samples) / len(samples)
    target = math.log(3 * 4 ** (bits if is_signed else bits + 1))
    alpha = deviation * _bisect(lambda w: w + math.log(w) - target)
    return _aciq(alpha, mean, bits, is_signed)


def aciq_gauss(samples: Samples, bits: int, is_signed: bool) -> float:
    """``2 (phi(a) - a Q(a)) = a / (3 * 4**M)``, ``alpha = a`` standard deviations."""
    mean = math.fsum(samples) / len(samples)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in samples) / (len(samples) - 1))
    target = 3 * 4 ** (bits if is_signed else bits + 1)

    def excess(a: float) -> float:
        phi = math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        return a / target - 2 * (phi - a * math.erfc(a / math.sqrt(2)) / 2)

    return _aciq(deviation * _bisect(excess), mean, bits, is_signed)


def _aciq(alpha: float, mean: float, bits: int, is_signed: bool) -> float:
    clipped_range = 2 * alpha if is_signed else max(mean, 0) + alpha
    return clipped_range / (2**bits - 1)


def _bisect(rising: Callable[[float], float]) -> float:
    low, high = 1e-9, 50.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return low


def octav(samples: Samples, bits: int, is_signed: bool) -> float:
    """Equation 6 of Sakr et al. from the mean magnitude on, until it stands still."""
    magnitudes = np.array(_magnitudes(samples, is_signed))
    granular = 4.0**-bits / (3 if is_signed else 12)
    clipping = float(magnitudes.mean())
    for _ in range(1000):
        above = magnitudes > clipping
        found = float(magnitudes[above].sum() / (granular * (~above).sum() + above.sum()))
        if found == clipping:
            break
        clipping = found
    return clipping / 2 ** (bits - is_signed)


def mse(samples: Samples, bits: int, is_signed: bool) -> float:
    """The best of 64 steps an octave, from one level above zero to 4 octaves of clipping."""
    coarsest = _magnitudes(samples, is_signed)[-1]
    steps = [coarsest * 2.0 ** (-index / 64) for index in range(64 * (bits + 4))]
    values = _seen(samples, is_signed)
    errors = [_error(values, step, bits, is_signed) for step in steps]
    return steps[int(np.argmin(errors))]


def squared_error(samples: Samples, step: float, bits: int, is_signed: bool) -> float:
    """Sum of squares of what rounding to nearest and clipping take from the samples."""
    return _error(_seen(samples, is_signed), step, bits, is_signed)


def _seen(samples: Samples, is_signed: bool) -> RealArray:
    return np.array([x for x in samples if is_signed or x > 0])


def _error(values: RealArray, step: float, bits: int, is_signed: bool) -> float:
    lowest = -(2 ** (bits - 1)) if is_signed else 0
    levels = np.clip(np.rint(values / step), lowest, highest_level(bits, is_signed))
    return float(np.sum((values - levels * step) ** 2))


def tensorrt_kl(samples: Samples, bits: int, is_signed: bool, exponent: int) -> float:
    """Migacz's pseudocode on a histogram of bins of ``2**exponent``; zeros are left out.

    Of equal divergences the longest range counts, as in NVIDIA's pytorch-quantization.
    """
    magnitudes = _magnitudes(samples, is_signed)
    histogram = np.array(sort_into_bins([0.0, *magnitudes], exponent).counts, np.float64)
    first = sort_into_bins(magnitudes, exponent).first
    histogram = np.concatenate([np.zeros(first), histogram])
    levels = 2 ** (bits - is_signed)
    best, best_divergence = histogram.size, math.inf
    for length in range(histogram.size, min(128, histogram.size) - 1, -1):
        within = histogram[:length]
        reference = within.copy()
        reference[-1] += histogram[length:].sum()
        # The samples of a level count as spread evenly over those of its bins that hold any.
        level = np.arange(length) * levels // length
        samples_of, occupied_of = np.bincount(level, within), np.bincount(level, within > 0)
        candidate = np.zeros(length)
        held = within > 0
        candidate[held] = samples_of[level[held]] / occupied_of[level[held]]
        divergence = _divergence(reference, candidate)
        if divergence < best_divergence:
            best, best_divergence = length, divergence
    threshold = magnitudes[-1] if best == histogram.size else math.ldexp(best + 0.5, exponent)
    return threshold / highest_level(bits, is_signed)


def _divergence(reference: RealArray, candidate: RealArray) -> float:
    """Kullback-Leibler divergence of two histograms, each over its own sum."""
    held = reference > 0
    if (candidate[held] == 0).any():
        return math.inf
    p, q = reference[held] / reference.sum(), candidate[held] / candidate.sum()
    return float(np.sum(p * np.log(p / q)))
