"""A quantized network as a QONNX graph, run by qonnx's own executor.

The third oracle, and the only one whose arithmetic is not ours: a float ONNX file and its
formats become a graph in which every weight, bias and stored map passes a ``Quant`` node with a
power of two for a scale. qonnx executes it in float32, which is exact only while every sum,
counted in its finest step, stays below ``2**24``; each node is checked for that, and what cannot
be promised is refused.

Expressed are Conv, Gemm, MatMul, Add, Sub, Mul, averages over a power of two of positions,
MaxPool, GlobalMaxPool, ReduceMax, Relu, Clip, Concat, Pad and what only moves values. Refused
are ConvTranspose, BatchNormalization by itself, PRelu, LeakyRelu, functions of one value, LRN,
and averages over any other number of positions.

Notes
-----
Quant: A. Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks",
2022. Its rounding modes named in `ROUNDING_MODES` are those of qonnx 1.0.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from tests.oracles.fixed_point import Format, encode_array
from tests.oracles.moves import MOVES
from tests.oracles.onnx_file import read_graph
from tests.oracles.onnx_graph import ACTIVATIONS, ARITHMETIC, Graph, Node
from tests.oracles.stored_values import Formats, encode_bound, map_format

DOMAIN = "qonnx.custom_op.general"
# Half a step is added before the floor: of ties, the upper is taken.
ROUNDING_MODES = {
    "ties_pos": "FLOOR",
    "ties_even": "ROUND",
    "ties_away": "HALF_UP",
    "to_neg": "FLOOR",
    "to_zero": "DOWN",
}
EXACT_BELOW = 2.0**24


class NotExpressible(ValueError):
    """What qonnx has no operator for, or what its float32 cannot be promised to do exactly."""


def run(
    model_path: str | Path,
    formats: Formats,
    images: NDArray[np.float64],
    requantize_rounding: str = "ties_pos",
    average_pool_rounding: str = "ties_pos",
    accumulator_bits: int = 32,
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Raw integers of every stored tensor; the arguments of `integer_network.run`.

    Raises
    ------
    NotExpressible
        If the network cannot be promised to come out exactly.
    ValueError
        If the file or the formats are not what the contract allows.
    """
    graph = read_graph(model_path, constants=constants or {}, named_tensors=formats)
    form = map_format(formats, graph.input_name)
    raw = encode_array(images, form.frac_bits, form, requantize_rounding)
    writer = _QonnxWriter(
        graph, formats, requantize_rounding, average_pool_rounding, accumulator_bits
    )
    model = writer.model(onnx.load(str(model_path)), (1, *images.shape[1:]))
    real = np.ldexp(raw.astype(np.float32), -form.frac_bits)
    contexts = [
        execute_onnx(model, {graph.input_name: image[None]}, return_full_exec_context=True)
        for image in real
    ]
    tensors = {}
    for name, stored in writer.stored.items():
        parts = [np.ldexp(np.float64(context[name]), stored.frac_bits) for context in contexts]
        tensors[name] = np.concatenate(parts).astype(np.int64)
    return tensors


