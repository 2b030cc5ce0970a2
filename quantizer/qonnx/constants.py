"""Which format each constant of a QONNX file has.

Between a Quant node and the layer that uses the constant, the file and the import may move
its values (a Transpose before a MatMul, the filters of a ConvTranspose). So that scales per
channel are moved alike, a second model is imported that has steps where the first has values.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, numpy_helper

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding, round_real
from quantizer.formats_file import GivenFormat
from quantizer.network.graph import Network
from quantizer.qonnx.bypass import QuantizedConstant
from quantizer.qonnx.quant_node import QuantNode

_LAYOUT_ONLY = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}

Constants = Mapping[str, QuantizedConstant]


def model_of_steps(model: ModelProto, constants: Constants) -> ModelProto | None:
    """Copy a float model, with steps for values where those of a constant differ.

    Returns
    -------
    ModelProto or None
        None where they differ in no constant.

    Raises
    ------
    InputError
        The scales of a node do not have the shape of what it quantizes.
    """
    steps = {
        name: _steps(constant)
        for name, constant in constants.items()
        if constant.quant.uniform_frac_bits is None
    }
    if not steps:
        return None
    copy = ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in steps:
            tensor.CopyFrom(numpy_helper.from_array(steps[tensor.name], tensor.name))
    return copy


def _lengths(constant: QuantizedConstant) -> NDArray[np.int64]:
    """Fraction length of every value."""
    lengths, shape = constant.quant.frac_bits, constant.values.shape
    try:
        return np.broadcast_to(lengths, shape)
    except ValueError:
        raise InputError(
            constant.quant.where,
            f"has scales of shape {list(lengths.shape)} for a constant of shape {list(shape)}; "
            "expected one, or one per output channel",
        ) from None


def _steps(constant: QuantizedConstant) -> NDArray[np.float32]:
    return np.ldexp(np.float32(1.0), -_lengths(constant))


def moved_tensors(graph: GraphProto) -> dict[str, str]:
    """Tensors that hold the values of another in another shape or order: that other's name."""
    return {node.output[0]: node.input[0] for node in graph.node if node.op_type in _LAYOUT_ONLY}


def find_constant_formats(
    network: Network, steps: Network | None, constants: Constants, moved: Mapping[str, str]
) -> dict[str, GivenFormat]:
    """Give the formats of the network's constants, by name.

    Parameters
    ----------
    network, steps
        What became of the float model, and of that of steps.
    constants
        Behind Quant nodes, by name in the file.
    moved
        Of the file, as `moved_tensors` gives it.

    Raises
    ------
    InputError
        A node quantizes what no layer has as a constant, or something else than the layer
        computes with, or by other rules than those of constants.
    """
    formats: dict[str, GivenFormat] = {}
    unused = dict(constants)
    for name, values in network.constants.items():
        source = name
        while source not in constants and source in moved:
            source = moved[source]
        if source not in constants:
            continue
        constant = constants[source]
        _check_values(name, values, constant)
        _check_rules(source, constant)
        unused.pop(source, None)
        length = constant.quant.uniform_frac_bits
        if length is None:
            assert steps is not None
            lengths = _lengths_of_channels(constant.quant, steps.constants[name])
        else:
            lengths = (length,)
        formats[name] = GivenFormat(
            bits=constant.quant.bits,
            frac_bits=lengths,
            signed=constant.quant.signed,
            where=constant.quant.where,
        )
    for source, constant in unused.items():
        raise InputError(
            constant.quant.where,
            f"quantizes {source!r}, which is neither weights, bias, slopes nor an operand; "
            "expected one of them",
        )
    return formats


def _lengths_of_channels(quant: QuantNode, steps: NDArray[np.float32]) -> tuple[int, ...]:
    rows = steps.reshape(len(steps), -1)
    if (rows != rows[:, :1]).any():
        raise InputError(
            quant.where, "has scales that differ within an output channel; expected one for each"
        )
    _, exponents = np.frexp(rows[:, 0])
    return tuple((1 - exponents.astype(np.int64)).tolist())


def _check_values(name: str, values: NDArray[np.float32], constant: QuantizedConstant) -> None:
    """Refuse a constant of a layer that is computed from what was quantized."""
    original = constant.values
    if np.array_equal(values.ravel(), original.ravel()):
        return
    if not np.array_equal(np.unique(values), np.unique(original)):
        raise InputError(
            constant.quant.where,
            f"quantizes what {name!r} is computed from (by alpha, beta, a division or a "
            "normalization); expected what the layer multiplies by or adds",
        )


def _check_rules(name: str, constant: QuantizedConstant) -> None:
    """Refuse a node that makes other integers than rounding to even, in the whole range."""
    quant = constant.quant
    if quant.rounding is Rounding.TIES_EVEN and not quant.is_narrow:
        return
    fmt = QFormat(bits=quant.bits, frac_bits=0, signed=quant.signed)
    scaled = np.ldexp(constant.values.astype(np.float64), _lengths(constant))
    low, high = fmt.raw_min, fmt.raw_max
    if quant.is_narrow:
        low, high = (low + 1, high) if quant.signed else (low, high - 1)
    found = round_real(np.clip(scaled, low, high), quant.rounding)
    expected = round_real(np.clip(scaled, fmt.raw_min, fmt.raw_max), Rounding.TIES_EVEN)
    is_other = found != expected
    if is_other.any():
        raise InputError(
            quant.where,
            f"makes {found[is_other].flat[0]:g} of {constant.values[is_other].flat[0]:.9g} in "
            f"{name!r}, a rounding to even in the whole range {expected[is_other].flat[0]:g}; "
            "expected rounding_mode=ROUND and narrow=0",
        )
