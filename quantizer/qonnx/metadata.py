"""What QONNX has no place for, as a property of the model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from quantizer.errors import InputError
from quantizer.quantized import BitWidths, MapChoice, QuantizedNetwork

KEY = "accel_sim"
"""Of the property; its value is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a network came to its formats, which no Quant node says.

    Attributes
    ----------
    method, is_tuned, bits, choices
        Of the quantized network.
    notes, digest
        Of the float network that was quantized. The file's own digest would say nothing
        that another file of the same network could be held against.
    """

    method: str
    is_tuned: bool
    bits: BitWidths
    choices: Mapping[str, MapChoice]
    notes: tuple[str, ...]
    digest: str


def write_facts(model: ModelProto, network: QuantizedNetwork) -> None:
    """Add the facts of a quantized network to a model, in place."""
    facts = Facts(
        method=network.method,
        is_tuned=network.is_tuned,
        bits=network.bits,
        choices=network.choices,
        notes=network.network.notes,
        digest=network.network.digest,
    )
    model.metadata_props.add(key=KEY, value=json.dumps(asdict(facts)))


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
        is_tuned=found["is_tuned"],
        bits=BitWidths(**found["bits"]),
        choices={name: _choice(**value) for name, value in found["choices"].items()},
        notes=tuple(found["notes"]),
        digest=found["digest"],
    )
    texts = (facts.method, facts.digest, *facts.notes)
    widths = [width for width in asdict(facts.bits).values() if width is not None]
    if not (
        all(isinstance(one, str) and one.isprintable() for one in texts)
        and all(type(width) is int for width in widths)
        and isinstance(facts.is_tuned, bool)
        and isinstance(found["notes"], list)
    ):
        raise TypeError("a value has another type")
    return facts


def _choice(shapes: list[Any], step: float | None, predicted_sqnr_dB: float | None) -> MapChoice:
    pairs = tuple((float(first), float(second)) for first, second in shapes)
    step, predicted = (
        None if number is None else float(number) for number in (step, predicted_sqnr_dB)
    )
    return MapChoice(shapes=pairs, step=step, predicted_sqnr_dB=predicted)
