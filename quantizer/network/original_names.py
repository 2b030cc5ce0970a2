"""The way back from an optimised ONNX graph to the names in the user's file."""

from onnx import GraphProto, NodeProto

_MERGING = {"BatchNormalization", "Add", "Mul", "Sub", "Div", "Pad"}
"""Operators that the optimiser merges into the Conv, Gemm or MatMul before (or after) them."""


class OriginalNames:
    """Finds, for what the optimiser made, the names that the user's file has for it."""

    def __init__(self, graph: GraphProto) -> None:
        self._producers: dict[str, NodeProto] = {
            output: node for node in graph.node for output in node.output
        }
        self._nodes: dict[str, NodeProto] = {node.name: node for node in graph.node if node.name}
        self._constants: set[str] = {
            *(initializer.name for initializer in graph.initializer),
            *(node.output[0] for node in graph.node if node.op_type == "Constant"),
        }
        self._tensors: set[str] = (
            self._constants
            | {value.name for value in graph.input}
            | {name for node in graph.node for name in node.output}
        )

    def node(self, node: NodeProto) -> NodeProto:
        """Give the user's node that an optimised node stands for."""
        for origin in (self._nodes.get(node.name), self._producers.get(node.output[0])):
            if origin is not None and origin.op_type == node.op_type:
                return origin
        return self._compute_node(node.output[0]) or node

    def _compute_node(self, tensor: str) -> NodeProto | None:
        """Walk back from a tensor over merged operators to the node that computes it."""
        node = self._producers.get(tensor)
        while node is not None and node.op_type in _MERGING:
            behind = [self._producers[name] for name in node.input if name in self._producers]
            behind = [one for one in behind if one.op_type != "Constant"]
            if len(behind) != 1:
                break
            node = behind[0]
        return node

    def weights(self, node: NodeProto) -> str:
        """Give the user's name of the second input of a Conv, Gemm or MatMul."""
        return self.input(node, 1)

    def bias(self, node: NodeProto) -> str:
        """Give the user's name of a bias; a folded one is named by what was folded in."""
        name = self._input(node, 2)
        if name is not None:
            return name
        folded = self._producers.get(node.output[0])
        if folded is not None and folded.op_type == "BatchNormalization":
            return str(folded.input[2])
        if folded is not None and folded.op_type == "Add":
            for name in folded.input:
                if name in self._constants:
                    return str(name)
        return f"{self.node(node).name or node.output[0]}.bias"

    def input(self, node: NodeProto, index: int) -> str:
        """Give the user's name of an input."""
        return self._input(node, index) or str(node.input[index])

    def _input(self, node: NodeProto, index: int) -> str | None:
        """Name of an input if the user's file has it, or that of the origin's input."""
        for inputs in (node.input, self.node(node).input):
            if len(inputs) > index and inputs[index] in self._tensors:
                return str(inputs[index])
        return None
