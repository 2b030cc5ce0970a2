"""A float network as a list of layers over named feature maps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantizer.network.layers import Conv, ConvTranspose, Dense, Layer, Shape


def as_image(shape: Shape) -> tuple[int, int, int]:
    """See a feature map of up to two spatial dimensions as ``(C, H, W)``.

    A map of one spatial dimension is one row high, a vector one pixel.
    """
    channels, *spatial = shape
    if len(spatial) > 2:
        raise ValueError(f"{shape} has more than two spatial dimensions")
    height, width = (1, 1, *spatial)[-2:]
    return channels, height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A float network with one input.

    Attributes
    ----------
    name
        Of the file, without folder and ending, or of the built-in network.
    digest
        SHA-256 of the file's bytes, in hexadecimal; of a quantized file that was made here,
        that of the float file.
    input
        Name of a feature map.
    outputs
        Names of feature maps. An output behind a final Softmax is what enters that.
    layers
        In the order in which they run.
    shapes
        Of every feature map, without the batch dimension: ``(C, H, W)``, ``(C,)``, ...
    constants
        float32 values of weights, biases, slopes, added and multiplied constants, by the
        user's names.
    notes
        What the import left out or made up, in words for the reader of a report.
    """

    name: str
    digest: str
    input: str
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    shapes: Mapping[str, Shape]
    constants: Mapping[str, NDArray[np.float32]]
    notes: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        """The first output: the one that end-to-end figures are about."""
        return self.outputs[0]

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
        match layer:
            case Conv() | Dense():
                _, *filter_shape = self.constants[layer.weights].shape
                return math.prod(self.shapes[layer.ofm]) * math.prod(filter_shape)
            case ConvTranspose():
                # Every input pixel meets every filter tap once, cropped outputs included.
                _, height, width = as_image(self.shapes[layer.ifm])
                return height * width * self.constants[layer.weights].size
            case _:
                return 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process; what has a shape but no memory, as in a topology, stays so."""
        state = {item.name: getattr(self, item.name) for item in fields(self)}
        constants = {
            name: _Repeated(value=constant.flat[0], shape=constant.shape)
            if constant.size > 1 and not any(constant.strides)
            else constant
            for name, constant in self.constants.items()
        }
        return _rebuild, ({**state, "shapes": dict(self.shapes), "constants": constants},)

    def consumers(self, tensor: str) -> tuple[Layer, ...]:
        """Layers that read a feature map, in order."""
        return tuple(layer for layer in self.layers if tensor in layer.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeated:
    """An array of one value."""

    value: np.float32
    shape: Shape


def _rebuild(state: dict[str, Any]) -> Network:
    constants = {
        name: np.broadcast_to(constant.value, constant.shape)
        if isinstance(constant, _Repeated)
        else constant
        for name, constant in state["constants"].items()
    }
    return Network(**{**state, "constants": constants})
