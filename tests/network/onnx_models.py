"""Small ONNX models for the tests of the import."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import NodeProto, TensorProto, helper, numpy_helper

Dims = Sequence[int | str]


def model(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, ArrayLike],
    *,
    input_dims: Dims = ("N", 3, 8, 8),
    output: str = "y",
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Make a model with input ``x`` and one output of open shape."""
    initializers = [
        numpy_helper.from_array(
            np.asarray(value, np.int64 if np.asarray(value).dtype.kind == "i" else np.float32), name
        )
        for name, value in constants.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", dtype, input_dims)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def save(folder: Path, made: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    onnx.save(made, path)
    return path
