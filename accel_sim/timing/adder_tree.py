"""Cycles of one tile on an array of adder trees."""

from accel_sim.hardware.config import MacArray


def fill_drain_cycles(array: MacArray) -> int:
    """Cycles of a tile in which a channel-parallel array takes no operands.

    All rows and columns take theirs in the same cycle, so that there is no skew: only the
    registers behind the multipliers and at the output.
    """
    return array.pipeline_cycles + array.output_register_cycles
