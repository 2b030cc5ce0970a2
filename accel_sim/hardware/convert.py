"""From a YAML tree to a pydantic model, by the type that each key is declared to have."""

import re
import types
import typing
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from accel_sim.hardware.section import Section as KeySection
from accel_sim.hardware.yaml_tree import Listing, Scalar, Section, Tree
from quantizer.errors import InputError, nearest

Model = TypeVar("Model", bound=KeySection)

_INT = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?")


def convert(tree: Tree, model: type[Model]) -> Model:
    """Read a whole file as one model.

    Raises
    ------
    InputError
        At the first unknown, missing, mistyped or out-of-range key.
    """
    return _convert_section(tree, model, "")


def _convert_section(tree: Tree, model: type[Model], path: str) -> Model:
    prefix = f"{path}: " if path else ""
    if not isinstance(tree, Section):
        raise InputError(tree.where, f"{prefix}expected a section of keys, got {_show(tree)}")
    known = list(model.model_fields)
    for key in tree.entries:
        if key not in known:
            raise InputError(tree.places[key], f"{prefix}unknown key {key!r}{_suggest(key, known)}")
    values = {
        key: _convert_value(value, _declared(model.model_fields[key]), _join(path, key))
        for key, value in tree.entries.items()
    }

    def complain(key: str, problem: str) -> InputError:
        return InputError(
            tree.places.get(key.partition(".")[0], tree.where), f"{_join(path, key)}: {problem}"
        )

    try:
        values = model.complete(values)
    except ValueError as error:
        raise complain(*_split_complaint(error)) from None
    for key, field in model.model_fields.items():
        if field.is_required() and key not in values:
            others = f"; the file leaves {path} out, give all of its keys" if tree.is_added else ""
            raise InputError(tree.where, f"{prefix}missing key {key!r}{others}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise complain(*_first_problem(error)) from None


def _convert_value(tree: Tree, declared: Any, path: str) -> Any:
    origin = typing.get_origin(declared)
    if origin is Annotated:
        return _convert_value(tree, typing.get_args(declared)[0], path)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(tree, typing.get_args(declared), path)
    if origin is tuple:
        return _convert_listing(tree, typing.get_args(declared)[0], path)
    if origin is Literal:
        return _convert_word(tree, list(typing.get_args(declared)), path)
    if issubclass(declared, BaseModel):
        return _convert_section(tree, declared, path)
    if issubclass(declared, StrEnum):
        return declared(_convert_word(tree, [member.value for member in declared], path))
    return _convert_scalar(tree, declared, path)


def _convert_scalar(tree: Tree, declared: type, path: str) -> object:
    if isinstance(tree, Scalar):
        text = tree.text
        if declared is str and text:
            return text
        if declared is bool and tree.is_plain and text in ("true", "false"):
            return text == "true"
        if declared is int and tree.is_plain and _INT.fullmatch(text):
            return int(text)
        if declared is float and tree.is_plain and _FLOAT.fullmatch(text):
            return float(text)
    expected = {str: "a word", bool: "true or false", int: "int", float: "a number"}[declared]
    raise InputError(tree.where, f"{path}: expected {expected}, got {_show(tree)}")


def _convert_word(tree: Tree, words: list[str], path: str) -> str:
    if isinstance(tree, Scalar) and tree.text in words:
        return tree.text
    expected = f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    raise InputError(tree.where, f"{path}: expected {expected}; got {_show(tree)}")


def _convert_listing(tree: Tree, declared: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(tree, Listing):
        raise InputError(tree.where, f"{path}: expected a list, got {_show(tree)}")
    return tuple(
        _convert_value(item, declared, f"{path}[{index}]") for index, item in enumerate(tree.items)
    )


def _convert_union(tree: Tree, members: tuple[Any, ...], path: str) -> object:
    """Choose the member by what is written: a section's `model` key, or a lone word."""
    members = tuple(member for member in members if member is not types.NoneType)
    if len(members) == 1:  # None is for what is not written
        return _convert_value(tree, members[0], path)
    sections = [member for member in members if typing.get_origin(member) is not Literal]
    words = [
        word for member in members if member not in sections for word in typing.get_args(member)
    ]
    if words and isinstance(tree, Scalar):
        if tree.text in words:
            return tree.text
        raise InputError(
            tree.where,
            f"{path}: expected a section of keys or {', '.join(words)}; got {_show(tree)}",
        )
    if len(sections) == 1 or not isinstance(tree, Section):
        return _convert_section(tree, sections[0], path)
    by_name = {
        typing.get_args(member.model_fields["model"].annotation)[0]: member for member in sections
    }
    if "model" not in tree.entries:
        raise InputError(tree.where, f"{path}: missing key 'model'")
    chosen = _convert_word(tree.entries["model"], list(by_name), f"{path}.model")
    return _convert_section(tree, by_name[chosen], path)


def _declared(field: FieldInfo) -> Any:
    assert field.annotation is not None
    return field.annotation


def _first_problem(error: ValidationError) -> tuple[str, str]:
    """Key and problem of pydantic's first complaint, in our words."""
    complaint = error.errors()[0]
    key = str(complaint["loc"][0]) if complaint["loc"] else ""
    bounds = complaint.get("ctx", {})
    got = f"got {complaint['input']!r}"
    match complaint["type"]:
        case "value_error":
            return _split_complaint(bounds["error"])
        case "greater_than":
            return key, f"expected more than {bounds['gt']:g}, {got}"
        case "greater_than_equal":
            return key, f"expected at least {bounds['ge']:g}, {got}"
        case "less_than_equal":
            return key, f"expected at most {bounds['le']:g}, {got}"
        case "string_too_long":
            return key, f"expected at most {bounds['max_length']} characters"
    raise AssertionError(f"unforeseen complaint {complaint}")


def _split_complaint(error: ValueError) -> tuple[str, str]:
    """Take apart what is said of a whole section, which names the key itself: 'key: problem'."""
    key, _, problem = str(error).partition(": ")
    return key, problem


def _suggest(key: str, known: list[str]) -> str:
    return nearest(key, known) or f"; expected one of {', '.join(known)}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _show(tree: Tree) -> str:
    match tree:
        case Scalar(text=""):
            return "nothing"
        case Scalar(text=text):
            return repr(text if len(text) <= 60 else text[:57] + "...")
        case Listing():
            return "a list"
        case Section():
            return "a section of keys"
