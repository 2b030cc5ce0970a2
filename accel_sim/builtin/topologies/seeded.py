"""Numbers that look random and are the same everywhere: weights and images.

All of them come from the raw 64-bit output of Philox4x64-10 (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", SC 2011), whose key is the first half of the SHA-256
of a name. NumPy promises that the raw stream of a bit generator never changes; it promises
no such thing of its distributions (NEP 19), so these are made here.
"""

import hashlib
import math
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from quantizer.network.layers import Shape

GENERATOR_VERSION = 1
"""To be raised whenever the same name would give other values."""

LEVELS = 1 << 16
BLOCK_VALUES = 1 << 18
IMAGE_MEAN = 127.5
IMAGE_SCALE = 1 / 64
"""Real value of a pixel is ``(pixel - IMAGE_MEAN) * IMAGE_SCALE``: a mean square near 1."""


def normal_values(name: str, shape: Shape, deviation: float) -> NDArray[np.float32]:
    """Draw values of a normal distribution around zero.

    A value is one of 65,536 equally likely quantiles, ``deviation * z((i + 0.5) / 65536)``
    with `i` 16 bits of the stream: within 4.3 deviations, which is as far as a quantizer
    cares. The quantiles are worked out in float64 and rounded once, to float32.

    Parameters
    ----------
    name
        Decides the values.

    Returns
    -------
    float32[shape]
    """
    quantiles = (_standard_normal_quantiles() * deviation).astype(np.float32)
    values = np.empty(math.prod(shape), np.float32)
    stream = _Stream(name)
    # In blocks, because NumPy makes 8 bytes of every index.
    for start in range(0, values.size, BLOCK_VALUES):
        block = values[start : start + BLOCK_VALUES]
        np.take(quantiles, stream.draw(2 * block.size).view("<u2"), out=block, mode="clip")
    return values.reshape(shape)


def make_images(shape: Shape, indices: range) -> NDArray[np.uint8]:
    """Draw images with as much contrast in every octave of scale.

    So it is, by and large, in photographs (Field, "Relations between the statistics of
    natural images and the response properties of cortical cells", JOSA A 1987). A channel
    is the sum of squares of 1, 2, 4, ... 128 pixels with a random byte each, brought to a
    mean of 128 and a deviation near 64 and held within 0 to 255, in integers.

    Parameters
    ----------
    shape
        (C, H, W).
    indices
        Which images; each is the same, whichever others are asked for.

    Returns
    -------
    uint8[N, C, H, W]
    """
    return np.stack([_make_image(shape, index) for index in indices])


def _make_image(shape: Shape, index: int) -> NDArray[np.uint8]:
    channels, height, width = shape
    edges = [1 << octave for octave in range(8)]
    total = np.zeros(shape, np.int64)
    for edge in edges:
        rows, cols = -(-height // edge), -(-width // edge)
        squares = _Stream(f"image {index}/{edge}").draw(channels * rows * cols)
        bytes_ = squares.reshape(channels, rows, cols).astype(np.int64)
        total += bytes_.repeat(edge, 1).repeat(edge, 2)[:, :height, :width]
    # A byte has a mean of 127.5 and a deviation of 73.9, the sum of 8 of 1020 and 209.
    return np.clip((total - 1020) * 5 // 16 + 128, 0, 255).astype(np.uint8)


class _Stream:
    """The bytes that belong to a name."""

    def __init__(self, name: str) -> None:
        digest = hashlib.sha256(name.encode()).digest()
        self._words = np.random.Philox(key=int.from_bytes(digest[:16], "little"))

    def draw(self, n_bytes: int) -> NDArray[np.uint8]:
        """Give the next bytes; what is left of the last word is lost."""
        words = self._words.random_raw(-(-n_bytes // 8))
        return words.astype("<u8", copy=False).view(np.uint8)[:n_bytes]


@cache
def _standard_normal_quantiles() -> NDArray[np.float64]:
    upper = [NormalDist().inv_cdf((i + 0.5) / LEVELS) for i in range(LEVELS // 2, LEVELS)]
    return np.array([*(-value for value in reversed(upper)), *upper])
