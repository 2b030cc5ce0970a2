"""A float network as a list of layers over named feature maps.

Layers stand in the order in which they run. Shapes leave out the batch dimension:
``(C, H, W)`` or ``(C,)``. A Relu or Clip that is the sole consumer of the tensor before
it is part of the layer that computes that tensor (its `clamp`), because the value between
the two never leaves the accumulator; such a layer's `ofm` is the name after the clamp.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamp:
    """Bounds that an activation function puts on a value, in real units.

    Relu is ``Clamp(low=0.0, high=inf)``, Relu6 ``Clamp(low=0.0, high=6.0)``.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """2-D convolution, ``weights[K, C/groups, R, S]``, with optional bias ``[K]``.

    Attributes
    ----------
    weights, bias
        Names of constants.
    stride, dilation
        (rows, cols).
    pads
        (top, left, bottom, right), in zeros.
    """

    name: str
    ifm: str
    ofm: str
    weights: str
    bias: str | None
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    clamp: Clamp | None

    op = "Conv"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Feature maps read."""
        return (self.ifm,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Matrix product over the last axis, ``weights[K, C]``, with optional bias ``[K]``.

    Gemm, and MatMul with a constant; any axes before the last are positions.
    """

    name: str
    ifm: str
    ofm: str
    weights: str
    bias: str | None
    clamp: Clamp | None

    op = "Dense"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Feature maps read."""
        return (self.ifm,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """Elementwise sum of two feature maps of one shape, or of one and a constant.

    Attributes
    ----------
    constant
        Name of the constant that is added instead of a second feature map, stored at
        the full shape of the output.
    """

    name: str
    inputs: tuple[str, ...]
    constant: str | None
    ofm: str
    clamp: Clamp | None

    op = "Add"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool:
    """Maximum over windows; positions outside the map never win."""

    name: str
    ifm: str
    ofm: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]

    op = "MaxPool"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Feature maps read."""
        return (self.ifm,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool:
    """Mean over windows.

    Attributes
    ----------
    counts_padding
        Whether the divisor of a window that reaches over the edge counts the padded
        positions (ONNX ``count_include_pad``).
    """

    name: str
    ifm: str
    ofm: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    counts_padding: bool
    clamp: Clamp | None

    op = "AveragePool"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Feature maps read."""
        return (self.ifm,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Concatenation along the first axis after the batch (channels)."""

    name: str
    inputs: tuple[str, ...]
    ofm: str

    op = "Concat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape:
    """Another shape for the same values in the same order: Flatten, Reshape, Identity."""

    name: str
    ifm: str
    ofm: str

    op = "Reshape"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Feature maps read."""
        return (self.ifm,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A Relu or Clip that could not join the layer before it (that map has other readers)."""

    name: str
    ifm: str
    ofm: str
    clamp: Clamp

    op = "Clip"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Feature maps read."""
        return (self.ifm,)


Layer = Conv | Dense | Add | MaxPool | AveragePool | Concat | Reshape | Clip
MacLayer = Conv | Dense


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A float network with one input and one output.

    Attributes
    ----------
    name
        Of the file, without folder and ending, or of the built-in network.
    digest
        SHA-256 of the file's bytes, in hexadecimal.
    input, output
        Names of feature maps. The output is what enters a final Softmax.
    layers
        In the order in which they run.
    shapes
        Of every feature map, without the batch dimension.
    constants
        float32 values of weights, biases and added constants, by the user's names.
    notes
        What the import left out, in words for the reader of a report.
    """

    name: str
    digest: str
    input: str
    output: str
    layers: tuple[Layer, ...]
    shapes: Mapping[str, Shape]
    constants: Mapping[str, NDArray[np.float32]]
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Number of weights and biases, each constant counted once."""
        return sum(constant.size for constant in self.constants.values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image; padding counts, as is usual."""
        return sum(self.layer_macs(layer) for layer in self.layers)

    def layer_macs(self, layer: Layer) -> int:
        """Multiply-accumulates of one layer for one image; 0 where there are none."""
        if not isinstance(layer, MacLayer):
            return 0
        _, *filter_shape = self.constants[layer.weights].shape
        return math.prod(self.shapes[layer.ofm]) * math.prod(filter_shape)

    def consumers(self, tensor: str) -> tuple[Layer, ...]:
        """Layers that read a feature map, in order."""
        return tuple(layer for layer in self.layers if tensor in layer.inputs)
