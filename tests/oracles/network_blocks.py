"""Blocks of random networks: each adds some operators to one map and gives the next."""

from collections.abc import Callable, Sequence

import numpy as np

from tests.oracles.network_builder import Builder, Tensor

Block = Callable[[Builder, Tensor], Tensor]
FUNCTIONS = (
    "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Selu", "Celu", "Gelu", "Softplus",
    "Softsign", "Mish", "Swish", "Erf", "Exp", "Sqrt", "Abs", "Neg", "ThresholdedRelu",
)  # fmt: skip
YOUNG_FUNCTIONS = ("HardSwish", "Celu", "Gelu", "Mish", "Swish")


def convolution(make: Builder, ifm: Tensor) -> Tensor:
    groups = 2 if make.chance(0.25) and ifm.channels % 2 == 0 else 1
    filters = groups * make.between(1, 5 // groups)
    return make.activation(make.conv(ifm, filters, groups=groups))


def depthwise(make: Builder, ifm: Tensor) -> Tensor:
    multiplier = 2 if ifm.channels <= 3 and make.chance(0.3) else 1
    return make.activation(make.conv(ifm, ifm.channels * multiplier, groups=ifm.channels))


def transposed_convolution(make: Builder, ifm: Tensor) -> Tensor:
    if max(ifm.sizes) > 16:
        return convolution(make, ifm)
    doubles = max(ifm.sizes) <= 10 and make.chance(0.5)
    return make.activation(make.conv_transposed(ifm, make.between(1, 4), doubles=doubles))


def residual(make: Builder, ifm: Tensor) -> Tensor:
    inner = make.activation(make.conv(ifm, ifm.channels, keep_size=True))
    branch = make.conv(inner, ifm.channels, keep_size=True)
    shortcut = ifm
    if make.chance(0.4):
        shortcut = make.conv(ifm, ifm.channels, keep_size=True, kernel=1)
    operator = "Add" if make.chance(0.8) else "Sub"
    return make.activation(make.combination(operator, [branch.name, shortcut.name], ifm.shape))


def branches(make: Builder, ifm: Tensor) -> Tensor:
    """Parts joined by channels or, rarely, along an axis of space."""
    parts = [ifm] if make.chance(0.4) else []
    while len(parts) < 2 or (len(parts) < 4 and make.chance(0.3)):
        part = make.activation(make.conv(ifm, make.between(1, 2), keep_size=True))
        if make.chance(0.2):
            attributes = {"kernel_shape": [3] * len(ifm.sizes), "pads": [1, 1] * len(ifm.sizes)}
            part = make.node("MaxPool", [part.name], part.shape, attributes)
        parts.append(part)
    joined = make.concat(parts)
    if make.chance(0.3):
        other = make.activation(make.conv(ifm, 1, keep_size=True))
        joined = make.concat([other, joined])
    if max(ifm.sizes) <= 8 and make.chance(0.3):
        other = make.activation(make.conv(ifm, joined.channels, keep_size=True))
        joined = make.concat([joined, other], axis=make.between(2, len(ifm.shape)))
    return joined


def max_pool(make: Builder, ifm: Tensor) -> Tensor:
    return make.pool("MaxPool", ifm)


def average_pool(make: Builder, ifm: Tensor) -> Tensor:
    return make.activation(make.pool("AveragePool", ifm))


def standing_activation(make: Builder, ifm: Tensor) -> Tensor:
    """An activation that merges into nothing: behind what inherits its format."""
    pooled = max_pool(make, ifm)
    return make.activation(pooled, always=True)


def copy(make: Builder, ifm: Tensor) -> Tensor:
    return make.copy(ifm)


def constant_operand(make: Builder, ifm: Tensor) -> Tensor:
    """A constant added, subtracted, multiplied or divided by.

    Not behind a product, which would fold it.
    """
    if ifm.is_product:
        return average_pool(make, ifm)
    operator = make.pick(("Add", "Sub", "Mul", "Div"))
    if operator == "Div":
        divisors = make.constant("divisor", make.rng.uniform(0.6, 2.5, make.constant_shape(ifm)))
        return make.activation(make.node("Div", [ifm.name, divisors], ifm.shape))
    centre = 1.0 if operator == "Mul" else 0.0
    constant = make.constant("constant", make.rng.normal(centre, 0.4, make.constant_shape(ifm)))
    return make.activation(make.combination(operator, [ifm.name, constant], ifm.shape))


def bounded(make: Builder, ifm: Tensor) -> Tensor:
    """The larger or smaller of a map and a number, merged or standing."""
    operator = make.pick(("Max", "Min"))
    number = make.rng.normal(-0.3 if operator == "Max" else 0.8, 0.3, make.pick(([1], [])))
    inputs = [ifm.name, make.constant("number", number)]
    return make.node(operator, inputs[:: make.pick((1, -1))], ifm.shape, is_clamped=True)


def standing_normalization(make: Builder, ifm: Tensor) -> Tensor:
    if ifm.is_product:
        ifm = make.activation(max_pool(make, ifm))
    return make.activation(make.normalization(ifm))


def sloped(make: Builder, ifm: Tensor) -> Tensor:
    """PRelu with slopes of any shape that broadcasts to the map; LeakyRelu."""
    if make.chance(0.4):
        attributes = {"alpha": 0.2} if make.chance(0.6) else {}
        ofm = make.node("LeakyRelu", [ifm.name], ifm.shape, attributes)
    else:
        if make.chance(0.5):
            shape = (ifm.channels, *[1] * len(ifm.sizes))
        else:
            aligned = ifm.shape[make.between(0, len(ifm.shape)) :]
            shape = tuple(length if make.chance(0.6) else 1 for length in aligned)
        slopes = make.constant("slopes", make.rng.normal(0.2, 0.3, shape))
        ofm = make.node("PRelu", [ifm.name, slopes], ifm.shape)
    return make.clip(ofm) if make.chance(0.2) else ofm


def function(make: Builder, ifm: Tensor) -> Tensor:
    """A function of one value, where Exp is bounded and Sqrt sees nothing negative."""
    young = [operator for operator in YOUNG_FUNCTIONS if make.has_function(operator)]
    operator = make.pick([operator for operator in FUNCTIONS if make.has_function(operator)])
    if young and make.chance(0.4):
        operator = make.pick(young)
    if operator == "Exp":
        ifm = make.clip(ifm, [(-0.8, 1.1)])
    elif operator == "Sqrt":
        ifm = make.node("Abs", [ifm.name], ifm.shape)
    ofm = make.function(operator, ifm)
    if make.chance(0.3):
        return make.clip(ofm)
    return ofm


def gate(make: Builder, ifm: Tensor) -> Tensor:
    """A map times a function of itself, as in swish written out."""
    if ifm.is_product and make.chance(0.5):
        ifm = make.activation(ifm, always=True)
    shaped = make.function(make.pick(("Sigmoid", "HardSigmoid", "Tanh")), ifm)
    return make.combination("Mul", [ifm.name, shaped.name], ifm.shape)


def squeeze_and_excite(make: Builder, ifm: Tensor) -> Tensor:
    """Scale channels by what a small network makes of their means."""
    narrow = max(1, ifm.channels // 2)
    column = (ifm.channels, *[1] * len(ifm.sizes))
    if make.chance(0.5):
        if make.chance(0.5):
            means = make.node("GlobalAveragePool", [ifm.name], column)
        else:
            means = make.reduction("ReduceMean", ifm, keep=True)
        hidden = make.activation(make.conv(means, narrow, keep_size=True, kernel=1), always=True)
        scales = make.conv(hidden, ifm.channels, keep_size=True, kernel=1)
        gates = make.function(make.pick(("Sigmoid", "HardSigmoid")), scales)
    else:
        means = make.reduction("ReduceMean", ifm, keep=False)
        hidden = make.activation(make.dense(means, narrow), always=True)
        flat = make.function("Sigmoid", make.dense(hidden, ifm.channels))
        if make.chance(0.5):
            axes = list(range(2, 2 + len(ifm.sizes)))
            gates = make.with_integers("Unsqueeze", [flat.name], "axes", axes, 13, column)
        else:
            gates = make.reshape(flat, column)
    return make.activation(make.combination("Mul", [ifm.name, gates.name], ifm.shape))


def shuffle(make: Builder, ifm: Tensor) -> Tensor:
    """Split channels, work on a part, join and shuffle them."""
    if ifm.channels < 2:
        ifm = make.activation(make.conv(ifm, 4, keep_size=True))
    first_length = ifm.channels // 2 if make.chance(0.6) else 1
    parts = make.split(ifm, [first_length, ifm.channels - first_length])
    parts[0] = make.activation(make.conv(parts[0], parts[0].channels, keep_size=True))
    joined = make.concat(parts)
    if joined.channels % 2:
        return joined
    groups = 2
    split = make.reshape(joined, (groups, joined.channels // groups, *ifm.sizes))
    order = [0, 2, 1, *range(3, 3 + len(ifm.sizes))]
    shape = (split.shape[1], split.shape[0], *ifm.sizes)
    turned = make.node("Transpose", [split.name], shape, {"perm": order})
    return make.reshape(turned, joined.shape)


def turn(make: Builder, ifm: Tensor) -> Tensor:
    """Rows and columns change places before a convolution."""
    if len(ifm.sizes) == 1:
        return raised(make, ifm)
    channels, height, width = ifm.shape
    turned = make.node("Transpose", [ifm.name], (channels, width, height), {"perm": [0, 1, 3, 2]})
    return convolution(make, turned)


def raised(make: Builder, ifm: Tensor) -> Tensor:
    """A convolution of two dimensions within a network of one."""
    channels, width = ifm.shape
    shape = (channels, 1, width)
    image = make.with_integers("Unsqueeze", [ifm.name], "axes", [2], 13, shape)
    ofm = make.activation(make.conv(image, make.between(1, 4), keep_size=True))
    return make.with_integers("Squeeze", [ofm.name], "axes", [2], 13, (ofm.channels, width))


def sliced(make: Builder, ifm: Tensor) -> Tensor:
    """A part of one axis: from the middle, every other, or backwards."""
    axis = make.between(1, len(ifm.shape))
    length = ifm.shape[axis - 1]
    if length < 3:
        return copy(make, ifm)
    start, end, step = make.pick(
        ((1, 2**31 - 1, 1), (0, -1, 1), (1, length, 2), (-1, -(2**31) + 1, -1), (length - 2, 0, -1))
    )
    return make.slice(ifm, axis, start, end, step)


def padded(make: Builder, ifm: Tensor) -> Tensor:
    """Constant padding of space, sometimes of channels; what is negative takes away."""
    rank = len(ifm.shape)
    pads = [0] * 2 * rank
    for axis in range(1, rank):
        lowest = -2 if ifm.shape[axis] > 4 else 0
        pads[axis], pads[axis + rank] = make.between(lowest, 2), make.between(lowest, 1)
    if make.chance(0.2):
        pads[rank] = 1
    return make.pad(ifm, pads, make.pick((None, 0.0, 0.4, -0.3)))


def local_normalization(make: Builder, ifm: Tensor) -> Tensor:
    if len(ifm.sizes) != 2:
        return standing_normalization(make, ifm)
    attributes: dict[str, float] = {"size": make.pick((1, 3, 5))}
    if make.chance(0.7):
        attributes.update(alpha=0.3, beta=0.6, bias=1.5)
    return make.node("LRN", [ifm.name], ifm.shape, attributes)


def depth_and_space(make: Builder, ifm: Tensor) -> Tensor:
    """Space to depth, a convolution, and mostly back."""
    if len(ifm.sizes) != 2:
        return raised(make, ifm)
    image = even(make, ifm)
    channels, height, width = image.shape
    shape = (4 * channels, height // 2, width // 2)
    deep = make.node("SpaceToDepth", [image.name], shape, {"blocksize": 2})
    filters = 4 * make.between(1, 2)
    inner = make.activation(make.conv(deep, filters, keep_size=True))
    if make.chance(0.2):
        return inner
    attributes: dict[str, object] = {"blocksize": 2}
    if make.chance(0.7):
        attributes["mode"] = make.pick(("DCR", "CRD"))
    shape = (filters // 4, height, width)
    return make.node("DepthToSpace", [inner.name], shape, attributes)


def encoder_decoder(make: Builder, ifm: Tensor) -> Tensor:
    """Half the size and back, joined with what was there before."""
    wide = even(make, ifm)
    attributes = {"kernel_shape": [2] * len(wide.sizes), "strides": [2] * len(wide.sizes)}
    shape = (wide.channels, *(size // 2 for size in wide.sizes))
    small = make.node("MaxPool", [wide.name], shape, attributes)
    inner = make.activation(make.conv(small, make.between(1, 4), keep_size=True))
    if make.chance(0.5):
        grown = make.activation(make.conv_transposed(inner, wide.channels, doubles=True))
    else:
        grown = make.resize(inner, 2)
        if grown.channels != wide.channels:
            grown = make.conv(grown, wide.channels, keep_size=True)
    if make.chance(0.5):
        return make.concat([wide, grown])
    return make.activation(make.combination("Add", [wide.name, grown.name], wide.shape))


def grown(make: Builder, ifm: Tensor) -> Tensor:
    factor = make.pick((2, 3))
    return make.resize(ifm, factor) if max(ifm.sizes) * factor <= 24 else max_pool(make, ifm)


def even(make: Builder, ifm: Tensor) -> Tensor:
    """Leave out the last position of odd axes of space."""
    for axis, size in enumerate(ifm.sizes, start=2):
        if size == 1:
            ifm = make.resize(ifm, 2)
        elif size % 2:
            ifm = make.slice(ifm, axis, 0, size - 1)
    return ifm


def head(make: Builder, ifm: Tensor) -> Tensor:
    """Pool or flatten, then one or two dense layers, or nothing."""
    column = (ifm.channels, *[1] * len(ifm.sizes))
    pools: Sequence[str] = ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "")
    pool = make.pick(pools)
    if pool.startswith("Reduce"):
        ifm = make.reduction(pool, ifm, keep=make.chance(0.5))
    elif pool:
        ifm = make.node(pool, [ifm.name], column)
    current = make.flatten(ifm) if len(ifm.shape) > 1 else ifm
    if make.chance(0.4):
        current = make.activation(make.dense(current, make.between(3, 8)))
    current = make.dense(current, make.between(2, 7))
    if make.chance(0.4):
        operator = "Softmax" if make.chance(0.7) else "LogSoftmax"
        current = make.node(operator, [current.name], current.shape, {"axis": 1})
    return current


BLOCKS: tuple[Block, ...] = (
    convolution,
    convolution,
    convolution,
    depthwise,
    transposed_convolution,
    transposed_convolution,
    residual,
    residual,
    branches,
    branches,
    max_pool,
    average_pool,
    average_pool,
    standing_activation,
    copy,
    constant_operand,
    constant_operand,
    bounded,
    standing_normalization,
    sloped,
    sloped,
    *[function] * 8,
    gate,
    squeeze_and_excite,
    shuffle,
    turn,
    sliced,
    padded,
    local_normalization,
    depth_and_space,
    encoder_decoder,
    encoder_decoder,
    grown,
)


# Blocks of operators that integer and float64 arithmetic can do without a table.
PLAIN_BLOCKS = tuple(
    block
    for block in BLOCKS
    if block not in (function, gate, squeeze_and_excite, local_normalization)
)

# Blocks of operators that QONNX has; averages are mostly over what float32 cannot divide by.
QONNX_BLOCKS = (
    convolution,
    depthwise,
    residual,
    branches,
    standing_activation,
    copy,
    constant_operand,
    bounded,
    shuffle,
    turn,
    sliced,
    padded,
    depth_and_space,
    grown,
)


def is_small(tensor: Tensor) -> bool:
    """Whether more blocks may follow: maps stay small enough for slow oracles."""
    return int(np.prod(tensor.shape)) <= 2000
