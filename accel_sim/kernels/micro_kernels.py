"""Micro-kernels by processor: which there are, what they need, how wide they are.

A micro-kernel sums one tile: two runs of pixels times a block of filters. Its class is its
type to the compiler, which makes one driver per class out of the same source
(`micro_drivers`); its fields are what packing and driver have to know of it.

`HOST_PATHS` are those of the processor that Numba compiles for: the host, or what
``NUMBA_CPU_FEATURES`` says of it (``+avx2`` leaves AVX512 out, nothing leaves the plain ones).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import binding as llvm
from numpy.typing import NDArray

RUNS = 2
"""Runs of neighbouring pixels in a tile: of one output row, or of two."""

Maps = type[np.uint8] | type[np.int16] | type[np.int32]
Weights = type[np.int8] | type[np.int16]


class Vnni8(NamedTuple):
    """AVX512-VNNI: four products of unsigned maps and signed weights in 8 bits per lane."""

    run_pixels: int = 7
    filters: int = 32
    lane_values: int = 4


class Vnni16(NamedTuple):
    """AVX512-VNNI: two products of signed 16-bit operands per lane."""

    run_pixels: int = 7
    filters: int = 32
    lane_values: int = 2


class Vnni8Narrow(NamedTuple):
    """As `Vnni8`, for few filters: as many registers of sums, of twice as many pixels."""

    run_pixels: int = 14
    filters: int = 16
    lane_values: int = 4


class Vnni16Narrow(NamedTuple):
    """As `Vnni16`, for few filters."""

    run_pixels: int = 14
    filters: int = 16
    lane_values: int = 2


class Vnni8Row(NamedTuple):
    """As `Vnni8`, for maps of few pixels: one weight is read for one product."""

    run_pixels: int = 1
    filters: int = 128
    lane_values: int = 4


class Vnni16Row(NamedTuple):
    """As `Vnni16`, for maps of few pixels."""

    run_pixels: int = 1
    filters: int = 128
    lane_values: int = 2


class Vnni8Depthwise(NamedTuple):
    """AVX512-VNNI: every filter has its own channel, in 8 bits."""

    run_pixels: int = 7
    filters: int = 32
    lane_values: int = 1


class Vnni16Depthwise(NamedTuple):
    """As `Vnni8Depthwise`, in 16 bits."""

    run_pixels: int = 7
    filters: int = 32
    lane_values: int = 1


class Avx2(NamedTuple):
    """AVX2: two products of signed 16-bit operands per lane; 8-bit operands are widened.

    The instruction for 8-bit operands saturates between its two products.
    """

    run_pixels: int = 3
    filters: int = 16
    lane_values: int = 2


class Avx2Row(NamedTuple):
    """As `Avx2`, for maps of few pixels."""

    run_pixels: int = 1
    filters: int = 32
    lane_values: int = 2


class Avx2Depthwise(NamedTuple):
    """AVX2: every filter has its own channel, in 16 bits."""

    run_pixels: int = 3
    filters: int = 16
    lane_values: int = 1


class Plain(NamedTuple):
    """Vectors that the compiler takes apart for any processor: one product per lane."""

    run_pixels: int = 3
    filters: int = 16
    lane_values: int = 1


class PlainRow(NamedTuple):
    """As `Plain`, for maps of few pixels."""

    run_pixels: int = 1
    filters: int = 32
    lane_values: int = 1


class PlainDepthwise(NamedTuple):
    """As `Plain`, where every filter has its own channel."""

    run_pixels: int = 3
    filters: int = 16
    lane_values: int = 1


MicroKernel = (
    Vnni8 | Vnni16 | Vnni8Narrow | Vnni16Narrow | Vnni8Row | Vnni16Row | Vnni8Depthwise
    | Vnni16Depthwise | Avx2 | Avx2Row | Avx2Depthwise | Plain | PlainRow | PlainDepthwise
)  # fmt: skip


class Family(NamedTuple):
    """The micro-kernels for operands of some width, by the shape of the layer.

    Attributes
    ----------
    maps, weights
        How operands are stored.
    dense, row, depthwise
        For maps of many pixels, of few, and for filters of one channel each.
    narrow
        As `dense`, for few filters; None where that is narrow enough.
    """

    maps: Maps
    weights: Weights
    dense: MicroKernel
    row: MicroKernel
    depthwise: MicroKernel
    narrow: MicroKernel | None = None

    def holds(self, map_bits: int, weights: NDArray[np.integer[Any]]) -> bool:
        """Tell whether maps of so many bits and these weights can be stored."""
        width = np.iinfo(self.weights)
        fits = width.min <= int(weights.min()) and int(weights.max()) <= width.max
        return fits and map_bits <= np.iinfo(self.maps).bits


class Path(NamedTuple):
    """What one kind of processor runs, narrowest operands first."""

    name: str
    features: tuple[str, ...]
    families: tuple[Family, ...]


PATHS = (
    Path(
        name="avx512_vnni",
        features=("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni"),
        families=(
            Family(np.uint8, np.int8, Vnni8(), Vnni8Row(), Vnni8Depthwise(), Vnni8Narrow()),
            Family(np.int16, np.int16, Vnni16(), Vnni16Row(), Vnni16Depthwise(), Vnni16Narrow()),
        ),
    ),
    Path(
        name="avx2",
        features=("avx2",),
        families=(Family(np.int16, np.int16, Avx2(), Avx2Row(), Avx2Depthwise()),),
    ),
    Path(
        name="plain",
        features=(),
        families=(Family(np.int32, np.int16, Plain(), PlainRow(), PlainDepthwise()),),
    ),
)
"""The fastest first."""


def find_paths(has_feature: Callable[[str], bool]) -> tuple[Path, ...]:
    """Find the paths that a processor can run, the fastest first; the plain one always."""
    return tuple(path for path in PATHS if all(map(has_feature, path.features)))


def _host_has(feature: str) -> bool:
    # NUMBA_CPU_FEATURES is what Numba compiles for, if it is set.
    config: Any = numba.config
    if config.CPU_FEATURES is not None:
        return f"+{feature}" in config.CPU_FEATURES.split(",")
    return bool(llvm.get_host_cpu_features().get(feature, False))


HOST_PATHS = find_paths(_host_has)
