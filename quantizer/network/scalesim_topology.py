"""SCALE-Sim topologies: lists of layers, as shapes alone.

A file is a header and one row per layer, separated by commas, in one of three layouts: of
convolutions (`CONV_COLUMNS`, or `STRIDED_COLUMNS`, which SCALE-Sim itself writes) or of matrix
products (`GEMM_COLUMNS`). Layers do not read each other: each has an input map of its own.
What stands behind a ``#`` is a comment.

A convolution has no padding, and ``ceil((ifmap - filter + stride) / stride)`` outputs along each
axis; where that rounds up, the last window reaches behind the map and reads zeros. One with
``DP`` in its name is depthwise: each channel has `Num Filter` filters of its own. A matrix
product multiplies ``[M, K]`` by ``[K, N]``.

Source: SCALE-Sim 3 (Raj et al., ISPASS 2025), `topology_utils.py`.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType

import numpy as np

from quantizer.errors import InputError
from quantizer.input_file import read_input
from quantizer.network.graph import Network
from quantizer.network.layers import Conv, Dense, Shape

NOTE = "layers of a SCALE-Sim topology: shapes alone, each with an input of its own"

CONV_COLUMNS = (
    "Layer name", "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels",
    "Num Filter", "Strides",
)  # fmt: skip
STRIDED_COLUMNS = (*CONV_COLUMNS[:-1], "Stride Height", "Stride Width")
GEMM_COLUMNS = ("Layer", "M", "N", "K")

LIMIT_BYTES = 1 << 20
LIMIT_NUMBER = 1_000_000
"""Of every number in a file."""
LIMIT_ELEMENTS = (1 << 31) - 1
"""Of an input map, the filters or an output map."""
LIMIT_MACS = 1 << 50
"""Of a layer: what is counted of it fits 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One layer: where it stands, its name, and its numbers in the order of the columns."""

    where: str
    name: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shaped:
    """A layer with the shapes of what it reads and writes."""

    layer: Conv | Dense
    ifm: Shape
    weights: Shape
    ofm: Shape


def load_scalesim(path: Path) -> Network:
    """Read a topology as a network whose constants have a shape, but no values: all are 0.

    Raises
    ------
    InputError
        If the file cannot be read, or a row is no layer.
    """
    content = read_input(path, "a SCALE-Sim topology", limit_bytes=LIMIT_BYTES)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}", "is not UTF-8; save it as plain text") from None
    columns = _find_columns(lines[0] if lines else "", path)
    shape_of = _gemm if columns is GEMM_COLUMNS else _conv
    shaped = [shape_of(row) for row in _read_rows(lines, columns, path)]
    if not shaped:
        raise InputError(str(path), "has no layer; give at least one row below the header")
    first = shaped[0].layer
    zero = np.float32(0)
    return Network(
        name=path.stem,
        digest=hashlib.sha256(content).hexdigest(),
        input=first.ifm,
        outputs=tuple(each.layer.ofm for each in shaped),
        layers=tuple(each.layer for each in shaped),
        shapes=MappingProxyType(
            {each.layer.ifm: each.ifm for each in shaped}
            | {each.layer.ofm: each.ofm for each in shaped}
        ),
        constants=MappingProxyType(
            {each.layer.weights: np.broadcast_to(zero, each.weights) for each in shaped}
        ),
        notes=(NOTE,),
    )


def _find_columns(header: str, path: Path) -> tuple[str, ...]:
    found = [_plain(name) for name in header.split(",")]
    for columns in (CONV_COLUMNS, STRIDED_COLUMNS, GEMM_COLUMNS):
        # The first is called 'Layer', 'Layer name' or 'Layer Name'.
        if found[1 : len(columns)] == [_plain(name) for name in columns[1:]]:
            return columns
    raise InputError(
        f"{path}:1",
        f"expected the header of a SCALE-Sim topology, '{', '.join(CONV_COLUMNS)},' or "
        f"'{', '.join(GEMM_COLUMNS)},'; got {header[:80]!r}",
    )


def _plain(name: str) -> str:
    """``"Num Filters"`` as ``"numfilter"``."""
    return re.sub(r"[\W_]+", "", name).lower().rstrip("s")


def _read_rows(lines: list[str], columns: tuple[str, ...], path: Path) -> Iterator[_Row]:
    extras = [_plain(name) for name in lines[0].split(",")][len(columns) :]
    first_line: dict[str, int] = {}
    for line, text in enumerate(lines[1:], 2):
        fields = [field.strip() for field in text.partition("#")[0].split(",")]
        if not any(fields):
            continue
        where = f"{path}:{line}"
        if len(fields) < len(columns):
            raise InputError(
                where, f"has {len(fields)} fields; expected {len(columns)}: {', '.join(columns)}"
            )
        name, *numbers = fields[: len(columns)]
        if not name or not name.isprintable():
            raise InputError(f"{where}: {columns[0]}", f"expected a name, got {name!r}")
        if name in first_line:
            raise InputError(
                f"{where}: {columns[0]}",
                f"{name!r} is also the name of line {first_line[name]}; give it another",
            )
        first_line[name] = line
        for extra, field in zip_longest(extras, fields[len(columns) :], fillvalue=""):
            _check_extra(extra, field, where, columns[-1])
        yield _Row(
            where=where,
            name=name,
            numbers=tuple(
                _parse_number(text, f"{where}: {column}")
                for column, text in zip(columns[1:], numbers, strict=True)
            ),
        )


def _parse_number(text: str, where: str) -> int:
    is_number = re.fullmatch("[0-9]{1,9}", text, re.ASCII)
    if not is_number or not 1 <= int(text) <= LIMIT_NUMBER:
        raise InputError(where, f"expected a whole number from 1 to {LIMIT_NUMBER}, got {text!r}")
    return int(text)


def _check_extra(column: str, field: str, where: str, last_column: str) -> None:
    """Refuse what stands behind the last column, but for what changes nothing.

    That is a batch of one, and a ratio that leaves out nothing.
    """
    if column == "batchsize":
        if field not in ("", "1"):
            raise InputError(
                f"{where}: Batch Size", f"expected 1, got {field!r}; give --set mapping.batch"
            )
        return
    ratio = re.fullmatch("([0-9]{1,9}):([0-9]{1,9})", field, re.ASCII)
    if ratio and ratio[1] != ratio[2]:
        raise InputError(
            where, f"sparsity {field!r} is not modelled; give '1:1', or leave the column out"
        )
    if field and not ratio:
        raise InputError(where, f"{field!r} behind {last_column!r} has no use; leave it out")


def _conv(row: _Row) -> _Shaped:
    height, width, filter_rows, filter_cols, channels, filters, *strides = row.numbers
    row_stride, col_stride = strides[0], strides[-1]
    for side, filter_length, length in (
        ("Height", filter_rows, height),
        ("Width", filter_cols, width),
    ):
        if filter_length > length:
            raise InputError(
                f"{row.where}: Filter {side}",
                f"{filter_length} is more than the ifmap's {length}; give at most {length}",
            )
    is_depthwise = "DP" in row.name
    output_rows = -(-(height - filter_rows) // row_stride) + 1
    output_cols = -(-(width - filter_cols) // col_stride) + 1
    all_filters = filters * channels if is_depthwise else filters
    layer = Conv(
        name=row.name,
        ifm=_ifm_name(row),
        ofm=row.name,
        weights=_weights_name(row),
        bias=None,
        stride=(row_stride, col_stride),
        pads=(
            0,
            0,
            (output_rows - 1) * row_stride + filter_rows - height,
            (output_cols - 1) * col_stride + filter_cols - width,
        ),
        dilation=(1, 1),
        groups=channels if is_depthwise else 1,
        clamp=None,
    )
    return _checked(
        row,
        _Shaped(
            layer=layer,
            ifm=(channels, height, width),
            weights=(all_filters, 1 if is_depthwise else channels, filter_rows, filter_cols),
            ofm=(all_filters, output_rows, output_cols),
        ),
    )


def _gemm(row: _Row) -> _Shaped:
    rows, outputs, depth = row.numbers
    layer = Dense(
        name=row.name,
        ifm=_ifm_name(row),
        ofm=row.name,
        weights=_weights_name(row),
        bias=None,
        clamp=None,
    )
    shaped = _Shaped(layer=layer, ifm=(rows, depth), weights=(outputs, depth), ofm=(rows, outputs))
    return _checked(row, shaped)


def _checked(row: _Row, shaped: _Shaped) -> _Shaped:
    for what, shape in (
        ("input map", shaped.ifm),
        ("filters", shaped.weights),
        ("output map", shaped.ofm),
    ):
        if math.prod(shape) > LIMIT_ELEMENTS:
            raise InputError(
                row.where,
                f"{what}: {' x '.join(map(str, shape))} are too many elements; "
                f"expected at most {LIMIT_ELEMENTS:,}",
            )
    macs = math.prod(shaped.ofm) * math.prod(shaped.weights[1:])
    if macs > LIMIT_MACS:
        raise InputError(
            row.where,
            f"{macs:,} multiply-accumulates are too many; expected at most {LIMIT_MACS:,}",
        )
    return shaped


# No name of a layer holds a comma, so these are names of nothing else.
def _ifm_name(row: _Row) -> str:
    return f"{row.name}, IFMAP"


def _weights_name(row: _Row) -> str:
    return f"{row.name}, Filter"
