"""How fast are exact layers, against what a user would run instead?

    .venv/bin/python benchmarks/inference.py

Contenders take turns on the same layer, one thread each. Ours run from packed map to packed
map, output stage included, on every path of the host; then, on the fastest, from maps as
layers hand them round, and with operands of 10 bits, and of 12, 14 and 16 bits with an
accumulator of 48: with evenly spread weights, which are the worst case, and with bell-shaped ones.
Theirs are onnxruntime's QLinearConv (8-bit unsigned activations times
8-bit signed weights), its float convolution, torch's where it is installed, and the textbook
loop nest, compiled by Numba. Medians of GMAC/s, and ratios. Those of 8 bits must give the
same integers first.

Then the convolutions of whole networks, one after another; and eight images on two threads,
beside a loop that only counts, which shows what the host gives to two.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import onnxruntime as ort
from numba import njit
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from accel_sim.kernels.micro_bands import Shape
from accel_sim.kernels.micro_kernels import HOST_PATHS, Path
from accel_sim.layer_steps.feature_map import channels_last, from_channels_last
from accel_sim.layer_steps.packed_sums import PackedLayer, pack_layer
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.graph import Network
from quantizer.network.layers import Conv
from quantizer.quantized import BitWidths, NumericRules, QuantizedConstant, QuantizedNetwork

ROUNDS = 9
WIDE = (10, 12, 14, 16)
"""Bits of operands that are wider than theirs."""
SHIFT = 8
Run = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A square convolution, padded to keep its size at stride 1; a dense layer has size 1."""

    channels: int
    size: int
    filters: int
    taps: int = 1
    stride: int = 1
    groups: int = 1

    @property
    def pad(self) -> int:
        return self.taps // 2

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.pad - self.taps) // self.stride + 1

    @property
    def macs(self) -> int:
        return self.filters * (self.channels // self.groups) * self.taps**2 * self.out_size**2

    def __str__(self) -> str:
        kind = " depthwise" if self.groups > 1 else ""
        return (
            f"{self.channels}x{self.size}x{self.size} -> {self.filters}, "
            f"{self.taps}x{self.taps}/{self.stride}{kind}"
        )


NARROW_LAYERS = (
    Layer(channels=64, size=56, filters=16, taps=3),
    Layer(channels=64, size=56, filters=48, taps=3),
)
"""Whose filters fill half a block, the last at least."""

LAYERS = (
    Layer(channels=3, size=224, filters=64, taps=7, stride=2),
    Layer(channels=64, size=56, filters=64, taps=3),
    Layer(channels=128, size=28, filters=128, taps=3),
    Layer(channels=512, size=7, filters=512, taps=3),
    Layer(channels=256, size=28, filters=256),
    *NARROW_LAYERS,
    Layer(channels=256, size=28, filters=256, taps=3, groups=256),
    Layer(channels=64, size=112, filters=64, taps=3, stride=2, groups=64),
    Layer(channels=512, size=1, filters=1000),
)


def resnet18() -> list[tuple[Layer, int]]:
    """Convolutions, and how often each occurs."""
    layers = [(LAYERS[0], 1), (LAYERS[1], 4)]
    for channels, size in ((128, 28), (256, 14), (512, 7)):
        half, twice = channels // 2, 2 * size
        layers += [
            (Layer(channels=half, size=twice, filters=channels, taps=3, stride=2), 1),
            (Layer(channels=half, size=twice, filters=channels, stride=2), 1),
            (Layer(channels=channels, size=size, filters=channels, taps=3), 3),
        ]
    return layers


def mobilenet_v1() -> list[tuple[Layer, int]]:
    layers = [(Layer(channels=3, size=224, filters=32, taps=3, stride=2), 1)]
    for channels, size, filters, stride, count in (
        (32, 112, 64, 1, 1), (64, 112, 128, 2, 1), (128, 56, 128, 1, 1), (128, 56, 256, 2, 1),
        (256, 28, 256, 1, 1), (256, 28, 512, 2, 1), (512, 14, 512, 1, 5), (512, 14, 1024, 2, 1),
        (1024, 7, 1024, 1, 1),
    ):  # fmt: skip
        depthwise = Layer(
            channels=channels, size=size, filters=channels, taps=3, stride=stride, groups=channels
        )
        pointwise = Layer(channels=channels, size=size // stride, filters=filters)
        layers += [(depthwise, count), (pointwise, count)]
    return layers


def draw(
    layer: Layer, bits: int = 8, *, is_bell: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    ifm = rng.integers(0, 1 << bits, (layer.channels, layer.size, layer.size))
    shape = (layer.filters, layer.channels // layer.groups, layer.taps, layer.taps)
    if is_bell:
        # The median of the layers of SqueezeNet 1.1, in 16 bits with one scale per tensor.
        weights = np.rint(rng.normal(0, (1 << (bits - 1)) / 10, shape)).astype(np.int64)
        return ifm, np.clip(weights, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    # Half the range: onnxruntime's 8-bit kernels may saturate pairs of larger products.
    return ifm, rng.integers(-(1 << (bits - 2)), 1 << (bits - 2), shape)


def describe(
    layer: Layer, weights: NDArray[np.int64], bits: int, rules: NumericRules
) -> tuple[QuantizedNetwork, Conv, Shape]:
    """Give a layer as a network of its own, with operands of so many bits, and its shape."""
    ifm = (layer.channels, layer.size, layer.size)
    out = (layer.filters, layer.out_size, layer.out_size)
    conv = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None, stride=(layer.stride,) * 2,
        pads=(layer.pad,) * 4, dilation=(1, 1), groups=layer.groups, clamp=None,
    )  # fmt: skip
    network = QuantizedNetwork(
        network=Network(
            name="layer", digest="", input="x", outputs=("y",), layers=(conv,),
            shapes={"x": ifm, "y": out}, constants={},
        ),
        rules=rules,
        bits=BitWidths(),
        method="given",
        formats={
            "x": QFormat(bits=bits, frac_bits=0, signed=False),
            "y": QFormat(bits=bits, frac_bits=-SHIFT, signed=False),
        },
        weights={
            "w": QuantizedConstant(raw=weights, bits=bits, frac_bits=np.zeros(len(weights), int))
        },
        biases={},
    )  # fmt: skip
    shape = Shape(
        ifm=ifm, ofm=out, window=(layer.taps,) * 2, stride=(layer.stride,) * 2,
        first_pads=(layer.pad,) * 2, dilation=(1, 1), groups=layer.groups,
    )  # fmt: skip
    return network, conv, shape


def prepare(layer: Layer, path: Path, bits: int = 8, *, is_bell: bool = False) -> PackedLayer:
    rules = NumericRules(accumulator_bits=48 if bits > 10 else 32)
    weights = draw(layer, bits, is_bell=is_bell)[1]
    packed = pack_layer(*describe(layer, weights, bits, rules), path)
    assert packed is not None
    return packed


def ours(layer: Layer, path: Path, bits: int = 8, *, is_bell: bool = False) -> Run:
    packed = prepare(layer, path, bits, is_bell=is_bell)
    ifm = packed.pack(draw(layer, bits)[0].astype(np.int32))
    return lambda: packed.run(ifm)[0]


def from_map(layer: Layer, path: Path) -> Run:
    """Ours from a map as the exact run hands it round."""
    packed = prepare(layer, path)
    ifm = draw(layer)[0]
    kept = from_channels_last(channels_last(ifm, packed.ifm), ifm.shape)
    return lambda: packed.run(packed.pack(kept))[0]


def onnxruntime(layer: Layer, *, is_float: bool = False) -> Run:
    ifm, weights = draw(layer)
    kind, dtype = (TensorProto.FLOAT, np.float32) if is_float else (TensorProto.UINT8, np.uint8)
    constants: dict[str, Any] = {"w": weights.astype(np.float32 if is_float else np.int8)}
    inputs = ["x", "w"]
    if not is_float:
        constants |= {
            "one": np.float32(1), "zero": np.uint8(0), "w_zero": np.int8(0),
            "step": np.float32(2.0**SHIFT),
        }  # fmt: skip
        inputs = ["x", "one", "zero", "w", "one", "w_zero", "step", "zero"]
    node = helper.make_node(
        "Conv" if is_float else "QLinearConv", inputs, ["y"], strides=[layer.stride] * 2,
        pads=[layer.pad] * 4, group=layer.groups,
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "layer", [helper.make_tensor_value_info("x", kind, (1, *ifm.shape))],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    batch = ifm[np.newaxis].astype(dtype)
    return lambda: session.run(None, {"x": batch})[0][0]


def torch_float(layer: Layer) -> Run:
    import torch

    torch.set_num_threads(1)
    ifm, weights = (torch.from_numpy(operand.astype(np.float32)) for operand in draw(layer))
    batch = ifm[None]

    def run() -> object:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(
                batch, weights, stride=layer.stride, padding=layer.pad, groups=layer.groups
            )

    return run


@njit(nogil=True)
def textbook(ifm, weights, stride, pad, shift, ofm):
    """Seven loops, then ties to +infinity and clip to 0..255."""
    group_channels = weights.shape[1]
    group_filters = weights.shape[0] * group_channels // ifm.shape[0]
    for k in range(weights.shape[0]):
        for p in range(ofm.shape[1]):
            for q in range(ofm.shape[2]):
                total = np.int64(0)
                for c in range(group_channels):
                    for r in range(weights.shape[2]):
                        row = p * stride + r - pad
                        if row < 0 or row >= ifm.shape[1]:
                            continue
                        for s in range(weights.shape[3]):
                            col = q * stride + s - pad
                            if 0 <= col < ifm.shape[2]:
                                x = ifm[k // group_filters * group_channels + c, row, col]
                                total += np.int64(x) * np.int64(weights[k, c, r, s])
                ofm[k, p, q] = min(max((total + (1 << (shift - 1))) >> shift, 0), 255)


def naive(layer: Layer) -> Run:
    ifm, weights = draw(layer)
    operands = ifm.astype(np.uint8), weights.astype(np.int8)

    def run() -> NDArray[np.int32]:
        ofm = np.empty((layer.filters, layer.out_size, layer.out_size), np.int32)
        textbook(*operands, layer.stride, layer.pad, SHIFT, ofm)
        return ofm

    return run


def take_turns(
    runs: Mapping[str, Run], rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Seconds of every contender: medians of rounds in which they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def find_contenders(layer: Layer, *, with_slow: bool) -> dict[str, Run]:
    """All of a layer, which agree first."""
    runs = {path.name: ours(layer, path) for path in HOST_PATHS}
    runs["ort u8s8"] = onnxruntime(layer)
    expected = np.asarray(naive(layer)())
    for path in HOST_PATHS:
        found = np.asarray(runs[path.name]()).T.reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)
    # onnxruntime rounds ties to even: at most one apart, where the sum is a tie.
    assert np.abs(np.asarray(runs["ort u8s8"]()).astype(int) - expected).max() <= 1
    runs["from map"] = from_map(layer, HOST_PATHS[0])
    runs |= {f"{bits} bits": ours(layer, HOST_PATHS[0], bits) for bits in WIDE}
    for bits in WIDE[2:]:
        runs[f"{bits} bell"] = ours(layer, HOST_PATHS[0], bits, is_bell=True)
    runs["ort f32"] = onnxruntime(layer, is_float=True)
    if find_spec("torch"):
        runs["torch f32"] = torch_float(layer)
    if with_slow:
        return runs | {"textbook": naive(layer)}
    return {name: run for name, run in runs.items() if name != "plain"}


def print_ratios(title: str, macs: int, seconds: Mapping[str, float]) -> None:
    speeds = "".join(f"{macs / seconds[name] / 1e9:>12.1f}" for name in seconds)
    best, other = seconds[HOST_PATHS[0].name], seconds.get("torch f32", seconds["ort f32"])
    wide = [other / taken for name, taken in seconds.items() if name.endswith(("bits", "bell"))]
    ratios = [seconds["ort u8s8"] / best, other / best, *wide]
    if "textbook" in seconds:
        ratios.append(seconds["textbook"] / seconds["plain"])
    print(f"{title:<36}{speeds}   " + "".join(f"{ratio:>8.2f}" for ratio in ratios))


def print_stack(name: str, stack: Sequence[tuple[Layer, int]]) -> None:
    total: dict[str, float] = {}
    for layer, count in stack:
        for contender, seconds in take_turns(find_contenders(layer, with_slow=False)).items():
            total[contender] = total.get(contender, 0.0) + count * seconds
    print_ratios(name, sum(layer.macs * count for layer, count in stack), total)


@njit(nogil=True)
def count(n):
    """Nothing but arithmetic in registers."""
    total = n
    for i in range(n):
        total = (3 * total + i) ^ total
    return total


def print_threads(images: int = 8) -> None:
    """Eight images through one layer on two threads, beside what the host gives to two."""
    layer = LAYERS[2]
    runs = {"layer": ours(layer, HOST_PATHS[0]), "count": lambda: count(400_000)}
    pools = {threads: ThreadPoolExecutor(threads) for threads in (1, 2)}

    def batch(run: Run, threads: int) -> Run:
        return lambda: list(pools[threads].map(lambda _: run(), range(images)))

    seconds = take_turns(
        {f"{name} {n}": batch(run, n) for name, run in runs.items() for n in pools}, 3 * ROUNDS
    )
    gain = {name: seconds[f"{name} 1"] / seconds[f"{name} 2"] for name in runs}
    print(
        f"\n{images} images of {layer} on 2 threads: {gain['layer']:.2f} x one; "
        f"a loop that only counts: {gain['count']:.2f} x"
    )


def main() -> None:
    print(
        f"numpy {np.__version__}, numba {numba.__version__}, onnxruntime {ort.__version__}; "
        f"one thread, GMAC/s; ratios: {HOST_PATHS[0].name} to onnxruntime u8s8 and to f32, "
        "10, 12, 14, 16 bits, 14 and 16 bell-shaped to f32, plain to textbook"
    )
    names = [*find_contenders(LAYERS[-1], with_slow=True)]
    print(f"{'layer':<36}" + "".join(f"{name:>12}" for name in names))
    for layer in LAYERS:
        print_ratios(str(layer), layer.macs, take_turns(find_contenders(layer, with_slow=True)))
    names = [name for name in names if name not in ("plain", "textbook")]
    print(f"\n{'network':<36}" + "".join(f"{name:>12}" for name in names))
    print_stack("ResNet-18", resnet18())
    print_stack("MobileNetV1", mobilenet_v1())
    print_threads()


if __name__ == "__main__":
    main()
