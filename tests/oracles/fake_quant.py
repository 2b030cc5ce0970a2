"""A whole quantized network in float64: fake quantization on real values.

The second oracle. Maps, weights and biases are float64 multiples of their steps, sums of
products come from BLAS, and rounding is float64 arithmetic. All of it is exact while every
accumulator, counted in its own steps, stays below ``2**53``, which each layer asserts. There
is no accumulator that wraps: each layer asserts that none would.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles.moves import move
from tests.oracles.onnx_file import read_graph
from tests.oracles.onnx_graph import Graph, Node

RealArray = NDArray[np.float64]
Formats = Mapping[str, Mapping[str, Any]]
EXACT_BELOW = 2.0**53
IMAGES_PER_PASS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The real numbers a format can hold: multiples of ``step`` from ``lowest`` to ``highest``."""

    step: float
    lowest: float
    highest: float


def run(
    model_path: str | Path,
    formats: Formats,
    images: RealArray,
    requantize_rounding: str = "ties_pos",
    average_pool_rounding: str = "ties_pos",
    accumulator_bits: int = 32,
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Raw integers of every stored tensor; the arguments of `integer_network.run`.

    Raises
    ------
    ValueError
        If the file, the formats or an operator are not what the contract allows.
    AssertionError
        If a sum is too large for float64 or leaves the accumulator.
    """
    graph = read_graph(model_path, constants=constants or {}, named_tensors=formats)
    network = _FakeQuantNetwork(
        graph, formats, requantize_rounding, average_pool_rounding, accumulator_bits
    )
    passes = [
        network.raw_tensors(images[first : first + IMAGES_PER_PASS])
        for first in range(0, len(images), IMAGES_PER_PASS)
    ]
    return {name: np.concatenate([part[name] for part in passes]) for name in passes[0]}


def round_float(value: RealArray, mode: str) -> RealArray:
    """Round to integers; exact, since doubling, halving and the NumPy roundings are."""
    match mode:
        case "ties_pos":
            return np.ceil(np.floor(2 * value) / 2)
        case "ties_even":
            return np.rint(value)
        case "ties_away":
            return np.copysign(np.ceil(np.floor(2 * abs(value)) / 2), value)
        case "to_neg":
            return np.floor(value)
        case "to_zero":
            return np.trunc(value)
    raise ValueError(
        f"rounding must be one of ties_pos, ties_even, ties_away, to_neg, to_zero; got {mode!r}"
    )


def grid(entry: Mapping[str, Any], frac_bits: int) -> Grid:
    """The grid of one entry of a formats file, for one of its fraction lengths."""
    step = 2.0**-frac_bits
    if entry["signed"]:
        half = 2.0 ** (entry["bits"] - 1)
        return Grid(step=step, lowest=-half * step, highest=(half - 1) * step)
    return Grid(step=step, lowest=0.0, highest=(2.0 ** entry["bits"] - 1) * step)


def quantize(value: RealArray, onto: Grid, mode: str) -> RealArray:
    """Round real numbers onto a grid and saturate at its ends."""
    return np.clip(round_float(value / onto.step, mode) * onto.step, onto.lowest, onto.highest)


def window_positions(
    attributes: Mapping[str, Any], axis: int, size: int, kernel: int
) -> tuple[NDArray[np.int64], int, int]:
    """Positions ``[windows, kernel]`` that windows read along one axis, and its two pads.

    Positions before 0 or from ``size`` on lie in the padding or beyond it.
    """
    stride = attributes.get("strides", [1, 1])[axis]
    dilation = attributes.get("dilations", [1, 1])[axis]
    pads = attributes.get("pads", [0, 0, 0, 0])
    begin, end = pads[axis], pads[axis + 2]
    taps = np.arange(kernel) * dilation
    auto_pad = attributes.get("auto_pad", b"NOTSET")
    if auto_pad == b"VALID":
        begin = end = 0
    if auto_pad in (b"SAME_UPPER", b"SAME_LOWER"):
        n_windows = (size + stride - 1) // stride
        missing = max(0, (n_windows - 1) * stride + int(taps[-1]) + 1 - size)
        begin, end = missing // 2, missing // 2
        if missing % 2 and auto_pad == b"SAME_UPPER":
            end += 1
        elif missing % 2:
            begin += 1
    last_start = size + end - int(taps[-1]) - 1
    starts = list(range(-begin, last_start + 1, stride))
    following = starts[-1] + stride
    if attributes.get("ceil_mode", 0) and starts[-1] < last_start and following < size:
        starts.append(following)
    return np.array(starts)[:, None] + taps, begin, end


class _FakeQuantNetwork:
    """The graph, and the real values of its stored tensors while some images run through."""

    def __init__(
        self,
        graph: Graph,
        formats: Formats,
        requantize_rounding: str,
        average_pool_rounding: str,
        accumulator_bits: int,
    ) -> None:
        self.graph = graph
        self.formats = formats
        self.requantize_rounding = requantize_rounding
        self.average_pool_rounding = average_pool_rounding
        self.accumulator_bits = accumulator_bits
        self.reals: dict[str, RealArray] = {}
        self.grids: dict[str, Grid] = {}

    def raw_tensors(self, images: RealArray) -> dict[str, NDArray[np.int64]]:
        """Run some images through the network."""
        name = self.graph.input_name
        self.grids = {name: self._given_grid(name)}
        self.reals = {name: quantize(images, self.grids[name], self.requantize_rounding)}
        unstored: set[str] = set()
        for node in self.graph.nodes:
            if node.output not in unstored:
                self._execute(node, unstored)
        return {
            name: (real / self.grids[name].step).astype(np.int64)
            for name, real in self.reals.items()
        }

    def _execute(self, node: Node, unstored: set[str]) -> None:
        requantize = self.requantize_rounding
        match node.operator:
            case "Conv" | "Gemm" | "MatMul":
                self._store(node, self._product(node), requantize, unstored)
            case "Add":
                self._store(node, self._sum(node), requantize, unstored)
            case "AveragePool" | "GlobalAveragePool":
                self._store(node, self._mean(node), self.average_pool_rounding, unstored)
            case "Concat":
                onto = self._given_grid(node.output)
                parts = [quantize(self.reals[name], onto, requantize) for name in node.inputs]
                axis = node.attributes["axis"] % parts[0].ndim
                if axis == 0:
                    raise ValueError(f"{node.output}: Concat must not join images")
                self.reals[node.output] = np.concatenate(parts, axis=axis)
                self.grids[node.output] = onto
            case "MaxPool":
                windows, _ = self._gather(node, self.grids[node.inputs[0]].lowest)
                self._inherit(node, windows.max(axis=(-2, -1)))
            case "Relu" | "Clip":
                onto = self.grids[node.inputs[0]]
                self._inherit(node, self._activate(node, self.reals[node.inputs[0]], onto))
            case "Flatten" | "Reshape":
                self._inherit(node, move(self.graph, node, self.reals[node.inputs[0]])[0])
            case "Identity":
                self._inherit(node, self.reals[node.inputs[0]])
            case _:
                raise ValueError(f"{node.output}: operator {node.operator} is not supported")

    def _store(self, node: Node, exact: RealArray, mode: str, unstored: set[str]) -> None:
        """Round exact results onto the grid of the first tensor from here that has one."""
        path = self._path_to_memory(node)
        unstored.update(step.output for step in path)
        output = path[-1].output if path else node.output
        onto = self._given_grid(output)
        rounded = round_float(exact / onto.step, mode) * onto.step
        for step in path:
            if step.operator != "Identity":
                rounded = self._activate(step, rounded, onto)
        self.reals[output] = np.clip(rounded, onto.lowest, onto.highest)
        self.grids[output] = onto

    def _path_to_memory(self, node: Node) -> list[Node]:
        """Activations and copies after a node, up to the first output that has a format."""
        path: list[Node] = []
        output = node.output
        while output not in self.formats:
            follower = self.graph.sole_consumer(output)
            if follower is None or follower.operator not in ("Relu", "Clip", "Identity"):
                raise ValueError(f"{output}: no format is given and nothing can absorb it")
            path.append(follower)
            output = follower.output
        return path

    def _activate(self, node: Node, real: RealArray, onto: Grid) -> RealArray:
        lower, upper = self.graph.activation_bounds(node)
        if lower is not None:
            real = np.maximum(real, self._bound(lower, onto))
        if upper is not None:
            real = np.minimum(real, self._bound(upper, onto))
        return np.clip(real, onto.lowest, onto.highest)

    def _bound(self, bound: float, onto: Grid) -> RealArray:
        return round_float(np.array(bound / onto.step), self.requantize_rounding) * onto.step

    def _inherit(self, node: Node, real: RealArray) -> None:
        onto = self.grids[node.inputs[0]]
        if node.output in self.formats and self._given_grid(node.output) != onto:
            raise ValueError(f"{node.output}: its format must be that of {node.inputs[0]}")
        self.reals[node.output] = real
        self.grids[node.output] = onto

    def _given_grid(self, name: str) -> Grid:
        entry = self.formats[name]
        return grid(entry, entry["frac_bits"])

    def _constant(self, name: str, real: RealArray) -> tuple[RealArray, RealArray]:
        """Quantize ``real[K, ...]`` channel by channel; return it and the steps ``[K]``."""
        entry = self.formats[name]
        frac_bits = entry["frac_bits"]
        per_channel = frac_bits if isinstance(frac_bits, list) else [frac_bits] * len(real)
        grids = [grid(entry, channel_frac_bits) for channel_frac_bits in per_channel]
        quantized = [
            quantize(channel, onto, "ties_even") for channel, onto in zip(real, grids, strict=True)
        ]
        return np.array(quantized), np.array([onto.step for onto in grids])

    def _product(self, node: Node) -> RealArray:
        """Exact sums of products plus bias, ``[N, K, ...]``."""
        given = self.graph.product_constants(node)
        weights, weight_steps = self._constant(given.weights_name, given.weights)
        ifm = self.reals[node.inputs[0]]
        ifm_step = self.grids[node.inputs[0]].step
        acc_steps = weight_steps * ifm_step

        taps = weights.reshape(len(weights), -1)
        largest_sums = abs(taps).sum(axis=1) * abs(ifm).max() / acc_steps
        assert largest_sums.max() < EXACT_BELOW, f"{node.output}: not exact in float64"

        if node.operator == "Conv":
            sums = self._convolution(node, taps, (weights.shape[2], weights.shape[3]))
        else:
            sums = ifm @ taps.T
        channel_shape = (1, -1, *[1] * (sums.ndim - 2))
        acc = sums / acc_steps.reshape(channel_shape)
        limit = 2.0 ** (self.accumulator_bits - 1)
        assert acc.min() >= -limit, f"{node.output}: a sum leaves the accumulator"
        assert acc.max() < limit, f"{node.output}: a sum leaves the accumulator"
        if given.bias_name is None or given.bias is None:
            return sums

        bias, bias_steps = self._constant(given.bias_name, given.bias)
        if not np.array_equal(bias, np.rint(given.bias / bias_steps) * bias_steps):
            raise ValueError(f"{given.bias_name}: a bias does not fit its format")
        if (bias_steps < acc_steps).any():
            raise ValueError(f"{given.bias_name}: more fraction bits than the accumulator's")
        assert (largest_sums + abs(bias) / acc_steps).max() < EXACT_BELOW
        return sums + bias.reshape(channel_shape)

    def _convolution(self, node: Node, taps: RealArray, kernel: tuple[int, int]) -> RealArray:
        windows, _ = self._gather(node, 0.0, kernel)
        n_images, _, n_rows, n_cols = windows.shape[:4]
        groups = node.attributes.get("group", 1)
        columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(
            n_images * n_rows * n_cols, groups, -1
        )
        filters = taps.reshape(groups, len(taps) // groups, -1)
        parts = [columns[:, group] @ filters[group].T for group in range(groups)]
        sums = np.concatenate(parts, axis=1)
        return sums.reshape(n_images, n_rows, n_cols, len(taps)).transpose(0, 3, 1, 2)

    def _sum(self, node: Node) -> RealArray:
        operands = []
        finest = np.inf
        for name in node.inputs:
            if name in self.reals:
                real, step = self.reals[name], self.grids[name].step
            else:
                onto = self._given_grid(name)
                constant = self.graph.constants[name].astype(np.float64)
                real, step = quantize(constant, onto, "ties_even"), onto.step
            operands.append(real)
            finest = min(finest, step)
        first, second = operands
        assert (abs(first).max() + abs(second).max()) / finest < EXACT_BELOW
        return first + second

    def _mean(self, node: Node) -> RealArray:
        """Means of windows, close enough to the exact rationals to round alike.

        A mean in steps of the ofm is a multiple of ``min(1, step ratio) / count``. While the sum
        in the finer of both steps stays below ``2**52``, float64 tells each such multiple from
        the ties next to it.
        """
        name = node.inputs[0]
        ifm = self.reals[name]
        if node.operator == "GlobalAveragePool":
            sums = ifm.sum(axis=(2, 3), keepdims=True)
            counts = np.array(ifm.shape[2] * ifm.shape[3], np.float64)
        else:
            windows, counts = self._gather(node, 0.0)
            sums = windows.sum(axis=(-2, -1))
        path = self._path_to_memory(node)
        onto = self._given_grid(path[-1].output if path else node.output)
        finest = min(self.grids[name].step, onto.step)
        assert abs(sums).max() / finest < EXACT_BELOW / 2
        return np.asarray(sums / counts)

    def _gather(
        self, node: Node, fill: float, kernel: tuple[int, int] | None = None
    ) -> tuple[RealArray, RealArray]:
        """Windows ``[N, C, P, Q, R, S]`` and how many positions of each an average counts."""
        ifm = self.reals[node.inputs[0]]
        height, width = ifm.shape[2:]
        n_rows, n_cols = kernel or node.attributes["kernel_shape"]
        rows, top, bottom = window_positions(node.attributes, 0, height, n_rows)
        cols, left, right = window_positions(node.attributes, 1, width, n_cols)
        # Enough padding on every side for any position a window reads.
        margins = (
            max(0, -int(rows.min())),
            max(0, int(rows.max()) + 1 - height),
            max(0, -int(cols.min())),
            max(0, int(cols.max()) + 1 - width),
        )
        padded = np.pad(ifm, ((0, 0), (0, 0), margins[:2], margins[2:]), constant_values=fill)
        windows = padded[
            :, :, (rows + margins[0])[:, None, :, None], (cols + margins[2])[None, :, None, :]
        ]
        if not node.attributes.get("count_include_pad", 0):
            top = bottom = left = right = 0
        counted_rows = ((rows >= -top) & (rows < height + bottom)).sum(axis=1)
        counted_cols = ((cols >= -left) & (cols < width + right)).sum(axis=1)
        return windows, np.multiply.outer(counted_rows, counted_cols).astype(np.float64)
