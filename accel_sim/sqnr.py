"""Signal to quantization noise ratio, from sums over all elements of all images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.jit import jit


@jit
def squared_sums(reference, raw, step):
    """Sum the energy of a reference and of its difference to decoded integers.

    Parameters
    ----------
    reference : float32[n]
        What the value should be.
    raw : int32[n]
        What was stored for it.
    step : float64
        Weight of the least significant bit.

    Returns
    -------
    tuple of float64
        ``sum reference**2`` and ``sum (reference - raw * step)**2``, compensated.
    """
    signal = 0.0
    noise = 0.0
    signal_lost = 0.0
    noise_lost = 0.0
    for i in range(reference.size):
        real = np.float64(reference[i])
        error = real - np.float64(raw[i]) * step
        term = real * real - signal_lost
        after = signal + term
        signal_lost = (after - signal) - term
        signal = after
        term = error * error - noise_lost
        after = noise + term
        noise_lost = (after - noise) - term
        noise = after
    return signal, noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Energies:
    """Signal and noise energy of one map of one image."""

    signal: float
    noise: float


def compare(reference: NDArray[np.float32], raw: NDArray[np.int32], step: float) -> Energies:
    """Compare stored integers, whose LSB weighs `step`, with what they should be."""
    signal, noise = squared_sums(reference.reshape(-1), raw.reshape(-1), step)
    return Energies(signal=signal, noise=noise)


@dataclass(frozen=True, slots=True)
class Sqnr:
    """Ratio over all images, from their energies in their order."""

    energies: Sequence[Energies]

    @property
    def is_exact(self) -> bool:
        """Whether there is no noise at all."""
        return not any(one.noise for one in self.energies)

    @property
    def dB(self) -> float | None:
        """``10 log10(signal / noise)``; None without noise, or without signal."""
        signal = math.fsum(one.signal for one in self.energies)
        noise = math.fsum(one.noise for one in self.energies)
        if noise == 0.0 or signal == 0.0:
            return None
        return 10 * math.log10(signal / noise)
