"""YAML text as a tree of words that remember where they stand.

Only the structure is YAML's. Scalars stay text, because YAML's own types are traps:
``1e-12`` is a string to it, ``on`` a boolean, ``010`` eight and ``12:30:00`` a number.
The reader converts by the type that a key is declared to have.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from quantizer.errors import InputError

MAX_DEPTH = 20
MAX_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True)
class Scalar:
    """A word; `is_plain` where it stands without quotes."""

    where: str
    text: str
    is_plain: bool


@dataclass(slots=True, kw_only=True)
class Listing:
    """A sequence."""

    where: str
    items: list["Tree"] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Section:
    """A mapping; `places` tells where each key stands.

    Attributes
    ----------
    is_added
        Whether an override made it, for a key of a section that the file leaves out.
    """

    where: str
    entries: dict[str, "Tree"] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    is_added: bool = False


Tree = Scalar | Listing | Section


def parse_yaml(text: str, name: str, line_numbers: bool = True) -> Tree:
    """Read one YAML document.

    Parameters
    ----------
    name
        What to call the text in errors: a file, or a ``--set`` option.
    line_numbers
        Whether errors say ``name:line``.

    Raises
    ------
    InputError
        If the text is not YAML, is empty, has several documents, uses anchors, aliases
        or tags, nests deeper than `MAX_DEPTH`, or repeats a key.
    """

    def place(mark: Any) -> str:
        return f"{name}:{mark.line + 1}" if line_numbers and mark is not None else name

    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            where = place(event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent):
                builder.start_document(where)
                continue
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise InputError(where, "anchors and aliases are not read; write the value out")
            if tag := getattr(event, "tag", None):
                raise InputError(where, f"the tag {tag} is not read; remove it")
            match event:
                case yaml.ScalarEvent():
                    builder.add(Scalar(where=where, text=event.value, is_plain=event.style is None))
                case yaml.MappingStartEvent():
                    builder.open(Section(where=where))
                case yaml.SequenceStartEvent():
                    builder.open(Listing(where=where))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    builder.close()
    except yaml.MarkedYAMLError as error:
        raise InputError(
            place(error.problem_mark), f"not valid YAML: {error.problem or error.context}"
        ) from None
    except yaml.YAMLError:
        raise InputError(name, "not a text file; expected YAML") from None
    if builder.root is None:
        raise InputError(name, "nothing is written here; expected YAML")
    return builder.root


class _Builder:
    """Assembles a tree from a stream of events, without recursion."""

    def __init__(self) -> None:
        self.root: Tree | None = None
        self._documents = 0
        self._open: list[Section | Listing] = []
        self._keys: list[Scalar | None] = []

    def start_document(self, where: str) -> None:
        """Note that a document begins."""
        self._documents += 1
        if self._documents > 1:
            raise InputError(where, "a second document begins; expected one")

    def open(self, tree: Section | Listing) -> None:
        """Add a mapping or sequence and descend into it."""
        self.add(tree)
        self._open.append(tree)
        self._keys.append(None)
        if len(self._open) > MAX_DEPTH:
            raise InputError(tree.where, f"nested more than {MAX_DEPTH} deep")

    def close(self) -> None:
        """Leave a mapping or sequence."""
        self._open.pop()
        self._keys.pop()

    def add(self, tree: Tree) -> None:
        """Place a node: as the root, an item, a key, or the value of the last key."""
        if not self._open:
            self.root = tree
            return
        parent = self._open[-1]
        if isinstance(parent, Listing):
            parent.items.append(tree)
            return
        key = self._keys[-1]
        if key is not None:
            parent.entries[key.text] = tree
            parent.places[key.text] = key.where
            self._keys[-1] = None
            return
        if not isinstance(tree, Scalar):
            raise InputError(tree.where, "a key must be a word")
        if tree.text in parent.entries:
            raise InputError(tree.where, f"{self._title()}key {tree.text!r} is given twice")
        self._keys[-1] = tree

    def _title(self) -> str:
        path = ".".join(self._path())
        return f"{path}: " if path else ""

    def _path(self) -> Iterator[str]:
        for parent, child in zip(self._open, self._open[1:], strict=False):
            if isinstance(parent, Section):
                yield next(key for key, value in parent.entries.items() if value is child)
