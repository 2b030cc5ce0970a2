"""How fast are whole exact networks, against an inference engine?

    .venv/bin/python benchmarks/networks.py

ResNet-18 and SqueezeNet 1.1, built here with random weights: time does not depend on what they
say. Contenders take turns on the same eight images, from float images to scores, on two threads:
ours image by image from a thread pool, only the scores kept; onnxruntime's statically quantized
model (8-bit unsigned activations, 8-bit signed weights, all optimisations) and its float model
with the whole batch in one call. Medians of images per second, and ratios.
"""

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from inference import Run
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from accel_sim.functional import ExactNetwork
from accel_sim.kernels.micro_kernels import HOST_PATHS
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths

BATCH, THREADS = 8, 2
CLASSES = 1000
SHAPE = (3, 224, 224)
ROUNDS, RUNS = 9, 10
"""Turns of every contender, and batches in each."""
PAUSE_S = 0.1
"""Before a turn: threads of onnxruntime spin for a while when their work is done."""
CALIBRATION_IMAGES = 4


class Builder:
    """Writes a network node by node; every method gives the name of what it makes."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._channels = {"x": SHAPE[0]}
        self._count: Counter[str] = Counter()

    def node(self, kind: str, inputs: list[str], channels: int, **attributes: Any) -> str:
        self._count[kind] += 1
        name = f"{kind.lower()}{self._count[kind]}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self._channels[name] = channels
        return name

    def conv(
        self, ifm: str, filters: int, taps: int = 1, stride: int = 1, pad: int | None = None
    ) -> str:
        channels = self._channels[ifm]
        pad = taps // 2 if pad is None else pad
        scale = np.sqrt(2 / (channels * taps * taps))
        weights = self._constant(self._rng.normal(0, scale, (filters, channels, taps, taps)))
        bias = self._constant(self._rng.normal(0, 0.1, filters))
        return self.node(
            "Conv", [ifm, weights, bias], filters, strides=[stride] * 2, pads=[pad] * 4
        )

    def relu(self, ifm: str) -> str:
        return self.node("Relu", [ifm], self._channels[ifm])

    def max_pool(self, ifm: str, pad: int) -> str:
        return self.node(
            "MaxPool", [ifm], self._channels[ifm], kernel_shape=[3, 3], strides=[2, 2],
            pads=[pad] * 4,
        )  # fmt: skip

    def add(self, left: str, right: str) -> str:
        return self.node("Add", [left, right], self._channels[left])

    def concat(self, parts: list[str]) -> str:
        channels = sum(self._channels[part] for part in parts)
        return self.node("Concat", parts, channels, axis=1)

    def scores(self, ifm: str) -> str:
        pooled = self.node("GlobalAveragePool", [ifm], self._channels[ifm])
        return self.node("Flatten", [pooled], self._channels[ifm])

    def dense(self, ifm: str) -> str:
        channels = self._channels[ifm]
        weights = self._constant(self._rng.normal(0, channels**-0.5, (CLASSES, channels)))
        bias = self._constant(self._rng.normal(0, 0.1, CLASSES))
        return self.node("Gemm", [ifm, weights, bias], CLASSES, transB=1)

    def model(self, output: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SHAPE])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", CLASSES])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def _constant(self, values: NDArray[np.float64]) -> str:
        name = f"constant{len(self._constants) + 1}"
        self._constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name


def resnet18() -> onnx.ModelProto:
    build = Builder()
    x = build.max_pool(build.relu(build.conv("x", 64, taps=7, stride=2)), pad=1)
    for filters, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
                            (512, 1)):  # fmt: skip
        inner = build.relu(build.conv(x, filters, taps=3, stride=stride))
        inner = build.conv(inner, filters, taps=3)
        if stride > 1:
            x = build.conv(x, filters, stride=stride)
        x = build.relu(build.add(inner, x))
    return build.model(build.dense(build.scores(x)))


def squeezenet() -> onnx.ModelProto:
    build = Builder()
    x = build.relu(build.conv("x", 64, taps=3, stride=2, pad=0))
    pools_before = (0, 2, 4)
    for index, filters in enumerate((64, 64, 128, 128, 192, 192, 256, 256)):
        if index in pools_before:
            x = build.max_pool(x, pad=0)
        squeezed = build.relu(build.conv(x, filters // 4))
        parts = [build.relu(build.conv(squeezed, filters, taps=taps)) for taps in (1, 3)]
        x = build.concat(parts)
    return build.model(build.scores(build.relu(build.conv(x, CLASSES))))


class _Calibration(CalibrationDataReader):
    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images: Iterator[NDArray[np.float32]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self._images, None)
        return None if image is None else {"x": image[np.newaxis]}


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def find_contenders(model: onnx.ModelProto, images: NDArray[np.float32]) -> dict[str, Run]:
    """All run the same images; the names say what they are."""
    with tempfile.TemporaryDirectory() as folder:
        path, quantized = Path(folder) / "network.onnx", Path(folder) / "quantized.onnx"
        onnx.save(model, path)
        graph = load_onnx(path)
        quantize_static(
            path, quantized, _Calibration(images[:CALIBRATION_IMAGES]),
            quant_format=QuantFormat.QOperator, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, per_channel=True,
        )  # fmt: skip
        sessions = {"ort u8s8": _session(quantized), "ort f32": _session(path)}
    shown = ImageSet(
        images=images, labels=None, preprocessing=Preprocessing(), source="random images"
    )
    network = quantize(graph, shown, BitWidths())
    pool = ThreadPoolExecutor(THREADS)

    reals = [shown.real(index) for index in range(len(shown))]

    def ours(exact: ExactNetwork) -> Run:
        def score(real: NDArray[np.float64]) -> object:
            return exact.run(real, keeps_maps=False).tensors[graph.output]

        return lambda: list(pool.map(score, reals))

    def theirs(session: ort.InferenceSession) -> Run:
        return lambda: session.run(None, {"x": images})

    runs = {path.name: ours(ExactNetwork(network, path=path)) for path in HOST_PATHS[:-1]}
    return runs | {name: theirs(session) for name, session in sessions.items()}


def take_turns(runs: Mapping[str, Run]) -> dict[str, float]:
    """Seconds of a run of every contender: medians over turns, after one run to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + ROUNDS):  # the first compiles
        for name, run in runs.items():
            time.sleep(PAUSE_S)
            run()
            start = time.perf_counter()
            for _ in range(RUNS):
                run()
            seconds[name].append((time.perf_counter() - start) / RUNS)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    print(
        f"numpy {np.__version__}, onnxruntime {ort.__version__}, ORT_ENABLE_ALL, QOperator, "
        f"{THREADS} threads, batch {BATCH}, from float images to scores; images per second"
    )
    images = np.random.default_rng(1).normal(0, 1, (BATCH, *SHAPE)).astype(np.float32)
    for name, model in (("resnet18", resnet18()), ("squeezenet1_1", squeezenet())):
        seconds = take_turns(find_contenders(model, images))
        speeds = "".join(f"  {one} {BATCH / taken:.1f}" for one, taken in seconds.items())
        best = seconds[HOST_PATHS[0].name]
        ratios = [f"{seconds[one] / best:.2f} x {one}" for one in seconds if one.startswith("ort")]
        print(f"{name}:{speeds}; {HOST_PATHS[0].name} is {', '.join(ratios)}")


if __name__ == "__main__":
    main()
