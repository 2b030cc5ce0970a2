"""Small QONNX files as other tools write them, and qonnx's own execution of a file."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from quantizer.qonnx.read import load_qonnx
from quantizer.quantized import QuantizedNetwork

DOMAIN = "qonnx.custom_op.general"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quant:
    """A Quant node with constants for parameters; they are called after what it writes.

    Attributes that are None are left out.
    """

    ifm: str
    ofm: str
    scale: ArrayLike
    bits: ArrayLike = 8.0
    zero_point: ArrayLike = 0.0
    signed: Any = 1
    narrow: Any = 0
    rounding_mode: Any = "ROUND"
    op: str = "Quant"
    domain: str = DOMAIN


def quant(ifm: str, ofm: str, scale: ArrayLike, bits: ArrayLike = 8.0, **others: Any) -> Quant:
    return Quant(ifm=ifm, ofm=ofm, scale=scale, bits=bits, **others)


def node(op: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], name=name, **attributes)


def model(
    nodes: Sequence[NodeProto | Quant],
    constants: Mapping[str, ArrayLike],
    *,
    input_shape: Sequence[int] = (1, 2, 6, 6),
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> ModelProto:
    """Make a model with input ``x``; nodes without a name stay so, as in some exporters."""
    written, values = [], dict(constants)
    for each in nodes:
        if isinstance(each, Quant):
            parameters = {"scale": each.scale, "zero": each.zero_point, "bits": each.bits}
            names = [f"{each.ofm}.{what}" for what in parameters]
            values |= dict(zip(names, parameters.values(), strict=True))
            attributes = {
                name: value
                for name in ("signed", "narrow", "rounding_mode")
                if (value := getattr(each, name)) is not None
            }
            each = helper.make_node(
                each.op, [each.ifm, *names], [each.ofm], domain=each.domain, **attributes
            )
        written.append(each)
    graph = helper.make_graph(
        written,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [
            numpy_helper.from_array(
                np.asarray(value, np.int64 if np.asarray(value).dtype.kind == "i" else np.float32),
                name,
            )
            for name, value in values.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def save(folder: Path, made: ModelProto) -> Path:
    path = folder / "net.q.onnx"
    onnx.save(made, path)
    return path


def load(folder: Path, made: ModelProto) -> QuantizedNetwork:
    return load_qonnx(save(folder, made))


def execute(
    made: ModelProto, network: QuantizedNetwork, image: NDArray[np.float64]
) -> dict[str, NDArray[np.float32]]:
    """All tensors of a file for one image, by qonnx's executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells when it renames an old domain
        wrapped = ModelWrapper(made).transform(InferShapes())
    ifm = image[np.newaxis].astype(np.float32)
    context = execute_onnx(wrapped, {network.network.input: ifm}, return_full_exec_context=True)
    return {name: np.asarray(value) for name, value in context.items()}
