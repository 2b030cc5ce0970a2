"""Energy, leakage and area of the buffers."""

from dataclasses import dataclass

from accel_sim.energy.band import Constant
from accel_sim.energy.scaling import energy_ratio, gate_um2, nominal_supply_V, own_constant
from accel_sim.hardware.buffers import Buffer, OperandName
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import table_constants
from accel_sim.hardware.sram_table import sram_bank, sram_nodes_beside, sram_table_node

AREA_NODE_NM = 45
"""A node that all cells and sizes are tabulated at, to compare areas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferCosts:
    """What one buffer costs.

    Attributes
    ----------
    read, write
        Of one word, in pJ.
    leakage
        Of all banks, in mW.
    area
        Of all banks, in mm2.
    area_mm2_45nm
        Of all banks, had they been made at 45 nm.
    """

    read: Constant
    write: Constant
    leakage: Constant
    area: Constant
    area_mm2_45nm: float


def buffer_costs(name: OperandName, buffer: Buffer, hardware: HardwareConfig) -> BufferCosts:
    """Look a buffer up: one bank of its size and width, between the table's points.

    Nodes below the tables take their smallest and the ratios of logic, that of energy at the
    nominal supplies.
    """
    technology = hardware.technology
    node_nm, cell = technology.node_nm, technology.sram_cell
    table_nm = sram_table_node(node_nm)
    bank = sram_bank(table_nm, cell, buffer.bank_bytes, buffer.port_bits)
    note = f"CACTI, {table_nm} nm {cell}, {buffer.bank_bytes / 1024:g} KiB"
    beside = sram_nodes_beside(table_nm, cell)
    if len(beside) > 1:
        note += f", between {beside[0]} and {beside[1]} nm"
    energy, area = 1.0, 1.0
    shrunk = ""
    if table_nm != node_nm:
        nominal = technology.model_copy(update={"supply_V": nominal_supply_V(node_nm)})
        energy = energy_ratio(table_nm, nominal_supply_V(table_nm), nominal)
        area = gate_um2(node_nm) / gate_um2(table_nm)
        shrunk = f"; times {{:.3g}} for {node_nm} nm"
    accessed = note + shrunk.format(energy) + " (Stillmaker and Baas 2017)" * bool(shrunk)
    spread = table_constants()

    def constant(what: str, unit: str, value: float, band: str, source: str) -> Constant:
        own = own_constant(f"{name}_{what}_{unit}", f"{name}_{what}", unit, hardware)
        return own or Constant(
            name=f"{name}_{what}",
            unit=unit,
            value=value,
            low=value * spread[band].low,
            high=value * spread[band].high,
            confidence=spread[band].confidence,
            source=source,
        )

    at_45nm = sram_bank(AREA_NODE_NM, cell, buffer.bank_bytes, buffer.port_bits)
    return BufferCosts(
        read=constant("read", "pJ", bank.read_pJ * energy, "sram", accessed),
        write=constant("write", "pJ", bank.write_pJ * energy, "sram", accessed),
        leakage=constant("leakage", "mW", bank.leakage_mW * buffer.banks, "sram", note),
        area=constant(
            "area", "mm2", bank.area_mm2 * area * buffer.banks, "sram_area",
            note + shrunk.format(area) + ", as for gates" * bool(shrunk),
        ),
        area_mm2_45nm=at_45nm.area_mm2 * buffer.banks,
    )  # fmt: skip
