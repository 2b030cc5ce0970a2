"""Files of networks small enough to work out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def s8(frac_bits: int) -> dict[str, Any]:
    """An entry of a formats file: eight signed bits."""
    return {"bits": 8, "frac_bits": frac_bits, "signed": True}


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "network.onnx"
    onnx.save(model, path)
    return path


def build(
    folder: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    *,
    input_shape: tuple[int, ...],
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
) -> Path:
    """A file with input ``x`` and the given constants as initializers."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *input_shape])
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [x],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    opset_id = helper.make_opsetid("", opset)
    return save(helper.make_model(graph, opset_imports=[opset_id], ir_version=8), folder)
