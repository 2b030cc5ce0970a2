"""What a Resize to the nearest does, found by running it.

Coordinate transformations, rounding modes, sizes against scales, regions of interest: the
standard defines the result by all of them, differently in every version.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from quantizer.network.onnx_reader import NodeReader
from quantizer.network.onnx_runtime import start_session


def resize_indices(reader: NodeReader, node: NodeProto) -> NDArray[np.int32]:
    """Index of the input value that each output value is.

    Returns
    -------
    ndarray
        int32, of the output's shape, batch included; counted over the input in C order.
    """
    shape = reader.shape(node, node.input[0])
    constants = [
        numpy_helper.from_array(reader.constant(node, name, "the size"), name)
        for name in dict.fromkeys(node.input[1:])
        if name
    ]
    alone = NodeProto()
    alone.CopyFrom(node)
    graph = helper.make_graph(
        [alone],
        "resize",
        [helper.make_tensor_value_info(node.input[0], TensorProto.INT32, shape)],
        [onnx.ValueInfoProto(name=node.output[0])],
        constants,
    )
    opset = helper.make_opsetid("", reader.opset)
    model = helper.make_model(
        graph, opset_imports=[opset], ir_version=helper.find_min_ir_version_for([opset])
    )
    session = start_session(model, optimise=False)
    ramp = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    (indices,) = session.run([node.output[0]], {node.input[0]: ramp})
    return np.asarray(indices)
