"""Bits of a code, as jitted functions count them."""

from fractions import Fraction
from typing import NamedTuple

from accel_sim.timing.dram import MAX_DENOMINATOR
from quantizer.fixedpoint.jit import jit


class CodeLength(NamedTuple):
    """DRAM moves ``coded`` bits for every ``plain`` bits of a feature map."""

    coded: int
    plain: int


def code_length(coded_fraction: Fraction) -> CodeLength:
    """Bring a fraction to numbers whose products with any count of bits fit 64 bits."""
    near = coded_fraction.limit_denominator(MAX_DENOMINATOR)
    return CodeLength(near.numerator, near.denominator)


@jit
def count_coded(length: CodeLength, bits: int) -> int:
    """Count the bits that DRAM moves for some bits of a map; a part of one moves whole."""
    if length.coded == length.plain:
        return bits
    coded: int = -(-bits * length.coded // length.plain)
    return coded
