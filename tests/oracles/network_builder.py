"""Single operators of random networks: attributes drawn, shapes followed, constants stored.

Weights are scaled so that no feature map grows or dies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

T = TypeVar("T")
NEWEST_OPSET = 27
# First opset of functions that are younger than opset 11.
FIRST_OPSET = {"Celu": 12, "HardSwish": 14, "Mish": 18, "Gelu": 20, "Swish": 24}
CLIP_BOUNDS = ((0.0, 6.0), (0.0, 1.25), (-0.8, 1.1), (None, 0.9), (-0.3, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor made so far: ``shape`` is ``(C, H, W)``, ``(C, W)`` or ``(C,)``.

    ``is_product`` marks the result of a product that nothing clamps yet, also seen through
    copies: a constant added to it would be its bias. ``is_clamped`` marks what an activation
    wrote, or Max or Min: a second one might be merged with it.
    """

    name: str
    shape: tuple[int, ...]
    is_product: bool = False
    is_clamped: bool = False

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths of the axes of space."""
        return self.shape[1:]


class Builder:
    """Adds nodes and constants of one random network."""

    def __init__(self, rng: np.random.Generator, opset: int) -> None:
        self.rng = rng
        self.opset = opset
        self.are_nodes_named = bool(rng.uniform() < 0.7)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.n_names = 0

    # Products.

    def conv(
        self,
        ifm: Tensor,
        filters: int,
        *,
        groups: int = 1,
        keep_size: bool = False,
        kernel: int | None = None,
    ) -> Tensor:
        """A convolution; sometimes a graph optimizer could fold what follows into it."""
        rank = len(ifm.sizes)
        kernels = [kernel or self.between(1, 3) for _ in range(rank)]
        attributes: dict[str, Any] = {"kernel_shape": kernels}
        if groups > 1 or self.chance(0.3):
            attributes["group"] = groups
        sizes = ifm.sizes
        if keep_size:
            attributes.update(self.padding_that_keeps_size(kernels))
        else:
            sizes = self.spread_windows(attributes, sizes, is_conv=True)
        shape = (filters, ifm.channels // groups, *kernels)
        inputs = self.product_inputs(ifm, shape, filters, int(np.prod(shape[1:])))
        ofm = self.node("Conv", inputs, (filters, *sizes), attributes, is_product=True)
        choice = self.rng.uniform()
        if choice < 0.2:
            return self.normalization(ofm)
        if choice < 0.3:
            per_channel = self.rng.uniform(0.5, 1.5, (filters, *[1] * rank))
            operator = self.pick(("Mul", "Add", "Div"))
            kind = "divisor" if operator == "Div" else "factor"
            inputs = [ofm.name, self.constant(kind, per_channel)]
            return self.node(operator, inputs, ofm.shape, is_product=True)
        return ofm

    def conv_transposed(self, ifm: Tensor, filters: int, *, doubles: bool = False) -> Tensor:
        """A transposed convolution, of twice the size or of what its attributes give."""
        rank = len(ifm.sizes)
        groups = 2 if ifm.channels % 2 == 0 and filters % 2 == 0 and self.chance(0.4) else 1
        kernels = [self.between(2, 3) for _ in range(rank)]
        strides = [2 if doubles else self.between(1, 2) for _ in range(rank)]
        dilations = [1] * rank if self.chance(0.7) else [self.between(1, 2) for _ in range(rank)]
        reaches = [d * (k - 1) + 1 for d, k in zip(dilations, kernels, strict=True)]
        attributes: dict[str, Any] = {"kernel_shape": kernels, "strides": strides, "group": groups}
        if dilations != [1] * rank:
            attributes["dilations"] = dilations
        triples = list(zip(ifm.sizes, strides, reaches, strict=True))
        sizes = tuple((size - 1) * stride + reach for size, stride, reach in triples)
        if doubles:
            sizes = tuple(2 * size for size in ifm.sizes)
            if self.chance(0.5):
                attributes["auto_pad"] = "SAME_UPPER" if self.chance(0.5) else "SAME_LOWER"
            else:
                attributes["output_shape"] = list(sizes)
        elif self.chance(0.8):
            pads = [self.between(0, reach // 2) for reach in (*reaches, *reaches)]
            extras = [self.between(0, stride - 1) for stride in strides]
            attributes.update(pads=pads, output_padding=extras)
            sizes = tuple(
                whole + extra - begin - end
                for whole, extra, begin, end in zip(
                    sizes, extras, pads[:rank], pads[rank:], strict=True
                )
            )
        shape = (ifm.channels, filters // groups, *kernels)
        fan_in = ifm.channels // groups * float(np.prod(np.divide(kernels, strides)))
        inputs = self.product_inputs(ifm, shape, filters, fan_in)
        return self.node("ConvTranspose", inputs, (filters, *sizes), attributes, is_product=True)

    def dense(self, ifm: Tensor, n_outputs: int) -> Tensor:
        """A Gemm, or a MatMul with or without an added bias."""
        (length,) = ifm.shape
        weights = self.rng.normal(0, np.sqrt(1.5 / length), (n_outputs, length))
        bias = self.rng.normal(0.15, 0.2, n_outputs)
        shape = (n_outputs,)
        if self.chance(0.4):
            inputs = [ifm.name, self.constant("weights", weights.T)]
            ofm = self.node("MatMul", inputs, shape, is_product=True)
            if self.chance(0.6):
                inputs = [ofm.name, self.constant("bias", bias)]
                ofm = self.node("Add", inputs, shape, is_product=True)
            return ofm
        attributes: dict[str, Any] = {"transB": int(self.chance(0.7))}
        if self.chance(0.2):
            attributes.update(alpha=0.5, beta=2.0)
        weights = weights if attributes["transB"] else weights.T
        inputs = [ifm.name, self.constant("weights", weights)]
        if self.chance(0.7):
            inputs.append(self.constant("bias", bias))
        return self.node("Gemm", inputs, shape, attributes, is_product=True)

    def product_inputs(
        self, ifm: Tensor, shape: tuple[int, ...], filters: int, fan_in: float
    ) -> list[str]:
        weights = self.rng.normal(0, np.sqrt(1.5 / fan_in), shape)
        inputs = [ifm.name, self.constant("weights", weights)]
        if self.chance(0.8):
            inputs.append(self.constant("bias", self.rng.normal(0.15, 0.2, filters)))
        return inputs

    # Other arithmetic.

    def normalization(self, ifm: Tensor) -> Tensor:
        channels = ifm.channels
        statistics = (
            ("gamma", self.rng.uniform(0.5, 1.5, channels)),
            ("beta", self.rng.normal(0, 0.2, channels)),
            ("mean", self.rng.normal(0, 0.2, channels)),
            ("variance", self.rng.uniform(0.5, 1.5, channels)),
        )
        inputs = [ifm.name, *(self.constant(name, value) for name, value in statistics)]
        attributes = {"epsilon": 1e-3} if self.chance(0.3) else {}
        return self.node(
            "BatchNormalization", inputs, ifm.shape, attributes, is_product=ifm.is_product
        )

    def combination(self, operator: str, operands: Sequence[str], shape: tuple[int, ...]) -> Tensor:
        """Add, Sub or Mul, in either order."""
        ordered = list(operands) if self.chance(0.5) else list(operands)[::-1]
        return self.node(operator, ordered, shape)

    def constant_shape(self, ifm: Tensor) -> list[int]:
        """Shape of a constant that broadcasts to a map in one of the ways that ONNX allows."""
        ones = [1] * len(ifm.sizes)
        one_value: list[int] = []
        return self.pick(
            ([ifm.channels, *ones], [1, ifm.channels, *ones], [1], list(ifm.shape), one_value)
        )

    def function(self, operator: str, ifm: Tensor) -> Tensor:
        """A function of one value, with its attributes or the standard's."""
        chosen: dict[str, Any] = {
            "HardSigmoid": {"alpha": 0.25, "beta": 0.4},
            "Elu": {"alpha": 0.7},
            "Celu": {"alpha": 1.3},
            "Selu": {"alpha": 1.5, "gamma": 1.1},
            "ThresholdedRelu": {"alpha": 0.3},
            "Swish": {"alpha": 1.2},
            "Gelu": {"approximate": "tanh"},
        }
        attributes = chosen.get(operator, {}) if self.chance(0.5) else {}
        return self.node(operator, [ifm.name], ifm.shape, attributes)

    def has_function(self, operator: str) -> bool:
        # onnxruntime has no kernel for Swish: it expands the function, of opset 24 only.
        if operator == "Swish":
            return self.opset == FIRST_OPSET[operator]
        return self.opset >= FIRST_OPSET.get(operator, 11)

    # What clamps.

    def activation(self, ifm: Tensor, *, always: bool = False) -> Tensor:
        """A Relu or Clip, or nothing; sometimes with a second reader, so that it stands alone."""
        choice = self.rng.uniform(0, 0.75 if always else 1.0)
        if ifm.is_clamped and not always:
            return ifm
        if choice < 0.5:
            relu = self.node("Relu", [ifm.name], ifm.shape, is_clamped=True)
            return self.clip(relu, CLIP_BOUNDS[:2]) if self.chance(0.1) else relu
        if choice < 0.75:
            return self.clip(ifm)
        if choice < 0.8 and np.prod(ifm.sizes) > 1:
            clamped = self.node("Relu", [ifm.name], ifm.shape, is_clamped=True)
            return self.node("Add", [clamped.name, ifm.name], ifm.shape)
        if choice < 0.85:
            # A copy between the two is looked through.
            return self.node("Relu", [self.copy(ifm).name], ifm.shape, is_clamped=True)
        return ifm

    def clip(
        self,
        ifm: Tensor,
        choices: Sequence[tuple[float | None, float | None]] = CLIP_BOUNDS,
    ) -> Tensor:
        inputs = [ifm.name]
        for name, bound in zip(("clip_min", "clip_max"), self.pick(choices), strict=True):
            inputs.append("" if bound is None else self.constant(name, np.array(bound)))
        while not inputs[-1]:
            inputs.pop()
        return self.node("Clip", inputs, ifm.shape, is_clamped=True)

    def copy(self, ifm: Tensor) -> Tensor:
        operator = "Identity" if self.chance(0.5) else "Dropout"
        return self.node(
            operator,
            [ifm.name],
            ifm.shape,
            is_product=ifm.is_product,
            is_clamped=ifm.is_clamped,
        )

    # Pools, and what moves.

    def pool(self, operator: str, ifm: Tensor) -> Tensor:
        attributes: dict[str, Any] = {"kernel_shape": [self.between(2, 3) for _ in ifm.sizes]}
        is_average = operator == "AveragePool"
        if is_average and self.chance(0.7):
            attributes["count_include_pad"] = int(self.chance(0.5))
        can_dilate = not is_average or self.opset >= 19
        sizes = self.spread_windows(attributes, ifm.sizes, is_conv=False, can_dilate=can_dilate)
        return self.node(operator, [ifm.name], (ifm.channels, *sizes), attributes)

    def reduction(self, operator: str, ifm: Tensor, *, keep: bool) -> Tensor:
        """ReduceMean or ReduceMax over space."""
        rank = len(ifm.shape) + 1
        axes = list(range(2, rank)) if self.chance(0.5) else list(range(2 - rank, 0))
        attributes: dict[str, Any] = {} if keep and self.chance(0.5) else {"keepdims": int(keep)}
        shape = (ifm.channels, *[1] * len(ifm.sizes)) if keep else (ifm.channels,)
        return self.with_integers(operator, [ifm.name], "axes", axes, 18, shape, attributes)

    def concat(self, parts: Sequence[Tensor], axis: int = 1) -> Tensor:
        shape = list(parts[0].shape)
        shape[axis - 1] = sum(part.shape[axis - 1] for part in parts)
        counted = axis if self.chance(0.8) else axis - len(shape) - 1
        return self.node("Concat", [part.name for part in parts], tuple(shape), {"axis": counted})

    def split(self, ifm: Tensor, lengths: Sequence[int], axis: int = 1) -> list[Tensor]:
        attributes: dict[str, Any] = {"axis": axis}
        inputs = [ifm.name]
        if len(set(lengths)) == 1 and self.chance(0.5):
            if self.opset >= 18:
                attributes["num_outputs"] = len(lengths)
        elif self.opset < 13:
            attributes["split"] = list(lengths)
        else:
            inputs.append(self.constant("lengths", np.array(lengths), np.int64))
        name = self.new_name("split")
        outputs = [f"{name}_out{index}" for index in range(len(lengths))]
        self.add("Split", inputs, outputs, name, attributes)
        parts = []
        for output, length in zip(outputs, lengths, strict=True):
            shape = list(ifm.shape)
            shape[axis - 1] = length
            parts.append(Tensor(name=output, shape=tuple(shape)))
        return parts

    def slice(self, ifm: Tensor, axis: int, start: int, end: int, step: int = 1) -> Tensor:
        shape = list(ifm.shape)
        shape[axis - 1] = len(range(shape[axis - 1])[start:end:step])
        inputs = [ifm.name]
        given = [("starts", start), ("ends", end), ("axes", axis), ("steps", step)]
        if step == 1 and self.chance(0.5):
            given.pop()
        inputs += [self.constant(kind, np.array([value]), np.int64) for kind, value in given]
        return self.node("Slice", inputs, tuple(shape))

    def pad(self, ifm: Tensor, pads: Sequence[int], value: float | None) -> Tensor:
        """Pads are begins and ends of channels and space."""
        rank = len(ifm.shape)
        shape = tuple(
            length + pads[axis] + pads[axis + rank] for axis, length in enumerate(ifm.shape)
        )
        begins, ends = list(pads[:rank]), list(pads[rank:])
        given = [0, *begins, 0, *ends]
        axes = None
        if self.opset >= 18 and self.chance(0.5):
            given, axes = [*begins, *ends], list(range(1, rank + 1))
        inputs = [ifm.name, self.constant("pads", np.array(given), np.int64)]
        if value is not None:
            inputs.append(self.constant("padding", np.array(value)))
        if axes is not None:
            inputs += [""] * (3 - len(inputs)) + [self.constant("axes", np.array(axes), np.int64)]
        return self.node("Pad", inputs, shape)

    def resize(self, ifm: Tensor, factor: int) -> Tensor:
        sizes = [factor * size for size in ifm.sizes]
        coordinates, nearest = self.pick(
            (
                ("asymmetric", "floor"),
                ("half_pixel", "round_prefer_floor"),
                ("half_pixel", "round_prefer_ceil"),
                ("pytorch_half_pixel", "round_prefer_floor"),
                (None, None),
            )
        )
        attributes: dict[str, Any] = {"mode": "nearest"} if self.chance(0.5) else {}
        if coordinates:
            attributes.update(coordinate_transformation_mode=coordinates, nearest_mode=nearest)
        # Opset 11 asks for all three inputs, though empty; later ones may be left out.
        empty = self.opset < 13
        roi = self.constant("roi", np.zeros(0)) if empty else ""
        if self.chance(0.5):
            scales = self.constant("scales", np.array([1, 1] + [factor] * len(sizes)))
            inputs = [ifm.name, roi, scales]
        elif self.opset >= 18:
            attributes["axes"] = list(range(2, 2 + len(sizes)))
            inputs = [ifm.name, "", "", self.constant("sizes", np.array(sizes), np.int64)]
        else:
            # The batch is free, so a file that gives sizes cannot be made: scales again.
            scales = self.constant("scales", np.array([1, 1] + [factor] * len(sizes)))
            inputs = [ifm.name, roi, scales]
        return self.node("Resize", inputs, (ifm.channels, *sizes), attributes)

    def reshape(self, ifm: Tensor, shape: Sequence[int]) -> Tensor:
        batch = 0 if self.chance(0.5) else -1
        target = self.constant("shape", np.array([batch, *shape]), np.int64)
        return self.node("Reshape", [ifm.name, target], tuple(shape), is_product=ifm.is_product)

    def flatten(self, ifm: Tensor) -> Tensor:
        """One axis from all but the batch, in one of several ways."""
        length = int(np.prod(ifm.shape))
        if len(ifm.shape) > 1 and max(ifm.sizes) == 1 and self.chance(0.5):
            axes = list(range(2, len(ifm.shape) + 1))
            return self.with_integers("Squeeze", [ifm.name], "axes", axes, 13, (length,))
        if self.chance(0.5):
            axis = 1 if self.chance(0.7) else -len(ifm.shape)
            return self.node("Flatten", [ifm.name], (length,), {"axis": axis})
        if self.chance(0.5):
            target = self.constant("shape", np.array([0, -1]), np.int64)
            return self.node("Reshape", [ifm.name, target], (length,))
        return self.reshape(ifm, [length])

    def with_integers(
        self,
        operator: str,
        inputs: Sequence[str],
        kind: str,
        integers: Sequence[int],
        first_opset_with_input: int,
        shape: tuple[int, ...],
        attributes: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """A node whose integers are an attribute or, in newer opsets, a second input."""
        if self.opset < first_opset_with_input:
            return self.node(operator, inputs, shape, {**(attributes or {}), kind: list(integers)})
        name = self.constant(kind, np.array(integers), np.int64)
        return self.node(operator, [*inputs, name], shape, attributes)

    # Windows.

    def padding_that_keeps_size(self, kernels: Sequence[int]) -> dict[str, Any]:
        if self.chance(0.4):
            return {"auto_pad": "SAME_UPPER" if self.chance(0.5) else "SAME_LOWER"}
        begins = [self.between(0, kernel - 1) for kernel in kernels]
        ends = [kernel - 1 - begin for kernel, begin in zip(kernels, begins, strict=True)]
        return {"pads": [*begins, *ends]}

    def spread_windows(
        self,
        attributes: dict[str, Any],
        sizes: tuple[int, ...],
        *,
        is_conv: bool,
        can_dilate: bool = True,
    ) -> tuple[int, ...]:
        """Choose strides, pads and dilations; return the numbers of windows.

        Where the map is too small for a choice, the windows are left as plain as they fit.
        """
        rank = len(sizes)
        kernel: list[int] = attributes["kernel_shape"]
        strides = [self.between(1, 2) for _ in sizes]
        dilations = [1] * rank
        if can_dilate and self.chance(0.2):
            dilations = [self.between(1, 2) for _ in sizes]
        reaches = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        if min(sizes) < 5 or any(reach > size for reach, size in zip(reaches, sizes, strict=True)):
            attributes["auto_pad"] = "SAME_UPPER"
            return sizes
        attributes["strides"] = strides
        if dilations != [1] * rank:
            attributes["dilations"] = dilations
        style = self.rng.choice(["pads", "same", "valid"], p=[0.6, 0.25, 0.15])
        if style == "same" and dilations == [1] * rank:
            attributes["auto_pad"] = "SAME_UPPER" if self.chance(0.5) else "SAME_LOWER"
            return tuple(-(-size // stride) for size, stride in zip(sizes, strides, strict=True))
        pads = [0] * 2 * rank
        if style == "valid":
            attributes["auto_pad"] = "VALID"
        else:
            # A convolution may have windows that lie in the padding, a pool may not.
            spare = int(is_conv and self.chance(0.2))
            pads = [self.between(0, kernel[side % rank] - 1 + spare) for side in range(2 * rank)]
            attributes["pads"] = pads
        steps = [
            sizes[axis] + pads[axis] + pads[axis + rank] - reaches[axis] for axis in range(rank)
        ]
        floors = tuple(step // stride + 1 for step, stride in zip(steps, strides, strict=True))
        ceilings = tuple(
            -(-step // stride) + 1 for step, stride in zip(steps, strides, strict=True)
        )
        # Where the last window would start in the trailing padding, onnxruntime leaves it out
        # and ONNX shape inference before opset 22 does not: no such network is made.
        is_agreed = all(
            (ceilings[axis] - 1) * strides[axis] < sizes[axis] + pads[axis] for axis in range(rank)
        )
        if not is_conv and style != "valid" and is_agreed and self.chance(0.5):
            attributes["ceil_mode"] = 1
            return ceilings
        return floors

    # Pieces.

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        attributes: Mapping[str, Any] | None = None,
        *,
        is_product: bool = False,
        is_clamped: bool = False,
    ) -> Tensor:
        name = self.new_name(operator.lower())
        output = f"{name}_out"
        self.add(operator, inputs, [output], name, attributes or {})
        return Tensor(name=output, shape=tuple(shape), is_product=is_product, is_clamped=is_clamped)

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        name: str,
        attributes: Mapping[str, Any],
    ) -> None:
        given = name if self.are_nodes_named else None
        node = helper.make_node(operator, list(inputs), list(outputs), name=given, **attributes)
        self.nodes.append(node)

    def constant(
        self,
        kind: str,
        value: NDArray[np.float64] | NDArray[np.int64],
        dtype: type[np.generic] = np.float32,
    ) -> str:
        """Store a constant, mostly as an initializer and sometimes as a node."""
        name = self.new_name(kind)
        tensor = numpy_helper.from_array(np.asarray(value, dtype), name)
        if kind != "weights" and self.chance(0.2):
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(tensor)
        return name

    def new_name(self, kind: str) -> str:
        self.n_names += 1
        return f"{kind}{self.n_names}"

    def chance(self, probability: float) -> bool:
        return bool(self.rng.uniform() < probability)

    def between(self, lowest: int, highest: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(lowest, highest + 1))

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.between(0, len(choices) - 1)]
