"""The sample arrays on which every rival's step is frozen.

Inverse distribution functions of Python's own generator, whose sequence is promised to
stay: no other package can change them. Rounded to float32, as feature maps are.
"""

import math
import random
from collections.abc import Callable
from functools import cache
from statistics import NormalDist

import numpy as np

SAMPLES = 10_000


def _gaussian(mean: float, spread: float) -> Callable[[random.Random], float]:
    inverse = NormalDist(mean, spread).inv_cdf
    return lambda source: inverse(source.random() or 0.5)


def _relu_gaussian(source: random.Random) -> float:
    return max(_gaussian(0.0, 1.0)(source), 0.0)


def _relu6(source: random.Random) -> float:
    return min(max(_gaussian(2.0, 3.0)(source), 0.0), 6.0)


def _bimodal(source: random.Random) -> float:
    is_low = source.random() < 0.8
    return abs(_gaussian(0.5, 0.1)(source) if is_low else _gaussian(4.0, 0.5)(source))


def _heavy_tail(source: random.Random) -> float:
    return math.exp(1.2 * _gaussian(0.0, 1.0)(source))


def _laplacian(source: random.Random) -> float:
    centred = source.random() - 0.5
    return math.copysign(-0.7 * math.log1p(-2 * abs(centred)), centred)


def _leaky(source: random.Random) -> float:
    value = _gaussian(0.3, 1.0)(source)
    return value if value > 0 else 0.1 * value


_DRAWS: tuple[tuple[str, Callable[[random.Random], float]], ...] = (
    ("relu_gaussian", _relu_gaussian),
    ("relu6", _relu6),
    ("bimodal", _bimodal),
    ("heavy_tail", _heavy_tail),
    ("laplacian", _laplacian),
    ("leaky", _leaky),
)
NAMES = tuple(name for name, _ in _DRAWS)


@cache
def samples(name: str) -> tuple[float, ...]:
    """All samples of an array, float32 values as Python floats."""
    index = NAMES.index(name)
    source = random.Random(index)
    draw = _DRAWS[index][1]
    drawn = np.array([draw(source) for _ in range(SAMPLES)], np.float32)
    return tuple(drawn.astype(float).tolist())
