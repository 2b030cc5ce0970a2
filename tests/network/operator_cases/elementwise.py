"""Operators that compute each value from those at its place."""

import numpy as np

from quantizer.network import layers
from quantizer.network.layers import FunctionKind
from tests.network.onnx_models import node
from tests.network.operator_cases.case import ROW, Cases, drawn, one, positive

CASES = Cases()
GATE = node("GlobalAveragePool", ["x"], "g")
for op in ("Add", "Sub", "Mul"):
    layer = layers.Mul if op == "Mul" else layers.Add
    CASES.add(
        f"{op} of two maps",
        [node("Relu", ["x"], "r"), node(op, ["x", "r"], "y")],
        [layers.Clip, layer],
    )
    CASES.add(f"{op} of a gate", [GATE, node(op, ["g", "x"], "y")], [layers.AveragePool, layer])
    CASES.add(f"{op}, a constant behind", one(op, "k"), layer, {"k": drawn(3, 1, 1)})
    CASES.add(f"{op}, a constant before", [node(op, ["k", "x"], "y")], layer, {"k": drawn(8)})
    CASES.add(f"{op}, a constant with a batch", one(op, "k"), layer, {"k": drawn(1, 3, 8, 8)})
    CASES.add(f"{op}, a number", one(op, "k"), layer, {"k": np.float32(0.7)})
    CASES.add(
        f"{op}, a constant that spreads the map",
        one(op, "k"),
        layer,
        {"k": drawn(3, 4, 8)},
        (3, 1, 8),
    )
    CASES.add(
        f"{op} and a relu",
        [node(op, ["x", "k"], "c"), node("Relu", ["c"], "y")],
        layer,
        {"k": drawn(3, 1, 1)},
    )
CASES.add("Div by a constant", one("Div", "k"), layers.Mul, {"k": positive(3, 1, 1)})
CASES.add("Max with a number", one("Max", "k"), layers.Clip, {"k": np.float32(-0.3)})
CASES.add("Min with a number", [node("Min", ["k", "x"], "y")], layers.Clip, {"k": np.float32(0.3)})
CASES.add(
    "Mul, then Max and Min",
    [node("Mul", ["x", "x"], "c"), node("Max", ["c", "l"], "d"), node("Min", ["d", "h"], "y")],
    [layers.Mul, layers.Clip],
    {"l": np.float32(0.1), "h": np.float32(0.5)},
)

# Functions.
for kind in FunctionKind:
    if kind in (FunctionKind.GELU_TANH, FunctionKind.SQRT):
        continue
    since = {"Celu": 12, "HardSwish": 14, "Mish": 18, "Gelu": 20, "Swish": 24}.get(kind, 11)
    # onnxruntime 1.32 runs a Swish of opset 24 alone.
    CASES.add(kind, one(kind), layers.Lookup, since=since, until=24 if kind == "Swish" else 99)
CASES.add(
    "Sqrt", [node("Abs", ["x"], "a"), node("Sqrt", ["a"], "y")], [layers.Lookup, layers.Lookup]
)
CASES.add("Gelu, tanh", one("Gelu", approximate="tanh"), layers.Lookup, since=20)
CASES.add("Swish of opset 24", one("Swish", alpha=1.5), layers.Lookup, since=24, until=24)
for op, attributes in {
    "Celu": {"alpha": 0.7}, "Elu": {"alpha": 0.3}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "Selu": {"alpha": 1.5, "gamma": 1.2}, "ThresholdedRelu": {"alpha": 0.4},
}.items():  # fmt: skip
    CASES.add(f"{op} with attributes", one(op, **attributes), layers.Lookup, since=12)
CASES.add(
    "equal functions of one map",
    [node("HardSwish", ["x"], "a"), node("HardSwish", ["x"], "b"), node("Sub", ["a", "b"], "y")],
    [layers.Lookup, layers.Lookup, layers.Add],
    since=14,
)
CASES.add(
    "a function of a constant",
    [node("Tanh", ["k"], "a"), node("Mul", ["x", "a"], "y")],
    layers.Mul,
    {"k": drawn(3, 1, 1)},
)
CASES.add(
    "a function behind an identity",
    [node("Identity", ["x"], "a"), node("HardSwish", ["a"], "b"), node("Identity", ["b"], "y")],
    layers.Lookup,
    since=14,
)
CASES.add(
    "a function and a clip",
    [node("Tanh", ["x"], "a"), node("Clip", ["a", "l"], "y")],
    layers.Lookup,
    {"l": np.float32(-0.5)},
)
CASES.add(
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
CASES.add("PRelu per channel", one("PRelu", "s"), layers.PRelu, {"s": drawn(3, 1, 1)})
CASES.add("PRelu per channel of rows", one("PRelu", "s"), layers.PRelu, {"s": drawn(3, 1)}, ROW)
CASES.add("PRelu per channel of vectors", one("PRelu", "s"), layers.PRelu, {"s": drawn(3)}, (3,))
CASES.add("PRelu per pixel", one("PRelu", "s"), layers.PRelu, {"s": drawn(1, 3, 8, 8)})
CASES.add("PRelu per column", one("PRelu", "s"), layers.PRelu, {"s": drawn(8)})
CASES.add("PRelu with one slope", one("PRelu", "s"), layers.PRelu, {"s": drawn(1)})
CASES.add("LeakyRelu", one("LeakyRelu"), layers.PRelu)
CASES.add("LeakyRelu with a slope", one("LeakyRelu", alpha=0.3), layers.PRelu)
CASES.add("LRN", one("LRN", size=3, alpha=0.5, beta=0.6, bias=1.5), layers.LocalResponseNorm)
CASES.add("LRN with what the standard gives", one("LRN", size=5), layers.LocalResponseNorm)