class _QonnxWriter:
    """Collects the nodes and constants of a QONNX graph for a batch of one image."""

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
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.stored: dict[str, Format] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def model(self, original: onnx.ModelProto, shape: tuple[int, ...]) -> ModelWrapper:
        """Write the whole graph for inputs of one shape."""
        name = self.graph.input_name
        self.shapes = _tensor_shapes(original, name, shape)
        self.stored[name] = map_format(self.formats, name)
        merged: set[str] = set()
        for node in self.graph.nodes:
            if node.output not in merged:
                merged.update(self._write(node))
        opset = next(entry.version for entry in original.opset_import if not entry.domain)
        graph = helper.make_graph(
            self.nodes,
            "qonnx",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(output, TensorProto.FLOAT, self.shapes[output])
                for output in self.graph.output_names
            ],
            list(self.initializers.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)],
            ir_version=original.ir_version,
        )
        return ModelWrapper(model).transform(InferShapes())

    def _write(self, node: Node) -> list[str]:
        """Write a node; return the outputs of the nodes merged into it."""
        if node.operator in ARITHMETIC:
            tail = self._merged_nodes(node)
            output = tail[-1].output if tail else node.output
            activations = [step for step in tail if step.operator in ACTIVATIONS]
            match node.operator:
                case "Conv" | "Gemm" | "MatMul":
                    self._product(node, output, activations)
                case "Add" | "Sub" | "Mul":
                    self._combination(node, output, activations)
                case "AveragePool" | "GlobalAveragePool" | "ReduceMean":
                    self._average(node, output, activations)
                case _:
                    raise NotExpressible(f"{node.output}: QONNX has no {node.operator}")
            return [step.output for step in tail]
        if node.operator == "Concat":
            self._concat(node)
            return []
        form = self.stored[node.inputs[0]]
        if node.operator in ("MaxPool", "GlobalMaxPool", "ReduceMax", *MOVES):
            inputs = [node.inputs[0], *map(self._copied, node.inputs[1:])]
            attributes = {**node.attributes}
            self._add(node.operator, inputs, node.outputs, attributes)
        elif node.operator in ACTIVATIONS:
            self._add("Identity", [self._clamped(node.inputs[0], [node], form)], node.outputs)
        elif node.operator == "Pad":
            self._pad(node, form)
        else:
            raise NotExpressible(f"{node.output}: operator {node.operator} is not supported")
        for output in node.outputs:
            self.stored[output] = form
        return []

    def _merged_nodes(self, node: Node) -> list[Node]:
        """Activations, and copies, up to the first tensor that has a format."""
        tail: list[Node] = []
        output = node.output
        while output not in self.formats:
            follower = self.graph.sole_consumer(output)
            if follower is None or follower.operator not in (*ACTIVATIONS, "Identity"):
                raise ValueError(f"{output}: no format is given and nothing can absorb it")
            tail.append(follower)
            output = follower.output
        return tail

    # Arithmetic: exact in float32, then activations, then one Quant node.

    def _product(self, node: Node, output: str, activations: list[Node]) -> None:
        given = self.graph.product_constants(node)
        x = self.stored[node.inputs[0]]
        weights_name, weights, weight_frac_bits = self._channels(given.weights_name, given.weights)
        inputs = [node.inputs[0], weights_name]
        acc_steps = np.ldexp(1.0, -(x.frac_bits + weight_frac_bits))
        sums = abs(weights).reshape(len(weights), -1).sum(axis=1) * _largest(x)
        limit = 2.0 ** (self.accumulator_bits - 1)
        if (sums / acc_steps >= limit).any():
            raise NotExpressible(f"{output}: a sum could leave the accumulator")
        if given.bias_name is not None and given.bias is not None:
            bias_name, bias, bias_frac_bits = self._channels(given.bias_name, given.bias)
            if (bias_frac_bits > x.frac_bits + weight_frac_bits).any():
                raise ValueError(f"{given.bias_name}: more fraction bits than the accumulator's")
            inputs.append(bias_name)
            sums = sums + abs(bias)
        exact = f"{output}/exact"
        if node.operator == "Conv":
            self._add("Conv", inputs, [exact], node.attributes)
        else:
            self._add("Gemm", inputs, [exact], {"transB": 1})
        self._round(exact, output, activations, sums, acc_steps, self.requantize_rounding)

    def _combination(self, node: Node, output: str, activations: list[Node]) -> None:
        names, largest, steps = [], [], []
        for name in node.inputs:
            if name in self.stored:
                form = self.stored[name]
                names.append(name)
            else:
                form = map_format(self.formats, name)
                names.append(self._quantized(name, self.graph.constants[name], form))
            largest.append(_largest(form))
            steps.append(2.0**-form.frac_bits)
        is_product = node.operator == "Mul"
        bound = largest[0] * largest[1] if is_product else sum(largest)
        step = steps[0] * steps[1] if is_product else min(steps)
        exact = f"{output}/exact"
        self._add(node.operator, names, [exact])
        self._round(
            exact,
            output,
            activations,
            np.array([bound]),
            np.array([step]),
            self.requantize_rounding,
        )

    def _average(self, node: Node, output: str, activations: list[Node]) -> None:
        count = self._positions(node)
        if count & (count - 1):
            raise NotExpressible(f"{output}: a mean of {count} values is no float32")
        x = self.stored[node.inputs[0]]
        bound, step = _largest(x) * count, 2.0**-x.frac_bits
        exact = f"{output}/exact"
        inputs = [node.inputs[0], *map(self._copied, node.inputs[1:])]
        self._add(node.operator, inputs, [exact], node.attributes)
        self._round(
            exact,
            output,
            activations,
            np.array([bound / count]),
            np.array([step / count]),
            self.average_pool_rounding,
        )

    def _positions(self, node: Node) -> int:
        """How many positions each mean is over; all windows must have as many."""
        shape = self.shapes[node.inputs[0]]
        if node.operator == "GlobalAveragePool":
            return math.prod(shape[2:])
        if node.operator == "ReduceMean":
            return math.prod(shape[axis] for axis in self.graph.spatial_axes(node, len(shape)))
        attributes = node.attributes
        is_padded = any(attributes.get("pads", ())) or attributes.get("ceil_mode", 0)
        if is_padded or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise NotExpressible(f"{node.output}: windows at the border may count fewer positions")
        return math.prod(attributes["kernel_shape"])

    def _concat(self, node: Node) -> None:
        form = map_format(self.formats, node.output)
        parts = []
        for index, name in enumerate(node.inputs):
            part = self.stored[name]
            if part == form:
                parts.append(name)
                continue
            parts.append(f"{node.output}/part{index}")
            self._round_onto(
                name,
                parts[-1],
                form,
                np.array([_largest(part)]),
                np.array([2.0**-part.frac_bits]),
                self.requantize_rounding,
            )
        self._add("Concat", parts, [node.output], node.attributes)
        self.stored[node.output] = form

    def _pad(self, node: Node, form: Format) -> None:
        name = node.input_or_none(2)
        value = float(self.graph.constants[name].item()) if name else 0.0
        raw = encode_bound(value, form, self.requantize_rounding)
        held = min(max(raw, form.raw_min), form.raw_max)
        padding = self._constant(f"{node.output}/padding", np.array(_real(held, form)))
        rest = [self._copied(node.inputs[3])] if node.input_or_none(3) else []
        inputs = [node.inputs[0], self._copied(node.inputs[1]), padding, *rest]
        self._add("Pad", inputs, node.outputs, node.attributes)

    # The output stage.

    def _round(
        self,
        exact: str,
        output: str,
        activations: list[Node],
        largest: NDArray[np.float64],
        steps: NDArray[np.float64],
        rounding: str,
    ) -> None:
        """Clamp exact values that are at most ``largest`` and multiples of ``steps``; round."""
        form = map_format(self.formats, output)
        clamped = self._clamped(exact, activations, form) if activations else exact
        self._round_onto(clamped, output, form, largest, steps, rounding)
        self.stored[output] = form

    def _round_onto(
        self,
        exact: str,
        output: str,
        form: Format,
        largest: NDArray[np.float64],
        steps: NDArray[np.float64],
        rounding: str,
    ) -> None:
        half = 2.0 ** -(form.frac_bits + 1)
        # A clamped value may also be a bound, which lies at most one step beyond the format.
        finest = np.minimum(steps, half)
        widest = np.maximum(largest, _largest(form) + 2 * half)
        if ((widest + half) / finest >= EXACT_BELOW).any():
            raise NotExpressible(f"{output}: float32 has too few bits")
        if rounding == "ties_pos":
            half_step = self._constant(f"{output}/half_step", np.array(half))
            self._add("Add", [exact, half_step], [f"{output}/raised"])
            exact = f"{output}/raised"
        self._quant(exact, output, form, np.array(2.0**-form.frac_bits), rounding)

    def _clamped(self, name: str, activations: Sequence[Node], form: Format) -> str:
        """Relu and Clip with their bounds encoded; one beyond the format where they are outside."""
        for index, node in enumerate(activations):
            output = f"{name}/clamped{index}"
            lower, upper = (
                None
                if bound is None
                else _real(encode_bound(bound, form, self.requantize_rounding), form)
                for bound in self.graph.activation_bounds(node)
            )
            if node.operator == "Relu":
                self._add("Relu", [name], [output])
            else:
                bounds = [
                    "" if bound is None else self._constant(f"{output}/{kind}", np.array(bound))
                    for kind, bound in (("min", lower), ("max", upper))
                ]
                self._add(
                    "Clip", [name, *bounds] if upper is not None else [name, bounds[0]], [output]
                )
            name = output
        return name

    # Constants.

    def _channels(
        self, name: str, real: NDArray[np.float64]
    ) -> tuple[str, NDArray[np.float64], NDArray[np.int64]]:
        """Quantize weights or biases ``[K, ...]``: their name, values and frac_bits ``[K]``."""
        entry = self.formats[name]
        frac_bits = np.broadcast_to(np.asarray(entry["frac_bits"], np.int64), len(real))
        form = Format(bits=entry["bits"], frac_bits=0, signed=entry["signed"])
        scales = np.ldexp(1.0, -frac_bits).reshape(-1, *[1] * (real.ndim - 1))
        if not np.array_equal(np.float32(real), real):
            raise NotExpressible(f"{name}: not all values are float32")
        quantized = f"{name}/quantized{len(self.nodes)}"
        source = self._constant(f"{quantized}/real", real)
        self._quant(source, quantized, form, scales, "ties_even")
        raw = encode_array(real, frac_bits.reshape(scales.shape), form, "ties_even")
        values = np.float64(raw) * scales
        return quantized, values, frac_bits

    def _quantized(self, name: str, real: NDArray[Any], form: Format) -> str:
        quantized = f"{name}/quantized{len(self.nodes)}"
        source = self._constant(f"{quantized}/real", real)
        self._quant(source, quantized, form, np.array(2.0**-form.frac_bits), "ties_even")
        return quantized

    def _copied(self, name: str) -> str:
        """Keep an initializer as the file has it; an input left out stays so."""
        if name:
            self.initializers[name] = numpy_helper.from_array(self.graph.constants[name], name)
        return name

    def _constant(self, name: str, value: NDArray[np.float64]) -> str:
        tensor = numpy_helper.from_array(np.asarray(value, np.float32), name)
        self.initializers[name] = tensor
        return name

    def _quant(
        self, source: str, output: str, form: Format, scale: NDArray[np.float64], rounding: str
    ) -> None:
        if form.bits < 2:
            raise NotExpressible(f"{output}: qonnx takes one bit for a sign")
        inputs = [
            source,
            self._constant(f"{output}/scale", scale),
            self._constant(f"{output}/zero_point", np.array(0.0)),
            self._constant(f"{output}/bits", np.array(float(form.bits))),
        ]
        self.nodes.append(
            helper.make_node(
                "Quant",
                inputs,
                [output],
                domain=DOMAIN,
                signed=int(form.signed),
                narrow=0,
                rounding_mode=ROUNDING_MODES[rounding],
            )
        )

    def _add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        node = helper.make_node(operator, list(inputs), list(outputs), **(attributes or {}))
        self.nodes.append(node)


def _largest(form: Format) -> float:
    """Largest magnitude of a stored map."""
    return float(abs(_real(form.raw_min if form.signed else form.raw_max, form)))


def _real(raw: int, form: Format) -> float:
    return math.ldexp(raw, -form.frac_bits)


def _tensor_shapes(
    model: onnx.ModelProto, input_name: str, shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of the float network for one shape of its input."""
    value = next(value for value in model.graph.input if value.name == input_name)
    value.CopyFrom(helper.make_tensor_value_info(input_name, TensorProto.FLOAT, shape))
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    values = [*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info]
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in values
    }
