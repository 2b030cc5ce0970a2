"""Are items put into a file with all else left as it is?"""

import pytest

from accel_sim.hardware.yaml_edit import set_items
from quantizer.errors import InputError

BLOCK = """\
# head
energy:  # of ours
  # the first
  a: 1  # one
  # the second
  b:
    value: 2
    # inside

  # behind
# of rest
rest: 3
"""


def test_a_new_section_stands_at_the_end():
    text = "a: 1  # one\n\n# the end\n"
    assert set_items(text, "f", "s", {"x": "x: 1", "y": "y:\n  z: 2"}) == (
        "a: 1  # one\ns:\n  x: 1\n  y:\n    z: 2\n\n# the end\n"
    )


def test_an_item_takes_the_place_of_its_namesake():
    assert set_items(BLOCK, "f", "energy", {"b": "b: 9", "c": "c: 8"}) == BLOCK.replace(
        "  b:\n    value: 2\n    # inside\n", "  b: 9\n  c: 8\n"
    )
    assert set_items(BLOCK, "f", "energy", {"a": "a:\n  value: 9"}) == BLOCK.replace(
        "  a: 1  # one\n", "  a:\n    value: 9\n"
    )
    assert set_items(BLOCK, "f", "energy", {"a": "a: 9", "b": "b: 9", "c": "c: 9"}) == (
        "# head\nenergy:  # of ours\n  # the first\n  a: 9\n  # the second\n  b: 9\n  c: 9\n\n"
        "  # behind\n# of rest\nrest: 3\n"
    )


@pytest.mark.parametrize("indent", ["", "  "])
def test_items_of_a_list_are_known_by_their_key(indent):
    text = (
        f"s:\n{indent}- key: a\n{indent}  why: >-\n{indent}    # no comment\n"
        f"{indent}- why: x\n{indent}  key: b\nt: 1\n"
    )
    changed = set_items(text, "f", "s", {"a": "- key: a\n  why: y", "c": "- key: c"})
    assert changed == (
        f"s:\n{indent}- key: a\n{indent}  why: y\n"
        f"{indent}- why: x\n{indent}  key: b\n{indent}- key: c\nt: 1\n"
    )


def test_a_section_at_the_end_of_a_file_without_a_last_newline_grows():
    assert set_items("s:\n  a: 1", "f", "s", {"b": "b: 2"}) == "s:\n  a: 1\n  b: 2\n"
    assert set_items("a: 1\n...\n", "f", "s", {"b": "b: 2"}) == "a: 1\ns:\n  b: 2\n...\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{a: 1}", "f:1: the machine"),
        ("a: 1\ns: {b: 1}\n", "f:2: s"),
        ("a: 1\ns: []\n", "f:2: s"),
    ],
)
def test_braces_are_refused(text, what):
    with pytest.raises(InputError) as caught:
        set_items(text, "f", "s", {"b": "b: 2"})
    assert str(caught.value) == (
        f"{what} is written in braces or brackets; expected a line for each entry"
    )
