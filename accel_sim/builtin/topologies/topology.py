"""What a network with synthetic weights is before it has any: shapes and spreads."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from accel_sim.builtin.topologies.seeded import GENERATOR_VERSION, normal_values
from quantizer.network.graph import Network
from quantizer.network.layers import Layer, Shape

NOTE = "synthetic weights (He-normal, seeded by tensor name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticTensor:
    """A constant whose values are drawn from a normal distribution around zero.

    Attributes
    ----------
    deviation
        Standard deviation.
    """

    shape: Shape
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A network of published shape; fields as those of a `Network`.

    Attributes
    ----------
    constants
        By name, in the order of the layers.
    """

    name: str
    input: str
    output: str
    layers: tuple[Layer, ...]
    shapes: Mapping[str, Shape]
    constants: Mapping[str, SyntheticTensor]

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the layers and the weights, in hexadecimal."""
        content = (GENERATOR_VERSION, self.name, self.layers, *self.shapes.items())
        return hashlib.sha256(repr((*content, *self.constants.items())).encode()).hexdigest()

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(math.prod(tensor.shape) for tensor in self.constants.values())

    def with_weights(self) -> Network:
        """Draw all weights and biases: 4 bytes for each parameter."""
        return self._to_network(
            {
                name: normal_values(f"{self.name}/{name}", tensor.shape, tensor.deviation)
                for name, tensor in self.constants.items()
            }
        )

    def without_weights(self) -> Network:
        """Give a network for costs alone: its constants have a shape, but no memory; all are 0."""
        zero = np.float32(0)
        return self._to_network(
            {name: np.broadcast_to(zero, tensor.shape) for name, tensor in self.constants.items()}
        )

    def _to_network(self, constants: dict[str, NDArray[np.float32]]) -> Network:
        return Network(
            name=self.name,
            digest=self.digest,
            input=self.input,
            outputs=(self.output,),
            layers=self.layers,
            shapes=self.shapes,
            constants=MappingProxyType(constants),
            notes=(NOTE,),
        )
