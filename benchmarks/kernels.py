"""How fast are the convolution kernels, against what a user would run instead?

    .venv/bin/python benchmarks/kernels.py

Contenders take turns on the same layer, one thread each: this project's kernel with its
output stage; onnxruntime's QLinearConv, 8-bit unsigned activations times 8-bit signed
weights; and the textbook loop nest, compiled by Numba. Medians of GMAC/s, and ratios. All
three must give the same integers first.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numba import njit
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from accel_sim.kernels import conv, output_stage
from quantizer.fixedpoint.qformat import Rounding

ROUNDS = 7
SHIFT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A square convolution, padded to keep its size at stride 1."""

    channels: int
    size: int
    filters: int
    taps: int
    stride: int

    @property
    def pad(self) -> int:
        return self.taps // 2

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.pad - self.taps) // self.stride + 1

    @property
    def macs(self) -> int:
        return self.filters * self.channels * self.taps**2 * self.out_size**2

    def __str__(self) -> str:
        return (
            f"{self.channels}x{self.size}x{self.size} -> {self.filters}, "
            f"{self.taps}x{self.taps}/{self.stride}"
        )


LAYERS = (
    Layer(channels=3, size=224, filters=64, taps=7, stride=2),
    Layer(channels=64, size=56, filters=64, taps=3, stride=1),
    Layer(channels=128, size=28, filters=128, taps=3, stride=1),
    Layer(channels=256, size=28, filters=256, taps=1, stride=1),
    Layer(channels=512, size=7, filters=512, taps=3, stride=1),
    Layer(channels=16, size=32, filters=16, taps=3, stride=1),
)


@njit(nogil=True)
def textbook(ifm, weights, stride, pad, shift, ofm):  # type: ignore[no-untyped-def]
    """Seven loops, then ties to +infinity and clip to 0..255."""
    channels, height, width = ifm.shape
    for k in range(weights.shape[0]):
        for p in range(ofm.shape[1]):
            for q in range(ofm.shape[2]):
                total = 0
                for c in range(channels):
                    for r in range(weights.shape[2]):
                        row = p * stride + r - pad
                        if row < 0 or row >= height:
                            continue
                        for s in range(weights.shape[3]):
                            col = q * stride + s - pad
                            if 0 <= col < width:
                                total += np.int64(ifm[c, row, col]) * np.int64(weights[k, c, r, s])
                ofm[k, p, q] = min(max((total + (1 << (shift - 1))) >> shift, 0), 255)


def ours(layer: Layer, ifm: NDArray[np.uint8], weights: NDArray[np.int8]) -> Callable[[], object]:
    size, out = layer.size, layer.out_size
    geometry = conv.plan_conv(
        (size, size), (out, out), (layer.taps,) * 2, (layer.stride,) * 2, (layer.pad,) * 4, (1, 1)
    )
    wide = ifm.astype(np.int32)
    packed = weights.reshape(layer.filters, layer.channels, -1).astype(np.int32)
    bias, shift = np.zeros(layer.filters, np.int64), np.full(layer.filters, SHIFT)
    rows, cols = geometry.acc_shape

    def run() -> NDArray[np.int32]:
        acc = np.empty((layer.filters, rows * cols), np.int32)
        phases = conv.split_phases(wide, geometry)
        conv.accumulate(phases, packed, geometry.tap_phase, geometry.tap_offset, 1, acc)
        ofm = np.empty((layer.filters, out, out), np.int32)
        output_stage.finish(
            acc.reshape(layer.filters, rows, cols), 32, bias, shift, int(Rounding.TIES_POS),
            (0, 255, 0, 1 << 40), ofm,
        )  # fmt: skip
        return ofm

    return run


def onnxruntime(
    layer: Layer, ifm: NDArray[np.uint8], weights: NDArray[np.int8]
) -> Callable[[], object]:
    constants = {
        "one": np.float32(1), "zero": np.uint8(0), "w": weights, "w_zero": np.int8(0),
        "step": np.float32(2.0**SHIFT),
    }  # fmt: skip
    node = helper.make_node(
        "QLinearConv",
        ["x", "one", "zero", "w", "one", "w_zero", "step", "zero"],
        ["y"],
        strides=[layer.stride] * 2,
        pads=[layer.pad] * 4,
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, (1, *ifm.shape))],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    batch = ifm[np.newaxis]
    return lambda: session.run(None, {"x": batch})[0][0]


def naive(layer: Layer, ifm: NDArray[np.uint8], weights: NDArray[np.int8]) -> Callable[[], object]:
    def run() -> NDArray[np.int32]:
        ofm = np.empty((layer.filters, layer.out_size, layer.out_size), np.int32)
        textbook(ifm, weights, layer.stride, layer.pad, SHIFT, ofm)
        return ofm

    return run


CONTENDERS = {"ours": ours, "onnxruntime": onnxruntime, "textbook": naive}


def measure(layer: Layer) -> dict[str, float]:
    """GMAC/s of every contender: medians of rounds in which they take turns."""
    rng = np.random.default_rng(0)
    ifm = rng.integers(0, 256, (layer.channels, layer.size, layer.size)).astype(np.uint8)
    # Within -64..63: onnxruntime's 8-bit kernels may saturate pairs of larger products.
    shape = (layer.filters, layer.channels, layer.taps, layer.taps)
    weights = rng.integers(-64, 64, shape).astype(np.int8)
    runs = {name: make(layer, ifm, weights) for name, make in CONTENDERS.items()}
    expected = np.asarray(runs["textbook"]())
    np.testing.assert_array_equal(np.asarray(runs["ours"]()), expected)
    # onnxruntime rounds ties to even: at most one apart, where the sum is a tie.
    assert np.abs(np.asarray(runs["onnxruntime"]()).astype(int) - expected).max() <= 1
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: layer.macs / statistics.median(times) / 1e9 for name, times in seconds.items()}


def main() -> None:
    print(f"numpy {np.__version__}, onnxruntime {ort.__version__}; one thread, GMAC/s")
    print(
        f"{'layer':<28}{'ours':>8}{'onnxruntime':>13}{'textbook':>10}{'/ort':>7}{'/textbook':>11}"
    )
    for layer in LAYERS:
        speed = measure(layer)
        print(
            f"{layer!s:<28}{speed['ours']:>8.1f}{speed['onnxruntime']:>13.1f}"
            f"{speed['textbook']:>10.2f}{speed['ours'] / speed['onnxruntime']:>7.2f}"
            f"{speed['ours'] / speed['textbook']:>11.1f}"
        )


if __name__ == "__main__":
    main()
