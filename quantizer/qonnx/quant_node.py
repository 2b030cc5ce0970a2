"""The Quant node of QONNX: what it says, as a value.

Notes
-----
A. Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks",
2022; attributes, defaults and the words of the rounding modes are those of the operator's
page in qonnx 1.0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MAX_FRAC_BITS, MIN_FRAC_BITS, Rounding
from quantizer.network.onnx_reader import QONNX_DOMAINS, attributes

_OPERATORS = ("Quant", "IntQuant")
"""Two names of one operator; the second is the younger."""

ROUNDING_MODES: Mapping[Rounding, str] = {
    Rounding.TIES_EVEN: "ROUND",
    Rounding.TIES_AWAY: "HALF_UP",
    Rounding.TO_NEG: "FLOOR",
    Rounding.TO_ZERO: "DOWN",
    # Of a value that half a step was added to.
    Rounding.TIES_POS: "FLOOR",
}

_ROUNDINGS: Mapping[str, Rounding] = {
    "ROUND": Rounding.TIES_EVEN,
    "HALF_EVEN": Rounding.TIES_EVEN,
    "HALF_UP": Rounding.TIES_AWAY,
    "FLOOR": Rounding.TO_NEG,
    "DOWN": Rounding.TO_ZERO,
}

FindConstant = Callable[[str], NDArray[Any] | None]
"""Gives the values of an initializer or Constant node; None for any other tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantNode:
    """A Quant node with powers of two for scales.

    Attributes
    ----------
    where
        File and node, for messages.
    source, target
        Names of the tensors that it reads and writes.
    bits, signed, rounding
        As of a format; `TIES_POS` is the floor behind half a step.
    is_narrow
        Whether the smallest integer (of an unsigned format: the largest) is left out.
    frac_bits
        int64, of the shape of the scale.
    """

    where: str
    source: str
    target: str
    bits: int
    signed: bool
    rounding: Rounding
    is_narrow: bool
    frac_bits: NDArray[np.int64]

    @property
    def uniform_frac_bits(self) -> int | None:
        """The one fraction length of the tensor; None where they differ."""
        lengths = set(self.frac_bits.ravel().tolist())
        return lengths.pop() if len(lengths) == 1 else None

    def says_the_same(self, other: "QuantNode") -> bool:
        """Whether the two make the same integers of a tensor."""
        return (
            self.bits == other.bits
            and self.signed is other.signed
            and self.rounding is other.rounding
            and self.is_narrow is other.is_narrow
            and np.array_equal(self.frac_bits, other.frac_bits)
        )


def is_from_qonnx(node: NodeProto) -> bool:
    """Whether a node is one of QONNX's own."""
    return node.domain in QONNX_DOMAINS


def read_quant_node(path: Path, node: NodeProto, find_constant: FindConstant) -> QuantNode:
    """Read a node of QONNX.

    Raises
    ------
    InputError
        It is no Quant node, or is one that no format of this project is equal to.
    """
    where = f"{path}: node {node.name or node.output[0]!r} ({node.op_type})"
    if node.op_type not in _OPERATORS:
        raise InputError(where, "is not supported; of QONNX's nodes, Quant alone is")
    if len(node.input) != 4 or len(node.output) != 1 or not all(node.input):
        raise InputError(where, "expected four inputs and one output, none of them left out")
    source, *parameters = node.input
    scale, zero_point, width = (
        _numbers(where, what, name, find_constant(name))
        for what, name in zip(("scale", "zero point", "bit width"), parameters, strict=True)
    )
    if zero_point.any():
        raise InputError(where, f"has zero point {_first(zero_point):g}; expected 0")
    given = attributes(node)
    return QuantNode(
        where=where,
        source=source,
        target=node.output[0],
        bits=_bits(where, width),
        signed=_flag(where, given, "signed", otherwise=True),
        rounding=_rounding(where, given),
        is_narrow=_flag(where, given, "narrow", otherwise=False),
        frac_bits=_frac_bits(where, scale),
    )


def _numbers(where: str, what: str, name: str, values: NDArray[Any] | None) -> NDArray[np.float64]:
    if values is None:
        raise InputError(
            where, f"{what} {name!r} is computed; expected a constant (qonnx-cleanup makes one)"
        )
    if not values.size or values.dtype.kind not in "fiu":
        raise InputError(where, f"{what} {name!r} holds no number; expected one or more")
    return values.astype(np.float64)


def _bits(where: str, widths: NDArray[np.float64]) -> int:
    is_wrong = ~np.isin(widths, range(2, 17))
    if is_wrong.any():
        raise InputError(
            where, f"has bit width {_first(widths[is_wrong]):g}; expected an integer from 2 to 16"
        )
    if (widths != widths.flat[0]).any():
        raise InputError(where, "has more than one bit width; expected one for the tensor")
    return int(widths.flat[0])


def _frac_bits(where: str, scales: NDArray[np.float64]) -> NDArray[np.int64]:
    mantissas, exponents = np.frexp(scales)
    is_wrong = mantissas != 0.5
    if is_wrong.any():
        raise InputError(where, f"has scale {_first(scales[is_wrong]):.9g}; expected powers of two")
    lengths = 1 - exponents.astype(np.int64)
    is_wrong = (lengths < MIN_FRAC_BITS) | (lengths > MAX_FRAC_BITS)
    if is_wrong.any():
        raise InputError(
            where,
            f"has scale 2**{-int(lengths[is_wrong].flat[0])}; "
            f"expected one from 2**{-MAX_FRAC_BITS} to 2**{-MIN_FRAC_BITS}",
        )
    return lengths


def _flag(where: str, given: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    value = given.get(name, int(otherwise))
    if not isinstance(value, int) or value not in (0, 1):
        raise InputError(where, f"has {name} {value!r}; expected 0 or 1")
    return bool(value)


def _rounding(where: str, given: Mapping[str, Any]) -> Rounding:
    word = given.get("rounding_mode", b"ROUND")
    word = word.decode(errors="replace") if isinstance(word, bytes) else str(word)
    if word.upper() not in _ROUNDINGS:
        raise InputError(where, f"rounds by {word!r}; expected one of {', '.join(_ROUNDINGS)}")
    return _ROUNDINGS[word.upper()]


def _first(numbers: NDArray[np.float64]) -> float:
    return float(numbers.flat[0])
