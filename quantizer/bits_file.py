"""Files that give word lengths by layer.

``{"default": {"weight_bits": 6}, "conv1": {"weight_bits": 8, "activation_bits": 8}, "fc": 4}``:
a number stands for both weights and activations. ``default`` is for what no entry names, and
alone may hold ``input_bits``, for the network input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantizer.errors import InputError, nearest
from quantizer.json_file import is_integer, read_object
from quantizer.quantized import LayerBits

_DEFAULT = "default"
_LAYER_KEYS = ["weight_bits", "activation_bits", "bias_bits"]
_DEFAULT_KEYS = [*_LAYER_KEYS, "input_bits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBits:
    """What a bits file says.

    Attributes
    ----------
    default
        Widths of the network, where the file gives them.
    inputs
        Width of the network input, if the file gives it.
    layers
        By layer name.
    source
        The file, as the user named it.
    """

    default: LayerBits = field(default_factory=LayerBits)
    inputs: int | None = None
    layers: Mapping[str, LayerBits] = field(default_factory=dict)
    source: str = "layers"


def read_bits(path: Path | str) -> GivenBits:
    """Read a bits file.

    Raises
    ------
    InputError
        The file cannot be read, is no JSON object, names a layer twice, or has a key or a
        number that no width is.
    """
    path = Path(path)
    entries = read_object(path, expected="a bits file", holding="layer names and widths")
    widths = {
        name: _widths(
            f"{path}: {name!r}", entry, _DEFAULT_KEYS if name == _DEFAULT else _LAYER_KEYS
        )
        for name, entry in entries.items()
    }
    default = widths.pop(_DEFAULT, {})
    return GivenBits(
        default=_layer_bits(default),
        inputs=default.get("input_bits"),
        layers={name: _layer_bits(entry) for name, entry in widths.items()},
        source=str(path),
    )


def _widths(where: str, entry: Any, keys: list[str]) -> dict[str, int]:
    if not isinstance(entry, dict):
        if not _is_width(entry):
            raise InputError(
                where,
                "expected a width from 2 to 16, or an object of "
                f"{', '.join(keys[:-1])} and {keys[-1]}; got {entry!r}",
            )
        return {"weight_bits": entry, "activation_bits": entry}
    for key, value in entry.items():
        if key in _DEFAULT_KEYS and key not in keys:
            raise InputError(where, f"{key}: no layer has one; give it in {_DEFAULT!r}")
        if key not in keys:
            hint = nearest(key, keys) or f"; expected {', '.join(keys[:-1])} or {keys[-1]}"
            raise InputError(where, f"unknown key {key!r}{hint}")
        if not _is_width(value):
            raise InputError(where, f"{key}: expected an integer from 2 to 16, got {value!r}")
    return entry


def _is_width(value: object) -> bool:
    return is_integer(value) and value in range(2, 17)


def _layer_bits(widths: Mapping[str, int]) -> LayerBits:
    return LayerBits(
        weights=widths.get("weight_bits"),
        activations=widths.get("activation_bits"),
        biases=widths.get("bias_bits"),
    )
