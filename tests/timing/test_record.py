"""Does a record say to jitted functions what its named tuple says?"""

from typing import NamedTuple

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.timing.record import as_record
from accel_sim.timing.schedule_rules import schedule_rules
from quantizer.fixedpoint.jit import jit
from tests.timing.test_ports import NEST


class Inner(NamedTuple):
    is_set: bool
    most: int


class Outer(NamedTuple):
    is_first: bool
    count: int
    one: Inner
    ratio: float
    other: Inner


@jit
def read(outer: Outer) -> tuple[bool, int, bool, int, float, bool, int]:
    one, other = outer.one, outer.other
    return (
        outer.is_first, outer.count, one.is_set, one.most, outer.ratio, other.is_set, other.most,
    )  # fmt: skip


@pytest.mark.parametrize("is_set", [False, True])
def test_every_field_arrives_as_it_is(is_set):
    outer = Outer(
        is_first=is_set,
        count=-3,
        one=Inner(is_set=not is_set, most=2**62 + 1),
        ratio=0.1,
        other=Inner(is_set=is_set, most=-(2**63)),
    )
    assert read(as_record(outer)) == read.py_func(outer)


def test_a_number_of_more_than_64_bits_is_refused():
    with pytest.raises(OverflowError):
        as_record(Inner(is_set=False, most=2**63))


def test_all_rules_of_a_schedule_fit_a_record():
    rules = schedule_rules(NEST, load_hardware("edge_16x16"))
    record = as_record(rules)
    assert tuple(record.item()) == rules
