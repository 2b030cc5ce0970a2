"""Small random but legal CNNs over every supported operator, as ONNX models.

Weights are scaled so that no feature map grows or dies. What a graph optimizer could rewrite
into another arithmetic is left out: an activation never follows a product through a copy, two
activations never follow each other, and only MatMul is followed by an added constant.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FIRST_OPSET_WITH_CLIP_INPUTS = 11
IR_VERSION = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Map:
    """A tensor made so far: ``shape`` is ``(C, H, W)``.

    ``can_fuse`` marks the result of arithmetic that nothing clamps yet, also seen through
    copies: an activation on it would be a fused one.
    """

    name: str
    shape: tuple[int, int, int]
    can_fuse: bool


def random_network(seed: int) -> onnx.ModelProto:
    """Make a network with batch dimension ``N``, one input and one output.

    The same seed gives the same bytes.
    """
    return _Builder(seed).model()


class _Builder:
    """Adds nodes and constants of one random network."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.choice([10, 17], p=[0.15, 0.85]))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.maps: list[_Map] = []
        self.n_names = 0

    def model(self) -> onnx.ModelProto:
        channels, height, width = (int(size) for size in self.rng.integers([1, 7, 7], [4, 13, 13]))
        shape = (channels, height, width)
        current = _Map(name="input", shape=shape, can_fuse=False)
        self.maps.append(current)
        blocks: Sequence[Callable[[_Map], _Map]] = (
            self.convolution,
            self.convolution,
            self.depthwise,
            self.residual,
            self.residual,
            self.branches,
            self.branches,
            self.max_pool,
            self.average_pool,
            self.added_constant,
            self.copy,
            self.standing_activation,
        )
        first_block = self.branches if self.chance(0.25) else self.convolution
        current = first_block(current)
        self.maps.append(current)
        for _ in range(int(self.rng.integers(3, 8))):
            block = blocks[int(self.rng.integers(len(blocks)))]
            current = block(current)
            self.maps.append(current)
        output, n_outputs = self.head(current)
        graph = helper.make_graph(
            self.nodes,
            "random_network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", n_outputs])],
            self.constants,
        )
        opset = helper.make_opsetid("", self.opset)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model

    # Blocks: each takes a map and returns the next.

    def convolution(self, ifm: _Map) -> _Map:
        groups = 1
        if self.chance(0.25) and ifm.shape[0] % 2 == 0:
            groups = 2
        filters = groups * int(self.rng.integers(1, 5 // groups + 1))
        return self.activation(self.conv(ifm, filters, groups=groups))

    def depthwise(self, ifm: _Map) -> _Map:
        channels = ifm.shape[0]
        multiplier = 2 if channels <= 3 and self.chance(0.3) else 1
        return self.activation(self.conv(ifm, channels * multiplier, groups=channels))

    def residual(self, ifm: _Map) -> _Map:
        channels = ifm.shape[0]
        inner = self.activation(self.conv(ifm, channels, keep_size=True))
        branch = self.conv(inner, channels, keep_size=True)
        shortcut = ifm
        if self.chance(0.4):
            shortcut = self.conv(ifm, channels, keep_size=True, kernel=1)
        operands = [branch.name, shortcut.name]
        if self.chance(0.5):
            operands.reverse()
        return self.activation(self.node("Add", operands, ifm.shape, can_fuse=True))

    def branches(self, ifm: _Map) -> _Map:
        parts = [ifm] if self.chance(0.4) else []
        same_size = [
            earlier
            for earlier in self.maps
            if earlier.shape[1:] == ifm.shape[1:] and earlier not in parts
        ]
        if same_size and self.chance(0.3):
            parts.append(same_size[int(self.rng.integers(len(same_size)))])
        while len(parts) < 2 or (len(parts) < 4 and self.chance(0.3)):
            filters = int(self.rng.integers(1, 3))
            part = self.activation(self.conv(ifm, filters, keep_size=True))
            if self.chance(0.2):
                attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
                part = self.node("MaxPool", [part.name], part.shape, attributes)
            parts.append(part)
        joined = self.concat(parts)
        if self.chance(0.3):
            other = self.activation(self.conv(ifm, 1, keep_size=True))
            joined = self.concat([other, joined])
        return joined

    def max_pool(self, ifm: _Map) -> _Map:
        return self.pool("MaxPool", ifm)

    def average_pool(self, ifm: _Map) -> _Map:
        return self.activation(self.pool("AveragePool", ifm))

    def added_constant(self, ifm: _Map) -> _Map:
        """Add a constant to a map, but not to a product (it would become the bias)."""
        if ifm.can_fuse:
            return self.max_pool(ifm)
        shapes = ([ifm.shape[0], 1, 1], [1, ifm.shape[0], 1, 1], [1], list(ifm.shape))
        shape = shapes[int(self.rng.integers(len(shapes)))]
        constant = self.constant("constant", self.rng.normal(0, 0.5, shape))
        operands = [ifm.name, constant]
        if self.chance(0.5):
            operands.reverse()
        return self.activation(self.node("Add", operands, ifm.shape, can_fuse=True))

    def copy(self, ifm: _Map) -> _Map:
        operator = "Identity" if self.chance(0.5) else "Dropout"
        return self.node(operator, [ifm.name], ifm.shape, can_fuse=ifm.can_fuse)

    def standing_activation(self, ifm: _Map) -> _Map:
        """An activation that fuses into nothing: after a pool, or beside another reader."""
        pooled = self.max_pool(ifm)
        return self.activation(pooled, always=True)

    def head(self, ifm: _Map) -> tuple[str, int]:
        """Pool or flatten, then one or two dense layers; return output and its length."""
        if self.chance(0.5):
            shape = (ifm.shape[0], 1, 1)
            ifm = self.node("GlobalAveragePool", [ifm.name], shape, can_fuse=True)
        length = int(np.prod(ifm.shape))
        if self.chance(0.5):
            current = self.node("Flatten", [ifm.name], ifm.shape, {"axis": 1})
        else:
            target = [0, -1] if self.chance(0.5) else [-1, length]
            shape_name = self.constant("shape", np.array(target), np.int64)
            current = self.node("Reshape", [ifm.name, shape_name], ifm.shape)
        if self.chance(0.4):
            hidden = int(self.rng.integers(3, 9))
            current = self.activation(self.dense(current.name, length, hidden))
            length = hidden
        n_outputs = int(self.rng.integers(2, 8))
        current = self.dense(current.name, length, n_outputs)
        if self.chance(0.4):
            current = self.node("Softmax", [current.name], current.shape, {"axis": 1})
        return current.name, n_outputs

    # Single operators.

    def conv(
        self,
        ifm: _Map,
        filters: int,
        *,
        groups: int = 1,
        keep_size: bool = False,
        kernel: int | None = None,
    ) -> _Map:
        """A convolution, sometimes normalized; nothing else reads what is between."""
        n_rows, n_cols = (kernel or int(size) for size in self.rng.integers(1, 4, size=2))
        attributes: dict[str, Any] = {"kernel_shape": [n_rows, n_cols]}
        if groups > 1 or self.chance(0.3):
            attributes["group"] = groups
        sizes = ifm.shape[1:]
        if keep_size:
            total = (n_rows - 1, n_cols - 1)
            if self.chance(0.4):
                attributes["auto_pad"] = "SAME_UPPER" if self.chance(0.5) else "SAME_LOWER"
            else:
                top, left = (int(self.rng.integers(0, pad + 1)) for pad in total)
                attributes["pads"] = [top, left, total[0] - top, total[1] - left]
        else:
            sizes = self.spread_windows(attributes, sizes, can_dilate=True)
        fan_in = ifm.shape[0] // groups * n_rows * n_cols
        weights = self.rng.normal(
            0, np.sqrt(1.5 / fan_in), (filters, ifm.shape[0] // groups, n_rows, n_cols)
        )
        inputs = [ifm.name, self.constant("weights", weights)]
        if self.chance(0.8):
            inputs.append(self.constant("bias", self.rng.normal(0.15, 0.2, filters)))
        ofm = self.node("Conv", inputs, (filters, *sizes), attributes, can_fuse=True)
        return self.normalization(ofm) if self.chance(0.2) else ofm

    def normalization(self, ifm: _Map) -> _Map:
        channels = ifm.shape[0]
        statistics = (
            ("gamma", self.rng.uniform(0.5, 1.5, channels)),
            ("beta", self.rng.normal(0, 0.2, channels)),
            ("mean", self.rng.normal(0, 0.2, channels)),
            ("variance", self.rng.uniform(0.5, 1.5, channels)),
        )
        inputs = [ifm.name, *(self.constant(name, value) for name, value in statistics)]
        return self.node("BatchNormalization", inputs, ifm.shape, can_fuse=True)

    def activation(self, ifm: _Map, *, always: bool = False) -> _Map:
        """A Relu or Clip, or nothing; sometimes with a second reader, so that it stands alone."""
        choice = self.rng.uniform(0, 0.75 if always else 1.0)
        if choice < 0.5:
            return self.node("Relu", [ifm.name], ifm.shape)
        if choice < 0.75:
            return self.clip(ifm)
        if choice < 0.85 and ifm.shape[1:] != (1, 1):
            clamped = self.node("Relu", [ifm.name], ifm.shape)
            return self.node("Add", [clamped.name, ifm.name], ifm.shape, can_fuse=True)
        return ifm

    def clip(self, ifm: _Map) -> _Map:
        bounds = ((0.0, 6.0), (0.0, 1.25), (-0.8, 1.1), (None, 0.9), (-0.3, None))
        lower, upper = bounds[int(self.rng.integers(len(bounds)))]
        if self.opset < FIRST_OPSET_WITH_CLIP_INPUTS:
            given = {"min": lower, "max": upper}
            attributes = {key: value for key, value in given.items() if value is not None}
            return self.node("Clip", [ifm.name], ifm.shape, attributes)
        inputs = [ifm.name]
        for name, bound in (("clip_min", lower), ("clip_max", upper)):
            inputs.append("" if bound is None else self.constant(name, np.array(bound)))
        while not inputs[-1]:
            inputs.pop()
        return self.node("Clip", inputs, ifm.shape)

    def pool(self, operator: str, ifm: _Map) -> _Map:
        kernel = [int(size) for size in self.rng.integers(2, 4, size=2)]
        attributes: dict[str, Any] = {"kernel_shape": kernel}
        if operator == "AveragePool" and self.chance(0.7):
            attributes["count_include_pad"] = int(self.chance(0.5))
        can_ceil = operator == "MaxPool"
        sizes = self.spread_windows(attributes, ifm.shape[1:], can_ceil=can_ceil)
        can_fuse = operator == "AveragePool"
        return self.node(
            operator, [ifm.name], (ifm.shape[0], *sizes), attributes, can_fuse=can_fuse
        )

    def concat(self, parts: Sequence[_Map]) -> _Map:
        channels = sum(part.shape[0] for part in parts)
        shape = (channels, *parts[0].shape[1:])
        attributes = {"axis": 1 if self.chance(0.8) else -3}
        return self.node("Concat", [part.name for part in parts], shape, attributes)

    def dense(self, ifm_name: str, length: int, n_outputs: int) -> _Map:
        weights = self.rng.normal(0, np.sqrt(1.5 / length), (n_outputs, length))
        bias = self.rng.normal(0, 0.2, n_outputs)
        shape = (n_outputs, 1, 1)
        if self.chance(0.4):
            inputs = [ifm_name, self.constant("weights", weights.T)]
            ofm = self.node("MatMul", inputs, shape, can_fuse=True)
            if self.chance(0.6):
                inputs = [ofm.name, self.constant("bias", bias)]
                ofm = self.node("Add", inputs, shape, can_fuse=True)
            return ofm
        attributes: dict[str, Any] = {"transB": int(self.chance(0.7))}
        if self.chance(0.2):
            attributes.update(alpha=0.5, beta=2.0)
        weights = weights if attributes["transB"] else weights.T
        inputs = [ifm_name, self.constant("weights", weights)]
        # Gemm's third input became optional in opset 11.
        if self.opset < 11 or self.chance(0.7):
            inputs.append(self.constant("bias", bias))
        return self.node("Gemm", inputs, shape, attributes, can_fuse=True)

    # Pieces.

    def spread_windows(
        self,
        attributes: dict[str, Any],
        sizes: tuple[int, ...],
        *,
        can_dilate: bool = False,
        can_ceil: bool = False,
    ) -> tuple[int, int]:
        """Choose strides, pads and dilations; return the numbers of windows.

        Where the map is too small for a choice, the windows are left as plain as they fit.
        """
        kernel: list[int] = attributes["kernel_shape"]
        strides = [int(stride) for stride in self.rng.integers(1, 3, size=2)]
        dilations = [1, 1]
        if can_dilate and self.chance(0.2):
            dilations = [int(dilation) for dilation in self.rng.integers(1, 3, size=2)]
        reaches = [
            dilation * (size - 1) + 1 for dilation, size in zip(dilations, kernel, strict=True)
        ]
        if min(sizes) < 5 or any(reach > size for reach, size in zip(reaches, sizes, strict=True)):
            attributes["auto_pad"] = "SAME_UPPER"
            return sizes[0], sizes[1]
        attributes["strides"] = strides
        if dilations != [1, 1]:
            attributes["dilations"] = dilations
        style = self.rng.choice(["pads", "same", "valid"], p=[0.6, 0.25, 0.15])
        if style == "same" and dilations == [1, 1]:
            attributes["auto_pad"] = "SAME_UPPER" if self.chance(0.5) else "SAME_LOWER"
            rows, cols = (-(-size // stride) for size, stride in zip(sizes, strides, strict=True))
            return rows, cols
        if style == "valid":
            attributes["auto_pad"] = "VALID"
            pads = [0, 0, 0, 0]
        else:
            # A convolution may have windows that lie in the padding, a pool may not.
            spare = int(can_dilate and self.chance(0.2))
            pads = [int(self.rng.integers(0, kernel[side % 2] + spare)) for side in range(4)]
            attributes["pads"] = pads
        steps = [sizes[axis] + pads[axis] + pads[axis + 2] - reaches[axis] for axis in (0, 1)]
        floors = [step // stride + 1 for step, stride in zip(steps, strides, strict=True)]
        ceilings = [-(-step // stride) + 1 for step, stride in zip(steps, strides, strict=True)]
        # Where the last window would start in the trailing padding, onnxruntime leaves it out
        # and ONNX shape inference before opset 22 does not: no such network is made.
        is_agreed = all(
            (ceilings[axis] - 1) * strides[axis] < sizes[axis] + pads[axis] for axis in (0, 1)
        )
        if can_ceil and style != "valid" and is_agreed and self.chance(0.5):
            attributes["ceil_mode"] = 1
            return ceilings[0], ceilings[1]
        return floors[0], floors[1]

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        shape: tuple[int, int, int],
        attributes: Mapping[str, Any] | None = None,
        *,
        can_fuse: bool = False,
    ) -> _Map:
        name = self.new_name(operator.lower())
        output = f"{name}_out"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=name, **(attributes or {}))
        )
        return _Map(name=output, shape=shape, can_fuse=can_fuse)

    def constant(
        self,
        kind: str,
        value: NDArray[np.float64] | NDArray[np.int64],
        dtype: type[np.generic] = np.float32,
    ) -> str:
        """Store a constant, mostly as an initializer and sometimes as a node."""
        name = self.new_name(kind)
        tensor = numpy_helper.from_array(np.asarray(value, dtype), name)
        if kind.startswith("clip") and self.chance(0.3):
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(tensor)
        return name

    def new_name(self, kind: str) -> str:
        self.n_names += 1
        return f"{kind}{self.n_names}"

    def chance(self, probability: float) -> bool:
        return bool(self.rng.uniform() < probability)
