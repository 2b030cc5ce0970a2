"""Arithmetic of rules 7, 9 and 12 in int64, up to the exact result that is then rounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles import layers_int64 as layers
from tests.oracles.fixed_point import wrap_array
from tests.oracles.onnx_graph import Node, ProductConstants, aligned
from tests.oracles.stored_values import (
    Formats,
    Map,
    align_bias,
    encode_channels,
)

IntegerArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """Values ``total * 2**-frac_bits``; ``frac_bits`` broadcasts against ``total``."""

    total: IntegerArray
    frac_bits: IntegerArray | int


def multiply_weights(node: Node, x: Map, weights: IntegerArray) -> IntegerArray:
    """Exact sums of products of a Conv, ConvTranspose, Gemm or MatMul."""
    groups = node.attributes.get("group", 1)
    sizes, kernel = x.raw.shape[2:], weights.shape[2:]
    match node.operator:
        case "Conv":
            return layers.convolve(
                x.raw, weights, *layers.window_axes(node.attributes, sizes, kernel), groups
            )
        case "ConvTranspose":
            return layers.convolve_transposed(
                x.raw, weights, *layers.spread_axes(node.attributes, sizes, kernel), groups
            )
    if x.raw.ndim != 2:
        raise ValueError(f"{node.output}: {node.operator} reads maps [N, C] only")
    return layers.multiply_dense(x.raw, weights)


def product(
    node: Node, x: Map, given: ProductConstants, formats: Formats, accumulator_bits: int
) -> tuple[Exact, int]:
    """Wrapped sums of products plus bias, and how many sums left the accumulator."""
    weights, weight_frac_bits = encode_channels(formats, given.weights_name, given.weights)
    exact = multiply_weights(node, x, weights)
    wrapped = wrap_array(exact, accumulator_bits)
    acc_frac_bits = x.form.frac_bits + weight_frac_bits
    bias = np.zeros(len(weights), np.int64)
    if given.bias_name is not None and given.bias is not None:
        bias = align_bias(formats, given.bias_name, given.bias, acc_frac_bits)
    per_channel = (1, -1, *[1] * (exact.ndim - 2))
    return (
        Exact(
            total=wrapped + bias.reshape(per_channel),
            frac_bits=acc_frac_bits.reshape(per_channel),
        ),
        int((wrapped != exact).sum()),
    )


def normalize(node: Node, x: Map, constants: Mapping[str, NDArray[Any]], formats: Formats) -> Exact:
    """A BatchNormalization that stands alone: factor and summand per channel."""
    scale_name, added_name = node.inputs[1:3]
    factors, factor_frac_bits = encode_channels(
        formats, scale_name, constants[scale_name].astype(np.float64)
    )
    frac_bits = x.form.frac_bits + factor_frac_bits
    bias = align_bias(formats, added_name, constants[added_name].astype(np.float64), frac_bits)
    per_channel = (1, -1, *[1] * (x.raw.ndim - 2))
    return Exact(
        total=x.raw * factors.reshape(per_channel) + bias.reshape(per_channel),
        frac_bits=frac_bits.reshape(per_channel),
    )


def combine(operator: str, operands: Sequence[Map]) -> Exact:
    """Add, Sub or Mul of two maps that broadcast against each other."""
    first, second = operands
    if operator == "Mul":
        return Exact(
            total=first.raw * second.raw, frac_bits=first.form.frac_bits + second.form.frac_bits
        )
    common = max(first.form.frac_bits, second.form.frac_bits)
    shifted = []
    for operand in operands:
        shift = common - operand.form.frac_bits
        assert shift < 44, "an aligned summand could leave int64"
        shifted.append(operand.raw << shift)
    total = shifted[0] + shifted[1] if operator == "Add" else shifted[0] - shifted[1]
    return Exact(total=total, frac_bits=common)


def broadcast(node: Node, operands: Sequence[Map], is_constant: Sequence[bool]) -> list[Map]:
    """Operands of one rank, aligned as ONNX does it for a batch of one image."""
    rank = max(
        operand.raw.ndim for operand, fixed in zip(operands, is_constant, strict=True) if not fixed
    )
    result = []
    for operand, fixed in zip(operands, is_constant, strict=True):
        shape = operand.raw.shape
        if not fixed:
            shape = aligned(shape, rank)
        elif len(shape) > rank or (len(shape) == rank and shape[0] != 1):
            raise ValueError(f"{node.output}: a constant operand must not add axes or images")
        result.append(Map(raw=operand.raw.reshape(shape), form=operand.form))
    return result


def bend(x: Map, slopes: Map) -> Exact:
    """PRelu or LeakyRelu: negative values times their slope, the others as they are."""
    is_negative = x.raw < 0
    return Exact(
        total=np.where(is_negative, x.raw * slopes.raw, x.raw),
        frac_bits=np.where(is_negative, x.form.frac_bits + slopes.form.frac_bits, x.form.frac_bits),
    )


def normalize_locally(node: Node, x: Map) -> NDArray[np.float64]:
    """LRN of real values, in float64: across channels, as the standard writes it."""
    real = np.ldexp(x.raw.astype(np.float64), -x.form.frac_bits)
    size = node.attributes["size"]
    alpha, beta, bias = (
        float(np.float32(node.attributes.get(key, default)))
        for key, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    n_channels = real.shape[1]
    ofm = np.empty_like(real)
    for c in range(n_channels):
        first = max(0, c - (size - 1) // 2)
        last = min(n_channels - 1, c + size // 2)
        squares = (real[:, first : last + 1] ** 2).sum(axis=1)
        ofm[:, c] = real[:, c] / (bias + alpha / size * squares) ** beta
    return ofm
