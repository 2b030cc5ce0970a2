"""A whole quantized network in int64 integers, interpreted from its ONNX file.

Written from the number contract alone. Every rule is applied where the contract says, one
operator after another, with nothing fused, tiled or reordered beyond what the contract fixes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles import layers_int64 as layers
from tests.oracles.fixed_point import (
    Format,
    clip,
    encode_array,
    power_of_two,
    round_fraction,
    round_quotient_array,
    shift_and_round_array,
    wrap_array,
)
from tests.oracles.onnx_graph import Graph, Node, read_graph

IntegerArray = NDArray[np.int64]
Formats = Mapping[str, Mapping[str, Any]]
ARITHMETIC = ("Conv", "Gemm", "MatMul", "Add", "AveragePool", "GlobalAveragePool")
ACTIVATIONS = ("Relu", "Clip")
IMAGES_PER_PASS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Stored integers ``[N, C, ...]`` and what they mean."""

    raw: IntegerArray
    form: Format


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """Raw integers of every tensor that is stored, and the counts of the contract's rule 13.

    Counts are over all images: ``accumulator_overflows`` for products, ``output_saturations``
    for every output that is rounded (of a Concat: its requantized parts).
    """

    tensors: dict[str, IntegerArray]
    accumulator_overflows: dict[str, int]
    output_saturations: dict[str, int]


def run(
    model_path: str | Path,
    formats: Formats,
    images: NDArray[np.float64],
    requantize_rounding: str = "ties_pos",
    average_pool_rounding: str = "ties_pos",
    accumulator_bits: int = 32,
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, IntegerArray]:
    """Raw integers of every stored tensor; see `interpret`."""
    return interpret(
        model_path,
        formats,
        images,
        requantize_rounding,
        average_pool_rounding,
        accumulator_bits,
        constants,
    ).tensors


