"""Energy of the wires between a buffer and the array."""

import math
from dataclasses import dataclass

from accel_sim.energy.area import MachineArea
from accel_sim.energy.band import Constant
from accel_sim.energy.scaling import from_table, own_constant
from accel_sim.energy.sram import BufferCosts
from accel_sim.hardware.buffers import OperandName
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import table_constants


@dataclass(frozen=True, slots=True, kw_only=True)
class WireCosts:
    """What it costs to carry one word of an operand, in pJ.

    Attributes
    ----------
    read, write
        Of a word that the memory gives, and of one that it takes.
    """

    read: Constant
    write: Constant


def wire_costs(
    name: OperandName,
    port_bits: int,
    memory: BufferCosts,
    area: MachineArea,
    hardware: HardwareConfig,
) -> WireCosts:
    """Resolve the wires between the memory of an operand and the array.

    Memory and array are squares side by side: a word goes from the middle of one side to the
    middle of the next, half of a side of each. Operands of products (ifm, weights) then cross
    the array, on one wire or from element to element.
    """
    array_mm = math.sqrt(area.logic_mm2)
    beside_mm = (math.sqrt(memory.area.value) + array_mm) / 2
    across_mm = beside_mm + (array_mm if name in ("ifm", "weights") else 0.0)
    bit = wire_bit(hardware)

    def word(length_mm: float) -> Constant:
        return bit.scaled(
            port_bits * length_mm,
            f"; times {port_bits} bits and {length_mm:.3g} mm",
        )

    return WireCosts(read=word(across_mm), write=word(beside_mm))


def wire_bit(hardware: HardwareConfig) -> Constant:
    """Energy of one bit over one millimetre, in pJ."""
    own = own_constant("wire_bit_pJ", "wire_bit_pJ", "pJ", hardware)
    if own is not None:
        return own
    entry, supply_V = table_constants()["wire_bit_pJ"], hardware.technology.supply_V
    ratio = (supply_V / entry.supply_V) ** 2
    return from_table(entry).scaled(ratio, f"; times {ratio:.3g} for {supply_V:g} V")
