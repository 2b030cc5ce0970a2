"""In which orders the loops over tiles may run."""

from itertools import permutations

from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.tile import Loop, LoopOrder

LOOP_ORDERS: tuple[LoopOrder, ...] = tuple(
    (Loop.GROUPS, first, second, third)
    for first, second, third in permutations((Loop.PIXELS, Loop.FILTERS, Loop.CHANNELS))
)
"""Batch, rows and cols touch the same operands, so orders among them move the same bits,
and a loop between them only more."""


def loop_orders(nest: LoopNest) -> tuple[LoopOrder, ...]:
    """Orders worth trying; off the array a group has one channel, written filter by filter."""
    return LOOP_ORDERS if nest.kind is Kind.MAC else LOOP_ORDERS[:1]
