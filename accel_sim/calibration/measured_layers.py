"""What was measured of the layers of a chip: power, time, and how many operands were zero."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from quantizer.errors import InputError, nearest
from quantizer.input_file import read_input

EXPECTED = "a .csv table of measured layers"
MAX_BYTES = 1 << 20
_NUMBERS = ("power_mW", "latency_ms", "zero_ifm_fraction")
_OPTIONAL = "zero_weight_fraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLayer:
    """A layer on a chip, for as many images as the machine works on together.

    Attributes
    ----------
    layer
        Its name in the network.
    power_mW
        Of the chip alone, without its DRAM, averaged over `latency_ms`.
    latency_ms
        All that passes, waiting for DRAM included.
    zero_ifm_fraction, zero_weight_fraction
        Of the elements.
    where
        Where that stands, for messages.
    """

    layer: str
    power_mW: float
    latency_ms: float
    zero_ifm_fraction: float
    zero_weight_fraction: float = 0.0
    where: str = "measured layers"

    def __post_init__(self) -> None:
        for key in ("power_mW", "latency_ms"):
            value = getattr(self, key)
            if not 0 < value < math.inf:
                raise InputError(self.where, f"{key}: expected a number above 0, got {value:g}")
        for key in ("zero_ifm_fraction", "zero_weight_fraction"):
            value = getattr(self, key)
            if not 0 <= value <= 1:
                raise InputError(self.where, f"{key}: expected a fraction, 0 to 1, got {value:g}")


def read_measured_layers(path: Path | str) -> tuple[MeasuredLayer, ...]:
    """Read a table with a line per layer.

    Columns are ``layer``, ``power_mW``, ``latency_ms``, ``zero_ifm_fraction`` and, where it is
    known, ``zero_weight_fraction``, in any order; see `MeasuredLayer`. Lines that begin with
    ``#`` are for the reader.

    Raises
    ------
    InputError
        If the file cannot be read, has not these columns, has a number that nothing measured
        is, or names a layer twice.
    """
    path = Path(path)
    try:
        text = read_input(path, EXPECTED, limit_bytes=MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(str(path), f"is not a text file; expected {EXPECTED}") from None
    # Comments become empty lines, so that the others keep their numbers.
    lines = ["" if line.startswith("#") else line for line in text.splitlines()]
    rows = csv.reader(io.StringIO("\n".join(lines)))
    columns: list[str] | None = None
    layers: dict[str, MeasuredLayer] = {}
    try:
        for row in rows:
            cells, where = [cell.strip() for cell in row], f"{path}:{rows.line_num}"
            if not any(cells):
                continue
            if columns is None:
                columns = _check_columns(cells, where)
                continue
            layer = _read_layer(columns, cells, where)
            if layer.layer in layers:
                raise InputError(where, f"layer {layer.layer!r} is measured twice; expected once")
            layers[layer.layer] = layer
    except csv.Error as error:
        raise InputError(f"{path}:{rows.line_num}", f"{error}; expected {EXPECTED}") from None
    if not layers:
        raise InputError(str(path), f"measures no layer; expected {EXPECTED}")
    return tuple(layers.values())


def _check_columns(cells: list[str], where: str) -> list[str]:
    known = ["layer", *_NUMBERS, _OPTIONAL]
    for cell in cells:
        if cell not in known:
            hint = nearest(cell, known) or f"; expected {', '.join(known)}"
            raise InputError(where, f"unknown column {cell!r}{hint}")
        if cells.count(cell) > 1:
            raise InputError(where, f"column {cell!r} is given twice; expected one")
    for name in known[:-1]:
        if name not in cells:
            raise InputError(where, f"missing column {name!r}; expected {', '.join(known[:-1])}")
    return cells


def _read_layer(columns: list[str], cells: list[str], where: str) -> MeasuredLayer:
    if len(cells) != len(columns):
        raise InputError(where, f"expected {len(columns)} columns, got {len(cells)}")
    texts = dict(zip(columns, cells, strict=True))
    layer = texts.pop("layer")
    if not layer:
        raise InputError(where, "layer: expected a name, got nothing")
    numbers = {key: _read_number(text, where, key) for key, text in texts.items()}
    return MeasuredLayer(
        layer=layer,
        power_mW=numbers["power_mW"],
        latency_ms=numbers["latency_ms"],
        zero_ifm_fraction=numbers["zero_ifm_fraction"],
        zero_weight_fraction=numbers.get(_OPTIONAL, 0.0),
        where=where,
    )


def _read_number(text: str, where: str, key: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(where, f"{key}: expected a number, got {text!r}") from None
