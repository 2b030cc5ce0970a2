"""An ONNX graph as it is written from layers, node by node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from quantizer.network.graph import as_image
from quantizer.network.layers import (
    AveragePool,
    Clamp,
    Conv,
    ConvTranspose,
    LocalResponseNorm,
    MaxPool,
    Shape,
)


@dataclass(kw_only=True)
class NodeWriter:
    """The ONNX graph that is being written.

    Attributes
    ----------
    shapes
        Of the network's feature maps, without the batch.
    nodes, initializers
        Filled on the way.
    invented
        How many tensors have names that were made up.
    """

    shapes: Mapping[str, Shape]
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    invented: int = 0

    def write(self, op: str, inputs: Sequence[str], ofm: str, attributes: Any = None) -> str:
        """Add a node and give the name of its output."""
        self.nodes.append(helper.make_node(op, inputs, [ofm], **(attributes or {})))
        return ofm

    def invent(self) -> str:
        """Give a tensor a name that none from a file can have: those hold no NUL."""
        self.invented += 1
        return f"{self.invented}\0"

    def constant(self, value: NDArray[Any]) -> str:
        """Add an initializer of which nobody knows."""
        name = self.invent()
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Add a vector of integers."""
        return self.constant(np.array(values, np.int64))

    def reshape(self, ifm: str, shape: Sequence[int], ofm: str) -> str:
        """Add a Reshape to a shape without batch."""
        return self.write("Reshape", [ifm, self.integers((1, *shape))], ofm)

    def clip(self, ifm: str, clamp: Clamp, ofm: str) -> str:
        """Add a Clip; an infinite bound is left out."""
        bounds = [
            self.constant(np.array(bound, np.float32)) if np.isfinite(bound) else ""
            for bound in (clamp.low, clamp.high)
        ]
        return self.write("Clip", [ifm, *bounds], ofm)


def write_window(
    writer: NodeWriter,
    layer: Conv | ConvTranspose | MaxPool | AveragePool | LocalResponseNorm,
    op: str,
    ofm: str,
    attributes: Mapping[str, Any],
    constants: Sequence[str] = (),
) -> None:
    """Add a node that takes images; other maps are seen as images before it and behind it."""
    shapes = writer.shapes
    ifm = layer.ifm
    if len(shapes[ifm]) != 3:
        ifm = writer.reshape(ifm, as_image(shapes[ifm]), writer.invent())
    if len(shapes[layer.ofm]) == 3:
        writer.write(op, [ifm, *constants], ofm, attributes)
    else:
        image = writer.write(op, [ifm, *constants], writer.invent(), attributes)
        writer.reshape(image, shapes[layer.ofm], ofm)


def pool_attributes(shapes: Mapping[str, Shape], layer: MaxPool | AveragePool) -> dict[str, Any]:
    """Give the attributes of a pool, ceil_mode where its output asks for it."""
    return {
        "kernel_shape": layer.kernel,
        "strides": layer.stride,
        "pads": layer.pads,
        "dilations": layer.dilation,
        "ceil_mode": int(_rounds_up(shapes, layer)),
    }


def _rounds_up(shapes: Mapping[str, Shape], layer: MaxPool | AveragePool) -> bool:
    """Whether there are more windows than fit into the padded map."""
    _, *sizes = as_image(shapes[layer.ifm])
    count = 1
    for axis, size in enumerate(sizes):
        extent = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
        padded = size + layer.pads[axis] + layer.pads[axis + 2]
        count *= (padded - extent) // layer.stride[axis] + 1
    _, *found = as_image(shapes[layer.ofm])
    return bool(count != np.prod(found))