def interpret(
    model_path: str | Path,
    formats: Formats,
    images: NDArray[np.float64],
    requantize_rounding: str = "ties_pos",
    average_pool_rounding: str = "ties_pos",
    accumulator_bits: int = 32,
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> Interpretation:
    """Interpret a float ONNX network with given formats.

    Parameters
    ----------
    formats
        ``{tensor name: {"bits", "frac_bits", "signed"}}`` for the input, arithmetic outputs
        (after a fused activation), concats, weights, biases and added constants. ``frac_bits``
        of weights and biases may be a list, one per output channel. A tensor that inherits its
        format may be left out; if it is there it must agree.
    images : float64[N, ...]
        Preprocessed network input.
    constants
        Values that replace weights by name, such as those a BatchNormalization was folded into.

    Raises
    ------
    ValueError
        If the file, the formats or an operator are not what the contract allows.
    """
    graph = read_graph(model_path, constants=constants or {}, named_tensors=formats)
    passes = []
    for first in range(0, len(images), IMAGES_PER_PASS):
        interpreter = _Interpreter(
            graph, formats, requantize_rounding, average_pool_rounding, accumulator_bits
        )
        interpreter.interpret(images[first : first + IMAGES_PER_PASS])
        passes.append(interpreter)
    return Interpretation(
        tensors={
            name: np.concatenate([part.maps[name].raw for part in passes])
            for name in passes[0].maps
        },
        accumulator_overflows={
            name: sum(part.overflows[name] for part in passes) for name in passes[0].overflows
        },
        output_saturations={
            name: sum(part.saturations[name] for part in passes) for name in passes[0].saturations
        },
    )


class _Interpreter:
    """One pass over the graph with a few images."""

    def __init__(
        self,
        graph: Graph,
        formats: Formats,
        requantize_rounding: str,
        average_pool_rounding: str,
        accumulator_bits: int,
    ) -> None:
        self.graph = graph
        self.formats = formats
        self.requantize_rounding = requantize_rounding
        self.average_pool_rounding = average_pool_rounding
        self.accumulator_bits = accumulator_bits
        self.maps: dict[str, Map] = {}
        self.overflows: dict[str, int] = {}
        self.saturations: dict[str, int] = {}

    def interpret(self, images: NDArray[np.float64]) -> None:
        name = self.graph.input_name
        form = self._map_format(name)
        raw = encode_array(images, form.frac_bits, form, self.requantize_rounding)
        self.maps[name] = Map(raw=raw, form=form)
        fused: set[str] = set()
        for node in self.graph.nodes:
            if node.output not in fused:
                fused.update(self._execute(node))

    def _execute(self, node: Node) -> list[str]:
        """Compute a node; return the outputs of the nodes fused into it."""
        if node.operator in ARITHMETIC:
            tail = self._fused_nodes(node)
            output = tail[-1].output if tail else node.output
            activations = [step for step in tail if step.operator in ACTIVATIONS]
            match node.operator:
                case "Conv" | "Gemm" | "MatMul":
                    self._product(node, output, activations)
                case "Add":
                    self._add(node, output, activations)
                case _:
                    self._average(node, output, activations)
            return [step.output for step in tail]
        x = self.maps[node.inputs[0]]
        match node.operator:
            case "MaxPool":
                rows, cols = _window_axes(node, x.raw)
                self._inherit(node, layers.max_pool(x.raw, rows, cols, x.form.raw_min), x.form)
            case "Relu" | "Clip":
                self._inherit(node, self._clamp(x.raw, [node], x.form), x.form)
            case "Identity":
                self._inherit(node, x.raw, x.form)
            case "Flatten" | "Reshape":
                self._inherit(node, self.graph.reshaped(node, x.raw), x.form)
            case "Concat":
                self._concat(node)
            case _:
                raise ValueError(f"{node.output}: operator {node.operator} is not supported")
        return []

    # Which tensors have a format (rule 2).

    def _fused_nodes(self, node: Node) -> list[Node]:
        """Nodes whose output leaves the accumulator in place of this node's.

        An activation that is the sole consumer always fuses. Beyond that, an output that no
        format is given for cannot be stored: then the next activation or copy fuses as well.
        """
        tail: list[Node] = []
        while True:
            output = tail[-1].output if tail else node.output
            follower = self.graph.sole_consumer(output)
            if follower is None:
                return tail
            is_first = follower.operator in ACTIVATIONS and not tail
            is_unnamed = output not in self.formats and (
                follower.operator in (*ACTIVATIONS, "Identity")
            )
            if not is_first and not is_unnamed:
                return tail
            if output in self.formats:
                raise ValueError(f"{output}: has a format but stays in the accumulator")
            tail.append(follower)

    def _map_format(self, name: str) -> Format:
        if name not in self.formats:
            raise ValueError(f"{name}: no format is given for this feature map")
        entry = self.formats[name]
        return Format(bits=entry["bits"], frac_bits=entry["frac_bits"], signed=entry["signed"])

    def _inherit(self, node: Node, raw: IntegerArray, form: Format) -> None:
        if node.output in self.formats and self._map_format(node.output) != form:
            raise ValueError(f"{node.output}: its format must be that of {node.inputs[0]}")
        self.maps[node.output] = Map(raw=raw, form=form)

    # Constants (rules 4, 5, 11).

    def _channel_constant(
        self, name: str, real: NDArray[np.float64]
    ) -> tuple[IntegerArray, IntegerArray]:
        """Encode ``real[K, ...]``; return raw integers and their frac_bits ``[K]``."""
        if name not in self.formats:
            raise ValueError(f"{name}: no format is given for this constant")
        entry = self.formats[name]
        frac_bits = np.broadcast_to(np.asarray(entry["frac_bits"], np.int64), len(real))
        form = Format(bits=entry["bits"], frac_bits=0, signed=entry["signed"])
        per_channel = frac_bits.reshape(-1, *[1] * (real.ndim - 1))
        return encode_array(real, per_channel, form, "ties_even"), frac_bits

    def _aligned_bias(
        self, name: str, real: NDArray[np.float64], acc_frac_bits: IntegerArray
    ) -> IntegerArray:
        """Biases ``[K]`` shifted left into the accumulator's format."""
        raw, frac_bits = self._channel_constant(name, real)
        unlimited = Format(bits=48, frac_bits=0, signed=True)
        if not np.array_equal(raw, encode_array(real, frac_bits, unlimited, "ties_even")):
            raise ValueError(f"{name}: a bias does not fit its format")
        shifts = acc_frac_bits - frac_bits
        if (shifts < 0).any():
            raise ValueError(f"{name}: more fraction bits than the accumulator's")
        exact = [int(value) << int(shift) for value, shift in zip(raw, shifts, strict=True)]
        assert max(map(abs, exact)) < 2**60, "a bias could leave int64"
        return np.array(exact, np.int64)

    # Arithmetic.

    def _product(self, node: Node, output: str, activations: list[Node]) -> None:
        x = self.maps[node.inputs[0]]
        given = self.graph.product_constants(node)
        weights, weight_frac_bits = self._channel_constant(given.weights_name, given.weights)
        if node.operator == "Conv":
            rows, cols = _window_axes(node, x.raw, (weights.shape[2], weights.shape[3]))
            groups = node.attributes.get("group", 1)
            exact = layers.convolve(x.raw, weights, rows, cols, groups)
        else:
            exact = layers.multiply_dense(x.raw, weights)
        wrapped = wrap_array(exact, self.accumulator_bits)
        self.overflows[output] = int((wrapped != exact).sum())

        acc_frac_bits = x.form.frac_bits + weight_frac_bits
        aligned_bias = np.zeros(len(weights), np.int64)
        if given.bias_name is not None and given.bias is not None:
            aligned_bias = self._aligned_bias(given.bias_name, given.bias, acc_frac_bits)
        per_channel = (1, -1, *[1] * (exact.ndim - 2))
        total = wrapped + aligned_bias.reshape(per_channel)
        self._requantize(output, activations, total, acc_frac_bits.reshape(per_channel))

    def _add(self, node: Node, output: str, activations: list[Node]) -> None:
        operands = [self._operand(name) for name in node.inputs]
        common = max(operand.form.frac_bits for operand in operands)
        shifted = []
        for operand in operands:
            shift = common - operand.form.frac_bits
            assert shift < 44, "an aligned summand could leave int64"
            shifted.append(operand.raw << shift)
        total = shifted[0] + shifted[1]
        map_shapes = [self.maps[name].raw.shape for name in node.inputs if name in self.maps]
        if any(shape != total.shape for shape in map_shapes):
            raise ValueError(f"{node.output}: only an added constant may be broadcast")
        self._requantize(output, activations, total, common)

    def _operand(self, name: str) -> Map:
        """Give a summand: a map, or a constant encoded in its own format."""
        if name in self.maps:
            return self.maps[name]
        form = self._map_format(name)
        real = self.graph.constants[name].astype(np.float64)
        return Map(raw=encode_array(real, form.frac_bits, form, "ties_even"), form=form)

    def _average(self, node: Node, output: str, activations: list[Node]) -> None:
        x = self.maps[node.inputs[0]]
        if node.operator == "GlobalAveragePool":
            total = x.raw.sum(axis=(2, 3), keepdims=True)
            count = np.full((1, 1, 1, 1), x.raw.shape[2] * x.raw.shape[3], np.int64)
        else:
            rows, cols = _window_axes(node, x.raw)
            count_include_pad = bool(node.attributes.get("count_include_pad", 0))
            total, count = layers.sum_pool(x.raw, rows, cols, count_include_pad=count_include_pad)
        form = self._map_format(output)
        shift = form.frac_bits - x.form.frac_bits
        assert abs(shift) < 30, "a shifted sum or count could leave int64"
        numerator, denominator = total << max(shift, 0), count << max(-shift, 0)
        rounded = round_quotient_array(numerator, denominator, self.average_pool_rounding)
        self._finish(output, activations, rounded, form)

    def _concat(self, node: Node) -> None:
        form = self._map_format(node.output)
        parts = [self.maps[name] for name in node.inputs]
        if node.attributes["axis"] not in (1, 1 - parts[0].raw.ndim):
            raise ValueError(f"{node.output}: Concat joins channels only")
        # A part in the same format is unchanged by this.
        moved = [
            shift_and_round_array(
                part.raw,
                part.form.frac_bits - form.frac_bits,
                self.requantize_rounding,
                form.raw_min,
                form.raw_max,
            )
            for part in parts
        ]
        self._finish(node.output, [], np.concatenate(moved, axis=1), form)

    # The output stage (rules 6, 10, 13).

    def _requantize(
        self,
        output: str,
        activations: list[Node],
        total: IntegerArray,
        acc_frac_bits: IntegerArray | int,
    ) -> None:
        form = self._map_format(output)
        rounded = shift_and_round_array(
            total,
            acc_frac_bits - np.int64(form.frac_bits),
            self.requantize_rounding,
            form.raw_min,
            form.raw_max,
        )
        self._finish(output, activations, rounded, form)

    def _finish(
        self, output: str, activations: list[Node], rounded: IntegerArray, form: Format
    ) -> None:
        lower, upper = self._bounds(activations, form)
        beyond = (rounded < form.raw_min) & (lower < form.raw_min)
        beyond |= (rounded > form.raw_max) & (upper > form.raw_max)
        self.saturations[output] = int(beyond.sum())
        self.maps[output] = Map(raw=self._clamp(rounded, activations, form), form=form)

    def _clamp(self, raw: IntegerArray, activations: list[Node], form: Format) -> IntegerArray:
        bounded = np.clip(raw, *self._bounds(activations, form))
        return np.clip(bounded, form.raw_min, form.raw_max)

    def _bounds(self, activations: list[Node], form: Format) -> tuple[int, int]:
        """Raw bounds of activations one after another; one outside the format if unbounded."""
        lower, upper = form.raw_min - 1, form.raw_max + 1
        for node in activations:
            low, high = (
                None if bound is None else self._raw_bound(bound, form)
                for bound in self.graph.activation_bounds(node)
            )
            if low is not None:
                lower, upper = max(lower, low), max(upper, low)
            if high is not None:
                lower, upper = min(lower, high), min(upper, high)
        return lower, upper

    def _raw_bound(self, bound: float, form: Format) -> int:
        scaled = Fraction(bound) * power_of_two(form.frac_bits)
        rounded = round_fraction(scaled, self.requantize_rounding)
        return clip(rounded, form.raw_min - 1, form.raw_max + 1)


def _window_axes(
    node: Node, raw: IntegerArray, kernel: tuple[int, int] | None = None
) -> tuple[layers.WindowAxis, layers.WindowAxis]:
    given = kernel or tuple(node.attributes["kernel_shape"])
    return layers.window_axes(node.attributes, (raw.shape[2], raw.shape[3]), given)
