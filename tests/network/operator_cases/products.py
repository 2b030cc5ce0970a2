"""Products and normalization: layers of weights and a bias."""

import numpy as np

from quantizer.network import layers
from tests.network.onnx_models import node
from tests.network.operator_cases.case import IMAGE, ROW, Cases, drawn, one, positive

CASES = Cases()
CASES.add(
    "conv over one dimension",
    one("Conv", "w", "b", strides=[2], pads=[1, 2], dilations=[2]),
    layers.Conv,
    {"w": drawn(4, 3, 3), "b": drawn(4)},
    ROW,
)
CASES.add(
    "conv over one dimension, same",
    one("Conv", "w", auto_pad="SAME_LOWER", strides=[2]),
    layers.Conv,
    {"w": drawn(4, 3, 4)},
    ROW,
)
CASES.add(
    "conv, depthwise",
    one("Conv", "w", group=3, pads=[1, 1, 1, 1]),
    layers.Conv,
    {"w": drawn(3, 1, 3, 3)},
)
CASES.add(
    "conv, one channel, one pixel",
    one("Conv", "w"),
    layers.Conv,
    {"w": drawn(1, 1, 1, 1)},
    (1, 1, 1),
)
CASES.add(
    "conv and multiplied",
    [node("Conv", ["x", "w", "b"], "c"), node("Mul", ["c", "k"], "y")],
    layers.Conv,
    {"w": drawn(4, 3, 3, 3), "b": drawn(4), "k": drawn(4, 1, 1)},
)
CASES.add(
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
    CASES.add(
        f"transposed conv, {label}",
        one("ConvTranspose", "w", "b", **attributes),
        layers.ConvTranspose,
        {"w": drawn(3, 4, 3, 3), "b": drawn(4)},
    )
CASES.add(
    "transposed conv, grouped",
    one("ConvTranspose", "w", group=2, strides=[2, 2]),
    layers.ConvTranspose,
    {"w": drawn(4, 3, 2, 2)},
    (4, 5, 5),
)
CASES.add(
    "transposed conv over one dimension",
    one("ConvTranspose", "w", "b", strides=[2], pads=[1, 0]),
    layers.ConvTranspose,
    {"w": drawn(3, 4, 3), "b": drawn(4)},
    ROW,
)
CASES.add(
    "matmul over rows, added",
    [node("MatMul", ["x", "m"], "c"), node("Add", ["b", "c"], "y")],
    layers.Dense,
    {"m": drawn(8, 5), "b": drawn(5)},
)
CASES.add(
    "matmul, added to something else",
    [node("MatMul", ["x", "m"], "c"), node("Add", ["c", "b"], "y")],
    [layers.Dense, layers.Add],
    {"m": drawn(8, 5), "b": drawn(8, 5)},
)
NORM = {"s": positive(3), "o": drawn(3), "m": drawn(3, seed=1), "v": positive(3)}
for rank, dims in {"images": IMAGE, "rows": ROW, "vectors": (3,)}.items():
    CASES.add(
        f"batch norm of {rank}",
        one("BatchNormalization", *"somv", epsilon=0.01),
        layers.BatchNorm,
        NORM,
        dims,
    )
CASES.add(
    "batch norm behind a transposed conv",
    [node("ConvTranspose", ["x", "w"], "c"), node("BatchNormalization", ["c", *"somv"], "y")],
    layers.ConvTranspose,
    {"w": drawn(3, 3, 2, 2), **NORM},
)
