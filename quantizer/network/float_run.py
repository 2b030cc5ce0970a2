"""Float execution of a `Network` by onnxruntime, with every feature map as a result.

The network is written back as ONNX from its layers, so that any constant can be
replaced (quantized weights, for calibration). Nobody here writes a float executor.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from quantizer.network.float_nodes import write_layer
from quantizer.network.float_writer import NodeWriter
from quantizer.network.graph import Network
from quantizer.network.onnx_runtime import declare_weights, start_session

_OPSET = 20
_IR_VERSION = 9


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
        values = {
            name: np.ascontiguousarray(value, np.float32)
            for name, value in {**network.constants, **(constants or {})}.items()
        }
        model = _to_onnx(network, values)
        weights = {
            tensor.name: values[tensor.name]
            for tensor in model.graph.initializer
            if tensor.name in values
        }
        # Every map is an output, so that no optimisation can hide one.
        self._session = start_session(model, optimise=True, weights=weights)
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


def _to_onnx(network: Network, values: Mapping[str, NDArray[np.float32]]) -> ModelProto:
    """Write the layers as nodes; the values of constants are left to the session."""
    writer = NodeWriter(shapes=network.shapes)
    writer.initializers.extend(declare_weights(name, value) for name, value in values.items())
    for layer in network.layers:
        write_layer(writer, layer)
    # onnxruntime has no place for a value that no node reads.
    read = {name for node in writer.nodes for name in node.input}
    graph = helper.make_graph(
        writer.nodes,
        "float",
        [_value(network, network.input)],
        [_value(network, layer.ofm) for layer in network.layers],
        [tensor for tensor in writer.initializers if tensor.name in read],
    )
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)


def _value(network: Network, tensor: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, (1, *network.shapes[tensor]))
