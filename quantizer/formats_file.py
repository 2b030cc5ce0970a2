"""Files that fix formats by tensor name, and formats as plain JSON values.

``{"conv1.weight": {"bits": 8, "frac_bits": 7, "signed": true}, ...}``: weights, biases and
feature maps alike. Weights and biases may give ``frac_bits`` as a list, one per output
channel.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantizer.errors import InputError, nearest
from quantizer.fixedpoint.qformat import MAX_FRAC_BITS, MIN_FRAC_BITS
from quantizer.json_file import is_integer, read_object
from quantizer.network.layers import WeightedLayer
from quantizer.quantized import QuantizedConstant, QuantizedNetwork

_KEYS = ["bits", "frac_bits", "signed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFormat:
    """A format that the user fixed.

    Attributes
    ----------
    frac_bits
        One for the tensor, or one per output channel.
    where
        File and tensor, for messages.
    """

    bits: int
    frac_bits: tuple[int, ...]
    signed: bool
    where: str


def read_formats(path: Path | str) -> dict[str, GivenFormat]:
    """Read a formats file.

    Raises
    ------
    InputError
        The file cannot be read, is no JSON object of objects, names a tensor twice, or
        has a key, type or number that a format does not allow.
    """
    path = Path(path)
    formats = read_object(path, expected="a formats file", holding="tensor names and formats")
    return {name: _given(f"{path}: {name!r}", value) for name, value in formats.items()}


def _given(where: str, value: Any) -> GivenFormat:
    if not isinstance(value, dict):
        raise InputError(where, 'expected {"bits": ..., "frac_bits": ..., "signed": ...}')
    for key in value:
        if key not in _KEYS:
            raise InputError(where, f"unknown key {key!r}{nearest(key, _KEYS)}")
    for key in _KEYS:
        if key not in value:
            raise InputError(where, f"key {key!r} is missing")
    bits, frac_bits, signed = (value[key] for key in _KEYS)
    if not is_integer(bits) or not 2 <= bits <= 16:
        raise InputError(where, f"bits: expected an integer from 2 to 16, got {bits!r}")
    if not isinstance(signed, bool):
        raise InputError(where, f"signed: expected true or false, got {signed!r}")
    lengths = frac_bits if isinstance(frac_bits, list) and frac_bits else [frac_bits]
    for length in lengths:
        if not is_integer(length) or not MIN_FRAC_BITS <= length <= MAX_FRAC_BITS:
            raise InputError(
                where,
                f"frac_bits: expected an integer from {MIN_FRAC_BITS} to {MAX_FRAC_BITS}, "
                f"or a list of them, got {length!r}",
            )
    return GivenFormat(bits=bits, frac_bits=tuple(lengths), signed=signed, where=where)


def formats_to_json(network: QuantizedNetwork) -> dict[str, dict[str, Any]]:
    """Give every format of a quantized network, in the form that `read_formats` takes."""
    entries: dict[str, dict[str, Any]] = {
        name: {"bits": fmt.bits, "frac_bits": fmt.frac_bits, "signed": fmt.signed}
        for name, fmt in network.formats.items()
    }
    entries |= {name: _constant_to_json(value) for name, value in network.weights.items()}
    for layer in network.network.layers:
        if isinstance(layer, WeightedLayer) and layer.bias is not None:
            entries[layer.bias] = _constant_to_json(network.biases[layer.name])
    return entries


def _constant_to_json(constant: QuantizedConstant) -> dict[str, Any]:
    lengths = [int(length) for length in constant.frac_bits]
    frac_bits = lengths if constant.is_per_channel else lengths[0]
    return {"bits": constant.bits, "frac_bits": frac_bits, "signed": True}
