"""An ONNX graph as it is written, with names that a file may hold and that are free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from quantizer.network.layers import Shape


@dataclass(kw_only=True)
class GraphWriter:
    """The graph that is being written.

    Attributes
    ----------
    taken
        Names of tensors and nodes that are given away; those of the network from the start.
    nodes, initializers, value_infos
        Filled on the way.
    """

    taken: set[str]
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    value_infos: list[ValueInfoProto] = field(default_factory=list)

    def free(self, wanted: str) -> str:
        """Give a name that nothing else has; as wanted, if possible."""
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name

    def constant(self, wanted: str, value: NDArray[Any]) -> str:
        """Add an initializer that the network does not have, and give its name."""
        name = self.free(wanted)
        self.keep(name, value)
        return name

    def keep(self, name: str, value: NDArray[Any]) -> None:
        """Add an initializer under a name of the network."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def integers(self, wanted: str, values: Sequence[int]) -> str:
        """Add a vector of integers."""
        return self.constant(wanted, np.array(values, np.int64))

    def write(
        self,
        op: str,
        inputs: Sequence[str],
        ofm: str,
        *,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> None:
        """Add a node."""
        node = helper.make_node(op, inputs, [ofm], name=name, domain=domain, **(attributes or {}))
        self.nodes.append(node)

    def declare(self, tensor: str, shape: Shape) -> None:
        """Say what shape a tensor has, the batch included."""
        self.value_infos.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape))
