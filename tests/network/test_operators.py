"""Does every operator mean, in every opset, what onnxruntime makes of the untouched file?

One-node networks for the most part. A case holds for the opsets between two; where a later
opset writes the same thing differently there is a case for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import NodeProto, helper

from quantizer.network import layers
from quantizer.network.layers import FunctionKind, Layer
from quantizer.network.onnx_import import load_onnx
from tests.network.onnx_models import assert_equals_onnxruntime, model, node, save

RNG = np.random.default_rng(11)


def newest_opset() -> int:
    """Find the newest opset that onnx and onnxruntime both know."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for opset in range(onnx.defs.onnx_opset_version(), 21, -1):
        made = model([node("Relu", ["x"], "y")], {}, opset=opset).SerializeToString()
        try:
            ort.InferenceSession(made, options, providers=["CPUExecutionProvider"])
        except Exception:  # onnxruntime raises several unrelated types
            continue
        return opset
    raise AssertionError("onnxruntime knows no opset beyond 21")


OPSETS = (11, 13, 15, 17, 18, 19, 20, 21, newest_opset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    nodes: Sequence[NodeProto]
    becomes: Sequence[type[Layer]]
    constants: Mapping[str, Any] = field(default_factory=dict)
    dims: tuple[int, ...] = (3, 8, 8)
    since: int = 11
    until: int = 99


def one(op: str, *inputs: str, **attributes: Any) -> list[NodeProto]:
    return [node(op, ["x", *inputs], "y", **attributes)]


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


IMAGE = (3, 8, 8)
ROW = (3, 9)
CASES: dict[str, Case] = {}


def add(
    name: str,
    nodes: Sequence[NodeProto],
    becomes: type[Layer] | Sequence[type[Layer]],
    constants: Mapping[str, Any] | None = None,
    dims: tuple[int, ...] = IMAGE,
    *,
    since: int = 11,
    until: int = 99,
) -> None:
    CASES[name] = Case(
        nodes=nodes,
        becomes=becomes if isinstance(becomes, Sequence) else [becomes],
        constants=constants or {},
        dims=dims,
        since=since,
        until=until,
    )


# Products.
add(
    "conv over one dimension",
    one("Conv", "w", "b", strides=[2], pads=[1, 2], dilations=[2]),
    layers.Conv,
    {"w": drawn(4, 3, 3), "b": drawn(4)},
    ROW,
)
add(
    "conv over one dimension, same",
    one("Conv", "w", auto_pad="SAME_LOWER", strides=[2]),
    layers.Conv,
    {"w": drawn(4, 3, 4)},
    ROW,
)
add(
    "conv, depthwise",
    one("Conv", "w", group=3, pads=[1, 1, 1, 1]),
    layers.Conv,
    {"w": drawn(3, 1, 3, 3)},
)
add(
    "conv, one channel, one pixel",
    one("Conv", "w"),
    layers.Conv,
    {"w": drawn(1, 1, 1, 1)},
    (1, 1, 1),
)
add(
    "conv and multiplied",
    [node("Conv", ["x", "w", "b"], "c"), node("Mul", ["c", "k"], "y")],
    layers.Conv,
    {"w": drawn(4, 3, 3, 3), "b": drawn(4), "k": drawn(4, 1, 1)},
)
add(
    "padded conv",
    [node("Pad", ["x", "p"], "c"), node("Conv", ["c", "w"], "y")],
    layers.Conv,
    {"w": drawn(4, 3, 3, 3), "p": np.array([0, 0, 1, 2, 0, 0, 0, 1])},
)
for label, attributes in {
    "plain": {},
    "strided": {"strides": [2, 3]},
    "pads": {"strides": [2, 2], "pads": [0, 1, 2, 1]},
    "dilated": {"dilations": [2, 3]},
    "output padding": {"strides": [2, 3], "pads": [1, 1, 1, 1], "output_padding": [1, 2]},
    "output shape": {"strides": [2, 2], "output_shape": [16, 15]},
    "output shape, lower": {"strides": [2, 2], "output_shape": [16, 16],
                            "auto_pad": "SAME_LOWER"},
    "output shape and padding": {"strides": [2, 2], "output_shape": [16, 16],
                                 "output_padding": [1, 0]},
    "same upper": {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "same lower": {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    "valid": {"strides": [2, 2], "auto_pad": "VALID"},
}.items():  # fmt: skip
    add(
        f"transposed conv, {label}",
        one("ConvTranspose", "w", "b", **attributes),
        layers.ConvTranspose,
        {"w": drawn(3, 4, 3, 3), "b": drawn(4)},
    )
add(
    "transposed conv, grouped",
    one("ConvTranspose", "w", group=2, strides=[2, 2]),
    layers.ConvTranspose,
    {"w": drawn(4, 3, 2, 2)},
    (4, 5, 5),
)
add(
    "transposed conv over one dimension",
    one("ConvTranspose", "w", "b", strides=[2], pads=[1, 0]),
    layers.ConvTranspose,
    {"w": drawn(3, 4, 3), "b": drawn(4)},
    ROW,
)
add(
    "matmul over rows, added",
    [node("MatMul", ["x", "m"], "c"), node("Add", ["b", "c"], "y")],
    layers.Dense,
    {"m": drawn(8, 5), "b": drawn(5)},
)
add(
    "matmul, added to something else",
    [node("MatMul", ["x", "m"], "c"), node("Add", ["c", "b"], "y")],
    [layers.Dense, layers.Add],
    {"m": drawn(8, 5), "b": drawn(8, 5)},
)
NORM = {"s": RNG.uniform(0.5, 2, 3), "o": drawn(3), "m": drawn(3), "v": RNG.uniform(0.5, 2, 3)}
for rank, dims in {"images": IMAGE, "rows": ROW, "vectors": (3,)}.items():
    add(
        f"batch norm of {rank}",
        one("BatchNormalization", *"somv", epsilon=0.01),
        layers.BatchNorm,
        NORM,
        dims,
    )
add(
    "batch norm behind a transposed conv",
    [node("ConvTranspose", ["x", "w"], "c"), node("BatchNormalization", ["c", *"somv"], "y")],
    layers.ConvTranspose,
    {"w": drawn(3, 3, 2, 2), **NORM},
)

# Two operands.
GATE = node("GlobalAveragePool", ["x"], "g")
for op in ("Add", "Sub", "Mul"):
    layer = layers.Mul if op == "Mul" else layers.Add
    add(
        f"{op} of two maps",
        [node("Relu", ["x"], "r"), node(op, ["x", "r"], "y")],
        [layers.Clip, layer],
    )
    add(f"{op} of a gate", [GATE, node(op, ["g", "x"], "y")], [layers.AveragePool, layer])
    add(f"{op}, a constant behind", one(op, "k"), layer, {"k": drawn(3, 1, 1)})
    add(f"{op}, a constant before", [node(op, ["k", "x"], "y")], layer, {"k": drawn(8)})
    add(f"{op}, a constant with a batch", one(op, "k"), layer, {"k": drawn(1, 3, 8, 8)})
    add(f"{op}, a number", one(op, "k"), layer, {"k": np.float32(0.7)})
    add(
        f"{op}, a constant that spreads the map",
        one(op, "k"),
        layer,
        {"k": drawn(3, 4, 8)},
        (3, 1, 8),
    )
    add(
        f"{op} and a relu",
        [*one(op, "k")[:0], node(op, ["x", "k"], "c"), node("Relu", ["c"], "y")],
        layer,
        {"k": drawn(3, 1, 1)},
    )
add("Div by a constant", one("Div", "k"), layers.Mul, {"k": RNG.uniform(0.5, 2, (3, 1, 1))})
add("Max with a number", one("Max", "k"), layers.Clip, {"k": np.float32(-0.3)})
add("Min with a number", [node("Min", ["k", "x"], "y")], layers.Clip, {"k": np.float32(0.3)})
add(
    "Mul, then Max and Min",
    [node("Mul", ["x", "x"], "c"), node("Max", ["c", "l"], "d"), node("Min", ["d", "h"], "y")],
    [layers.Mul, layers.Clip],
    {"l": np.float32(0.1), "h": np.float32(0.5)},
)

# Pools.
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
    add(f"max pool, {label}", one("MaxPool", **attributes), layers.MaxPool)
    for counted in (0, 1):
        add(
            f"average pool, {label}, {counted} counted",
            one("AveragePool", count_include_pad=counted, **attributes),
            layers.AveragePool,
            since=19 if "ceil_mode" in attributes and counted else 11,
        )
add("max pool, dilated", one("MaxPool", **DILATED), layers.MaxPool)
add("max pool, dilated, ceil", one("MaxPool", **DILATED_CEIL), layers.MaxPool)
for counted in (0, 1):
    add(
        f"average pool, dilated, {counted} counted",
        one("AveragePool", count_include_pad=counted, **DILATED),
        layers.AveragePool,
        since=19,
    )
    add(
        f"average pool, dilated, ceil, {counted} counted",
        one("AveragePool", count_include_pad=counted, **DILATED_CEIL),
        layers.AveragePool,
        since=19,
    )
for op, layer in (("MaxPool", layers.MaxPool), ("AveragePool", layers.AveragePool)):
    add(
        f"{op} over one dimension",
        one(op, kernel_shape=[3], strides=[2], pads=[1, 0], ceil_mode=1),
        layer,
        dims=ROW,
    )
for op, layer in (
    ("GlobalMaxPool", layers.MaxPool), ("GlobalAveragePool", layers.AveragePool),
):  # fmt: skip
    add(f"{op} of images", one(op), layer)
    add(f"{op} of rows", one(op), layer, dims=ROW)
add(
    "padded average pool",
    [node("Pad", ["x", "p"], "c"), node("AveragePool", ["c"], "y", kernel_shape=[3, 3])],
    layers.AveragePool,
    {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
)
add(
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
            add(
                f"{op}, {label}, keepdims {keep}",
                one(op, axes=axes, keepdims=keep),
                becomes,
                dims=dims,
                until=changed - 1,
            )
            add(
                f"{op}, {label}, keepdims {keep}, as input",
                one(op, "a", keepdims=keep),
                becomes,
                {"a": np.array(axes)},
                dims,
                since=changed,
            )
    add(f"{op}, cols kept", one(op, "a", keepdims=1), layer, {"a": np.array([3])}, since=changed)
    add(
        f"{op}, cols dropped",
        one(op, "a", keepdims=0),
        [layer, layers.Reshape],
        {"a": np.array([3])},
        since=changed,
    )
    add(f"{op} of nothing", one(op, noop_with_empty_axes=1), layers.Reshape, since=changed)
add(
    "ReduceMean, cols dropped, and a relu",
    [node("ReduceMean", ["x"], "c", axes=[3], keepdims=0), node("Relu", ["c"], "y")],
    [layers.AveragePool, layers.Reshape],
    until=17,
)

# Functions.
for kind in FunctionKind:
    if kind in (FunctionKind.GELU_TANH, FunctionKind.SQRT):
        continue
    since = {"Celu": 12, "HardSwish": 14, "Mish": 18, "Gelu": 20, "Swish": 24}.get(kind, 11)
    # onnxruntime 1.32 runs a Swish of opset 24 alone.
    add(kind, one(kind), layers.Lookup, since=since, until=24 if kind == "Swish" else 99)
add("Sqrt", [node("Abs", ["x"], "a"), node("Sqrt", ["a"], "y")], [layers.Lookup, layers.Lookup])
add("Gelu, tanh", one("Gelu", approximate="tanh"), layers.Lookup, since=20)
add("Swish of opset 24", one("Swish", alpha=1.5), layers.Lookup, since=24, until=24)
for op, attributes in {
    "Celu": {"alpha": 0.7}, "Elu": {"alpha": 0.3}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "Selu": {"alpha": 1.5, "gamma": 1.2}, "ThresholdedRelu": {"alpha": 0.4},
}.items():  # fmt: skip
    add(f"{op} with attributes", one(op, **attributes), layers.Lookup, since=12)
add(
    "equal functions of one map",
    [node("HardSwish", ["x"], "a"), node("HardSwish", ["x"], "b"), node("Sub", ["a", "b"], "y")],
    [layers.Lookup, layers.Lookup, layers.Add],
    since=14,
)
add(
    "a function of a constant",
    [node("Tanh", ["k"], "a"), node("Mul", ["x", "a"], "y")],
    layers.Mul,
    {"k": drawn(3, 1, 1)},
)
add(
    "a function behind an identity",
    [node("Identity", ["x"], "a"), node("HardSwish", ["a"], "b"), node("Identity", ["b"], "y")],
    layers.Lookup,
    since=14,
)
add(
    "a function and a clip",
    [node("Tanh", ["x"], "a"), node("Clip", ["a", "l"], "y")],
    layers.Lookup,
    {"l": np.float32(-0.5)},
)
add(
    "gelu, spelt out",
    [
        node("Div", ["x", "root"], "a"),
        node("Erf", ["a"], "b"),
        node("Add", ["b", "one"], "c"),
        node("Mul", ["x", "c"], "d"),
        node("Mul", ["d", "half"], "y"),
    ],
    [layers.Mul, layers.Lookup, layers.Add, layers.Mul, layers.Mul],
    {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)},
)
add("PRelu per channel", one("PRelu", "s"), layers.PRelu, {"s": drawn(3, 1, 1)})
add("PRelu per channel of rows", one("PRelu", "s"), layers.PRelu, {"s": drawn(3, 1)}, ROW)
add("PRelu per channel of vectors", one("PRelu", "s"), layers.PRelu, {"s": drawn(3)}, (3,))
add("PRelu with one slope", one("PRelu", "s"), layers.PRelu, {"s": drawn(1)})
add("LeakyRelu", one("LeakyRelu"), layers.PRelu)
add("LeakyRelu with a slope", one("LeakyRelu", alpha=0.3), layers.PRelu)
add("LRN", one("LRN", size=3, alpha=0.5, beta=0.6, bias=1.5), layers.LocalResponseNorm)
add("LRN with what the standard gives", one("LRN", size=5), layers.LocalResponseNorm)

# Moves.
add(
    "concat along rows",
    [node("Relu", ["x"], "r"), node("Concat", ["x", "r"], "y", axis=2)],
    [layers.Clip, layers.Concat],
)
add(
    "concat along cols",
    [node("Relu", ["x"], "r"), node("Concat", ["x", "r"], "y", axis=-1)],
    [layers.Clip, layers.Concat],
)
add("Squeeze", one("Squeeze", axes=[2, 3]), layers.Reshape, dims=(3, 1, 1), until=12)
add(
    "Squeeze, as input",
    one("Squeeze", "a"),
    layers.Reshape,
    {"a": np.array([-1])},
    (3, 8, 1),
    since=13,
)
add("Unsqueeze", one("Unsqueeze", axes=[2]), layers.Reshape, until=12)
add(
    "Unsqueeze, as input", one("Unsqueeze", "a"), layers.Reshape, {"a": np.array([-1, 1])}, since=13
)
add("Transpose", one("Transpose", perm=[0, 2, 3, 1]), layers.Transpose)
add("Transpose of ones", one("Transpose", perm=[0, 2, 1, 3]), layers.Reshape, dims=(1, 8, 8))
add(
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
add(
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
    add(
        f"DepthToSpace, {mode}",
        one("DepthToSpace", blocksize=2, mode=mode),
        layers.Transpose,
        dims=(12, 3, 5),
    )
add("DepthToSpace", one("DepthToSpace", blocksize=2), layers.Transpose, dims=(12, 3, 5))
add("SpaceToDepth", one("SpaceToDepth", blocksize=2), layers.Transpose, dims=(3, 6, 4))
add(
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
add(
    "Slice without axes",
    one("Slice", "s", "e"),
    layers.Slice,
    {"s": np.array([0, 1, 2]), "e": np.array([9, 3, -1])},
)
add(
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
add("Split, some outputs", [split(split=[2, 2, 2]), *JOIN], HALVES, dims=(6, 4, 4), until=12)
add("Split, evenly", [split(), *JOIN], HALVES, dims=(6, 4, 4), until=17)
add("Split, by number", [split(num_outputs=3), *JOIN], HALVES, dims=(6, 4, 4), since=18)
add(
    "Split, as input",
    [
        helper.make_node("Split", ["x", "s"], ["a", "b"], axis=-1),
        node("Concat", ["b", "a"], "y", axis=3),
    ],
    [layers.Slice, layers.Slice, layers.Concat],
    {"s": np.array([3, 5])},
    since=13,
)
add(
    "Pad",
    one("Pad", "p", "v"),
    layers.Pad,
    {"p": np.array([0, 1, 0, 2, 0, 0, 3, 1]), "v": np.float32(-0.5)},
)
add("Pad with zero", one("Pad", "p"), layers.Pad, {"p": np.array([0, 0, 1, 2, 0, 0, 3, 1])})
add(
    "Pad of some axes",
    one("Pad", "p", "", "a"),
    layers.Pad,
    {"p": np.array([1, 2, 3, 4]), "a": np.array([-1, 2])},
    since=18,
)
for transformation, rounding in (
    ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"), ("pytorch_half_pixel", "round_prefer_floor"),
):  # fmt: skip
    add(
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
add(
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
add(
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
add(
    "Resize with a region that does not count",
    one("Resize", "r", "f", mode="nearest"),
    layers.Upsample,
    {"r": np.ones(8), "f": np.array([1, 1, 3, 2.0])},
)

RUNS = [
    pytest.param(made, opset, id=f"{name}, opset {opset}")
    for name, made in CASES.items()
    for opset in dict.fromkeys((*OPSETS, made.since))
    if made.since <= opset <= made.until
]


@pytest.mark.parametrize(("made", "opset"), RUNS)
def test_an_operator_equals_onnxruntime_on_the_untouched_file(
    tmp_path: Path, made: Case, opset: int
) -> None:
    dims = ("N", *made.dims)
    path = save(tmp_path, model(made.nodes, made.constants, input_dims=dims, opset=opset))
    network = load_onnx(path)
    assert [type(layer) for layer in network.layers] == list(made.becomes)
    assert_equals_onnxruntime(path, network)
