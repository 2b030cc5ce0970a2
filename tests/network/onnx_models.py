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
    """All that nodes of a file compute of one image, by onnxruntime without optimisation.

    The file's outputs come first.
    """
    made = onnx.load(path)
    computed = [name for one in made.graph.node if one.op_type != "Constant" for name in one.output]
    names = list(dict.fromkeys([*(value.name for value in made.graph.output), *computed]))
    del made.graph.output[:]
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    images = np.repeat(image[np.newaxis].astype(np.float32), batch, axis=0)
    results = session.run(None, {session.get_inputs()[0].name: images})
    names = [output.name for output in session.get_outputs()]
    return {name: result[0] for name, result in zip(names, results, strict=True) if result.ndim}


def final_softmax(path: Path, output: str) -> str:
    """Which of both an output comes from, through changes of layout."""
    producers = {name: one for one in onnx.load(path).graph.node for name in one.output}
    while (op := producers[output].op_type) not in ("Softmax", "LogSoftmax"):
        output = producers[output].input[0]
    return op


def assert_equals_onnxruntime(path: Path, network: Network, batch: int = 1) -> None:
    """Outputs, and every map under its name in the file, are what the untouched file gives."""
    image = np.random.default_rng(2).normal(size=network.shapes[network.input])
    expected = run_untouched(path, image, batch)
    maps = FloatRunner(network).run(image)
    assert {name: value.shape for name, value in maps.items()} == dict(network.shapes)
    for name, found in maps.items():
        if name in expected:
            assert_near(found, expected[name])
        else:
            # What is left: maps between the two layers of a reduction, and inside of functions.
            is_between = name.endswith(".column") or name.startswith("_inlfunc_")
            assert name == network.input or is_between
    outputs = [value.name for value in onnx.load(path).graph.output]
    for name, original in zip(network.outputs, outputs, strict=True):
        if name != original:
            assert network.notes
            found = maps[name] - maps[name].max(axis=0)
            found = found - np.log(np.exp(found).sum(axis=0))
            found = found if final_softmax(path, original) == "LogSoftmax" else np.exp(found)
            assert_near(found.ravel(), expected[original].ravel())


def assert_near(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Sums are in another order in a graph that is optimised than in the file."""
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
