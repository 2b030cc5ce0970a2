"""What a machine asks of the tables that they do not hold."""

from collections.abc import Iterator
from dataclasses import dataclass

from accel_sim.hardware.buffers import Buffer
from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.hardware.devices import dram_devices, interpolate_node, node_scalings
from accel_sim.hardware.sram_table import sram_grid, sram_nodes, sram_table_node
from quantizer.errors import nearest

SUPPLY_MARGIN_FRACTION = 0.3
"""How far from nominal the supply may lie; the polynomials are fits around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProblem:
    """A key whose value lies outside a table, and what would be right."""

    key: str
    text: str


def table_problems(config: HardwareConfig) -> Iterator[TableProblem]:
    """Find what lies outside the tables, in the order of the file."""
    yield from _technology_problems(config)
    if _is_node(config.technology.node_nm):
        for name, buffer in config.buffers.memories.items():
            yield from _buffer_problems(config, f"buffers.{name}", buffer)
    if isinstance(config.dram, DeviceDram):
        yield from _dram_problems(config.dram)


def _is_node(node_nm: int) -> bool:
    """Whether a node is one of the tables, or between two of them."""
    return min(node_scalings()) <= node_nm <= max(node_scalings())


def _technology_problems(config: HardwareConfig) -> Iterator[TableProblem]:
    technology, scalings = config.technology, node_scalings()
    if not _is_node(technology.node_nm):
        text = (
            f"expected {min(scalings)} to {max(scalings)} (energy tables), got {technology.node_nm}"
        )
        yield TableProblem(key="technology.node_nm", text=text)
        return
    nominal_V = interpolate_node(
        {node: scaling.nominal_supply_V for node, scaling in scalings.items()}, technology.node_nm
    )
    low, high = (round(nominal_V * (1 + sign * SUPPLY_MARGIN_FRACTION), 3) for sign in (-1, 1))
    if not low <= technology.supply_V <= high:
        text = (
            f"expected {low:g} to {high:g} at {technology.node_nm} nm, got {technology.supply_V:g}"
        )
        yield TableProblem(key="technology.supply_V", text=text)


def _buffer_problems(config: HardwareConfig, key: str, buffer: Buffer) -> Iterator[TableProblem]:
    technology = config.technology
    node_nm, nodes = sram_table_node(technology.node_nm), sram_nodes(technology.sram_cell)
    if not nodes[0] <= node_nm <= nodes[-1]:
        text = f"no {technology.sram_cell} SRAM at {technology.node_nm} nm in the tables; use lstp"
        yield TableProblem(key="technology.sram_cell", text=text)
        return
    grid = sram_grid(node_nm, technology.sram_cell)
    smallest, largest = grid.sizes_bytes[0], grid.sizes_bytes[-1]
    if not smallest <= buffer.bank_bytes <= largest:
        text = (
            f"expected {smallest / 1024:g} to {largest / 1024:g} KiB in each bank (SRAM table), "
            f"got {buffer.bank_bytes / 1024:g}"
        )
        yield TableProblem(key=f"{key}.capacity_KiB", text=text)
    narrowest, widest = grid.widths_bits[0], grid.widths_bits[-1]
    if not narrowest <= buffer.port_bits <= widest:
        text = f"expected {narrowest} to {widest} (SRAM table), got {buffer.port_bits}"
        yield TableProblem(key=f"{key}.port_bits", text=text)


def _dram_problems(dram: DeviceDram) -> Iterator[TableProblem]:
    devices = list(dict.fromkeys(row.device for row in dram_devices()))
    if dram.device not in devices:
        text = f"expected one of {', '.join(devices)}; got {dram.device!r}"
        yield TableProblem(key="dram.device", text=text + nearest(dram.device, devices))
        return
    maps = [row.address_map for row in dram_devices() if row.device == dram.device]
    if dram.address_map not in maps:
        text = (
            f"{dram.device} was measured with {' and '.join(maps)}; got {dram.address_map!r}"
            f"{nearest(dram.address_map, maps)}"
        )
        yield TableProblem(key="dram.address_map", text=text)
