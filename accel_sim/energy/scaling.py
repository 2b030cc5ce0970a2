"""Constants at a machine's node and supply."""

from accel_sim.energy.band import Constant
from accel_sim.hardware.config import Technology
from accel_sim.hardware.devices import TableConstant, node_scalings, table_constants


def energy_ratio(node_nm: int, supply_V: float, technology: Technology) -> float:
    """Energy per operation of a machine over that of a source at some node and supply.

    Notes
    -----
    Stillmaker and Baas 2017, high-performance columns.
    """
    scalings = node_scalings()
    there = scalings[technology.node_nm].energy_factor(technology.supply_V)
    return there / scalings[node_nm].energy_factor(supply_V)


def scaled_constant(name: str, technology: Technology) -> Constant:
    """Energy of the tables, brought to a machine's node and supply."""
    entry = table_constants()[name]
    ratio = energy_ratio(entry.node_nm, entry.supply_V, technology)
    return constant_times(entry, ratio, f"; times {ratio:.3g} for {_describe(technology)}")


def constant_times(entry: TableConstant, factor: float, note: str) -> Constant:
    """Constant of the tables times a factor, with the note on what was done."""
    return Constant(
        name=entry.name,
        unit=entry.unit,
        value=entry.value * factor,
        low=entry.low * factor,
        high=entry.high * factor,
        source=entry.source + note,
    )


def _describe(technology: Technology) -> str:
    return (
        f"{technology.node_nm} nm at {technology.supply_V:g} V (Stillmaker and Baas 2017, "
        "Integration 58)"
    )
