"""Pages of docs/ that are generated: keys of machines, fields of reports, methods, devices."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accel_sim.cli.list_names import LISTS
from accel_sim.hardware.config import HardwareConfig
from accel_sim.report.document import ReportDocument

Schema = Mapping[str, Any]

_GENERATED = "<!-- tools/refresh_docs.py writes this page; a test compares. -->\n"
_ATTRIBUTES = re.compile(r"Attributes\n-+\n(.*)", re.DOTALL)
_ENTRY = re.compile(r"^(\w[\w, ]*)\n((?:    .*\n?|\n)+)", re.MULTILINE)
_LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
}
_UNBOUNDED = 1 << 60


def machine_page() -> str:
    """All keys of a machine's YAML file."""
    schema = HardwareConfig.model_json_schema()
    intro = """
# Keys of a machine

Every key of a machine's YAML file, section by section. A key without a default has to be there; an
unknown one is an error that names the nearest. `accel-sim schema hardware` prints the same as JSON
Schema, which editors use to complete and check files. [machines.md](machines.md) shows how to make
a machine, and [MODEL.md](../accel_sim/MODEL.md) says what each of these does to the results.
"""
    return _GENERATED + intro + "".join(_sections(schema, "machine", "key"))


def report_page() -> str:
    """All fields of the JSON report."""
    schema = ReportDocument.model_json_schema(mode="serialization")
    intro = """
# Fields of a report

What `accel-sim simulate HW --json F` writes. Units stand in the names: `_pJ`, `_bytes`, `_us`;
a `_fraction` is from 0 to 1. Fields may be added; a rename or a removal raises `schema_version`.
The same inputs give the same bytes but for `run`; on another processor the last digits of SQNR may
differ ([limits.md](limits.md)). `accel-sim schema report` prints this as JSON Schema, and
[report.md](report.md) tells what to make of it.
"""
    return _GENERATED + intro + "".join(_sections(schema, "report", "field"))


def method_page() -> str:
    """All methods that choose formats."""
    intro = """
# Methods

How the step of a feature map is chosen, by `--method`. Weights and biases always get the fraction
length of least squared error, which is found by trying all. [numbers.md](numbers.md) shows them in
use, and `benchmarks/sqnr.py` holds them against each other.
"""
    first, *rows = LISTS["methods"]()
    return _GENERATED + intro + "\n" + _table(first, [(f"`{name}`", text) for name, text in rows])


def device_page() -> str:
    """All DRAM devices."""
    intro = """
# DRAM devices

What `dram: {model: device, device: NAME, ...}` takes. `dram: {model: flat, ...}` is a memory of
given bandwidth, latency and energy instead ([machine-keys.md](machine-keys.md)).
"""
    first, *rows = LISTS["devices"]()
    names = [(f"`{device}`", f"`{address_map}`", peak) for device, address_map, peak in rows]
    return _GENERATED + intro + "\n" + _table(first, names)


def _sections(schema: Schema, top: str, heading: str) -> Iterator[str]:
    """Give a heading and a table for a section, then for those in it, each once."""
    definitions: Schema = schema.get("$defs", {})
    queue, seen = [(top, schema)], {top}
    while queue:
        name, section = queue.pop(0)
        description, meanings = _split(str(section.get("description", "")))
        rows = []
        for key, field in section.get("properties", {}).items():
            rows.append(
                (
                    f"`{key}`",
                    _describe(field, definitions),
                    _default(key, field, section),
                    _meaning(key, field, meanings, definitions),
                )
            )
            for reference in _references(field):
                if reference not in seen and "properties" in definitions[reference]:
                    seen.add(reference)
                    queue.append((reference, definitions[reference]))
        yield f"\n## {name}\n\n"
        if description:
            yield textwrap.fill(description, 100) + "\n\n"
        yield _table((heading, "takes" if heading == "key" else "is", "default", "meaning"), rows)


def _split(description: str) -> tuple[str, dict[str, str]]:
    """Take the attributes of a docstring apart from what is before them."""
    found = _ATTRIBUTES.search(description)
    before = description if found is None else description[: found.start()]
    meanings = {}
    for names, text in _ENTRY.findall("" if found is None else found[1] + "\n"):
        for name in names.split(","):
            meanings[name.strip()] = " ".join(text.split())
    return " ".join(before.split()), meanings


def _meaning(key: str, field: Schema, meanings: Mapping[str, str], definitions: Schema) -> str:
    """What a field is for; by itself, in the docstring of its section, or as its kind."""
    meaning = field.get("description") or meanings.get(key, "")
    if not meaning:
        kinds = [_split(str(definitions[name].get("description", "")))[0]
                 for name in _references(field)]  # fmt: skip
        meaning = kinds[0] if len(kinds) == 1 else ""
    return meaning.replace("``", "`")


def _references(field: Any) -> Iterator[str]:
    """Names of the sections that a field may hold."""
    if isinstance(field, Mapping):
        if "$ref" in field:
            yield field["$ref"].rpartition("/")[2]
        for value in field.values():
            yield from _references(value)
    elif isinstance(field, Sequence) and not isinstance(field, str):
        for value in field:
            yield from _references(value)


def _describe(field: Schema, definitions: Schema) -> str:
    """What a field takes, in words."""
    if "anyOf" in field or "oneOf" in field:
        options = field.get("anyOf") or field["oneOf"]
        return " or ".join(dict.fromkeys(_describe(option, definitions) for option in options))
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        target = definitions[name]
        return f"[{name}](#{name.lower()})" if "properties" in target else _describe(target, {})
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = field.get("type", "anything")
    if kind == "array":
        items = field.get("items", {})
        return f"list of {_describe(items, definitions)}" if items else "list"
    if kind == "object":
        values = field.get("additionalProperties")
        inner = f" of {_describe(values, definitions)}" if isinstance(values, Mapping) else ""
        return f"names{inner}"
    limits = [
        text.format(f"{field[key]:g}")
        for key, text in _LIMITS.items()
        if key in field and abs(field[key]) < _UNBOUNDED
    ]
    names = {"string": "text", "boolean": "true or false", "null": "nothing"}
    return " ".join([names.get(kind, kind), *limits])


def _default(key: str, field: Schema, section: Schema) -> str:
    if key in section.get("required", ()) or "default" not in field:
        return ""
    value = field["default"]
    return "none" if value in (None, [], {}) else f"`{str(value).lower()}`"


def _table(first: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [first, ["---"] * len(first), *rows]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in cells)
