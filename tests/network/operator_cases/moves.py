"""Operators that only put values elsewhere."""

from typing import Any

import numpy as np
from onnx import NodeProto, helper

from quantizer.network import layers
from tests.network.onnx_models import node
from tests.network.operator_cases.case import ROW, Cases, drawn, one

CASES = Cases()
CASES.add(
    "concat along rows",
    [node("Relu", ["x"], "r"), node("Concat", ["x", "r"], "y", axis=2)],
    [layers.Clip, layers.Concat],
)
CASES.add(
    "concat along cols",
    [node("Relu", ["x"], "r"), node("Concat", ["x", "r"], "y", axis=-1)],
    [layers.Clip, layers.Concat],
)
CASES.add("Squeeze", one("Squeeze", axes=[2, 3]), layers.Reshape, dims=(3, 1, 1), until=12)
CASES.add(
    "Squeeze, as input",
    one("Squeeze", "a"),
    layers.Reshape,
    {"a": np.array([-1])},
    (3, 8, 1),
    since=13,
)
CASES.add("Unsqueeze", one("Unsqueeze", axes=[2]), layers.Reshape, until=12)
CASES.add(
    "Unsqueeze, as input", one("Unsqueeze", "a"), layers.Reshape, {"a": np.array([-1, 1])}, since=13
)
CASES.add("Transpose", one("Transpose", perm=[0, 2, 3, 1]), layers.Transpose)
CASES.add("Transpose of ones", one("Transpose", perm=[0, 2, 1, 3]), layers.Reshape, dims=(1, 8, 8))
CASES.add(
    "Transpose around a conv",
    [
        node("Transpose", ["x"], "a", perm=[0, 3, 1, 2]),
        node("Conv", ["a", "w"], "b"),
        node("Transpose", ["b"], "y", perm=[0, 2, 3, 1]),
    ],
    [layers.Transpose, layers.Conv, layers.Transpose],
    {"w": drawn(4, 3, 3, 3)},
    (8, 8, 3),
)
CASES.add(
    "channel shuffle",
    [
        node("Reshape", ["x", "g"], "a"),
        node("Transpose", ["a"], "b", perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["b", "f"], "y"),
    ],
    [layers.Reshape, layers.Transpose, layers.Reshape],
    {"g": np.array([0, 2, 3, 8, 8]), "f": np.array([0, 6, 8, 8])},
    (6, 8, 8),
)
for mode in ("DCR", "CRD"):
    CASES.add(
        f"DepthToSpace, {mode}",
        one("DepthToSpace", blocksize=2, mode=mode),
        layers.Transpose,
        dims=(12, 3, 5),
    )
CASES.add("DepthToSpace", one("DepthToSpace", blocksize=2), layers.Transpose, dims=(12, 3, 5))
CASES.add("SpaceToDepth", one("SpaceToDepth", blocksize=2), layers.Transpose, dims=(3, 6, 4))
CASES.add(
    "Slice",
    one("Slice", "s", "e", "a", "t"),
    layers.Slice,
    {
        "s": np.array([1, -2]),
        "e": np.array([99, -99]),
        "a": np.array([1, 3]),
        "t": np.array([1, -2]),
    },
)
CASES.add(
    "Slice without axes",
    one("Slice", "s", "e"),
    layers.Slice,
    {"s": np.array([0, 1, 2]), "e": np.array([9, 3, -1])},
)
CASES.add(
    "Slice turned around",
    one("Slice", "s", "e", "a", "t"),
    layers.Slice,
    {
        "s": np.array([-1]),
        "e": np.array([np.iinfo(np.int64).min]),
        "a": np.array([-1]),
        "t": np.array([-1]),
    },
)


def split(**attributes: Any) -> NodeProto:
    return helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, **attributes)


JOIN = [node("Mul", ["a", "c"], "y")]
HALVES = [layers.Slice, layers.Slice, layers.Mul]
CASES.add("Split, some outputs", [split(split=[2, 2, 2]), *JOIN], HALVES, dims=(6, 4, 4), until=12)
CASES.add("Split, evenly", [split(), *JOIN], HALVES, dims=(6, 4, 4), until=17)
CASES.add("Split, by number", [split(num_outputs=3), *JOIN], HALVES, dims=(6, 4, 4), since=18)
CASES.add(
    "Split, as input",
    [
        helper.make_node("Split", ["x", "s"], ["a", "b"], axis=-1),
        node("Concat", ["b", "a"], "y", axis=3),
    ],
    [layers.Slice, layers.Slice, layers.Concat],
    {"s": np.array([3, 5])},
    since=13,
)
CASES.add(
    "Pad",
    one("Pad", "p", "v"),
    layers.Pad,
    {"p": np.array([0, 1, 0, 2, 0, 0, 3, 1]), "v": np.float32(-0.5)},
)
CASES.add(
    "Pad that takes away",
    one("Pad", "p", "v"),
    layers.Pad,
    {"p": np.array([0, -1, -2, 2, 0, 0, 3, -1]), "v": np.float32(0.25)},
)
CASES.add("Pad with zero", one("Pad", "p"), layers.Pad, {"p": np.array([0, 0, 1, 2, 0, 0, 3, 1])})
CASES.add(
    "Pad of some axes",
    one("Pad", "p", "", "a"),
    layers.Pad,
    {"p": np.array([1, 2, 3, 4]), "a": np.array([-1, 2])},
    since=18,
)
CASES.add(
    "Pad of no axes",
    one("Pad", "p", "", "a"),
    layers.Pad,
    {"p": np.array([], np.int64), "a": np.array([], np.int64)},
    since=18,
)
for transformation, rounding in (
    ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"), ("pytorch_half_pixel", "round_prefer_floor"),
):  # fmt: skip
    CASES.add(
        f"Resize, {transformation}, {rounding}",
        one(
            "Resize",
            "",
            "f",
            coordinate_transformation_mode=transformation,
            nearest_mode=rounding,
            mode="nearest",
        ),
        layers.Upsample,
        {"f": np.array([1, 1, 2, 3.0])},
        since=13,
    )
CASES.add(
    "Resize to a size",
    one(
        "Resize",
        "",
        "",
        "s",
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    layers.Upsample,
    {"s": np.array([1, 3, 16, 8])},
    since=13,
)
CASES.add(
    "Resize of rows",
    one(
        "Resize",
        "",
        "f",
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    ),
    layers.Upsample,
    {"f": np.array([1, 1, 2.0])},
    ROW,
    since=13,
)
CASES.add(
    "Resize with a region that does not count",
    one("Resize", "r", "f", mode="nearest"),
    layers.Upsample,
    {"r": np.ones(8), "f": np.array([1, 1, 3, 2.0])},
)
