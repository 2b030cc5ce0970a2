"""onnxruntime as this project uses it: quiet, on one thread, and without telemetry."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

# From 1.29 on, importing it starts to report the names and hashes of loaded models over
# the network, and keeps an identifier in the home folder. It reads this on import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : "
    r"|/onnxruntime_src/\S+ "
    r"|\b\w+\.(?:cc|h):\d+ \w+ "
    r"|Non-zero status code returned while running |(?<= node\.) Name:''(?= )|Status Message: "
    r"|Exception during initialization: "
    # A function of C++ with its types, in brackets of up to three levels.
    r"|(?:virtual )?(?:[\w:]+[*&]? )?onnxruntime::[\w:~<>]+(?:operator\(\))?"
    r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)(?: const)? (?:\[with [^\]]*\] )?"
    r"|\bfalse was false\. "
)
"""Parts of a message that tell its authors alone something: codes, places in their sources."""


_REWRITES = [
    "CommonSubexpressionElimination",  # what the user wrote twice would be computed once
    "ConstantSharing",  # equal numbers would lose the names of their own
    "GeluFusionL1",  # five nodes would be one, from opset 20 on
    "MatMulAddFusion",  # one of more than two dimensions would be turned into reshapes
    "TransposeOptimizer",  # maps behind a moved Transpose would have no name in the file
]
"""Basic optimisations that are not done: what remains would not be the user's graph."""

_FUSIONS = [
    *("ConvAddFusion", "ConvBNFusion", "ConvMulFusion", "MatMul_BatchNormalization_Fusion"),
    *("GemmSumFusion", "GemmTransposeFusion", "DivMulFusion", "FuseReluClip", "Pad_Fusion"),
    *("EliminateDropout", "EliminateIdentity", "EliminateSlice", "NoopElimination"),
    "ReshapeFusion",
]
"""Basic optimisations that take out a feature map, or compute with constants."""


def start_session(
    model: ModelProto,
    *,
    optimise: bool,
    fuse: bool = True,
    save_to: Path | None = None,
    weights: Mapping[str, NDArray[np.float32]] | None = None,
) -> ort.InferenceSession:
    """Load a model for execution on the processor.

    Parameters
    ----------
    optimise
        Whether to do the basic graph optimisation: constants and batch-norm folded, and
        nothing that takes the graph apart.
    fuse
        Whether that may take out feature maps, and fold more than constants.
    save_to
        File for the model as it is after that.
    weights
        Values of the initializers that `declare_weights` made, by name.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # A copy of the weights in another order: it takes a second for large dense layers and
    # makes a single image no faster.
    options.add_session_config_entry("session.disable_prepacking", "1")
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_BASIC if optimise else level.ORT_DISABLE_ALL
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    if weights:
        values = [ort.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
        options.add_external_initializers(list(weights), values)
    # A second attempt, the fallback, would differ in nothing and print about the first.
    return ort.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=_REWRITES if fuse else [*_REWRITES, *_FUSIONS],
        enable_fallback=False,
    )


def declare_weights(name: str, value: NDArray[np.float32]) -> TensorProto:
    """Make an initializer without its values, which go to `start_session` as they are.

    Within the model they would be copied several times, and could not exceed 2 GiB.
    """
    tensor = TensorProto(
        name=name,
        dims=value.shape,
        data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key="location", value="given to the session")
    return tensor


def reason(error: Exception) -> str:
    """First line of an error's message, without codes and places in the sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _NOISE.sub("", lines[0]).rstrip(".") if lines else type(error).__name__
