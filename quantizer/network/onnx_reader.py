"""The graph around one ONNX node, as those see it who translate the node."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto

from quantizer.errors import InputError
from quantizer.network.layers import Clamp, Shape
from quantizer.network.original_names import OriginalNames

_CLAMPS = ("Relu", "Clip", "Min", "Max")


@dataclass(kw_only=True)
class NodeReader:
    """The graph around the node that is being read.

    Attributes
    ----------
    constants
        Values of all initializers of the optimised model.
    shapes
        Of feature maps, batch included; those that a translation invents join them.
    readers
        The nodes that read each tensor.
    outputs
        The network's outputs.
    stored
        Maps that have a format in the file. They stay, as outputs do: nothing takes in what
        a layer computes before it is stored.
    names
        The way back to the user's names.
    opset
        Version of the standard's operators.
    kept_constants
        Filled on the way: the constants that layers refer to, by the user's names.
    merged
        Filled on the way: outputs of nodes that joined the layer before them.
    """

    path: Path
    constants: Mapping[str, NDArray[Any]]
    shapes: dict[str, Shape]
    readers: Mapping[str, Sequence[NodeProto]]
    outputs: Collection[str]
    stored: Collection[str]
    names: OriginalNames
    opset: int
    kept_constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)

    def label(self, node: NodeProto) -> str:
        """Name of a node; one without a name is called by its output."""
        return self.names.node(node).name or node.name or node.output[0]

    def refuse(self, node: NodeProto, problem: str) -> InputError:
        """Build the error for something that this node has and that is not supported."""
        op_type = self.names.node(node).op_type
        return InputError(f"{self.path}: node {self.label(node)!r} ({op_type})", problem)

    def shape(self, node: NodeProto, tensor: str) -> Shape:
        """Shape of a feature map, batch included."""
        if tensor not in self.shapes:
            raise self.refuse(node, f"the shape of {tensor!r} is not known before running")
        return self.shapes[tensor]

    def feature_map(self, node: NodeProto, tensor: str) -> str:
        """Name of an input that must be a feature map."""
        if tensor in self.constants:
            raise self.refuse(node, f"input {tensor!r} is a constant; expected a feature map")
        self.shape(node, tensor)
        return tensor

    def constant(self, node: NodeProto, tensor: str, what: str) -> NDArray[Any]:
        """Value of an input that must be constant."""
        if tensor not in self.constants:
            raise self.refuse(node, f"{what} {tensor!r} is not a constant; expected one")
        return self.constants[tensor]

    def optional(self, node: NodeProto, index: int, what: str) -> NDArray[Any] | None:
        """Value of an input that may be left out, and must be constant where it is not."""
        if len(node.input) <= index or not node.input[index]:
            return None
        return self.constant(node, node.input[index], what)

    def integers(self, node: NodeProto, name: str, index: int) -> list[int] | None:
        """Integers that old opsets keep in an attribute and later ones in an input."""
        attribute = attributes(node).get(name)
        value = self.optional(node, index, name) if attribute is None else attribute
        return None if value is None else [int(number) for number in np.ravel(value)]

    def axes(self, node: NodeProto, found: Sequence[int], rank: int) -> list[int]:
        """Axes counted from the front, each given once."""
        counted = [axis + rank if axis < 0 else axis for axis in found]
        if len(set(counted)) != len(counted) or not all(0 <= axis < rank for axis in counted):
            raise self.refuse(
                node, f"has axes {list(found)}; expected different ones from {-rank} to {rank - 1}"
            )
        return counted

    def keep(self, node: NodeProto, name: str, value: NDArray[Any]) -> str:
        """Store a constant for the layers and give its name.

        One constant used in two forms (transposed in one layer, say) is two constants
        here; the second is called after its layer.
        """
        value = np.ascontiguousarray(value, np.float32)
        while name in self.kept_constants and not np.array_equal(
            self.kept_constants[name], value, equal_nan=True
        ):
            name = f"{self.label(node)}.{name}"
        self.kept_constants[name] = value
        return name

    def invent(self, name: str, shape: Shape) -> str:
        """Add a feature map that the file does not have, and give its name."""
        while name in self.shapes:
            name = f"{name}'"
        self.shapes[name] = shape
        return name

    def take_clamp(self, node: NodeProto, ofm: str | None = None) -> tuple[str, Clamp | None]:
        """Merge a Relu or Clip that alone reads what a layer computes.

        Parameters
        ----------
        node
            What the layer is made of.
        ofm
            What it computes; the first output of the node where it is None.

        Returns
        -------
        tuple
            The name behind the clamp, and its bounds; the output itself and None where
            nothing can be merged.
        """
        ofm = ofm or node.output[0]
        reader = self.sole_reader(ofm)
        clamp = None if reader is None else self.clamp(reader)
        if reader is None or clamp is None:
            return ofm, None
        self.merged.add(reader.output[0])
        return reader.output[0], clamp

    def sole_reader(self, tensor: str) -> NodeProto | None:
        """Find the one node that reads a tensor, if nothing else sees what is in it."""
        readers = self.readers.get(tensor, ())
        is_seen = tensor in self.outputs or tensor in self.stored
        return readers[0] if len(readers) == 1 and not is_seen else None

    def clamp(self, node: NodeProto) -> Clamp | None:
        """Bounds that a Relu, a Clip, or a Min or Max with a number puts on its input."""
        if node.op_type not in _CLAMPS or node.domain not in STANDARD_DOMAINS:
            return None
        low, high = -np.inf, np.inf
        if node.op_type == "Relu":
            low = 0.0
        elif node.op_type == "Clip":
            given = attributes(node)
            low, high = given.get("min", low), given.get("max", high)
            low = self._bound(node, 1, low)
            high = self._bound(node, 2, high)
        else:
            numbers = [name for name in node.input if name in self.constants]
            if len(node.input) != 2 or len(numbers) != 1 or self.constants[numbers[0]].size != 1:
                return None
            bound = float(self.constants[numbers[0]].reshape(-1)[0])
            low, high = (bound, high) if node.op_type == "Max" else (low, bound)
        if not low <= high:
            raise self.refuse(node, f"has bounds {low:g} to {high:g}; expected min <= max")
        return Clamp(low=float(low), high=float(high))

    def _bound(self, node: NodeProto, index: int, otherwise: float) -> float:
        value = self.optional(node, index, "bound")
        return otherwise if value is None else float(value.reshape(-1)[0])


STANDARD_DOMAINS = ("", "ai.onnx")

QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_DOMAINS = (QONNX_DOMAIN, "onnx.brevitas", "finn.custom_op.general", "finn")
"""Where the nodes of QONNX are found; Brevitas and old FINN write the others.

They are taken out by `quantizer.qonnx` before a graph is read.
"""


def attributes(node: NodeProto) -> dict[str, Any]:
    """Attributes of a node by name; texts as bytes."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def choice(node: NodeProto, name: str, otherwise: str) -> str:
    """Give an attribute that is a word of the standard's."""
    value = attributes(node).get(name, otherwise.encode())
    return str(value.decode())
