"""Constants at a machine's node and supply, or as its file states them."""

from accel_sim.energy.band import Constant
from accel_sim.hardware.config import HardwareConfig, Technology
from accel_sim.hardware.devices import (
    NodeScaling,
    TableConstant,
    gate_areas_um2,
    interpolate_node,
    node_scalings,
    table_constants,
)


def energy_ratio(node_nm: int, supply_V: float, technology: Technology) -> float:
    """Energy per operation of a machine over that of a source at some node and supply.

    Notes
    -----
    Stillmaker and Baas 2017, high-performance columns; a node between two of the table has a
    factor between theirs at its supply, linear in logarithms.
    """
    return _energy_factor(technology.node_nm, technology.supply_V) / _energy_factor(
        node_nm, supply_V
    )


def nominal_supply_V(node_nm: int) -> float:
    """Supply that a node is made for; between nodes of the table, linear in logarithms."""
    return interpolate_node(
        {node: scaling.nominal_supply_V for node, scaling in node_scalings().items()}, node_nm
    )


def gate_um2(node_nm: int) -> float:
    """Area of a gate equivalent at a node, between the libraries that were synthesised to.

    Its logarithm is linear in that of the node.
    """
    return interpolate_node(gate_areas_um2(), node_nm)


def scaled_constant(name: str, hardware: HardwareConfig) -> Constant:
    """Energy of the tables, brought to a machine's node and supply, or what its file states."""
    own = own_constant(name, name, table_constants()[name].unit, hardware)
    if own is not None:
        return own
    entry, technology = table_constants()[name], hardware.technology
    ratio = energy_ratio(entry.node_nm, entry.supply_V, technology)
    return from_table(entry).scaled(
        ratio,
        f"; times {ratio:.3g} for {technology.node_nm} nm at {technology.supply_V:g} V "
        "(Stillmaker and Baas 2017, Integration 58)",
    )


def own_constant(entry: str, name: str, unit: str, hardware: HardwareConfig) -> Constant | None:
    """Constant that the machine's file states under `entry` of ``energy_table``; None if none."""
    own = hardware.own_entries.get(entry)
    if own is None:
        return None
    return Constant(
        name=name,
        unit=unit,
        value=own.value,
        low=own.value if own.low is None else own.low,
        high=own.value if own.high is None else own.high,
        confidence="user",
        source=f"energy_table.{entry}: {own.source}",
    )


def from_table(entry: TableConstant) -> Constant:
    """Constant as the tables have it, at its own node and supply."""
    return Constant(
        name=entry.name,
        unit=entry.unit,
        value=entry.value,
        low=entry.low,
        high=entry.high,
        confidence=entry.confidence,
        source=entry.source,
    )


def _energy_factor(node_nm: int, supply_V: float) -> float:
    scalings = node_scalings()
    return interpolate_node(
        {node: scaling.energy_factor(supply_V) for node, scaling in _around(node_nm, scalings)},
        node_nm,
    )


def _around(node_nm: int, scalings: dict[int, NodeScaling]) -> list[tuple[int, NodeScaling]]:
    """Find the node itself, or the two of the table on either side.

    A polynomial is good near its own nominal supply alone: of nodes far off it may be negative.
    """
    if node_nm in scalings:
        return [(node_nm, scalings[node_nm])]
    below = max(node for node in scalings if node < node_nm)
    above = min(node for node in scalings if node > node_nm)
    return [(node, scalings[node]) for node in (below, above)]
