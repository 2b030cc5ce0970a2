"""Writing a network down layer by layer, with weights that keep its values in range.

Weights follow He et al., "Delving Deep into Rectifiers", ICCV 2015: a layer with a Relu has
``variance = 2 / fan_in``, one without ``1 / fan_in``, so that a map of mean square 1 makes
one of mean square 1. Where a map's own mean square is not 1 the variance is divided by it:

* behind a max pool. If the `n` values of a window were all equal it would be 1; if they were
  independent, that of the largest of `n` values. The geometric mean of the two is taken.
* behind a local response normalization, which divides by ``bias ** beta`` at least (and by
  little more: the squares have a small factor).

A residual branch ends with its variance divided by the number of sums in the network, so that
all of them together grow the mean square by no more than ``(1 + 1/n)**n < e``.
"""

import math
from types import MappingProxyType

from accel_sim.builtin.topologies.topology import SyntheticTensor, Topology
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clamp,
    Concat,
    Conv,
    Dense,
    Layer,
    LocalResponseNorm,
    MaxPool,
    Pads,
    Reshape,
    Shape,
)

RELU = Clamp(low=0.0, high=math.inf)
RELU6 = Clamp(low=0.0, high=6.0)

BIAS_DEVIATION = 0.1
"""Of biases: enough for them to matter, and a hundredth of a map's mean square."""

LARGEST_MEAN_SQUARE = {4: 3.088, 9: 5.125}
"""Of the largest of `n` independent rectified normal values of mean square 1."""


