"""Pools, and reductions over space."""

from typing import Any

import numpy as np

from quantizer.network import layers
from tests.network.onnx_models import node
from tests.network.operator_cases.case import IMAGE, ROW, Cases, one

CASES = Cases()
WINDOWS: dict[str, dict[str, Any]] = {
    "ceil": {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1},
    "ceil and pads": {
        "kernel_shape": [3, 3],
        "strides": [2, 2],
        "pads": [1, 0, 0, 1],
        "ceil_mode": 1,
    },
    "ceil, strides beyond the window": {"kernel_shape": [2, 2], "strides": [4, 5], "ceil_mode": 1},
    "ceil where floor is the same": {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    "same lower": {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    "valid": {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "VALID"},
}
DILATED = {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [1, 0, 0, 1], "dilations": [2, 3]}
DILATED_CEIL = {"kernel_shape": [2, 3], "strides": [2, 2], "dilations": [3, 2], "ceil_mode": 1}
for label, attributes in WINDOWS.items():
    CASES.add(f"max pool, {label}", one("MaxPool", **attributes), layers.MaxPool)
    for counted in (0, 1):
        CASES.add(
            f"average pool, {label}, {counted} counted",
            one("AveragePool", count_include_pad=counted, **attributes),
            layers.AveragePool,
            since=19 if "ceil_mode" in attributes and counted else 11,
        )
CASES.add("max pool, dilated", one("MaxPool", **DILATED), layers.MaxPool)
CASES.add("max pool, dilated, ceil", one("MaxPool", **DILATED_CEIL), layers.MaxPool)
for counted in (0, 1):
    CASES.add(
        f"average pool, dilated, {counted} counted",
        one("AveragePool", count_include_pad=counted, **DILATED),
        layers.AveragePool,
        since=19,
    )
    CASES.add(
        f"average pool, dilated, ceil, {counted} counted",
        one("AveragePool", count_include_pad=counted, **DILATED_CEIL),
        layers.AveragePool,
        since=19,
    )
for op, layer in (("MaxPool", layers.MaxPool), ("AveragePool", layers.AveragePool)):
    CASES.add(
        f"{op} over one dimension",
        one(op, kernel_shape=[3], strides=[2], pads=[1, 0], ceil_mode=1),
        layer,
        dims=ROW,
    )
for op, layer in (
    ("GlobalMaxPool", layers.MaxPool), ("GlobalAveragePool", layers.AveragePool),
):  # fmt: skip
    CASES.add(f"{op} of images", one(op), layer)
    CASES.add(f"{op} of rows", one(op), layer, dims=ROW)
CASES.add(
    "padded average pool",
    [node("Pad", ["x", "p"], "c"), node("AveragePool", ["c"], "y", kernel_shape=[3, 3])],
    layers.AveragePool,
    {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
)
CASES.add(
    "padded max pool",
    [node("Pad", ["x", "p"], "c"), node("MaxPool", ["c"], "y", kernel_shape=[3, 3])],
    [layers.Pad, layers.MaxPool],
    {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
)
for op, layer, changed in (
    ("ReduceMean", layers.AveragePool, 18), ("ReduceMax", layers.MaxPool, 18),
):  # fmt: skip
    for label, (axes, dims, becomes) in {
        "both": ([2, 3], IMAGE, [layer]),
        "both, from behind": ([-1, -2], IMAGE, [layer]),
        "rows": ([2], IMAGE, [layer]),
        "a row": ([2], ROW, [layer]),
    }.items():
        for keep in (0, 1):
            CASES.add(
                f"{op}, {label}, keepdims {keep}",
                one(op, axes=axes, keepdims=keep),
                becomes,
                dims=dims,
                until=changed - 1,
            )
            CASES.add(
                f"{op}, {label}, keepdims {keep}, as input",
                one(op, "a", keepdims=keep),
                becomes,
                {"a": np.array(axes)},
                dims,
                since=changed,
            )
    CASES.add(
        f"{op}, cols kept", one(op, "a", keepdims=1), layer, {"a": np.array([3])}, since=changed
    )
    CASES.add(
        f"{op}, cols dropped",
        one(op, "a", keepdims=0),
        [layer, layers.Reshape],
        {"a": np.array([3])},
        since=changed,
    )
    CASES.add(f"{op} of nothing", one(op, noop_with_empty_axes=1), layers.Reshape, since=changed)
CASES.add(
    "ReduceMean, cols dropped, and a relu",
    [node("ReduceMean", ["x"], "c", axes=[3], keepdims=0), node("Relu", ["c"], "y")],
    [layers.AveragePool, layers.Reshape],
    until=17,
)
