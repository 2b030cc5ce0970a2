"""Energy, leakage and area of the buffers."""

from dataclasses import dataclass

from accel_sim.energy.band import Constant
from accel_sim.energy.scaling import energy_ratio
from accel_sim.hardware.buffers import Buffer
from accel_sim.hardware.config import Technology
from accel_sim.hardware.devices import node_scalings, table_constants
from accel_sim.hardware.sram_table import sram_bank, sram_nodes_beside, sram_table_node


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferCosts:
    """What one buffer costs.

    Attributes
    ----------
    read, write
        Of one word, in pJ.
    leakage
        Of all banks, in mW.
    area_mm2_45nm
        Of all banks, had they been made at 45 nm.
    """

    read: Constant
    write: Constant
    leakage: Constant
    area_mm2_45nm: float


def buffer_costs(name: str, buffer: Buffer, technology: Technology) -> BufferCosts:
    """Look a buffer up: one bank of its node, size and width, between the table's points.

    Nodes below the tables take the smallest tabulated one that logic scaling knows too,
    and its ratio, each at nominal supply.
    """
    table_node = sram_table_node(technology.node_nm)
    cell, shape = technology.sram_cell, (buffer.bank_bytes, buffer.port_bits)
    bank = sram_bank(table_node, cell, *shape)
    note = f"CACTI, {table_node} nm {cell}, {buffer.bank_bytes / 1024:g} KiB"
    beside = sram_nodes_beside(table_node, cell)
    if len(beside) > 1:
        note += f", between {beside[0]} and {beside[1]} nm"
    ratio = 1.0
    if table_node != technology.node_nm:
        nominal = technology.model_copy(
            update={"supply_V": node_scalings()[technology.node_nm].nominal_supply_V}
        )
        source_V = node_scalings()[table_node].nominal_supply_V
        ratio = energy_ratio(table_node, source_V, nominal)
        note += f"; times {ratio:.3g} for {technology.node_nm} nm (Stillmaker and Baas 2017)"
    spread = table_constants()["sram"]

    def constant(what: str, unit: str, value: float) -> Constant:
        return Constant(
            name=f"{name}_{what}",
            unit=unit,
            value=value,
            low=value * spread.low,
            high=value * spread.high,
            source=note,
        )

    area_bank = sram_bank(_AREA_NODE_NM, cell, *shape)
    return BufferCosts(
        read=constant("read", "pJ", bank.read_pJ * ratio),
        write=constant("write", "pJ", bank.write_pJ * ratio),
        leakage=constant("leakage", "mW", bank.leakage_mW * buffer.banks),
        area_mm2_45nm=area_bank.area_mm2 * buffer.banks,
    )


_AREA_NODE_NM = 45
