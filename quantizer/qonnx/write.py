"""A quantized network written as QONNX.

The float network as it was imported (batch-norm folded, a final Softmax left out), one node
per layer, under the user's names. Every constant keeps its float values and passes a Quant
node; so does the input, and every map in which something is rounded: the outputs of
arithmetic and of Concat, Clip and Pad. The name of a map is that of its quantized values,
but for the input's. `TIES_POS`, which QONNX does not know, is half a step added before a
floor.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.graph import Network
from quantizer.network.layers import (
    AveragePool,
    Clip,
    Conv,
    ConvTranspose,
    Dense,
    FunctionKind,
    Layer,
    Lookup,
    MovingLayer,
    Pad,
    PRelu,
    WeightedLayer,
)
from quantizer.network.onnx_reader import QONNX_DOMAIN
from quantizer.qonnx.graph_writer import GraphWriter
from quantizer.qonnx.layer_nodes import write_layer
from quantizer.qonnx.metadata import write_facts
from quantizer.qonnx.quant_node import ROUNDING_MODES
from quantizer.quantized import QuantizedConstant, QuantizedNetwork

_OPSET = 20
_OPSET_OF_SWISH = 24
_MAX_BYTES = 1 << 31
"""Limit of the format itself."""


def to_qonnx(network: QuantizedNetwork) -> bytes:
    """Write a quantized network as the bytes of a QONNX file, for batches of one image.

    Raises
    ------
    InputError
        The weights are beyond what such a file can hold, or are not what their float values
        round to.
    """
    weights_bytes = sum(value.nbytes for value in network.network.constants.values())
    if weights_bytes >= _MAX_BYTES:
        raise InputError(
            network.network.name,
            f"has {weights_bytes / 2**30:.1f} GiB of weights; an .onnx file holds less than 2",
        )
    return bytes(_Writer(network).model().SerializeToString(deterministic=True))


class _Writer:
    """Collects the graph of one network."""

    def __init__(self, quantized: QuantizedNetwork) -> None:
        network = quantized.network
        self._quantized = quantized
        self._network = network
        self._graph = GraphWriter(
            taken={*network.shapes, *network.constants, *(layer.name for layer in network.layers)}
        )
        self._zero_point = self._graph.constant("zero_point", np.array(0.0, np.float32))
        # Tensors with the quantized values of maps, and of constants, by name.
        self._maps = {name: name for name in network.shapes}
        self._maps[network.input] = self._graph.free(f"{network.input}.quantized")
        self._constants: dict[str, str] = {}

    def model(self) -> ModelProto:
        """Write everything."""
        graph, network = self._graph, self._network
        self._quantize_map(network.input, network.input, is_average=False)
        for layer in network.layers:
            self._write_layer(layer)
        onnx_graph = helper.make_graph(
            graph.nodes,
            network.name or "network",
            [self._value(network.input)],
            [self._value(name) for name in network.outputs],
            graph.initializers,
            value_info=graph.value_infos,
        )
        opsets = [helper.make_opsetid("", _opset(network)), helper.make_opsetid(QONNX_DOMAIN, 1)]
        model = helper.make_model(
            onnx_graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets[:1]),
            producer_name="accel-sim",
        )
        write_facts(model, self._quantized)
        return model

    def _value(self, name: str) -> ValueInfoProto:
        shape = (1, *self._network.shapes[name])
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def _write_layer(self, layer: Layer) -> None:
        graph, network = self._graph, self._network
        operands = [self._maps[name] for name in layer.inputs] + self._operands(layer)
        if layer.ofm not in network.outputs:
            graph.declare(layer.ofm, (1, *network.shapes[layer.ofm]))
        if isinstance(layer, MovingLayer) and not isinstance(layer, Clip | Pad):
            write_layer(graph, network.shapes, layer, operands, layer.ofm)
            return
        exact = graph.free(f"{layer.ofm}.exact")
        graph.declare(exact, (1, *network.shapes[layer.ofm]))
        write_layer(graph, network.shapes, layer, operands, exact)
        self._quantize_map(layer.ofm, exact, is_average=isinstance(layer, AveragePool))

    # Feature maps.

    def _quantize_map(self, name: str, exact: str, *, is_average: bool) -> None:
        graph, rules, fmt = self._graph, self._quantized.rules, self._quantized.formats[name]
        rounding = rules.average_pool_rounding if is_average else rules.requantize_rounding
        shape = (1, *self._network.shapes[name])
        if rounding is Rounding.TIES_POS:
            half = graph.constant(f"{name}.half_step", np.array(fmt.step / 2, np.float32))
            raised = graph.free(f"{name}.raised")
            graph.declare(raised, shape)
            graph.write("Add", [exact, half], raised, name=graph.free(f"{name}.raise"))
            exact = raised
        quantized = self._maps[name]
        if quantized != name:
            graph.declare(quantized, shape)
        self._write_quant(name, exact, quantized, fmt, np.array(fmt.step), rounding)

    def _write_quant(
        self,
        name: str,
        source: str,
        target: str,
        fmt: QFormat,
        scale: NDArray[np.float64],
        rounding: Rounding,
    ) -> None:
        graph = self._graph
        inputs = [
            source,
            graph.constant(f"{name}.scale", scale.astype(np.float32)),
            self._zero_point,
            graph.constant(f"{name}.bits", np.array(fmt.bits, np.float32)),
        ]
        attributes = {
            "signed": int(fmt.signed),
            "narrow": 0,
            "rounding_mode": ROUNDING_MODES[rounding],
        }
        node_name = graph.free(f"{name}.quant")
        graph.write(
            "Quant", inputs, target, name=node_name, attributes=attributes, domain=QONNX_DOMAIN
        )

    # Constants.

    def _operands(self, layer: Layer) -> list[str]:
        """Tensors of a layer's quantized constants, in the order of the operator's inputs."""
        weights = self._quantized.weights
        if isinstance(layer, WeightedLayer):
            found = [self._constant(layer.weights, weights[layer.weights], layer)]
            if layer.bias is not None:
                bias = self._quantized.biases[layer.name]
                found.append(self._constant(layer.bias, bias, None))
            return found
        name = layer.slopes if isinstance(layer, PRelu) else getattr(layer, "constant", None)
        return [] if name is None else [self._constant(name, weights[name], None)]

    def _constant(self, name: str, quantized: QuantizedConstant, layer: Layer | None) -> str:
        """Quantized values of a constant; all layers that use it share them.

        Parameters
        ----------
        layer
            Whose operator decides about the order of axes; None where none does.
        """
        if name in self._constants:
            return self._constants[name]
        graph = self._graph
        values = self._network.constants[name]
        lengths = quantized.frac_bits.reshape(-1, *(1 for _ in values.shape[1:]))
        _check_integers(name, values, lengths, quantized)
        values, lengths = _as_operator_wants(layer, self._network, values, lengths)
        graph.keep(name, values)
        if not quantized.is_per_channel:
            lengths = lengths.ravel()[0]
        target = self._constants[name] = graph.free(f"{name}.quantized")
        graph.declare(target, values.shape)
        fmt = QFormat(bits=quantized.bits, frac_bits=0)
        scale = np.asarray(np.ldexp(1.0, -lengths))
        self._write_quant(name, name, target, fmt, scale, Rounding.TIES_EVEN)
        return target


def _opset(network: Network) -> int:
    kinds = {layer.function.kind for layer in network.layers if isinstance(layer, Lookup)}
    return _OPSET_OF_SWISH if FunctionKind.SWISH in kinds else _OPSET


def _check_integers(
    name: str,
    values: NDArray[np.float32],
    lengths: NDArray[np.int64],
    quantized: QuantizedConstant,
) -> None:
    """Refuse integers that a Quant node would not make of the float values in the file."""
    fmt = QFormat(bits=quantized.bits, frac_bits=0)
    rounded = np.rint(np.ldexp(values.astype(np.float64), lengths))
    if not np.array_equal(np.clip(rounded, fmt.raw_min, fmt.raw_max), quantized.raw):
        raise InputError(
            f"constant {name!r}",
            "has other integers than its float values round to, which a QONNX file cannot say; "
            "expected the nearest",
        )


def _as_operator_wants(
    layer: Layer | None, network: Network, values: NDArray[np.float32], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Order the axes of weights, and of their fraction lengths, as the operator's."""
    match layer:
        case Dense():
            return values.T, lengths.T
        case ConvTranspose():
            of_each = np.broadcast_to(lengths, (*values.shape[:2], 1, 1))
            values, lengths = (
                _as_transposed_conv(array, layer.groups) for array in (values, of_each)
            )
            if layer.groups == 1:
                lengths = lengths[:1]
        case Conv():
            pass
        case _:
            return values, lengths
    if len(network.shapes[layer.ifm]) == 2:
        return values[:, :, 0], lengths[:, :, 0]
    return values, lengths


def _as_transposed_conv(filters: NDArray[Any], groups: int) -> NDArray[Any]:
    """``[K, C/groups, R, S]`` as ConvTranspose wants it, ``[C, K/groups, R, S]``."""
    count, channels, *taps = filters.shape
    grouped = filters.reshape(groups, count // groups, channels, *taps)
    return grouped.swapaxes(1, 2).reshape(groups * channels, count // groups, *taps)
