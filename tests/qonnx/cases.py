"""Graphs with Quant nodes as other tools make them: the exact, and the odd but legal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.qonnx.files import DOMAIN, node, quant

Case = tuple[Sequence[Any], Mapping[str, Any]]
RNG = np.random.default_rng(7)


def on_grid(shape: tuple[int, ...], scale: Any, largest: int) -> NDArray[np.float64]:
    """Values that are quantized already, as Brevitas exports weights."""
    return np.asarray(RNG.integers(-largest, largest + 1, shape) * np.float64(scale))


CHANNEL_SCALES = 2.0 ** -np.array([3, 4, 5, 4]).reshape(4, 1, 1, 1)
FILTERS = on_grid((4, 2, 3, 3), CHANNEL_SCALES, 7)
FLOAT_FILTERS = RNG.normal(0, 0.3, (4, 2, 3, 3))
SQUARE = RNG.normal(0, 0.3, (2, 2, 3, 3))
MATRIX = RNG.normal(0, 0.3, (5, 36))
PADS = {"pads": [1, 1, 1, 1]}
INPUT = quant("x", "xq", 2**-5)


def brevitas_export(domain: str, op: str = "Quant") -> Case:
    """Weights on their grid and narrow, per channel; a matrix that is transposed; signed=0."""
    common: dict[str, Any] = {"domain": domain, "op": op}
    nodes = [
        quant("x", "xq", 2**-5, **common),
        quant("w1", "w1q", CHANNEL_SCALES, 4.0, narrow=1, **common),
        quant("b1", "b1q", 2**-8, 12.0, **common),
        node("Conv", ["xq", "w1q", "b1q"], "c1", "conv1", **PADS),
        node("Relu", ["c1"], "r1"),
        quant("r1", "a1", 2**-3, 6.0, signed=0, **common),
        node("MaxPool", ["a1"], "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", ["p1", "shape"], "f1"),
        quant("w2", "w2q", 2**-5, 5.0, narrow=1, **common),
        node("Transpose", ["w2q"], "w2t", perm=[1, 0]),
        node("MatMul", ["f1", "w2t"], "m2", "fc"),
        quant("b2", "b2q", [2**-7], [12.0], **common),
        node("Add", ["m2", "b2q"], "s2"),
        quant("s2", "y", 2**-3, **common),
    ]
    return nodes, {
        "w1": FILTERS,
        "b1": RNG.normal(size=4),
        "shape": np.array([1, -1]),
        "w2": on_grid((5, 36), 2**-5, 15),
        "b2": RNG.normal(size=5),
    }


CASES: dict[str, Case] = {
    "Brevitas, TorchScript": brevitas_export("onnx.brevitas"),
    "Brevitas, dynamo": brevitas_export(DOMAIN),
    "old FINN": brevitas_export("finn.custom_op.general"),
    "older FINN": brevitas_export("finn"),
    "IntQuant": brevitas_export(DOMAIN, "IntQuant"),
    "a Quant behind the pool": (
        [
            INPUT, quant("w", "wq", 2**-5, 6.0), node("Conv", ["xq", "wq"], "c"),
            node("MaxPool", ["c"], "p", kernel_shape=[2, 2]), quant("p", "y", 2**-4, 5.0),
        ],
        {"w": FLOAT_FILTERS},
    ),
    "a Quant before the pool and one behind it": (
        [
            INPUT, quant("w", "wq", 2**-5, 6.0), node("Conv", ["xq", "wq"], "c"),
            quant("c", "cq", 2**-4, 5.0), node("MaxPool", ["cq"], "p", kernel_shape=[2, 2]),
            quant("p", "y", 2**-4, 5.0),
        ],
        {"w": FLOAT_FILTERS},
    ),
    "one Quant behind a concat": (
        [
            INPUT, quant("w", "wq", 2**-5, 6.0), quant("v", "vq", 2**-4, 6.0),
            node("Conv", ["xq", "wq"], "a"), node("Conv", ["xq", "vq"], "b"),
            node("Concat", ["a", "b"], "j", axis=1), quant("j", "y", 2**-4, 6.0),
        ],
        {"w": SQUARE, "v": FLOAT_FILTERS},
    ),
    "a concat of other formats": (
        [
            INPUT, quant("w", "wq", 2**-5, 6.0), quant("v", "vq", 2**-4, 6.0),
            node("Conv", ["xq", "wq"], "a"), quant("a", "aq", 2**-6), node("Relu", ["aq"], "r"),
            node("Conv", ["xq", "vq"], "b"), quant("b", "bq", 2**-5),
            node("Concat", ["r", "bq"], "j", axis=1), quant("j", "y", 2**-4, 6.0),
        ],
        {"w": SQUARE, "v": FLOAT_FILTERS},
    ),
    "a concat of one format": (
        [
            INPUT, quant("w", "wq", 2**-5, 6.0), node("Conv", ["xq", "wq"], "a", **PADS),
            quant("a", "aq", 2**-4), node("Relu", ["aq"], "r"),
            node("Concat", ["r", "aq"], "j", axis=1), node("Flatten", ["j"], "y"),
        ],
        {"w": SQUARE},
    ),
    "a residual sum, and its format twice": (
        [
            INPUT, quant("w", "wq", 2**-5, 6.0), node("Conv", ["xq", "wq"], "a", **PADS),
            quant("a", "aq", 2**-5), node("Add", ["aq", "xq"], "s"),
            quant("s", "s1", 2**-4, 6.0), quant("s", "s2", 2**-4, 6.0),
            node("Relu", ["s1"], "r"), node("Add", ["r", "s2"], "t"), quant("t", "y", 2**-3),
        ],
        {"w": SQUARE},
    ),
    "a transposed convolution, per channel": (
        [
            INPUT, quant("w", "wq", 2.0 ** -np.array([4, 5, 6]).reshape(1, 3, 1, 1), 5.0),
            node("ConvTranspose", ["xq", "wq"], "c", strides=[2, 2]), quant("c", "y", 2**-3, 6.0),
        ],
        {"w": RNG.normal(0, 0.3, (2, 3, 2, 2))},
    ),
    "a transposed convolution of groups, per channel": (
        [
            INPUT, quant("w", "wq", 2.0 ** -np.array([4, 5, 6, 3]).reshape(2, 2, 1, 1), 5.0),
            node("ConvTranspose", ["xq", "wq"], "c", group=2), quant("c", "y", 2**-3, 6.0),
        ],
        {"w": RNG.normal(0, 0.3, (2, 2, 2, 3))},
    ),
    "a Gemm, per channel": (
        [
            INPUT, node("Flatten", ["xq"], "f"),
            quant("w", "wq", 2.0 ** -np.arange(3, 8).reshape(5, 1), 4.0),
            quant("b", "bq", 2.0 ** -np.arange(6, 11), 12.0),
            node("Gemm", ["f", "wq", "bq"], "g", transB=1), quant("g", "y", 2**-2, 6.0),
        ],
        {"w": RNG.normal(0, 0.1, (5, 72)), "b": RNG.normal(size=5)},
    ),
    "operands and slopes": (
        [
            INPUT, quant("k", "kq", 2**-4, 5.0), node("Mul", ["xq", "kq"], "m"),
            quant("m", "mq", 2**-4, 6.0), quant("s", "sq", 2**-5, 6.0),
            node("PRelu", ["mq", "sq"], "p"), quant("p", "pq", 2**-5), quant("d", "dq", 2**-6),
            node("Sub", ["dq", "pq"], "z"), quant("z", "y", 2**-4, 6.0),
        ],
        {"k": RNG.normal(1, 0.3, (2, 1, 1)), "s": np.full((2, 1, 1), 0.2), "d": np.full((1,), 0.3)},
    ),
    "a mean, its own rounding": (
        [
            INPUT, node("AveragePool", ["xq"], "a", kernel_shape=[2, 2], strides=[2, 2]),
            quant("a", "aq", 2**-4, 6.0, rounding_mode="DOWN"), quant("w", "wq", 2**-5, 6.0),
            node("Conv", ["aq", "wq"], "c"), quant("c", "y", 2**-4, 6.0),
        ],
        {"w": SQUARE},
    ),
    "bounds and padding": (
        [
            INPUT, node("Add", ["xq", "xq"], "t"), quant("t", "tq", 2**-3, 6.0),
            node("Clip", ["tq", "low", "high"], "c"), quant("c", "cq", 2**-3, 6.0),
            node("Pad", ["cq", "pads", "value"], "p"), quant("p", "y", 2**-3, 6.0),
        ],
        {"low": -1.1, "high": 1.3, "pads": np.array([0, 0, 1, 1, 0, 0, 0, 0]), "value": 0.2},
    ),
    "maps that nothing may take out": (
        [
            INPUT, node("Pad", ["xq", "pads"], "p"), quant("p", "pq", 2**-5),
            node("Identity", ["pq"], "i"), quant("w", "wq", 2**-5, 6.0),
            node("Conv", ["i", "wq"], "c"), quant("c", "cq", 2**-4, 6.0),
            quant("z", "zq", 2**-4, 6.0), node("Add", ["cq", "zq"], "s"),
            quant("s", "sq", 2**-3, 6.0), node("Relu", ["sq"], "r"), quant("r", "rq", 2**-3, 6.0),
            node("Clip", ["rq", "", "high"], "h"), node("Reshape", ["h", "s1"], "h1"),
            quant("h1", "h2", 2**-3, 6.0), node("Reshape", ["h2", "s2"], "y"),
        ],
        {
            "w": SQUARE, "z": np.zeros((2, 1, 1)), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
            "high": 1.5, "s1": np.array([1, 4, 18]), "s2": np.array([1, 72]),
        },
    ),
    "roundings that round nothing": (
        [
            INPUT, node("MaxPool", ["xq"], "m", kernel_shape=[2, 2]),
            quant("m", "mq", 2**-5, rounding_mode="FLOOR"),
            node("Concat", ["mq", "mq"], "j", axis=1),
            quant("j", "jq", 2**-5, rounding_mode="DOWN"), node("Add", ["jq", "jq"], "s"),
            quant("s", "y", 2**-3, 6.0),
        ],
        {},
    ),
    **{
        f"rounding {word}": (
            [
                quant("x", "xq", 2**-2, rounding_mode=word), node("Add", ["xq", "xq"], "s"),
                quant("s", "y", 2**0, 4.0, rounding_mode=word),
            ],
            {},
        )
        for word in ("ROUND", "half_even", "HALF_UP", "FLOOR", "down")
    },
    "half a step before a floor": (
        [
            node("Add", ["x", "eighth"], "xr"), quant("xr", "xq", 2**-2, rounding_mode="FLOOR"),
            node("Add", ["xq", "xq"], "s"), node("Add", ["half", "s"], "sr"),
            quant("sr", "y", 2**0, 4.0, rounding_mode="FLOOR"),
        ],
        {"eighth": 0.125, "half": 0.5},
    ),
}  # fmt: skip
