"""Layers as ONNX nodes that the importer reads back as the same layers.

One node per layer, called as the layer; a bias of a matrix product over several positions,
and the clamp that a layer ends with, are nodes of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quantizer.network.float_writer import pool_attributes
from quantizer.network.layers import (
    Add,
    ArithmeticLayer,
    AveragePool,
    BatchNorm,
    Clamp,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Function,
    FunctionKind,
    Layer,
    LocalResponseNorm,
    Lookup,
    MaxPool,
    Mul,
    Pad,
    PRelu,
    Reshape,
    Shape,
    Slice,
    Transpose,
    Upsample,
)
from quantizer.qonnx.graph_writer import GraphWriter

_INT64_MIN = np.iinfo(np.int64).min
_ALPHA = (
    FunctionKind.CELU,
    FunctionKind.ELU,
    FunctionKind.HARD_SIGMOID,
    FunctionKind.SELU,
    FunctionKind.SWISH,
    FunctionKind.THRESHOLDED_RELU,
)
_BETA = {FunctionKind.HARD_SIGMOID: "beta", FunctionKind.SELU: "gamma"}


def write_layer(
    graph: GraphWriter, shapes: Mapping[str, Shape], layer: Layer, operands: Sequence[str], ofm: str
) -> None:
    """Add the nodes of a layer.

    Parameters
    ----------
    shapes
        Of the network's feature maps, without the batch.
    operands
        What the layer computes from: its inputs, then its constants (weights before bias).
    ofm
        What it writes, its clamp included.
    """
    clamp = getattr(layer, "clamp", None)
    if isinstance(layer, Clip):
        _write_clamp(graph, operands[0], layer.clamp, ofm, layer.name)
    elif clamp is None:
        _write(graph, shapes, layer, operands, ofm)
    else:
        inner = graph.free(f"{layer.ofm}.unclamped")
        graph.declare(inner, (1, *shapes[layer.ofm]))
        _write(graph, shapes, layer, operands, inner)
        _write_clamp(graph, inner, clamp, ofm, graph.free(f"{layer.name}.clamp"))


def _write_clamp(graph: GraphWriter, ifm: str, clamp: Clamp, ofm: str, name: str) -> None:
    if clamp == Clamp(low=0.0, high=np.inf):
        graph.write("Relu", [ifm], ofm, name=name)
        return
    bounds = [
        graph.constant(f"{ofm}.{which}", np.array(bound, np.float32)) if np.isfinite(bound) else ""
        for which, bound in (("min", clamp.low), ("max", clamp.high))
    ]
    graph.write("Clip", [ifm, *bounds], ofm, name=name)


def _write(
    graph: GraphWriter, shapes: Mapping[str, Shape], layer: Layer, operands: Sequence[str], ofm: str
) -> None:
    match layer:
        case Conv() | ConvTranspose() | Dense() | BatchNorm():
            _write_weighted(graph, shapes, layer, operands, ofm)
        case MaxPool() | AveragePool():
            _write_pool(graph, shapes, layer, operands[0], ofm)
        case Reshape() | Transpose() | Slice() | Pad() | Upsample() | Concat():
            _write_move(graph, shapes, layer, operands, ofm)
        case Clip():
            raise AssertionError("a Clip is nothing but its clamp")
        case _:
            _write_elementwise(graph, layer, operands, ofm)


def _write_weighted(
    graph: GraphWriter,
    shapes: Mapping[str, Shape],
    layer: Conv | ConvTranspose | Dense | BatchNorm,
    operands: Sequence[str],
    ofm: str,
) -> None:
    match layer:
        case Conv() | ConvTranspose():
            op, attributes = _convolution(len(shapes[layer.ifm]) - 1, layer)
            graph.write(op, operands, ofm, name=layer.name, attributes=attributes)
        case Dense():
            _write_dense(graph, shapes, layer, operands, ofm)
        case BatchNorm():
            channels = shapes[layer.ifm][0]
            mean = graph.constant(f"{layer.name}.mean", np.zeros(channels, np.float32))
            variance = graph.constant(f"{layer.name}.variance", np.ones(channels, np.float32))
            graph.write(
                "BatchNormalization",
                [*operands, mean, variance],
                ofm,
                name=layer.name,
                attributes={"epsilon": 0.0},
            )


def _convolution(spatial: int, layer: Conv | ConvTranspose) -> tuple[str, dict[str, Any]]:
    """Operator and attributes, of as many spatial dimensions as the map has."""
    top, left, bottom, right = layer.pads
    attributes: dict[str, Any] = {
        "strides": layer.stride[-spatial:],
        "dilations": layer.dilation[-spatial:],
        "group": layer.groups,
    }
    if isinstance(layer, Conv):
        attributes["pads"] = (*(top, left)[-spatial:], *(bottom, right)[-spatial:])
        return "Conv", attributes
    after = (max(bottom, 0), max(right, 0))
    attributes["pads"] = (*(top, left)[-spatial:], *after[-spatial:])
    attributes["output_padding"] = (max(-bottom, 0), max(-right, 0))[-spatial:]
    return "ConvTranspose", attributes


def _write_dense(
    graph: GraphWriter,
    shapes: Mapping[str, Shape],
    layer: Dense,
    operands: Sequence[str],
    ofm: str,
) -> None:
    """Gemm for a vector with a bias; else MatMul, and an Add behind it."""
    ifm, weights, *bias = operands
    if not bias:
        graph.write("MatMul", [ifm, weights], ofm, name=layer.name)
    elif len(shapes[layer.ifm]) == 1:
        graph.write("Gemm", operands, ofm, name=layer.name)
    else:
        product = graph.free(f"{layer.ofm}.product")
        graph.declare(product, (1, *shapes[layer.ofm]))
        graph.write("MatMul", [ifm, weights], product, name=layer.name)
        graph.write("Add", [product, *bias], ofm, name=graph.free(f"{layer.name}.bias"))


def _write_elementwise(
    graph: GraphWriter, layer: ArithmeticLayer, operands: Sequence[str], ofm: str
) -> None:
    attributes: dict[str, Any] = {}
    match layer:
        case Add():
            op = "Add" if layer.signs == (1, 1) else "Sub"
            if layer.signs == (-1, 1):
                operands = operands[::-1]
        case Mul():
            op = "Mul"
        case PRelu():
            op = "PRelu"
        case Lookup():
            op, attributes = _function(layer.function)
        case LocalResponseNorm():
            op = "LRN"
            attributes = {
                "size": layer.size,
                "alpha": layer.alpha,
                "beta": layer.beta,
                "bias": layer.bias,
            }
        case _:
            raise AssertionError(f"{layer.op} is not elementwise")
    graph.write(op, operands, ofm, name=layer.name, attributes=attributes)


def _function(function: Function) -> tuple[str, dict[str, Any]]:
    kind = function.kind
    if kind is FunctionKind.GELU_TANH:
        return "Gelu", {"approximate": "tanh"}
    attributes = {"alpha": function.alpha} if kind in _ALPHA else {}
    if kind in _BETA:
        attributes[_BETA[kind]] = function.beta
    return kind.value, attributes


def _write_pool(
    graph: GraphWriter,
    shapes: Mapping[str, Shape],
    layer: MaxPool | AveragePool,
    ifm: str,
    ofm: str,
) -> None:
    """Add a pool; one that also drops the axes that it reduces is a reduction."""
    is_average = isinstance(layer, AveragePool)
    source, target = shapes[layer.ifm], shapes[layer.ofm]
    if len(source) != len(target):
        op = "ReduceMean" if is_average else "ReduceMax"
        axes = graph.integers(f"{layer.name}.axes", _reduced_axes(layer, source, target))
        graph.write(op, [ifm, axes], ofm, name=layer.name, attributes={"keepdims": 0})
        return
    attributes = pool_attributes(shapes, layer)
    if isinstance(layer, AveragePool):
        attributes["count_include_pad"] = int(layer.counts_padding)
    if len(source) == 2:
        _, left, _, right = layer.pads
        attributes |= {key: attributes[key][1:] for key in ("kernel_shape", "strides", "dilations")}
        attributes["pads"] = (left, right)
    op = "AveragePool" if is_average else "MaxPool"
    graph.write(op, [ifm], ofm, name=layer.name, attributes=attributes)


def _reduced_axes(layer: MaxPool | AveragePool, source: Shape, target: Shape) -> list[int]:
    """Axes of space, the batch counted, that a reduction drops."""
    if len(target) == 1:
        return list(range(2, len(source) + 1))
    return [3] if layer.kernel[1] > 1 else [2]


def _write_move(
    graph: GraphWriter,
    shapes: Mapping[str, Shape],
    layer: Reshape | Transpose | Slice | Pad | Upsample | Concat,
    operands: Sequence[str],
    ofm: str,
) -> None:
    shape, name = shapes[layer.ofm], layer.name
    match layer:
        case Concat():
            graph.write("Concat", operands, ofm, name=name, attributes={"axis": layer.axis + 1})
        case Reshape():
            sizes = graph.integers(f"{name}.shape", (1, *shape))
            graph.write("Reshape", [*operands, sizes], ofm, name=name)
        case Transpose():
            op, attributes = _transposition(layer, shapes[layer.ifm])
            graph.write(op, operands, ofm, name=name, attributes=attributes)
        case Slice():
            ends = [
                start + count * step
                for start, count, step in zip(layer.starts, shape, layer.steps, strict=True)
            ]
            # A negative end would be counted from behind; so low it is the very first.
            ends = [end if end >= 0 else _INT64_MIN for end in ends]
            axes = range(1, len(shape) + 1)
            parts = {"starts": layer.starts, "ends": ends, "axes": axes, "steps": layer.steps}
            bounds = [graph.integers(f"{name}.{what}", part) for what, part in parts.items()]
            graph.write("Slice", [*operands, *bounds], ofm, name=name)
        case Pad():
            pads = graph.integers(f"{name}.pads", (0, *layer.before, 0, *layer.after))
            value = graph.constant(f"{name}.value", np.array(layer.value, np.float32))
            graph.write("Pad", [*operands, pads, value], ofm, name=name)
        case Upsample():
            scales = graph.constant(f"{name}.scales", np.array((1, *layer.factors), np.float32))
            attributes = {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
            graph.write("Resize", [*operands, "", scales], ofm, name=name, attributes=attributes)


def _transposition(layer: Transpose, shape: Shape) -> tuple[str, dict[str, Any]]:
    if layer.view == shape:
        return "Transpose", {"perm": (0, *(axis + 1 for axis in layer.permutation))}
    match layer.permutation:
        case (2, 3, 0, 4, 1):
            return "DepthToSpace", {"blocksize": layer.view[0], "mode": "DCR"}
        case (0, 3, 1, 4, 2):
            return "DepthToSpace", {"blocksize": layer.view[1], "mode": "CRD"}
        case _:
            return "SpaceToDepth", {"blocksize": layer.view[2]}
