"""ONNX nodes that compute each value from those at its place, and from constants."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from quantizer.network.layers import (
    Add,
    Clip,
    Function,
    FunctionKind,
    Layer,
    LocalResponseNorm,
    Lookup,
    Mul,
    PRelu,
    Shape,
)
from quantizer.network.onnx_reader import NodeReader, attributes, choice

_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875

# Defaults of the standard, as float32 has them.
_ALPHA: Mapping[FunctionKind, float] = {
    FunctionKind.CELU: 1.0,
    FunctionKind.ELU: 1.0,
    FunctionKind.HARD_SIGMOID: float(np.float32(0.2)),
    FunctionKind.SELU: _SELU_ALPHA,
    FunctionKind.SWISH: 1.0,
    FunctionKind.THRESHOLDED_RELU: 1.0,
}
_BETA: Mapping[FunctionKind, tuple[str, float]] = {
    FunctionKind.HARD_SIGMOID: ("beta", 0.5),
    FunctionKind.SELU: ("gamma", _SELU_GAMMA),
}


def read_add(reader: NodeReader, node: NodeProto) -> Layer:
    """Add or Sub of two maps, or of a map and a constant."""
    maps, constant, constant_is_first = _operands(reader, node)
    is_difference = node.op_type == "Sub"
    signs = (1, -1) if is_difference else (1, 1)
    ofm, clamp = reader.take_clamp(node)
    return Add(
        name=reader.label(node),
        inputs=maps,
        constant=constant,
        signs=(signs[1], signs[0]) if constant_is_first else signs,
        ofm=ofm,
        clamp=clamp,
    )


def read_mul(reader: NodeReader, node: NodeProto) -> Layer:
    """Mul of two maps, or of a map and a constant; Div by a constant."""
    if node.op_type == "Div":
        reader.feature_map(node, node.input[0])
        reader.constant(node, node.input[1], "the divisor")
    maps, constant, _ = _operands(reader, node)
    ofm, clamp = reader.take_clamp(node)
    return Mul(name=reader.label(node), inputs=maps, constant=constant, ofm=ofm, clamp=clamp)


def _operands(reader: NodeReader, node: NodeProto) -> tuple[tuple[str, ...], str | None, bool]:
    """Feature maps of a node of two operands, its constant, and whether that comes first."""
    shape = reader.shape(node, node.output[0])
    maps: list[str] = []
    constant = None
    for place, name in enumerate(node.input):
        if name in reader.constants:
            value = reader.constants[name]
            if node.op_type == "Div":
                value = _reciprocal(reader, node, value)
            value = _without_batch(reader, node, value, shape)
            constant = reader.keep(node, reader.names.input(node, place), value)
            continue
        maps.append(name)
        found = reader.shape(node, name)
        if len(found) != len(shape):
            raise reader.refuse(
                node,
                f"broadcasts a map {list(found)} to {list(shape)}; expected as many axes in both",
            )
    return tuple(maps), constant, node.input[0] in reader.constants


def _reciprocal(
    reader: NodeReader, node: NodeProto, divisor: NDArray[np.float32]
) -> NDArray[np.float32]:
    if not divisor.all():
        raise reader.refuse(node, "divides by zero; expected a divisor that is not")
    return np.float32(1) / divisor


def _without_batch(
    reader: NodeReader, node: NodeProto, value: NDArray[Any], shape: Shape
) -> NDArray[Any]:
    """See a constant with as many axes as the output has without the batch."""
    if value.ndim == len(shape) and value.shape[0] != 1:
        raise reader.refuse(
            node,
            f"has a constant {list(value.shape)}, which differs over the batch; expected 1 there",
        )
    padded = (1,) * (len(shape) - value.ndim) + value.shape
    return value.reshape(padded[1:])


def read_prelu(reader: NodeReader, node: NodeProto) -> Layer:
    """PRelu with slopes that are broadcast to the map."""
    shape = reader.shape(node, node.input[0])
    slopes = reader.constant(node, node.input[1], "the slope")
    own = _without_batch(reader, node, slopes, shape)
    return _prelu(reader, node, reader.names.input(node, 1), own)


def read_leaky_relu(reader: NodeReader, node: NodeProto) -> Layer:
    """LeakyRelu: a PRelu of one slope."""
    alpha = np.float32(attributes(node).get("alpha", 0.01))
    axes = len(reader.shape(node, node.input[0])) - 1
    return _prelu(reader, node, f"{node.output[0]}.alpha", np.full((1,) * axes, alpha))


def _prelu(reader: NodeReader, node: NodeProto, name: str, slopes: NDArray[np.float32]) -> Layer:
    ifm = reader.feature_map(node, node.input[0])
    slopes_name = reader.keep(node, name, slopes)
    ofm, clamp = reader.take_clamp(node)
    return PRelu(name=reader.label(node), ifm=ifm, ofm=ofm, slopes=slopes_name, clamp=clamp)


def read_function(reader: NodeReader, node: NodeProto) -> Layer:
    """Any of `FunctionKind`."""
    given = attributes(node)
    kind = FunctionKind(node.op_type)
    if kind is FunctionKind.GELU and choice(node, "approximate", "none") == "tanh":
        kind = FunctionKind.GELU_TANH
    alpha = float(given.get("alpha", _ALPHA[kind])) if kind in _ALPHA else 0.0
    beta = 0.0
    if kind in _BETA:
        name, default = _BETA[kind]
        beta = float(given.get(name, default))
    if not (math.isfinite(alpha) and math.isfinite(beta)):
        raise reader.refuse(node, "has a parameter that is not finite; expected a number")
    if kind is FunctionKind.CELU and alpha == 0.0:
        raise reader.refuse(node, "has alpha 0, by which it divides; expected another")
    ifm = reader.feature_map(node, node.input[0])
    ofm, clamp = reader.take_clamp(node)
    return Lookup(
        name=reader.label(node),
        ifm=ifm,
        ofm=ofm,
        function=Function(kind=kind, alpha=alpha, beta=beta),
        clamp=clamp,
    )


def read_clip(reader: NodeReader, node: NodeProto) -> Layer:
    """Relu, Clip, or Min or Max with a number, that no layer before it took."""
    clamp = reader.clamp(node)
    if clamp is None:
        raise reader.refuse(node, "compares maps; expected one map and one number")
    (ifm,) = (name for name in node.input[:2] if name not in reader.constants and name)
    return Clip(
        name=reader.label(node),
        ifm=reader.feature_map(node, ifm),
        ofm=node.output[0],
        clamp=clamp,
    )


def read_lrn(reader: NodeReader, node: NodeProto) -> Layer:
    """LRN across channels."""
    given = attributes(node)
    ifm = reader.feature_map(node, node.input[0])
    ofm, clamp = reader.take_clamp(node)
    return LocalResponseNorm(
        name=reader.label(node),
        ifm=ifm,
        ofm=ofm,
        size=int(given["size"]),
        alpha=float(np.float32(given.get("alpha", 1e-4))),
        beta=float(np.float32(given.get("beta", 0.75))),
        bias=float(np.float32(given.get("bias", 1.0))),
        clamp=clamp,
    )
