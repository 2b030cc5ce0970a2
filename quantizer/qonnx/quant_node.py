"""The Quant node of QONNX: what it says, as a value.

Notes
-----
A. Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks",
2022; the words of the rounding modes and the narrow range are those of qonnx 1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import MAX_FRAC_BITS, MIN_FRAC_BITS, QFormat, Rounding
from quantizer.network.onnx_reader import attributes

DOMAIN = "qonnx.custom_op.general"
DOMAINS = (DOMAIN, "onnx.brevitas", "finn.custom_op.general")
"""Where the nodes of QONNX are found; older exporters wrote the others."""

_OPERATORS = ("Quant", "IntQuant")
"""Two names of one operator; qonnx 0.4 and later write the second."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantNode:
    """A Quant node with a power of two for a scale.

    Attributes
    ----------
    where
        File and node, for messages.
    source, target
        Names of the tensors that it reads and writes.
    bits, signed, rounding
        As of a format; `TIES_POS` is the floor behind half a step.
    is_narrow
        Whether the smallest value (of an unsigned format: the largest) is left out.
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
    def format(self) -> QFormat | None:
        """The one format of the tensor; None where the fraction lengths differ."""
        lengths = {int(length) for length in self.frac_bits.ravel()}
        if len(lengths) != 1:
            return None
        return QFormat(bits=self.bits, frac_bits=lengths.pop(), signed=self.signed)


def is_from_qonnx(node: NodeProto) -> bool:
    """Whether a node is one of QONNX's own."""
    return node.domain in DOMAINS


def read_quant_node(
    path: Path, node: NodeProto, constants: Mapping[str, NDArray[Any]]
) -> QuantNode:
    """Read a node of QONNX.

    Parameters
    ----------
    constants
        Values of the file's initializers and Constant nodes.

    Raises
    ------
    InputError
        It is no Quant node, or is one that no format of this project is equal to.
    """
    where = f"{path}: node {node.name or node.output[0]!r} ({node.op_type})"
    if node.op_type not in _OPERATORS:
        raise InputError(
            where, "is not supported; expected Quant nodes, of 2 bits or more, as the only ones"
        )
    if len(node.input) != 4 or len(node.output) != 1 or not node.input[0]:
        raise InputError(where, "expected four inputs and one output")
    found = {}
    for what, name in zip(("scale", "zero point", "bit width"), node.input[1:], strict=True):
        if name not in constants:
            raise InputError(where, f"{what} {name!r} is computed; expected a constant")
        found[what] = np.asarray(constants[name])
        if not found[what].size or not np.issubdtype(found[what].dtype, np.number):
            raise InputError(where, f"{what} {name!r} holds no number; expected one")
    if found["zero point"].any():
        raise InputError(where, f"has zero point {_first(found['zero point'])}; expected 0")
    given = attributes(node)
    mode = given.get("rounding_mode", b"ROUND")
    mode = mode.decode(errors="replace") if isinstance(mode, bytes) else str(mode)
    if mode.upper() not in _ROUNDINGS:
        raise InputError(where, f"rounds by {mode!r}; expected one of {', '.join(_ROUNDINGS)}")
    return QuantNode(
        where=where,
        source=node.input[0],
        target=node.output[0],
        bits=_bits(where, found["bit width"]),
        signed=bool(given.get("signed", 1)),
        rounding=_ROUNDINGS[mode.upper()],
        is_narrow=bool(given.get("narrow", 0)),
        frac_bits=_frac_bits(where, found["scale"]),
    )


def _bits(where: str, widths: NDArray[Any]) -> int:
    width = _first(widths)
    if (widths != width).any() or width not in range(2, 17):
        raise InputError(where, f"has bit width {width}; expected one integer from 2 to 16")
    return int(width)


def _frac_bits(where: str, scales: NDArray[Any]) -> NDArray[np.int64]:
    mantissas, exponents = np.frexp(scales.astype(np.float64))
    is_wrong = mantissas != 0.5
    if is_wrong.any():
        raise InputError(where, f"has scale {_first(scales[is_wrong])}; expected powers of two")
    lengths = 1 - exponents.astype(np.int64)
    is_wrong = (lengths < MIN_FRAC_BITS) | (lengths > MAX_FRAC_BITS)
    if is_wrong.any():
        raise InputError(
            where,
            f"has scale {_first(scales[is_wrong])}; "
            f"expected one from 2**{-MAX_FRAC_BITS} to 2**{-MIN_FRAC_BITS}",
        )
    return lengths


def _first(numbers: NDArray[Any]) -> float:
    return float(numbers.ravel()[0])
