"""Items of a section put into the text of a YAML file.

The rest stays as it is, comments too; lines end as on Unix.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from quantizer.errors import InputError

INDENT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """An entry of a section: what it is known by, and the lines that it takes."""

    name: str
    first_line: int
    end_line: int


def set_items(text: str, name: str, section: str, items: Mapping[str, str]) -> str:
    """Replace or append items of a section, which is made at the end of the file if need be.

    Parameters
    ----------
    text
        A mapping that `accel_sim.hardware.yaml_tree.parse_yaml` reads.
    name
        What to call the text in errors.
    items
        Text of each item, not indented, by what it is known by: its key, or the value of
        ``key`` where the section is a list.

    Raises
    ------
    InputError
        If the file or the section is written in braces or brackets.
    """
    lines = text.splitlines()
    root = yaml.compose(_join(lines), Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    _refuse_flow(root, name, "the machine")
    found = next((pair for pair in root.value if pair[0].value == section), None)
    if found is None:
        end = _end_of_content(lines, root.end_mark.line, 0)
        added = _indent(items.values(), INDENT)
        return _join([*lines[:end], f"{section}:", *added, *lines[end:]])
    _refuse_flow(found[1], name, section)
    starts = [key.start_mark.line for key, _ in root.value]
    below = min((line for line in starts if line > found[0].start_mark.line), default=None)
    line_count = len(lines)
    present = _items(lines, found[1], root.end_mark.line if below is None else below)
    column = found[1].start_mark.column
    for item in reversed(present):
        if item.name in items:
            lines[item.first_line : item.end_line] = _indent([items[item.name]], column)
    names = {item.name for item in present}
    added = _indent((item for key, item in items.items() if key not in names), column)
    # Counted from the end of the file, where nothing has moved.
    end = present[-1].end_line + len(lines) - line_count
    return _join([*lines[:end], *added, *lines[end:]])


def _items(lines: list[str], node: yaml.Node, end_line: int) -> list[_Item]:
    """Items of a block; a comment between two belongs to the second."""
    if isinstance(node, yaml.MappingNode):
        starts = [(key.value, key.start_mark.line) for key, _ in node.value]
    else:
        starts = [
            (next(value.value for key, value in item.value if key.value == "key"),
             item.start_mark.line)
            for item in node.value
        ]  # fmt: skip
    ends = [*(line for _, line in starts[1:]), end_line]
    column = node.start_mark.column
    return [
        _Item(name=name, first_line=line, end_line=_end_of_content(lines, end, column))
        for (name, line), end in zip(starts, ends, strict=True)
    ]


def _end_of_content(lines: list[str], end: int, column: int) -> int:
    """End of the lines before `end` that hold more than blanks and the comments of what follows."""
    while end > 0:
        line = lines[end - 1]
        content = line.lstrip()
        if content and not (content.startswith("#") and len(line) - len(content) <= column):
            break
        end -= 1
    return end


def _indent(items: Iterable[str], column: int) -> list[str]:
    return [" " * column + line for item in items for line in item.splitlines()]


def _join(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _refuse_flow(node: yaml.Node, name: str, what: str) -> None:
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        raise InputError(
            f"{name}:{node.start_mark.line + 1}",
            f"{what} is written in braces or brackets; expected a line for each entry",
        )
