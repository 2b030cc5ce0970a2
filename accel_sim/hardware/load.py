"""Load a machine from a YAML file or by the name of a shipped one."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import accel_sim
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.convert import convert
from accel_sim.hardware.limits import table_problems
from accel_sim.hardware.yaml_tree import MAX_BYTES, Section, Tree, parse_yaml
from quantizer.errors import InputError, nearest

_PACKAGE = Path(accel_sim.__file__).parent
_SUFFIXES = (".yaml", ".yml")


def load_hardware(path_or_name: str | Path, overrides: Sequence[str] = ()) -> HardwareConfig:
    """Read an accelerator.

    Parameters
    ----------
    path_or_name
        A YAML file, or the name of a shipped machine.
    overrides
        ``KEY=VALUE`` with a dotted key, applied in order: ``mac_array.rows=8``.

    Raises
    ------
    InputError
        If there is no such machine, the file cannot be read, or a key is unknown,
        repeated, missing, mistyped or out of range.
    """
    return parse_hardware(read_text(find_machine(path_or_name)), str(path_or_name), overrides)


def parse_hardware(text: str, name: str, overrides: Sequence[str] = ()) -> HardwareConfig:
    """Read an accelerator from the text of its file; `name` is what errors call it.

    Raises
    ------
    InputError
        If a key is unknown, repeated, missing, mistyped or out of range.
    """
    tree = parse_yaml(text, name)
    if isinstance(tree, Section):
        for override in overrides:
            _override(tree, override)
    config = convert(tree, HardwareConfig)
    for problem in table_problems(config):
        raise InputError(_place(tree, problem.key), f"{problem.key}: {problem.text}")
    return config


def shipped_machines() -> tuple[str, ...]:
    """Names of the machines that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _shipped_folder().glob("*.yaml")))


def find_machine(path_or_name: str | Path) -> Path:
    """File of a machine: the path itself, or where a shipped name is stored.

    Raises
    ------
    InputError
        If there is neither.
    """
    path = Path(path_or_name)
    if path.suffix in _SUFFIXES or path.name != str(path_or_name) or path.is_file():
        return path
    name = str(path_or_name)
    if name in shipped_machines():
        return _shipped_folder() / f"{name}.yaml"
    raise InputError(
        name,
        "no file or shipped machine of this name (`accel-sim list machines` shows those)"
        f"{nearest(name, list(shipped_machines()))}",
    )


def read_text(path: Path) -> str:
    """Text of a machine's file, comments included.

    Raises
    ------
    InputError
        If it cannot be read, is larger than 1 MiB or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(str(path), "no such file") from None
    except IsADirectoryError:
        raise InputError(str(path), "is a folder; expected a YAML file") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise InputError(str(path), "larger than 1 MiB; expected a machine description")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(str(path), "not a text file; expected YAML") from None


def hardware_schema() -> dict[str, Any]:
    """JSON Schema of a machine's file, for editors."""
    schema = HardwareConfig.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def config_digest(config: HardwareConfig) -> str:
    """SHA-256 of the machine, whatever the order and comments of its file."""
    canonical = json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _shipped_folder() -> Path:
    """Folder of the shipped machines: in an installed package, or beside it in the source tree."""
    installed = _PACKAGE / "hw_configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "hw_configs"


def _place(tree: Tree, key: str) -> str:
    """Where a dotted key stands, or the innermost section around it that is written."""
    where = tree.where
    for name in key.split("."):
        if not isinstance(tree, Section) or name not in tree.entries:
            break
        where, tree = tree.places[name], tree.entries[name]
    return where


def _override(tree: Section, override: str) -> None:
    where = f"--set {override}"
    key, equals, text = override.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not all((*parents, last)):
        raise InputError(where, "expected KEY=VALUE, as in mac_array.rows=16")
    value = parse_yaml(text, where, line_numbers=False)
    section: Tree = tree
    for depth, name in enumerate((*parents, last)):
        if not isinstance(section, Section):
            above = ".".join(parents[:depth])
            raise InputError(where, f"{above} holds a value; it has no key {name!r}")
        if depth < len(parents):
            if name not in section.entries:
                section.places[name] = where
                section.entries[name] = Section(where=where, is_added=True)
            section = section.entries[name]
    assert isinstance(section, Section)
    section.places[last] = where
    section.entries[last] = value