class TopologyBuilder:
    """Adds layers behind maps that are there; a layer and its output have one name.

    Every method that adds a layer gives the name of its output.

    Parameters
    ----------
    name
        Of the network.
    input_shape
        (C, H, W) of the map `image`.
    residual_sums
        Number of sums of the network.
    """

    def __init__(self, name: str, input_shape: Shape, residual_sums: int = 0) -> None:
        self.image = "image"
        self._name = name
        self._residual_sums = residual_sums
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {self.image: input_shape}
        self._constants: dict[str, SyntheticTensor] = {}
        self._mean_squares = {self.image: 1.0}

    def channels(self, tensor: str) -> int:
        """Channels of a map."""
        return self._shapes[tensor][0]

    def conv(
        self,
        name: str,
        ifm: str,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        pads: int | Pads = 0,
        groups: int = 1,
        clamp: Clamp | None = RELU,
        ends_branch: bool = False,
    ) -> str:
        """Convolve with a square window and add a bias.

        Parameters
        ----------
        ends_branch
            Whether the output is added to what it was made of.
        """
        pads = (pads, pads, pads, pads) if isinstance(pads, int) else pads
        channels = self.channels(ifm) // groups
        layer = Conv(
            name=name,
            ifm=ifm,
            ofm=name,
            weights=f"{name}.weight",
            bias=f"{name}.bias",
            stride=(stride, stride),
            pads=pads,
            dilation=(1, 1),
            groups=groups,
            clamp=clamp,
        )
        branch_gain = 1 / self._residual_sums if ends_branch else 1.0
        self._add_constants(name, ifm, (filters, channels, kernel, kernel), clamp, branch_gain)
        rows, cols = self._window_shape(ifm, kernel, stride, pads)
        return self._append(layer, (filters, rows, cols))

    def depthwise(
        self, name: str, ifm: str, kernel: int, *, stride: int, pads: int | Pads, clamp: Clamp
    ) -> str:
        """Convolve every channel by itself."""
        channels = self.channels(ifm)
        return self.conv(
            name, ifm, channels, kernel, stride=stride, pads=pads, groups=channels, clamp=clamp
        )

    def dense(self, name: str, ifm: str, outputs: int, *, clamp: Clamp | None = RELU) -> str:
        """Multiply a vector by a matrix and add a bias."""
        layer = Dense(
            name=name,
            ifm=ifm,
            ofm=name,
            weights=f"{name}.weight",
            bias=f"{name}.bias",
            clamp=clamp,
        )
        self._add_constants(name, ifm, (outputs, *self._shapes[ifm]), clamp, 1.0)
        return self._append(layer, (outputs,))

    def add(self, name: str, first: str, second: str, *, clamp: Clamp | None) -> str:
        """Add two maps."""
        layer = Add(
            name=name,
            inputs=(first, second),
            ofm=name,
            constant=None,
            signs=(1, 1),
            clamp=clamp,
        )
        return self._append(layer, self._shapes[first])

    def concat(self, name: str, *inputs: str) -> str:
        """Join the channels of maps."""
        _, *spatial = self._shapes[inputs[0]]
        channels = sum(self.channels(tensor) for tensor in inputs)
        return self._append(
            Concat(name=name, inputs=inputs, ofm=name, axis=0), (channels, *spatial)
        )

    def max_pool(
        self, name: str, ifm: str, kernel: int, *, stride: int, pads: int | Pads = 0
    ) -> str:
        """Take the maximum of square windows."""
        pads = (pads, pads, pads, pads) if isinstance(pads, int) else pads
        layer = MaxPool(
            name=name,
            ifm=ifm,
            ofm=name,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pads=pads,
            dilation=(1, 1),
        )
        rows, cols = self._window_shape(ifm, kernel, stride, pads)
        growth = math.sqrt(LARGEST_MEAN_SQUARE[kernel * kernel])
        return self._append(
            layer, (self.channels(ifm), rows, cols), self._mean_squares[ifm] * growth
        )

    def global_average_pool(self, name: str, ifm: str) -> str:
        """Take the mean of every channel, and make a vector of the means."""
        channels, rows, cols = self._shapes[ifm]
        layer = AveragePool(
            name=name,
            ifm=ifm,
            ofm=name,
            kernel=(rows, cols),
            stride=(1, 1),
            pads=(0, 0, 0, 0),
            dilation=(1, 1),
            counts_padding=False,
            clamp=None,
        )
        return self.flatten(f"{name}.flat", self._append(layer, (channels, 1, 1)))

    def flatten(self, name: str, ifm: str) -> str:
        """Make a vector."""
        length = math.prod(self._shapes[ifm])
        layer = Reshape(name=name, ifm=ifm, ofm=name)
        return self._append(layer, (length,), self._mean_squares[ifm])

    def local_response_norm(
        self, name: str, ifm: str, *, size: int, alpha: float, beta: float, bias: float
    ) -> str:
        """Divide every value by what its neighbours in the channels have; as in ONNX."""
        layer = LocalResponseNorm(
            name=name, ifm=ifm, ofm=name, size=size, alpha=alpha, beta=beta, bias=bias, clamp=None
        )
        mean_square = self._mean_squares[ifm] / bias ** (2 * beta)
        return self._append(layer, self._shapes[ifm], mean_square)

    def build(self, output: str) -> Topology:
        """Give the topology of all layers so far."""
        return Topology(
            name=self._name,
            input=self.image,
            output=output,
            layers=tuple(self._layers),
            shapes=MappingProxyType(self._shapes),
            constants=MappingProxyType(self._constants),
        )

    def _append(self, layer: Layer, ofm_shape: Shape, mean_square: float = 1.0) -> str:
        self._layers.append(layer)
        self._shapes[layer.ofm] = ofm_shape
        self._mean_squares[layer.ofm] = mean_square
        return layer.ofm

    def _add_constants(
        self, layer: str, ifm: str, shape: Shape, clamp: Clamp | None, branch_gain: float
    ) -> None:
        gain = branch_gain * (1.0 if clamp is None else 2.0)
        variance = gain / (math.prod(shape[1:]) * self._mean_squares[ifm])
        self._constants[f"{layer}.weight"] = SyntheticTensor(
            shape=shape, deviation=math.sqrt(variance)
        )
        self._constants[f"{layer}.bias"] = SyntheticTensor(
            shape=shape[:1], deviation=BIAS_DEVIATION
        )

    def _window_shape(self, ifm: str, kernel: int, stride: int, pads: Pads) -> tuple[int, int]:
        _, height, width = self._shapes[ifm]
        top, left, bottom, right = pads
        return (
            (height + top + bottom - kernel) // stride + 1,
            (width + left + right - kernel) // stride + 1,
        )
