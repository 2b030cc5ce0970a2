"""The shape of a convolution, and which of its filters which micro-kernel runs."""

from dataclasses import dataclass
from typing import NamedTuple

from accel_sim.kernels.micro_kernels import RUNS, Family, MicroKernel

_FEW_PIXELS = 4
"""Up to so many, tiles of many pixels would be mostly empty."""

LEAST_SAVED_MACS = 1 << 20
"""Of an image, for which a narrow micro-kernel is worth compiling."""
_NARROW_COST = 1.25
"""Of a MAC by one, which reads a value of the map for half as many filters."""
_BAND_MACS = 1 << 21
"""Which take as long as to call one more micro-kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A convolution; pairs are (rows, cols). A dense layer is one of 1 x 1 on one row."""

    ifm: tuple[int, int, int]
    ofm: tuple[int, int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    first_pads: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def is_depthwise(self) -> bool:
        """Whether every filter has one channel of its own."""
        return self.groups == self.ifm[0] == self.ofm[0] > 1

    @property
    def touched(self) -> tuple[int, int]:
        """Rows and cols of the padded map: all that are read, and all that there are."""
        rows, cols = (
            max(size + pad, (out - 1) * step + (taps - 1) * spread + 1)
            for size, pad, out, step, taps, spread in zip(
                self.ifm[1:], self.first_pads, self.ofm[1:], self.stride, self.window,
                self.dilation, strict=True,
            )
        )  # fmt: skip
        return rows, cols

    def flattened(self) -> "Shape":
        """Make one row of a convolution that reads its map pixel by pixel."""
        if self.window != (1, 1) or self.stride != (1, 1) or self.ifm[1:] != self.ofm[1:]:
            return self
        if self.first_pads != (0, 0):
            return self
        pixels = self.ifm[1] * self.ifm[2]
        return Shape(
            ifm=(self.ifm[0], 1, pixels), ofm=(self.ofm[0], 1, pixels), window=(1, 1),
            stride=(1, 1), first_pads=(0, 0), dilation=(1, 1), groups=self.groups,
        )  # fmt: skip


class Band(NamedTuple):
    """Filters that one micro-kernel runs: of every group, those from `first` to before `last`.

    Of a depthwise layer, the filters of all groups.
    """

    kernel: MicroKernel
    first: int
    last: int


def cut_bands(family: Family, shape: Shape) -> tuple[Shape, list[Band]]:
    """Choose the micro-kernels of a layer, and give the shape that they run it as."""
    shape = shape.flattened()
    is_row = shape.ofm[1] * shape.ofm[2] <= _FEW_PIXELS
    kernel = family.depthwise if shape.is_depthwise else family.row if is_row else family.dense
    filters = shape.ofm[0] // (1 if shape.is_depthwise else shape.groups)
    whole = Band(kernel, 0, filters)
    rest = filters % kernel.filters
    if family.narrow is None or kernel is not family.dense or not rest:
        return shape, [whole]
    ends = Band(kernel, 0, filters - rest), Band(family.narrow, filters - rest, filters)
    bands = [band for band in ends if band.first < band.last]
    saved = _count_macs(shape, whole) - _BAND_MACS * (len(bands) - 1)
    for band in bands:
        cost = _NARROW_COST if band.kernel is family.narrow else 1
        saved -= int(cost * _count_macs(shape, band))
    return shape, bands if saved >= LEAST_SAVED_MACS else [whole]


def _count_macs(shape: Shape, band: Band) -> int:
    """Those of whole tiles."""
    blocks = -(-(band.last - band.first) // band.kernel.filters) * shape.groups
    tiles = -(-shape.ofm[1] * -(-shape.ofm[2] // band.kernel.run_pixels) // RUNS)
    products = shape.ifm[0] // shape.groups * shape.window[0] * shape.window[1]
    return blocks * tiles * RUNS * band.kernel.run_pixels * band.kernel.filters * products
