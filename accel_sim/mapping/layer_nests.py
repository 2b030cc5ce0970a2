"""From layers to loop nests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from accel_sim.mapping.loop_nest import Kind, LoopNest
from quantizer.errors import InputError
from quantizer.network.graph import Network, as_image
from quantizer.network.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    ElementwiseLayer,
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

TABLE_BITS = 12
"""Inputs of more bits are interpolated in a table of ``2**12 + 1`` entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandWidths:
    """Word lengths of a network's tensors.

    Attributes
    ----------
    feature_maps, constants
        By name; biases are constants.
    """

    feature_maps: Mapping[str, int]
    constants: Mapping[str, int]


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

    Raises
    ------
    InputError
        A transposed convolution has stride and dilation above 1 along one axis.
    """
    return tuple(
        _Builder(layer=layer, network=network, widths=widths, batch=batch).build(
            requantized_inputs.get(layer.name, ())
        )
        for layer in network.layers
    )


def name_operands(layer: Layer, network: Network) -> tuple[str | None, str | None]:
    """Names of the maps that a layer reads as ifm and as residual; None for others."""
    if isinstance(layer, ElementwiseLayer):
        (ifm, _), (residual, _) = _order_operands(layer, network)
        return ifm, residual
    return layer.inputs[0], None


def _order_operands(
    layer: ElementwiseLayer, network: Network
) -> list[tuple[str | None, tuple[int, ...]]]:
    """Names (None: the constant) and shapes of two operands, the larger first: it is the ifm."""
    operands: list[tuple[str | None, tuple[int, ...]]] = [
        (name, network.shapes[name]) for name in layer.inputs
    ]
    if layer.constant is not None:
        operands.append((None, network.constants[layer.constant].shape))
    return sorted(operands, key=lambda operand: math.prod(operand[1]), reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    """One layer and what is known of its tensors."""

    layer: Layer
    network: Network
    widths: OperandWidths
    batch: int

    def build(self, requantized_inputs: tuple[str, ...]) -> LoopNest:
        shapes = self.network.shapes
        ofm_shape = shapes[self.layer.ofm]
        match self.layer:
            case Conv() as layer:
                return self._convolution(layer)
            case ConvTranspose() as layer:
                return self._transposed_convolution(layer)
            case Dense() as layer:
                return self._dense(layer)
            case MaxPool() | AveragePool() as layer:
                _, rows, cols = as_image(shapes[layer.ifm])
                return replace(
                    self._elementwise(Kind.POOL, as_image(ofm_shape)),
                    filter_rows=layer.kernel[0],
                    filter_cols=layer.kernel[1],
                    input_rows=rows,
                    input_cols=cols,
                    stride=layer.stride,
                    dilation=layer.dilation,
                    pads=layer.pads[:2],
                )
            case Add() as layer:
                return self._of_two_operands(layer, Kind.ADD)
            case Mul() as layer:
                return self._of_two_operands(layer, Kind.MULTIPLY)
            case BatchNorm() as layer:
                return replace(
                    self._elementwise(Kind.MULTIPLY, ofm_shape),
                    group_weights=1,
                    weight_bits=self.widths.constants[layer.weights],
                    bias_bits=self.widths.constants[layer.bias],
                )
            case PRelu() as layer:
                return self._prelu(layer)
            case Lookup() as layer:
                ifm_bits = self.widths.feature_maps[layer.ifm]
                return replace(
                    # One group, because all channels share the table.
                    self._elementwise(Kind.LOOKUP, (1, *_as_rows(ofm_shape))),
                    group_weights=2 ** min(ifm_bits, TABLE_BITS) + (ifm_bits > TABLE_BITS),
                    weight_bits=self.widths.feature_maps[layer.ofm],
                )
            case Clip():
                return self._elementwise(Kind.REQUANTIZE, ofm_shape)
            case Concat() as layer if requantized_inputs:
                extent = sum(shapes[name][layer.axis] for name in requantized_inputs)
                shape = (*ofm_shape[: layer.axis], extent, *ofm_shape[layer.axis + 1 :])
                bits = max(self.widths.feature_maps[name] for name in requantized_inputs)
                return replace(self._elementwise(Kind.REQUANTIZE, shape), ifm_bits=bits)
            case Transpose() as layer:
                kind = Kind.COPY if _moves_values(layer) else Kind.LAYOUT
                return self._elementwise(kind, ofm_shape)
            case Slice():
                return self._elementwise(Kind.COPY, ofm_shape)
            case Pad() as layer:
                return self._pad(layer)
            case Upsample() as layer:
                return replace(
                    self._elementwise(Kind.COPY, shapes[layer.ifm]),
                    filters=math.prod(layer.factors),
                )
            case LocalResponseNorm():
                return self._elementwise(Kind.HOST, ofm_shape)
            case Concat() | Reshape():
                return self._elementwise(Kind.LAYOUT, ofm_shape)

    def _elementwise(self, kind: Kind, shape: Shape) -> LoopNest:
        """Loops that visit every element once; a map of any rank is channels, rows, cols."""
        rows, cols = _as_rows(shape[1:])
        return LoopNest(
            layer=self.layer.name,
            op=self.layer.op,
            kind=kind,
            batch=self.batch,
            groups=shape[0],
            filters=1,
            channels=1,
            filter_rows=1,
            filter_cols=1,
            output_rows=rows,
            output_cols=cols,
            input_rows=rows,
            input_cols=cols,
            stride=(1, 1),
            dilation=(1, 1),
            pads=(0, 0),
            ifm_bits=self.widths.feature_maps[self.layer.inputs[0]],
            weight_bits=None,
            bias_bits=0,
            ofm_bits=self.widths.feature_maps[self.layer.ofm],
            residual_bits=0,
        )

    def _convolution(self, layer: Conv | ConvTranspose) -> LoopNest:
        filters, channels, window_rows, window_cols = self.network.constants[layer.weights].shape
        _, input_rows, input_cols = as_image(self.network.shapes[layer.ifm])
        return replace(
            self._elementwise(Kind.MAC, as_image(self.network.shapes[layer.ofm])),
            groups=layer.groups,
            filters=filters // layer.groups,
            channels=channels,
            filter_rows=window_rows,
            filter_cols=window_cols,
            input_rows=input_rows,
            input_cols=input_cols,
            stride=layer.stride,
            dilation=layer.dilation,
            pads=layer.pads[:2],
            weight_bits=self.widths.constants[layer.weights],
            bias_bits=0 if layer.bias is None else self.widths.constants[layer.bias],
        )

    def _transposed_convolution(self, layer: ConvTranspose) -> LoopNest:
        """Sub-pixel form: a filter of its own for each of the ``stride`` output phases.

        An output ``p*stride + phase`` meets every stride-th tap alone, so that each phase
        is a convolution of stride 1 with ``ceil(R / stride)`` taps. Where kernel or output
        do not divide, taps are zero and outputs are thrown away.
        """
        for axis, stride, dilation in zip(
            ("rows", "cols"), layer.stride, layer.dilation, strict=True
        ):
            if stride > 1 and dilation > 1:
                raise InputError(
                    f"layer {layer.name!r}",
                    f"a transposed convolution with stride {stride} and dilation {dilation} along "
                    f"its {axis} has no costs; expected 1 for one of them",
                )
        plain = self._convolution(layer)
        window = (plain.filter_rows, plain.filter_cols)
        taps = tuple(-(-size // step) for size, step in zip(window, layer.stride, strict=True))
        pads = tuple(
            (count - 1) * gap - crop // step
            for count, gap, crop, step in zip(
                taps, layer.dilation, layer.pads[:2], layer.stride, strict=True
            )
        )
        return replace(
            plain,
            filters=plain.filters * math.prod(layer.stride),
            filter_rows=taps[0],
            filter_cols=taps[1],
            output_rows=-(-plain.output_rows // layer.stride[0]),
            output_cols=-(-plain.output_cols // layer.stride[1]),
            stride=(1, 1),
            pads=(pads[0], pads[1]),
        )

    def _dense(self, layer: Dense) -> LoopNest:
        filters, channels = self.network.constants[layer.weights].shape
        positions = math.prod(self.network.shapes[layer.ofm]) // filters
        return replace(
            self._elementwise(Kind.MAC, (1, positions)),
            filters=filters,
            channels=channels,
            weight_bits=self.widths.constants[layer.weights],
            bias_bits=0 if layer.bias is None else self.widths.constants[layer.bias],
        )

    def _of_two_operands(self, layer: ElementwiseLayer, kind: Kind) -> LoopNest:
        """Take the larger operand as the ifm; the other moves its own elements only."""
        ofm_shape = self.network.shapes[layer.ofm]
        bits: dict[str | None, int] = dict(self.widths.feature_maps.items())
        if layer.constant is not None:
            bits[None] = self.widths.constants[layer.constant]
        (ifm, _), (residual, shape) = _order_operands(layer, self.network)
        ifm_bits, residual_bits = bits[ifm], bits[residual]
        if math.prod(shape) == math.prod(ofm_shape):
            plain = self._elementwise(kind, ofm_shape)
            return replace(plain, ifm_bits=ifm_bits, residual_bits=residual_bits)
        # A group is what shares an element of the smaller operand: for each image one group
        # per element. Which of the outputs these are does not matter to any count.
        aligned = (*(1,) * (len(ofm_shape) - len(shape)), *shape)
        shared = [extent for extent, own in zip(ofm_shape, aligned, strict=True) if own < extent]
        plain = self._elementwise(kind, (math.prod(shape) * self.batch, *_as_rows(shared)))
        return replace(
            plain, batch=1, ifm_bits=ifm_bits, residual_bits=residual_bits, shares_residual=True
        )

    def _prelu(self, layer: PRelu) -> LoopNest:
        """One slope is part of the lanes' instruction; others are read, once."""
        slopes = self.network.constants[layer.slopes]
        shape = self.network.shapes[layer.ofm]
        if slopes.size > 1 and slopes.shape[0] < shape[0]:
            # One group, because all channels share the slopes.
            shape = (1, *_as_rows(shape))
        return replace(
            self._elementwise(Kind.MULTIPLY, shape),
            group_weights=slopes.size // shape[0] if slopes.size > 1 else 0,
            weight_bits=self.widths.constants[layer.slopes],
        )

    def _pad(self, layer: Pad) -> LoopNest:
        """Rows are the first axis, columns all others, with what is added there at the end."""
        ifm_shape, ofm_shape = (self.network.shapes[name] for name in (layer.ifm, layer.ofm))
        inside = [
            max(0, min(outputs, inputs + before) - max(0, before))
            for outputs, inputs, before in zip(ofm_shape, ifm_shape, layer.before, strict=True)
        ]
        return replace(
            self._elementwise(Kind.COPY, (1, ofm_shape[0], math.prod(ofm_shape[1:]))),
            input_rows=inside[0],
            input_cols=math.prod(inside[1:]),
            pads=(max(0, layer.before[0]), 0),
        )


def _as_rows(shape: Shape | list[int]) -> tuple[int, int]:
    """See any shape as rows and columns; a vector is one column."""
    cols = shape[-1] if len(shape) > 1 else 1
    return math.prod(shape) // cols, cols


def _moves_values(layer: Transpose) -> bool:
    """Whether any value changes its place; axes of one position can go anywhere."""
    moved = [axis for axis in layer.permutation if layer.view[axis] > 1]
    return moved != sorted(moved)
