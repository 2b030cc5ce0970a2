"""Layers as loop nests: the shape of the work, with the names of tensors taken away."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from quantizer.network.graph import Network
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Dense,
    Layer,
    MaxPool,
    Reshape,
)


class Kind(StrEnum):
    """What the innermost body of a loop nest does."""

    MAC = "mac"
    """Multiply and accumulate, on the array."""
    POOL = "pool"
    """Maximum or sum over a window, on the lanes."""
    ADD = "add"
    """Sum of two operands, on the lanes."""
    REQUANTIZE = "requantize"
    """Another format or range for the same values, on the lanes."""
    LAYOUT = "layout"
    """Nothing: the same values under another shape or name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNest:
    """One layer as loops ``N, G, K, C, R, S, P, Q`` over operands of known widths.

    Output ``[n, k, p, q]`` reads ifm rows ``p*stride + r*dilation - pad``, cols likewise.

    Attributes
    ----------
    batch, groups
        ``N`` and ``G``. Groups share nothing. Kinds other than MAC treat each channel
        as a group.
    filters, channels
        ``K`` and ``C`` of one group.
    pads
        (top, left) only; bottom and right follow from the extents.
    bias_bits
        0 without a bias.
    weight_bits
        None without weights.
    residual_bits
        Of the second operand of a sum; 0 where there is none.
    """

    layer: str
    op: str
    kind: Kind
    batch: int
    groups: int
    filters: int
    channels: int
    filter_rows: int
    filter_cols: int
    output_rows: int
    output_cols: int
    input_rows: int
    input_cols: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int]
    ifm_bits: int
    weight_bits: int | None
    bias_bits: int
    ofm_bits: int
    residual_bits: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole batch; padding counts."""
        if self.kind is not Kind.MAC:
            return 0
        return self.outputs * self.reduction

    @property
    def outputs(self) -> int:
        """Elements of the output, of the whole batch."""
        pixels = self.batch * self.output_rows * self.output_cols
        return pixels * self.groups * self.filters

    @property
    def reduction(self) -> int:
        """Operands that meet in one output."""
        return self.channels * self.filter_rows * self.filter_cols


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandWidths:
    """Word lengths of a network's tensors.

    Attributes
    ----------
    feature_maps, weights
        By name of feature map and of constant.
    biases
        Of every bias.
    """

    feature_maps: Mapping[str, int]
    weights: Mapping[str, int]
    biases: int


def build_loop_nests(
    network: Network,
    widths: OperandWidths,
    batch: int,
    requantized_inputs: Mapping[str, tuple[str, ...]],
) -> tuple[LoopNest, ...]:
    """Loop nests of all layers, one each, in the order in which they run.

    Parameters
    ----------
    requantized_inputs
        By name of a Concat, the inputs that do not share its format. The others cost
        nothing: their producer writes them where the concatenated map lies.
    """
    return tuple(
        _build(layer, network, widths, batch, requantized_inputs.get(layer.name, ()))
        for layer in network.layers
    )


def _build(
    layer: Layer,
    network: Network,
    widths: OperandWidths,
    batch: int,
    requantized_inputs: tuple[str, ...],
) -> LoopNest:
    ofm_shape = network.shapes[layer.ofm]
    match layer:
        case Conv():
            filters, channels, *window = network.constants[layer.weights].shape
            return _windowed(
                layer,
                network,
                widths,
                batch,
                Kind.MAC,
                groups=layer.groups,
                filters=filters // layer.groups,
                channels=channels,
                window=(window[0], window[1]),
                dilation=layer.dilation,
            )
        case MaxPool() | AveragePool():
            return _windowed(
                layer,
                network,
                widths,
                batch,
                Kind.POOL,
                groups=ofm_shape[0],
                filters=1,
                channels=1,
                window=layer.kernel,
                dilation=(1, 1),
            )
        case Dense():
            filters, channels = network.constants[layer.weights].shape
            plain = _elementwise(layer, Kind.MAC, ofm_shape, widths, batch)
            positions = math.prod(ofm_shape) // filters
            return replace(
                plain,
                groups=1,
                filters=filters,
                channels=channels,
                output_rows=positions,
                input_rows=positions,
                output_cols=1,
                input_cols=1,
                weight_bits=widths.weights[layer.weights],
                bias_bits=0 if layer.bias is None else widths.biases,
            )
        case Add():
            plain = _elementwise(layer, Kind.ADD, ofm_shape, widths, batch)
            residual_bits = (
                widths.feature_maps[layer.inputs[1]]
                if layer.constant is None
                else widths.weights[layer.constant]
            )
            return replace(plain, residual_bits=residual_bits)
        case Clip():
            return _elementwise(layer, Kind.REQUANTIZE, ofm_shape, widths, batch)
        case Concat() if requantized_inputs:
            channels = sum(network.shapes[name][0] for name in requantized_inputs)
            bits = max(widths.feature_maps[name] for name in requantized_inputs)
            shape = (channels, *ofm_shape[1:])
            return replace(
                _elementwise(layer, Kind.REQUANTIZE, shape, widths, batch), ifm_bits=bits
            )
        case Concat() | Reshape():
            return _elementwise(layer, Kind.LAYOUT, ofm_shape, widths, batch)


def _windowed(
    layer: Conv | MaxPool | AveragePool,
    network: Network,
    widths: OperandWidths,
    batch: int,
    kind: Kind,
    *,
    groups: int,
    filters: int,
    channels: int,
    window: tuple[int, int],
    dilation: tuple[int, int],
) -> LoopNest:
    _, input_rows, input_cols = network.shapes[layer.ifm]
    _, output_rows, output_cols = network.shapes[layer.ofm]
    return LoopNest(
        layer=layer.name,
        op=layer.op,
        kind=kind,
        batch=batch,
        groups=groups,
        filters=filters,
        channels=channels,
        filter_rows=window[0],
        filter_cols=window[1],
        output_rows=output_rows,
        output_cols=output_cols,
        input_rows=input_rows,
        input_cols=input_cols,
        stride=layer.stride,
        dilation=dilation,
        pads=layer.pads[:2],
        ifm_bits=widths.feature_maps[layer.ifm],
        weight_bits=widths.weights[layer.weights] if isinstance(layer, Conv) else None,
        bias_bits=widths.biases if isinstance(layer, Conv) and layer.bias is not None else 0,
        ofm_bits=widths.feature_maps[layer.ofm],
        residual_bits=0,
    )


def _elementwise(
    layer: Layer, kind: Kind, shape: tuple[int, ...], widths: OperandWidths, batch: int
) -> LoopNest:
    """Loops that visit every element once; a map of any rank is channels, rows, cols."""
    positions = math.prod(shape[1:])
    cols = shape[-1] if len(shape) > 2 else 1
    return LoopNest(
        layer=layer.name,
        op=layer.op,
        kind=kind,
        batch=batch,
        groups=shape[0],
        filters=1,
        channels=1,
        filter_rows=1,
        filter_cols=1,
        output_rows=positions // cols,
        output_cols=cols,
        input_rows=positions // cols,
        input_cols=cols,
        stride=(1, 1),
        dilation=(1, 1),
        pads=(0, 0),
        ifm_bits=widths.feature_maps[layer.inputs[0]],
        weight_bits=None,
        bias_bits=0,
        ofm_bits=widths.feature_maps[layer.ofm],
        residual_bits=0,
    )
