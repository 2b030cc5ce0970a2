"""How fast are the convolution kernels, against what a user would run instead?

    .venv/bin/python benchmarks/kernels.py

Contenders take turns on the same layer, one thread each: this project's kernel with its
output stage; onnxruntime's QLinearConv, 8-bit unsigned activations times 8-bit signed
weights; and the textbook loop nest, compiled by Numba. Medians of GMAC/s, and ratios. All
three must give the same integers first.

Then accumulators of 20 bits that saturate, without an output stage: as one chain per output,
as columns of 16 products whose sums are added, and the chain as a textbook loop nest.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnxruntime as ort
from numba import njit
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from accel_sim.accumulation import (
    AccumulationLevel,
    AccumulationPlan,
    Adder,
    Dimension,
    ReductionLoop,
    Start,
)
from accel_sim.kernels import conv, output_stage
from accel_sim.layer_steps.ordered_filters import Taps, arrange_filters
from accel_sim.layer_steps.planned_sums import plan_sums
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


Contender = Callable[[Layer, NDArray[np.uint8], NDArray[np.int8]], Callable[[], object]]

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


NARROW_BITS = 20
COLUMN_ROWS = 16


@njit(nogil=True)
def textbook_saturating(ifm, weights, stride, low, high, acc):  # type: ignore[no-untyped-def]
    """Seven loops over a padded map; every addition clamps."""
    for k in range(weights.shape[0]):
        for p in range(acc.shape[1]):
            for q in range(acc.shape[2]):
                total = 0
                for c in range(weights.shape[1]):
                    for r in range(weights.shape[2]):
                        for s in range(weights.shape[3]):
                            x = np.int64(ifm[c, p * stride + r, q * stride + s])
                            total += x * np.int64(weights[k, c, r, s])
                            total = min(max(total, low), high)
                acc[k, p, q] = total


def naive_saturating(
    layer: Layer, ifm: NDArray[np.uint8], weights: NDArray[np.int8]
) -> Callable[[], object]:
    padded = np.pad(ifm, ((0, 0), (layer.pad,) * 2, (layer.pad,) * 2))
    half = 1 << (NARROW_BITS - 1)

    def run() -> NDArray[np.int32]:
        acc = np.empty((layer.filters, layer.out_size, layer.out_size), np.int32)
        textbook_saturating(padded, weights, layer.stride, -half, half - 1, acc)
        return acc

    return run


def in_order(column_rows: int | None) -> Contender:
    """Our sums by a plan: one chain, or columns of so many products."""
    lowest = AccumulationLevel(
        loops=tuple(ReductionLoop(dimension=dimension, step=1) for dimension in Dimension),
        max_terms=column_rows, adder=Adder.CHAIN, start=Start.ZERO, bits=NARROW_BITS,
        saturates=True,
    )  # fmt: skip
    folds = replace(lowest, loops=(), max_terms=None, start=Start.LEVEL_BELOW)
    plan = AccumulationPlan(levels=(lowest,) if column_rows is None else (lowest, folds))

    def make(
        layer: Layer, ifm: NDArray[np.uint8], weights: NDArray[np.int8]
    ) -> Callable[[], object]:
        size, out = layer.size, layer.out_size
        geometry = conv.plan_conv(
            (size, size), (out, out), (layer.taps,) * 2, (layer.stride,) * 2, (layer.pad,) * 4,
            (1, 1),
        )  # fmt: skip
        sums = plan_sums(plan, (layer.channels, layer.taps, layer.taps), 255 * 64)
        rows, cols = geometry.acc_shape
        taps = Taps(
            weights=weights.reshape(layer.filters, layer.channels, -1).astype(np.int32),
            phases=geometry.tap_phase, offsets=geometry.tap_offset,
            window=(layer.taps, layer.taps), groups=1,
        )  # fmt: skip
        pixels = (np.arange(out)[:, None] * cols + np.arange(out)).reshape(-1)
        filters = arrange_filters(sums, taps, np.ones(layer.filters, np.bool_), pixels)
        wide = ifm.astype(np.int32)

        def run() -> NDArray[np.int32]:
            acc = np.zeros((layer.filters, rows * cols), np.int32)
            filters.run(conv.split_phases(wide, geometry), acc)
            return acc.reshape(layer.filters, rows, cols)[:, :, :out]

        return run

    return make


CONTENDERS = {"ours": ours, "onnxruntime": onnxruntime, "textbook": naive}


SATURATING = {
    "chain": in_order(None),
    "columns": in_order(COLUMN_ROWS),
    "textbook": naive_saturating,
}


def draw(layer: Layer) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    rng = np.random.default_rng(0)
    ifm = rng.integers(0, 256, (layer.channels, layer.size, layer.size)).astype(np.uint8)
    # Within -64..63: onnxruntime's 8-bit kernels may saturate pairs of larger products.
    shape = (layer.filters, layer.channels, layer.taps, layer.taps)
    return ifm, rng.integers(-64, 64, shape).astype(np.int8)


def take_turns(layer: Layer, runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """GMAC/s of every contender: medians of rounds in which they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: layer.macs / statistics.median(times) / 1e9 for name, times in seconds.items()}


def measure(layer: Layer) -> dict[str, float]:
    runs = {name: make(layer, *draw(layer)) for name, make in CONTENDERS.items()}
    expected = np.asarray(runs["textbook"]())
    np.testing.assert_array_equal(np.asarray(runs["ours"]()), expected)
    # onnxruntime rounds ties to even: at most one apart, where the sum is a tie.
    assert np.abs(np.asarray(runs["onnxruntime"]()).astype(int) - expected).max() <= 1
    return take_turns(layer, runs)


def measure_saturating(layer: Layer) -> dict[str, float]:
    runs = {name: make(layer, *draw(layer)) for name, make in SATURATING.items()}
    np.testing.assert_array_equal(np.asarray(runs["chain"]()), np.asarray(runs["textbook"]()))
    return take_turns(layer, runs)


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
    print(f"\n{'saturating':<28}{'chain':>8}{'columns':>13}{'textbook':>10}{'/textbook':>18}")
    for layer in LAYERS:
        speed = measure_saturating(layer)
        print(
            f"{layer!s:<28}{speed['chain']:>8.1f}{speed['columns']:>13.1f}"
            f"{speed['textbook']:>10.2f}{speed['chain'] / speed['textbook']:>18.1f}"
        )


if __name__ == "__main__":
    main()
