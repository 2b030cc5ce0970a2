"""Layers as loop nests: the shape of the work, with the names of tensors taken away."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from quantizer.network.graph import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Dense,
    Layer,
    MaxPool,
    Network,
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
    operands
        Feature maps read per output element of a window: 2 for the sum of two maps.
    is_added_constant
        Whether the second operand is a constant, stored once and not per image.
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


def build_loop_nests(
    network: Network,
    feature_map_bits: Mapping[str, int],
    weight_bits: Mapping[str, int],
    bias_bits: int,
    batch: int,
    requantized_inputs: Mapping[str, tuple[str, ...]],
) -> tuple[LoopNest, ...]:
    """Loop nests of all layers, one each, in the order in which they run.

    Parameters
    ----------
    feature_map_bits, weight_bits
        Widths by name of feature map and of constant.
    requantized_inputs
        By name of a Concat, the inputs that do not share its format. The others cost
        nothing: their producer writes them where the concatenated map lies.
    """
    return tuple(
        _build(
            layer,
            network,
            feature_map_bits,
            weight_bits,
            bias_bits,
            batch,
            requantized_inputs.get(layer.name, ()),
        )
        for layer in network.layers
    )


def _build(
    layer: Layer,
    network: Network,
    feature_map_bits: Mapping[str, int],
    weight_bits: Mapping[str, int],
    bias_bits: int,
    batch: int,
    requantized_inputs: tuple[str, ...],
) -> LoopNest:
    ofm_bits = feature_map_bits[layer.ofm]
    ofm_shape = network.shapes[layer.ofm]
    elements = math.prod(ofm_shape)
    match layer:
        case Conv():
            filters, channels, rows, cols = network.constants[layer.weights].shape
            _, input_rows, input_cols = network.shapes[layer.ifm]
            _, output_rows, output_cols = ofm_shape
            return LoopNest(
                layer=layer.name,
                op=layer.op,
                kind=Kind.MAC,
                batch=batch,
                groups=layer.groups,
                filters=filters // layer.groups,
                channels=channels,
                filter_rows=rows,
                filter_cols=cols,
                output_rows=output_rows,
                output_cols=output_cols,
                input_rows=input_rows,
                input_cols=input_cols,
                stride=layer.stride,
                dilation=layer.dilation,
                pads=layer.pads[:2],
                ifm_bits=feature_map_bits[layer.ifm],
                weight_bits=weight_bits[layer.weights],
                bias_bits=0 if layer.bias is None else bias_bits,
                ofm_bits=ofm_bits,
                residual_bits=0,
            )
        case Dense():
            filters, channels = network.constants[layer.weights].shape
            positions = elements // filters
            return LoopNest(
                layer=layer.name,
                op=layer.op,
                kind=Kind.MAC,
                batch=batch,
                groups=1,
                filters=filters,
                channels=channels,
                filter_rows=1,
                filter_cols=1,
                output_rows=positions,
                output_cols=1,
                input_rows=positions,
                input_cols=1,
                stride=(1, 1),
                dilation=(1, 1),
                pads=(0, 0),
                ifm_bits=feature_map_bits[layer.ifm],
                weight_bits=weight_bits[layer.weights],
                bias_bits=0 if layer.bias is None else bias_bits,
                ofm_bits=ofm_bits,
                residual_bits=0,
            )
        case MaxPool() | AveragePool():
            channels, input_rows, input_cols = network.shapes[layer.ifm]
            _, output_rows, output_cols = ofm_shape
            return LoopNest(
                layer=layer.name,
                op=layer.op,
                kind=Kind.POOL,
                batch=batch,
                groups=channels,
                filters=1,
                channels=1,
                filter_rows=layer.kernel[0],
                filter_cols=layer.kernel[1],
                output_rows=output_rows,
                output_cols=output_cols,
                input_rows=input_rows,
                input_cols=input_cols,
                stride=layer.stride,
                dilation=(1, 1),
                pads=layer.pads[:2],
                ifm_bits=feature_map_bits[layer.ifm],
                weight_bits=None,
                bias_bits=0,
                ofm_bits=ofm_bits,
                residual_bits=0,
            )
        case Add():
            residual_bits = (
                feature_map_bits[layer.inputs[1]]
                if layer.constant is None
                else weight_bits[layer.constant]
            )
            return _build_elementwise(
                layer, Kind.ADD, ofm_shape, batch, feature_map_bits, residual_bits
            )
        case Clip():
            return _build_elementwise(layer, Kind.REQUANTIZE, ofm_shape, batch, feature_map_bits, 0)
        case Reshape():
            return _build_elementwise(layer, Kind.LAYOUT, ofm_shape, batch, feature_map_bits, 0)
        case Concat():
            if not requantized_inputs:
                return _build_elementwise(layer, Kind.LAYOUT, ofm_shape, batch, feature_map_bits, 0)
            channels = sum(network.shapes[name][0] for name in requantized_inputs)
            return _build_elementwise(
                layer, Kind.REQUANTIZE, (channels, *ofm_shape[1:]), batch, feature_map_bits, 0
            )


def _build_elementwise(
    layer: Add | Clip | Reshape | Concat,
    kind: Kind,
    shape: tuple[int, ...],
    batch: int,
    feature_map_bits: Mapping[str, int],
    residual_bits: int,
) -> LoopNest:
    """Loops of a layer that reads every element once; a map of any rank is channels by rest."""
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
        ifm_bits=max(feature_map_bits[name] for name in layer.inputs),
        weight_bits=None,
        bias_bits=0,
        ofm_bits=feature_map_bits[layer.ofm],
        residual_bits=residual_bits,
    )
