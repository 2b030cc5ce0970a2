"""Float execution of a `Network` by onnxruntime, with every feature map as a result.

The network is written back as ONNX from its layers, so that any constant can be
replaced (quantized weights, for calibration). Nobody here writes a float executor.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from quantizer.network.graph import Network
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clamp,
    Clip,
    Concat,
    Conv,
    Dense,
    Layer,
    MaxPool,
    Reshape,
)
from quantizer.network.onnx_runtime import start_session

_OPSET = 17
_IR_VERSION = 8


class FloatRunner:
    """Runs one image at a time and gives all feature maps.

    One image, on one thread: the results cannot depend on how images are batched or
    spread over threads. A runner may be called from several threads at once.

    Parameters
    ----------
    network
        What to run.
    constants
        Values that stand in for the network's own, by name.
    """

    def __init__(
        self, network: Network, constants: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        model = _to_onnx(network, {**network.constants, **(constants or {})})
        # Every map is an output, so that no optimisation can hide one.
        self._session = start_session(model, optimise=True)
        self._input = network.input
        self._names = [layer.ofm for layer in network.layers]

    def run(self, image: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
        """Compute every feature map of one image, the input included.

        Parameters
        ----------
        image : float64[C, H, W]
            Preprocessed; rounded to float32, which is what the network takes.

        Returns
        -------
        dict
            float32 arrays without the batch dimension, by tensor name.
        """
        ifm = np.ascontiguousarray(image[np.newaxis], np.float32)
        results = self._session.run(self._names, {self._input: ifm})
        maps = {name: value[0] for name, value in zip(self._names, results, strict=True)}
        return {self._input: ifm[0], **maps}


def _to_onnx(network: Network, constants: Mapping[str, NDArray[Any]]) -> ModelProto:
    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
        for name, value in constants.items()
    ]
    nodes: list[NodeProto] = []
    for layer in network.layers:
        body, extra = _nodes(network, layer)
        nodes.extend(body)
        initializers.extend(extra)
    graph = helper.make_graph(
        nodes,
        "float",
        [_value(network, network.input)],
        [_value(network, layer.ofm) for layer in network.layers],
        initializers,
    )
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)


def _value(network: Network, tensor: str) -> Any:
    return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, (1, *network.shapes[tensor]))


def _nodes(network: Network, layer: Layer) -> tuple[list[NodeProto], list[TensorProto]]:
    """ONNX nodes of one layer, and the initializers that only they need."""
    clamp: Clamp | None = getattr(layer, "clamp", None)
    # '\0' cannot occur in a name that came from a file.
    inner = layer.ofm if clamp is None else f"{layer.ofm}\0before clamp"
    extra: list[TensorProto] = []
    body: list[NodeProto] = []
    match layer:
        case Conv():
            inputs = [layer.ifm, layer.weights, *([layer.bias] if layer.bias else [])]
            node = helper.make_node(
                "Conv",
                inputs,
                [inner],
                strides=layer.stride,
                pads=layer.pads,
                dilations=layer.dilation,
                group=layer.groups,
            )
        case Dense():
            node, extra = _dense_nodes(network, layer, inner, body)
        case Add():
            second = [layer.constant] if layer.constant else []
            node = helper.make_node("Add", [*layer.inputs, *second], [inner])
        case MaxPool():
            node = helper.make_node(
                "MaxPool",
                [layer.ifm],
                [inner],
                kernel_shape=layer.kernel,
                strides=layer.stride,
                pads=layer.pads,
            )
        case AveragePool():
            node = helper.make_node(
                "AveragePool",
                [layer.ifm],
                [inner],
                kernel_shape=layer.kernel,
                strides=layer.stride,
                pads=layer.pads,
                count_include_pad=int(layer.counts_padding),
            )
        case Concat():
            node = helper.make_node("Concat", list(layer.inputs), [inner], axis=1)
        case Reshape():
            shape = np.array((1, *network.shapes[layer.ofm]), np.int64)
            extra = [numpy_helper.from_array(shape, f"{layer.ofm}\0shape")]
            node = helper.make_node("Reshape", [layer.ifm, extra[0].name], [inner])
        case Clip():
            node = helper.make_node("Identity", [layer.ifm], [inner])
    body.append(node)
    if clamp is not None:
        bounds = []
        for side, bound in (("low", clamp.low), ("high", clamp.high)):
            if np.isfinite(bound):
                name = f"{layer.ofm}\0{side}"
                extra.append(numpy_helper.from_array(np.array(bound, np.float32), name))
                bounds.append(name)
            else:
                bounds.append("")
        body.append(helper.make_node("Clip", [inner, *bounds], [layer.ofm]))
    return body, extra


def _dense_nodes(
    network: Network, layer: Dense, inner: str, body: list[NodeProto]
) -> tuple[NodeProto, list[TensorProto]]:
    """Gemm for vectors; for more dimensions Transpose, MatMul and Add."""
    if len(network.shapes[layer.ifm]) == 1:
        inputs = [layer.ifm, layer.weights, *([layer.bias] if layer.bias else [])]
        return helper.make_node("Gemm", inputs, [inner], transB=1), []
    turned = f"{layer.ofm}\0turned"
    body.append(helper.make_node("Transpose", [layer.weights], [turned], perm=(1, 0)))
    if layer.bias is None:
        return helper.make_node("MatMul", [layer.ifm, turned], [inner]), []
    product = f"{layer.ofm}\0product"
    body.append(helper.make_node("MatMul", [layer.ifm, turned], [product]))
    return helper.make_node("Add", [product, layer.bias], [inner]), []
