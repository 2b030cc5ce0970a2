"""What a machine costs whatever it does: clock tree, control, leakage."""

from collections.abc import Iterable

from accel_sim.energy.area import area_mm2_elsewhere, array_gates
from accel_sim.energy.band import Constant, sum_constants
from accel_sim.energy.scaling import from_table, own_constant, scaled_constant
from accel_sim.energy.sram import BufferCosts
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import table_constants

MW_PER_NW = 1e-6


def clock_control_energy(hardware: HardwareConfig, memories: Iterable[BufferCosts]) -> Constant:
    """Energy per cycle of clock tree and control, proportional to area, in pJ.

    The area is that of the same gates and memories at the node of the constant's source,
    so that scaling counts once, in the energy.
    """
    node_nm = table_constants()["clock_control_pJ"].node_nm
    area_mm2 = area_mm2_elsewhere(hardware, memories, node_nm)
    return scaled_constant("clock_control_pJ", hardware).scaled(
        area_mm2, f"; times {area_mm2:.3g} mm2 at {node_nm} nm"
    )


def leakage_power(hardware: HardwareConfig, memories: Iterable[BufferCosts]) -> Constant:
    """Leakage of array and buffers in mW; voltage and node leave a gate's as it is."""
    gates = array_gates(hardware)
    gate = own_constant("gate_leakage_nW", "leakage", "mW", hardware) or from_table(
        table_constants()[f"gate_leakage_{hardware.technology.sram_cell}_nW"]
    )
    logic = gate.scaled(gates * MW_PER_NW, f"; times {gates:.3g} gate equivalents")
    buffers = [costs.leakage for costs in memories]
    return sum_constants("leakage", "mW", (logic, *buffers))
