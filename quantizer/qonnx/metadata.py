"""What QONNX has no place for, as properties of the model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow, Rounding
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork

_PREFIX = "accel_sim."
_WIDTHS = range(2, 17)
_ACCUMULATOR_WIDTHS = range(8, 49)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How a network was quantized, beyond what its Quant nodes say.

    Attributes
    ----------
    bits
        The widths that were asked for.
    rules
        Those that the formats were chosen under. The rounding of requantization is not
        kept here, because every Quant node says it.
    notes
        Of the network.
    """

    method: str
    is_tuned: bool
    bits: BitWidths
    rules: NumericRules
    notes: tuple[str, ...]


def facts_of(network: QuantizedNetwork) -> Facts:
    """Collect the facts of a quantized network."""
    return Facts(
        method=network.method,
        is_tuned=network.is_tuned,
        bits=network.bits,
        rules=network.rules,
        notes=network.network.notes,
    )


def write_facts(model: ModelProto, facts: Facts) -> None:
    """Add facts to a model, in place."""
    bits, rules = facts.bits, facts.rules
    properties = {
        "method": facts.method,
        "is_tuned": json.dumps(facts.is_tuned),
        "weight_bits": str(bits.weights),
        "activation_bits": str(bits.activations),
        "bias_bits": str(bits.biases),
        "average_pool_rounding": rules.average_pool_rounding.name.lower(),
        "accumulator_bits": str(rules.accumulator_bits),
        "accumulator_overflow": rules.accumulator_overflow.value,
        "notes": json.dumps(facts.notes),
    }
    if bits.inputs is not None:
        properties["input_bits"] = str(bits.inputs)
    for key, value in properties.items():
        model.metadata_props.add(key=f"{_PREFIX}{key}", value=value)


def read_facts(path: Path, model: ModelProto) -> Facts | None:
    """Read the facts of a model; None where it has none, because others wrote it.

    Raises
    ------
    InputError
        A property is missing, or is not what `write_facts` writes.
    """
    found = {
        one.key.removeprefix(_PREFIX): one.value
        for one in model.metadata_props
        if one.key.startswith(_PREFIX)
    }
    if not found:
        return None
    properties = _Properties(path=path, values=found)
    inputs = properties.integer("input_bits", _WIDTHS) if "input_bits" in found else None
    roundings = {rounding.name.lower(): rounding for rounding in Rounding}
    overflows = {overflow.value: overflow for overflow in Overflow}
    return Facts(
        method=properties.text("method"),
        is_tuned={"true": True, "false": False}[properties.word("is_tuned", ("true", "false"))],
        bits=BitWidths(
            weights=properties.integer("weight_bits", _WIDTHS),
            activations=properties.integer("activation_bits", _WIDTHS),
            inputs=inputs,
            biases=properties.integer("bias_bits", _WIDTHS),
        ),
        rules=NumericRules(
            average_pool_rounding=roundings[properties.word("average_pool_rounding", roundings)],
            accumulator_bits=properties.integer("accumulator_bits", _ACCUMULATOR_WIDTHS),
            accumulator_overflow=overflows[properties.word("accumulator_overflow", overflows)],
        ),
        notes=properties.texts("notes"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Properties:
    """Properties of a model, read one by one."""

    path: Path
    values: Mapping[str, str]

    def text(self, key: str) -> str:
        if key not in self.values:
            raise InputError(f"{self.path}: property '{_PREFIX}{key}'", "is missing")
        return self.values[key]

    def word(self, key: str, words: "Mapping[str, object] | tuple[str, ...]") -> str:
        text = self.text(key)
        if text not in words:
            raise self._refuse(key, f"one of {', '.join(words)}")
        return text

    def integer(self, key: str, allowed: range) -> int:
        text = self.text(key)
        if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) in allowed):
            raise self._refuse(key, f"an integer from {allowed[0]} to {allowed[-1]}")
        return int(text)

    def texts(self, key: str) -> tuple[str, ...]:
        try:
            found = json.loads(self.text(key))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self._refuse(key, "a JSON list of texts")
        return tuple(found)

    def _refuse(self, key: str, expected: str) -> InputError:
        return InputError(
            f"{self.path}: property '{_PREFIX}{key}'",
            f"is {self.values[key]!r}; expected {expected}",
        )
