"""The kinds of layers that a network is made of.

A layer reads feature maps (its `inputs`), writes one (its `ofm`) and names its constants.
Axes never count the batch: axis 0 of a map is its channels. Windows are given in two
dimensions; a map of one spatial dimension is one row high (`graph.as_image`).

An *arithmetic* layer computes values, and its output has a format of its own. It may end
with a `clamp`: a Relu or Clip that alone reads what the layer computes is part of it, and
the value between the two never leaves the accumulator; `ofm` is the name after the clamp.
A *moving* layer passes on values of its (first) input, in the format they have.
"""

from dataclasses import dataclass
from enum import StrEnum

Shape = tuple[int, ...]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamp:
    """Bounds that an activation function puts on a value, in real units.

    Relu is ``Clamp(low=0.0, high=inf)``, Relu6 ``Clamp(low=0.0, high=6.0)``.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What every layer has."""

    name: str
    ofm: str

    @property
    def op(self) -> str:
        """Name of the kind of layer, as reports show it."""
        return type(self).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneInput(_Layer):
    """A layer that reads one feature map."""

    ifm: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Feature maps read."""
        return (self.ifm,)


# Layers of the array.


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(_OneInput):
    """Convolution, ``weights[K, C/groups, R, S]``, with optional bias ``[K]``.

    Attributes
    ----------
    weights, bias
        Names of constants. The filters of a 1-D convolution are one row high.
    stride, dilation
        (rows, cols).
    pads
        (top, left, bottom, right), in zeros.
    """

    weights: str
    bias: str | None
    stride: Pair
    pads: Pads
    dilation: Pair
    groups: int
    clamp: Clamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTranspose(_OneInput):
    """Transposed convolution, ``weights[K, C/groups, R, S]``, with optional bias ``[K]``.

    Input pixel ``i`` times filter tap ``r`` lands on output row
    ``i * stride + r * dilation - top``; cols likewise.

    Attributes
    ----------
    weights
        Name of the constant; its axes are in the order of a Conv's, not of ONNX
        (``[C, K/groups, R, S]``), and its taps are not turned.
    pads
        (top, left, bottom, right), taken off the full output; a negative bottom or right
        is the standard's output_padding.
    """

    weights: str
    bias: str | None
    stride: Pair
    pads: Pads
    dilation: Pair
    groups: int
    clamp: Clamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense(_OneInput):
    """Matrix product over the last axis, ``weights[K, C]``, with optional bias ``[K]``.

    Gemm, and MatMul with a constant; any axes before the last are positions.
    """

    weights: str
    bias: str | None
    clamp: Clamp | None


# Arithmetic off the array.


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm(_OneInput):
    """Per-channel scale and offset, ``weights[C]`` and ``bias[C]``, along the first axis.

    A BatchNormalization that could not be folded into the layer before it.
    """

    weights: str
    bias: str
    clamp: Clamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(_Layer):
    """Elementwise sum or difference of two feature maps, or of one and a constant.

    Operands are broadcast as numpy does, to the shape of the output.

    Attributes
    ----------
    constant
        Name of the constant that stands for the second feature map, of the output's rank.
    signs
        +1 or -1 for each of `inputs`, then for the constant.
    """

    inputs: tuple[str, ...]
    constant: str | None
    signs: Pair
    clamp: Clamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(_Layer):
    """Elementwise product of two feature maps, or of one and a constant; as in `Add`."""

    inputs: tuple[str, ...]
    constant: str | None
    clamp: Clamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool(_OneInput):
    """Mean over windows.

    Attributes
    ----------
    counts_padding
        Whether the divisor of a window that reaches into the padding counts it (ONNX
        ``count_include_pad``). What lies behind the padding never counts.
    """

    kernel: Pair
    stride: Pair
    pads: Pads
    dilation: Pair
    counts_padding: bool
    clamp: Clamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PRelu(_OneInput):
    """``x`` where it is not negative, ``x * slope`` where it is.

    Attributes
    ----------
    slopes
        Name of a constant of the map's rank that is broadcast to it: ``[C, 1, 1]``, or
        ``[1, 1, 1]`` for one slope (LeakyRelu).
    """

    slopes: str
    clamp: Clamp | None


class FunctionKind(StrEnum):
    """Functions of one value, called as their ONNX operators."""

    ABS = "Abs"
    CELU = "Celu"
    ELU = "Elu"
    ERF = "Erf"
    EXP = "Exp"
    GELU = "Gelu"
    GELU_TANH = "GeluTanh"
    """Gelu with ``approximate="tanh"``."""
    HARD_SIGMOID = "HardSigmoid"
    HARD_SWISH = "HardSwish"
    MISH = "Mish"
    NEG = "Neg"
    SELU = "Selu"
    SIGMOID = "Sigmoid"
    SOFTPLUS = "Softplus"
    SOFTSIGN = "Softsign"
    SQRT = "Sqrt"
    SWISH = "Swish"
    TANH = "Tanh"
    THRESHOLDED_RELU = "ThresholdedRelu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function and its parameters; a parameter that the function lacks is 0.

    Attributes
    ----------
    alpha
        Of Celu, Elu, HardSigmoid, Selu, Swish and ThresholdedRelu.
    beta
        Of HardSigmoid its beta, of Selu its gamma.
    """

    kind: FunctionKind
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(_OneInput):
    """A function of one value, from a table over the raw values of the input's format."""

    function: Function
    clamp: Clamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalResponseNorm(_OneInput):
    """``x / (bias + alpha / size * sum of x**2) ** beta``, the sum over `size` channels.

    No accelerator computes it in integers: the host does, in float64.
    """

    size: int
    alpha: float
    beta: float
    bias: float
    clamp: Clamp | None


