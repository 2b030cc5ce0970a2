"""Small ONNX models for the tests of the import, and what holds one against onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import ArrayLike, NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import Network

Dims = Sequence[int | str]


def node(op: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], name=name, **attributes)


def model(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, ArrayLike],
    *,
    input_dims: Dims = ("N", 3, 8, 8),
    output: str = "y",
    outputs: Sequence[str] | None = None,
    opset: int = 17,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Make a model with input ``x`` and outputs of open shape."""
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
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in ([output] if outputs is None else outputs)
        ],
        initializers,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 21 else 10)


def save(folder: Path, made: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    onnx.save(made, path)
    return path


def run_untouched(
    path: Path, image: NDArray[np.float64], batch: int = 1
) -> dict[str, NDArray[np.float32]]:
    """Outputs of a file for one image, as onnxruntime computes them without optimisation."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = np.repeat(image[np.newaxis].astype(np.float32), batch, axis=0)
    results = session.run(None, {session.get_inputs()[0].name: images})
    names = [output.name for output in session.get_outputs()]
    return {name: result[0] for name, result in zip(names, results, strict=True)}


def final_softmax(path: Path, output: str) -> str:
    """Which of both an output comes from, through changes of layout."""
    producers = {name: one for one in onnx.load(path).graph.node for name in one.output}
    while (op := producers[output].op_type) not in ("Softmax", "LogSoftmax"):
        output = producers[output].input[0]
    return op


def assert_equals_onnxruntime(path: Path, network: Network, batch: int = 1) -> None:
    image = np.random.default_rng(2).normal(size=network.shapes[network.input])
    expected = run_untouched(path, image, batch)
    maps = FloatRunner(network).run(image)
    assert {name: value.shape for name, value in maps.items()} == dict(network.shapes)
    assert len(network.outputs) == len(expected)
    for name, (original, values) in zip(network.outputs, expected.items(), strict=True):
        found = maps[name]
        if name != original:
            assert network.notes
            found = found - found.max(axis=0)
            found = found - np.log(np.exp(found).sum(axis=0))
            found = found if final_softmax(path, original) == "LogSoftmax" else np.exp(found)
        # Sums are in another order here than there.
        np.testing.assert_allclose(found.ravel(), values.ravel(), rtol=2e-4, atol=2e-5)
        assert found.shape == values.shape or network.notes
