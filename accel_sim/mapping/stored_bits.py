"""How wide the operands of a layer are in memory."""

from dataclasses import dataclass, replace

from accel_sim.hardware.choices import Packing
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.loop_nest import LoopNest

BITS_PER_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBits:
    """Bits that one element of each operand takes in memory, on chip and off.

    Attributes
    ----------
    residual
        0 without a second operand.
    bias
        0 without a bias.
    """

    ifm: int
    residual: int
    weight: int
    bias: int
    psum: int
    ofm: int


def stored_bits(nest: LoopNest, hardware: HardwareConfig) -> StoredBits:
    """Operand widths of a layer as the machine packs them."""
    container = BITS_PER_BYTE if hardware.dram.packing is Packing.BYTE else 1

    def stored(bits: int) -> int:
        return -(-bits // container) * container

    return StoredBits(
        ifm=stored(nest.ifm_bits),
        residual=stored(nest.residual_bits),
        weight=stored(nest.weight_bits or 0),
        bias=stored(nest.bias_bits),
        psum=stored(hardware.precision.stored_psum_bits),
        ofm=stored(nest.ofm_bits),
    )


def moved_bits(nest: LoopNest, hardware: HardwareConfig) -> StoredBits:
    """Bits that DRAM moves with one element of each operand: 0 where it stays on chip."""
    bits = stored_bits(nest, hardware)
    if not nest.resident_operands:
        return bits
    return replace(
        bits,
        ifm=0 if nest.ifm_stays else bits.ifm,
        residual=0 if nest.residual_stays else bits.residual,
        ofm=0 if nest.ofm_stays else bits.ofm,
    )
