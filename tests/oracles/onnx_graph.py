"""The few things of an ONNX graph that an interpreter needs.

Nothing here knows fixed point. `onnx_file.read_graph` makes a `Graph`, after rewrites that are
listed there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
AVERAGES = ("AveragePool", "GlobalAveragePool", "ReduceMean")
FUNCTIONS = (
    "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Selu", "Celu", "Gelu", "Softplus",
    "Softsign", "Mish", "Swish", "Erf", "Exp", "Sqrt", "Abs", "Neg", "ThresholdedRelu",
)  # fmt: skip
# What writes a tensor with a format of its own (rule 2).
ARITHMETIC = (
    *PRODUCTS, *AVERAGES, *FUNCTIONS,
    "BatchNormalization", "Add", "Sub", "Mul", "PRelu", "LeakyRelu", "LRN",
)  # fmt: skip
ACTIVATIONS = ("Relu", "Clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator; an optional input left out is the empty string."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def output(self) -> str:
        """The first output: the only one of every operator but Split."""
        return self.outputs[0]

    def input_or_none(self, index: int) -> str | None:
        """Name of an optional input, or None where it is not given."""
        return self.inputs[index] or None if index < len(self.inputs) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductConstants:
    """What a product multiplies by and adds, in one layout for all four operators.

    ``weights`` is float64 ``[K, C/groups, R, S]``, ``[K, C/groups, S]`` or ``[K, C]``, ``bias``
    float64 ``[K]``; the factors ``alpha`` and ``beta`` of Gemm are multiplied in.
    """

    weights_name: str
    weights: NDArray[np.float64]
    bias_name: str | None
    bias: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes in the file's (topological) order, and the values that do not depend on the input."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    input_name: str
    output_names: tuple[str, ...]

    def sole_consumer(self, name: str) -> Node | None:
        """The one node that reads a tensor which nothing else sees; None if there are others."""
        readers = [node for node in self.nodes for read in node.inputs if read == name]
        return readers[0] if len(readers) == 1 and name not in self.output_names else None

    def integers(self, node: Node, attribute: str, index: int) -> list[int] | None:
        """Integers that older opsets give as an attribute and newer ones as an input."""
        if attribute in node.attributes:
            return list(node.attributes[attribute])
        name = node.input_or_none(index)
        if name is None:
            return None
        if name not in self.constants:
            raise ValueError(f"{node.output}: {attribute} must be a constant")
        return [int(value) for value in self.constants[name].reshape(-1)]

    def product_constants(self, node: Node) -> ProductConstants:
        """Weights and bias of a Conv, ConvTranspose, Gemm or MatMul."""
        weights_name, bias_name = node.inputs[1], node.input_or_none(2)
        if weights_name not in self.constants:
            raise ValueError(f"{node.output}: its second operand must be a constant")
        weights = self.constants[weights_name].astype(np.float64)
        if node.operator == "ConvTranspose":
            # The file has [C, K/groups, ...]; filter k reads the channels of its group.
            groups = node.attributes.get("group", 1)
            parts = np.split(weights, groups)
            weights = np.concatenate([part.swapaxes(0, 1) for part in parts])
        elif node.operator != "Conv":
            if node.attributes.get("transA", 0):
                raise ValueError(f"{node.output}: Gemm with transA is not supported")
            weights = weights if node.attributes.get("transB", 0) else weights.T
            weights = weights * node.attributes.get("alpha", 1.0)
        bias = None
        if bias_name:
            added = self.constants[bias_name].astype(np.float64).reshape(-1)
            bias = np.broadcast_to(added * node.attributes.get("beta", 1.0), len(weights))
        return ProductConstants(
            weights_name=weights_name, weights=weights, bias_name=bias_name, bias=bias
        )

    def activation_bounds(self, node: Node) -> tuple[float | None, float | None]:
        """Lower and upper bound of a Relu or Clip, real; None where it has none."""
        if node.operator == "Relu":
            return 0.0, None
        bounds = []
        for index, key in ((1, "min"), (2, "max")):
            name = node.input_or_none(index)
            given = self.constants[name] if name else node.attributes.get(key)
            bounds.append(None if given is None else np.asarray(given, np.float64).item())
        return bounds[0], bounds[1]

    def slopes(self, node: Node) -> tuple[str, NDArray[np.float64]]:
        """Name and values of what a PRelu or LeakyRelu multiplies negative values by."""
        if node.operator == "PRelu":
            return node.inputs[1], self.constants[node.inputs[1]].astype(np.float64)
        name = f"{node.output}.alpha"
        given = node.attributes.get("alpha", 0.01)
        return name, np.asarray(self.constants.get(name, np.float32(given)), np.float64)

    def spatial_axes(self, node: Node, rank: int) -> tuple[int, ...]:
        """What a ReduceMean or ReduceMax reduces: axes of space only, counted from 0."""
        axes = self.integers(node, "axes", 1)
        counted = tuple(sorted(axis % rank for axis in axes or ()))
        if not counted or counted[0] < 2:
            raise ValueError(f"{node.output}: {node.operator} must reduce over space only")
        return counted


def aligned(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Shape of a map of lower rank as broadcasting aligns it where the batch is one image.

    ONNX aligns shapes at their ends. That of one image with its batch axis, ``[1, ...]``, gets
    ones in front; of more images the batch axis stays in front.
    """
    return (shape[0], *[1] * (rank - len(shape)), *shape[1:])
