"""A whole quantized network in float64: fake quantization on real values.

The second oracle. Maps, weights and biases are float64 multiples of their steps, sums of
products come from BLAS, and rounding is float64 arithmetic. All of it is exact while every
accumulator, counted in its own steps, stays below ``2**53``, which each layer asserts. There
is no accumulator that wraps: each layer asserts that none would.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles.moves import MOVES, move
from tests.oracles.onnx_file import read_graph
from tests.oracles.onnx_graph import FUNCTIONS, Graph, Node, aligned
from tests.oracles.real_grids import Grid, grid, quantize, round_float
from tests.oracles.real_windows import convolve, convolve_transposed, gather, without_row

RealArray = NDArray[np.float64]
Formats = Mapping[str, Mapping[str, Any]]
EXACT_BELOW = 2.0**53
IMAGES_PER_PASS = 8


class NotExpressible(ValueError):
    """An operator that float64 arithmetic cannot promise to round as the contract does."""


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
    NotExpressible
        For functions of one value and LRN: float64 could err at a tie.
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
        if node.operator in MOVES:
            moved = move(self.graph, node, self.reals[node.inputs[0]])
            for output, real in zip(node.outputs, moved, strict=True):
                self._inherit(node, output, real)
            return
        match node.operator:
            case "Conv" | "ConvTranspose" | "Gemm" | "MatMul":
                self._store(node, self._product(node), requantize, unstored)
            case "Add" | "Sub" | "Mul":
                self._store(node, self._combined(node), requantize, unstored)
            case "BatchNormalization":
                self._store(node, self._normalized(node), requantize, unstored)
            case "PRelu" | "LeakyRelu":
                self._store(node, self._bent(node), requantize, unstored)
            case "AveragePool" | "GlobalAveragePool" | "ReduceMean":
                self._store(node, self._mean(node), self.average_pool_rounding, unstored)
            case "Concat":
                onto = self._given_grid(node.output)
                parts = [quantize(self.reals[name], onto, requantize) for name in node.inputs]
                axis = node.attributes["axis"] % parts[0].ndim
                if axis == 0:
                    raise ValueError(f"{node.output}: Concat must not join images")
                self.reals[node.output] = np.concatenate(parts, axis=axis)
                self.grids[node.output] = onto
            case "MaxPool" | "GlobalMaxPool" | "ReduceMax" | "Relu" | "Clip" | "Pad":
                self._inherit(node, node.output, self._selected(node))
            case operator if operator in (*FUNCTIONS, "LRN"):
                raise NotExpressible(f"{node.output}: {operator} is not exact in float64")
            case _:
                raise ValueError(f"{node.output}: operator {node.operator} is not supported")

    def _selected(self, node: Node) -> RealArray:
        """What picks, clamps or surrounds values of its input and keeps its format."""
        ifm, onto = self.reals[node.inputs[0]], self.grids[node.inputs[0]]
        match node.operator:
            case "MaxPool":
                kernel = node.attributes["kernel_shape"]
                windows, _ = gather(node.attributes, ifm, onto.lowest, kernel)
                return without_row(windows.max(axis=(-2, -1)), ifm)
            case "GlobalMaxPool":
                return np.asarray(ifm.max(axis=tuple(range(2, ifm.ndim)), keepdims=True))
            case "ReduceMax":
                axes = self.graph.spatial_axes(node, ifm.ndim)
                return np.asarray(ifm.max(axis=axes, keepdims=node.attributes.get("keepdims", 1)))
            case "Pad":
                return self._surrounded(node, ifm, onto)
        return self._activate(node, ifm, onto)

    def _surrounded(self, node: Node, ifm: RealArray, onto: Grid) -> RealArray:
        """Copy a map into one that holds the padding's value everywhere."""
        if node.attributes.get("mode", b"constant") != b"constant":
            raise ValueError(f"{node.output}: Pad must write a constant")
        pads = self.graph.integers(node, "pads", 1) or []
        axes = self.graph.integers(node, "axes", 3) or list(range(ifm.ndim))
        ofm_shape = list(ifm.shape)
        source, target = [slice(None)] * ifm.ndim, [slice(None)] * ifm.ndim
        for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
            ofm_shape[axis] += begin + end
            source[axis] = slice(max(0, -begin), ifm.shape[axis] - max(0, -end))
            target[axis] = slice(max(0, begin), ofm_shape[axis] - max(0, end))
        if ofm_shape[0] != len(ifm):
            raise ValueError(f"{node.output}: Pad must not add images")
        name = node.input_or_none(2)
        value = float(self.graph.constants[name].item()) if name else 0.0
        held = np.clip(self._bound(value, onto), onto.lowest, onto.highest)
        ofm = np.full(ofm_shape, float(held))
        ofm[tuple(target)] = ifm[tuple(source)]
        return ofm

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

    def _inherit(self, node: Node, output: str, real: RealArray) -> None:
        onto = self.grids[node.inputs[0]]
        if output in self.formats and self._given_grid(output) != onto:
            raise ValueError(f"{output}: its format must be that of {node.inputs[0]}")
        self.reals[output] = real
        self.grids[output] = onto

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

        match node.operator:
            case "Conv":
                sums = convolve(node.attributes, ifm, weights)
            case "ConvTranspose":
                sums = convolve_transposed(node.attributes, ifm, weights)
            case _:
                if ifm.ndim != 2:
                    raise ValueError(f"{node.output}: {node.operator} reads maps [N, C] only")
                sums = ifm @ taps.T
        channel_shape = (1, -1, *[1] * (sums.ndim - 2))
        acc = sums / acc_steps.reshape(channel_shape)
        limit = 2.0 ** (self.accumulator_bits - 1)
        assert acc.min() >= -limit, f"{node.output}: a sum leaves the accumulator"
        assert acc.max() < limit, f"{node.output}: a sum leaves the accumulator"
        if given.bias_name is None or given.bias is None:
            return sums

        bias = self._bias(given.bias_name, given.bias, acc_steps)
        assert (largest_sums + abs(bias) / acc_steps).max() < EXACT_BELOW
        return sums + bias.reshape(channel_shape)

    def _bias(self, name: str, real: RealArray, acc_steps: RealArray) -> RealArray:
        """Quantized biases ``[K]``, which must lie on the accumulators' grids."""
        bias, bias_steps = self._constant(name, real)
        if not np.array_equal(bias, np.rint(real / bias_steps) * bias_steps):
            raise ValueError(f"{name}: a bias does not fit its format")
        if (bias_steps < acc_steps).any():
            raise ValueError(f"{name}: more fraction bits than the accumulator's")
        return bias

    def _normalized(self, node: Node) -> RealArray:
        """A BatchNormalization by itself: one factor and one summand per channel."""
        scale_name, added_name = node.inputs[1:3]
        ifm, ifm_step = self.reals[node.inputs[0]], self.grids[node.inputs[0]].step
        factors, steps = self._constant(
            scale_name, self.graph.constants[scale_name].astype(np.float64)
        )
        acc_steps = steps * ifm_step
        real = self.graph.constants[added_name].astype(np.float64)
        added = self._bias(added_name, real, acc_steps)
        largest = (abs(factors) * abs(ifm).max() + abs(added)) / acc_steps
        assert largest.max() < EXACT_BELOW, f"{node.output}: not exact in float64"
        channel_shape = (1, -1, *[1] * (ifm.ndim - 2))
        return ifm * factors.reshape(channel_shape) + added.reshape(channel_shape)

    def _combined(self, node: Node) -> RealArray:
        """A sum, difference or product of two operands."""
        operands, steps = [], []
        rank = max(self.reals[name].ndim for name in node.inputs if name in self.reals)
        for name in node.inputs:
            if name in self.reals:
                real, step = self.reals[name], self.grids[name].step
                real = real.reshape(aligned(real.shape, rank))
            else:
                real, step = self._whole_constant(name, self.graph.constants[name])
                if real.ndim > rank or (real.ndim == rank and len(real) != 1):
                    raise ValueError(
                        f"{node.output}: a constant operand must not add axes or images"
                    )
            operands.append(real)
            steps.append(step)
        first, second = operands
        if node.operator == "Mul":
            largest = abs(first).max() * abs(second).max() / (steps[0] * steps[1])
            assert largest < EXACT_BELOW, f"{node.output}: not exact in float64"
            return first * second
        assert (abs(first).max() + abs(second).max()) / min(steps) < EXACT_BELOW
        return first + second if node.operator == "Add" else first - second

    def _bent(self, node: Node) -> RealArray:
        """PRelu or LeakyRelu: negative values times their slope."""
        slopes, step = self._whole_constant(*self.graph.slopes(node))
        ifm, ifm_step = self.reals[node.inputs[0]], self.grids[node.inputs[0]].step
        assert abs(ifm).max() * abs(slopes).max() / (ifm_step * step) < EXACT_BELOW
        return np.where(ifm < 0, ifm * slopes, ifm)

    def _whole_constant(self, name: str, real: NDArray[Any]) -> tuple[RealArray, float]:
        """Quantize a constant on one grid; return it and its step."""
        onto = self._given_grid(name)
        return quantize(real.astype(np.float64), onto, "ties_even"), onto.step

    def _mean(self, node: Node) -> RealArray:
        """Means of windows, close enough to the exact rationals to round alike.

        A mean in steps of the ofm is a multiple of ``min(1, step ratio) / count``. While the sum
        in the finer of both steps stays below ``2**52``, float64 tells each such multiple from
        the ties next to it.
        """
        name = node.inputs[0]
        ifm = self.reals[name]
        if node.operator == "AveragePool":
            kernel = node.attributes["kernel_shape"]
            windows, counts = gather(node.attributes, ifm, 0.0, kernel)
            sums = without_row(windows.sum(axis=(-2, -1)), ifm)
            counts = counts[0] if ifm.ndim == 3 else counts
        else:
            axes = tuple(range(2, ifm.ndim))
            keeps_axes = True
            if node.operator == "ReduceMean":
                axes = self.graph.spatial_axes(node, ifm.ndim)
                keeps_axes = bool(node.attributes.get("keepdims", 1))
            sums = ifm.sum(axis=axes, keepdims=keeps_axes)
            counts = np.array(float(np.prod([ifm.shape[axis] for axis in axes])))
        path = self._path_to_memory(node)
        onto = self._given_grid(path[-1].output if path else node.output)
        finest = min(self.grids[name].step, onto.step)
        assert abs(sums).max() / finest < EXACT_BELOW / 2
        return np.asarray(sums / counts)
