"""A whole quantized network in int64 integers, interpreted from its ONNX file.

Written from the number contract alone. Every rule is applied where the contract says, one
operator after another, with nothing fused, tiled or reordered beyond what the contract fixes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles import integer_arithmetic as arithmetic
from tests.oracles import layers_int64 as layers
from tests.oracles.fixed_point import (
    Format,
    encode_array,
    round_quotient_array,
    shift_and_round_array,
)
from tests.oracles.function_tables import function, look_up
from tests.oracles.moves import MOVES, move
from tests.oracles.onnx_file import read_graph
from tests.oracles.onnx_graph import (
    ACTIVATIONS,
    ARITHMETIC,
    AVERAGES,
    FUNCTIONS,
    PRODUCTS,
    Graph,
    Node,
)
from tests.oracles.stored_values import (
    Formats,
    Map,
    encode_bound,
    encode_constant,
    map_format,
)

IntegerArray = NDArray[np.int64]
IMAGES_PER_PASS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """Raw integers of every tensor that is stored, what they mean, and counts.

    Counts are over all images: ``accumulator_overflows`` for products, ``output_saturations``
    for every output that is rounded (of a Concat: its requantized parts); rules 7, 8 and 11.
    """

    tensors: dict[str, IntegerArray]
    formats: dict[str, Format]
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
        (after a merged activation), concats, and constants: weights, biases, slopes, added and
        multiplied ones. ``frac_bits`` of weights and biases may be a list, one per output
        channel. A tensor that inherits its format may be left out; if it is there it must
        agree.
    images : float64[N, ...]
        Preprocessed network input.
    constants
        Values that replace constants by name, such as weights into which a
        BatchNormalization was folded; see `onnx_file.read_graph`.

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
        formats={name: stored.form for name, stored in passes[0].maps.items()},
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
        form = map_format(self.formats, name)
        raw = encode_array(images, form.frac_bits, form, self.requantize_rounding)
        self.maps[name] = Map(raw=raw, form=form)
        merged: set[str] = set()
        for node in self.graph.nodes:
            if node.output not in merged:
                merged.update(self._execute(node))

    def _execute(self, node: Node) -> list[str]:
        """Compute a node; return the outputs of the nodes merged into it."""
        if node.operator in ARITHMETIC:
            tail = self._merged_nodes(node)
            output = tail[-1].output if tail else node.output
            activations = [step for step in tail if step.operator in ACTIVATIONS]
            self._compute(node, output, activations)
            return [step.output for step in tail]
        if node.operator == "Concat":
            self._concat(node)
            return []
        x = self.maps[node.inputs[0]]
        if node.operator in MOVES:
            for output, raw in zip(node.outputs, move(self.graph, node, x.raw), strict=True):
                self._inherit(node, output, raw, x.form)
            return []
        match node.operator:
            case "MaxPool":
                axes = _windows(node, x.raw)
                raw = layers.max_pool(x.raw, *axes, x.form.raw_min)
            case "GlobalMaxPool":
                raw = x.raw.max(axis=tuple(range(2, x.raw.ndim)), keepdims=True)
            case "ReduceMax":
                axis = self.graph.spatial_axes(node, x.raw.ndim)
                raw = x.raw.max(axis=axis, keepdims=bool(node.attributes.get("keepdims", 1)))
            case "Relu" | "Clip":
                raw = self._clamp(x.raw, [node], x.form)
            case "Pad":
                raw = self._pad(node, x)
            case _:
                raise ValueError(f"{node.output}: operator {node.operator} is not supported")
        self._inherit(node, node.output, raw, x.form)
        return []

    # Which tensors have a format (rule 2).

    def _merged_nodes(self, node: Node) -> list[Node]:
        """Nodes whose output leaves the accumulator in place of this node's.

        An activation that is the sole consumer always merges. Beyond that, an output that no
        format is given for cannot be stored: then the next activation or copy merges as well.
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

    def _inherit(self, node: Node, output: str, raw: IntegerArray, form: Format) -> None:
        if output in self.formats and map_format(self.formats, output) != form:
            raise ValueError(f"{output}: its format must be that of {node.inputs[0]}")
        self.maps[output] = Map(raw=raw, form=form)

    # Arithmetic.

    def _compute(self, node: Node, output: str, activations: list[Node]) -> None:
        if node.operator in ("Add", "Sub", "Mul"):
            are_constant = [name not in self.maps for name in node.inputs]
            operands = arithmetic.broadcast(
                node, [self._operand(name) for name in node.inputs], are_constant
            )
            self._requantize(output, activations, arithmetic.combine(node.operator, operands))
            return
        x = self.maps[node.inputs[0]]
        if node.operator in PRODUCTS:
            given = self.graph.product_constants(node)
            exact, self.overflows[output] = arithmetic.product(
                node, x, given, self.formats, self.accumulator_bits
            )
            self._requantize(output, activations, exact)
        elif node.operator in AVERAGES:
            self._average(node, x, output, activations)
        elif node.operator in FUNCTIONS:
            form = map_format(self.formats, output)
            of = function(node.operator, node.attributes)
            looked = look_up(of, x.raw, x.form, form, self.requantize_rounding)
            self._store(output, activations, looked.raw, form, looked.below, looked.above)
        elif node.operator == "BatchNormalization":
            exact = arithmetic.normalize(node, x, self.graph.constants, self.formats)
            self._requantize(output, activations, exact)
        elif node.operator == "LRN":
            form = map_format(self.formats, output)
            real = arithmetic.normalize_locally(node, x)
            limits = Format(bits=40, frac_bits=form.frac_bits, signed=True)
            rounded = encode_array(real, form.frac_bits, limits, self.requantize_rounding)
            self._finish(output, activations, rounded, form)
        else:
            slopes = encode_constant(self.formats, *self.graph.slopes(node))
            self._requantize(output, activations, arithmetic.bend(x, slopes))

    def _operand(self, name: str) -> Map:
        """Give an operand: a map, or a constant encoded in its own format."""
        if name in self.maps:
            return self.maps[name]
        real = self.graph.constants[name].astype(np.float64)
        return encode_constant(self.formats, name, real)

    def _average(self, node: Node, x: Map, output: str, activations: list[Node]) -> None:
        if node.operator == "AveragePool":
            total, count = layers.sum_pool(
                x.raw,
                *_windows(node, x.raw),
                count_include_pad=bool(node.attributes.get("count_include_pad", 0)),
            )
        else:
            is_global = node.operator == "GlobalAveragePool"
            rank = x.raw.ndim
            axes = tuple(range(2, rank)) if is_global else self.graph.spatial_axes(node, rank)
            keeps_axes = is_global or bool(node.attributes.get("keepdims", 1))
            total = x.raw.sum(axis=axes, keepdims=keeps_axes)
            count = np.full_like(total, np.prod([x.raw.shape[axis] for axis in axes]))
        if (count == 0).any():
            raise ValueError(f"{node.output}: an average over nothing has no value")
        form = map_format(self.formats, output)
        shift = form.frac_bits - x.form.frac_bits
        assert abs(shift) < 30, "a shifted sum or count could leave int64"
        numerator, denominator = total << max(shift, 0), count << max(-shift, 0)
        rounded = round_quotient_array(numerator, denominator, self.average_pool_rounding)
        self._finish(output, activations, rounded, form)

    # What joins or adds stored values without computing.

    def _concat(self, node: Node) -> None:
        form = map_format(self.formats, node.output)
        parts = [self.maps[name] for name in node.inputs]
        axis = node.attributes["axis"] % parts[0].raw.ndim
        if axis == 0:
            raise ValueError(f"{node.output}: Concat must not join images")
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
        self._finish(node.output, [], np.concatenate(moved, axis=axis), form)

    def _pad(self, node: Node, x: Map) -> IntegerArray:
        """Write around a map, or leave out its border where the padding is negative."""
        if node.attributes.get("mode", b"constant") != b"constant":
            raise ValueError(f"{node.output}: Pad must write a constant")
        pads = self.graph.integers(node, "pads", 1)
        assert pads is not None
        rank = x.raw.ndim
        axes = self.graph.integers(node, "axes", 3) or list(range(rank))
        begins, ends = [0] * rank, [0] * rank
        for index, axis in enumerate(axes):
            begins[axis], ends[axis] = pads[index], pads[index + len(axes)]
        if begins[0] or ends[0]:
            raise ValueError(f"{node.output}: Pad must not add images")
        value_name = node.input_or_none(2)
        value = float(self.graph.constants[value_name].item()) if value_name else 0.0
        raw_value = encode_bound(value, x.form, self.requantize_rounding)
        held = min(max(raw_value, x.form.raw_min), x.form.raw_max)
        widths = [(max(a, 0), max(b, 0)) for a, b in zip(begins, ends, strict=True)]
        padded = np.pad(x.raw, widths, constant_values=held)
        kept = [
            slice(max(-a, 0), length - max(-b, 0))
            for a, b, length in zip(begins, ends, padded.shape, strict=True)
        ]
        return padded[tuple(kept)]

    # The output stage (rule 8).

    def _requantize(self, output: str, activations: list[Node], exact: arithmetic.Exact) -> None:
        form = map_format(self.formats, output)
        rounded = shift_and_round_array(
            exact.total,
            exact.frac_bits - np.int64(form.frac_bits),
            self.requantize_rounding,
            form.raw_min,
            form.raw_max,
        )
        self._finish(output, activations, rounded, form)

    def _finish(
        self, output: str, activations: list[Node], rounded: IntegerArray, form: Format
    ) -> None:
        """Store integers of any size."""
        below, above = rounded < form.raw_min, rounded > form.raw_max
        self._store(output, activations, rounded, form, below, above)

    def _store(
        self,
        output: str,
        activations: list[Node],
        rounded: IntegerArray,
        form: Format,
        below: NDArray[np.bool_],
        above: NDArray[np.bool_],
    ) -> None:
        """Clamp, store and count what the format clipped and no activation holds inside."""
        lower, upper = self._bounds(activations, form)
        beyond = below & (lower < form.raw_min)
        beyond |= above & (upper > form.raw_max)
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
                None if bound is None else encode_bound(bound, form, self.requantize_rounding)
                for bound in self.graph.activation_bounds(node)
            )
            if low is not None:
                lower, upper = max(lower, low), max(upper, low)
            if high is not None:
                lower, upper = min(lower, high), min(upper, high)
        return lower, upper


def _windows(node: Node, raw: IntegerArray) -> tuple[layers.WindowAxis, layers.WindowAxis]:
    return layers.window_axes(node.attributes, raw.shape[2:], node.attributes["kernel_shape"])
