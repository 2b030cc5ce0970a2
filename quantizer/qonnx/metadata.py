"""What QONNX has no place for, as a property of the model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from quantizer.errors import InputError
from quantizer.quantized import (
    BitWidths,
    LayerBits,
    MapChoice,
    QuantizedNetwork,
    TuneMeasure,
    Tuning,
)

KEY = "accel_sim"
"""Of the property; its value is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a network came to its formats, which no Quant node says.

    Attributes
    ----------
    method, bits, choices, per_channel, tuning
        Of the quantized network.
    notes, digest
        Of the float network that was quantized. The file's own digest would say nothing
        that another file of the same network could be held against.
    """

    method: str
    bits: BitWidths
    choices: Mapping[str, MapChoice]
    per_channel: bool
    tuning: Tuning | None
    notes: tuple[str, ...]
    digest: str


def write_facts(model: ModelProto, network: QuantizedNetwork) -> None:
    """Add the facts of a quantized network to a model, in place."""
    facts = Facts(
        method=network.method,
        bits=network.bits,
        choices=network.choices,
        per_channel=network.per_channel,
        tuning=network.tuning,
        notes=network.network.notes,
        digest=network.network.digest,
    )
    content = asdict(facts)
    del content["bits"]["source"]  # of messages; a path on this machine
    model.metadata_props.add(key=KEY, value=json.dumps(content))


def read_facts(path: Path, model: ModelProto) -> Facts | None:
    """Read the facts of a model; None where it has none, because others wrote it.

    Raises
    ------
    InputError
        The property is not what `write_facts` writes.
    """
    texts = [one.value for one in model.metadata_props if one.key == KEY]
    if not texts:
        return None
    try:
        return _parse(texts[0])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise InputError(
            f"{path}: property {KEY!r}", "is not as accel-sim writes it; quantize the network again"
        ) from None


def _parse(text: str) -> Facts:
    found = json.loads(text)
    facts = Facts(
        method=found["method"],
        bits=_bits(found["bits"]),
        choices={name: _choice(**value) for name, value in found["choices"].items()},
        per_channel=found["per_channel"],
        tuning=None if found["tuning"] is None else _tuning(found["tuning"]),
        notes=tuple(found["notes"]),
        digest=found["digest"],
    )
    texts = (facts.method, facts.digest, *facts.notes)
    if not (
        all(isinstance(one, str) and one.isprintable() for one in texts)
        and isinstance(facts.per_channel, bool)
        and isinstance(found["notes"], list)
    ):
        raise TypeError("a value has another type")
    return facts


def _bits(found: Mapping[str, Any]) -> BitWidths:
    layers = {name: LayerBits(**_integers(own)) for name, own in found.get("layers", {}).items()}
    of_network = {key: bits for key, bits in found.items() if key != "layers"}
    return BitWidths(layers=layers, **_integers(of_network))


def _tuning(found: Mapping[str, Any]) -> Tuning:
    limits = {key: limit for key, limit in found.items() if key != "measure"}
    return Tuning(measure=TuneMeasure(found["measure"]), **_integers(limits))


def _integers(found: Mapping[str, Any]) -> Mapping[str, Any]:
    if not all(value is None or type(value) is int for value in found.values()):
        raise TypeError("a width or limit is no integer")
    return found


def _choice(shapes: list[Any], step: float | None, predicted_sqnr_dB: float | None) -> MapChoice:
    pairs = tuple((float(first), float(second)) for first, second in shapes)
    step, predicted = (
        None if number is None else float(number) for number in (step, predicted_sqnr_dB)
    )
    return MapChoice(shapes=pairs, step=step, predicted_sqnr_dB=predicted)