# Layers that pass values on.


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(_OneInput):
    """Maximum over windows; positions outside the map never win."""

    kernel: Pair
    stride: Pair
    pads: Pads
    dilation: Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(_OneInput):
    """A Relu or Clip that could not join the layer before it (that map has other readers)."""

    clamp: Clamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(_Layer):
    """Concatenation of feature maps along one axis."""

    inputs: tuple[str, ...]
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape(_OneInput):
    """Another shape for the same values in the same order: Flatten, Squeeze, Identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(_OneInput):
    """Another order of the values: Transpose, DepthToSpace, SpaceToDepth.

    Attributes
    ----------
    view
        Shape as which the input is seen; as many values.
    permutation
        Axis of the view that each axis of the result is; then the result is seen in the
        shape of the ofm.
    """

    view: Shape
    permutation: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(_OneInput):
    """A part of a feature map: Slice, or one output of a Split.

    Attributes
    ----------
    starts, steps
        Per axis: the first index, and the distance to the next (may be negative). How
        many there are is the shape of the ofm.
    """

    starts: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(_OneInput):
    """A constant around a feature map.

    Attributes
    ----------
    before, after
        Positions added per axis; a negative number takes positions away.
    value
        Real; encoded in the map's format.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(_OneInput):
    """Every value repeated `factors` times along each axis: Resize to the nearest."""

    factors: tuple[int, ...]


MacLayer = Conv | ConvTranspose | Dense
"""Layers of multiply-accumulates, which run on the array."""

WeightedLayer = Conv | ConvTranspose | Dense | BatchNorm
"""Layers with weights and a bias, both of one entry per output channel first."""

ElementwiseLayer = Add | Mul
"""Layers of two operands, one of which may be a constant."""

ArithmeticLayer = (
    WeightedLayer | ElementwiseLayer | AveragePool | PRelu | Lookup | LocalResponseNorm
)
MovingLayer = MaxPool | Clip | Reshape | Transpose | Slice | Pad | Upsample
"""Layers whose output has the format of their input."""

Layer = ArithmeticLayer | MovingLayer | Concat
