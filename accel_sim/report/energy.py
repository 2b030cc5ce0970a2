"""Energies and areas in the form of the report file: each with the ends of its band beside it."""

from collections.abc import Mapping

from accel_sim.energy.area import MachineArea
from accel_sim.energy.band import Constant, Energy, sum_constants
from accel_sim.energy.dram import DramEnergy
from accel_sim.energy.layer_energy import COMPONENTS, LayerEnergy
from accel_sim.report import document

DRAM_CAUSES = ("activate", "read", "write", "io", "standby", "refresh")


def energy_section(energy: LayerEnergy, pJ_per_unit: float) -> document.EnergyByComponent:
    """Energy by component; together they are the total."""
    components = {name: getattr(energy, name) for name in COMPONENTS}
    return document.EnergyByComponent(**_with_bands(components, pJ_per_unit))


def dram_energy_section(energy: DramEnergy, pJ_per_unit: float) -> document.DramEnergy:
    """Energy of DRAM by cause: what its two components are made of."""
    causes = {name: getattr(energy, name) for name in DRAM_CAUSES}
    return document.DramEnergy(**_with_bands(causes, pJ_per_unit))


def area_section(area: MachineArea) -> document.AreaByComponent:
    """Area by component; together they are the total."""
    parts: dict[str, Constant | None] = {
        "array": area.array,
        "register_files": area.register_files,
        "buffers": sum_constants("buffers", "mm2", area.buffers),
    }
    fields: dict[str, float] = {}
    for name, part in parts.items():
        fields[name] = 0.0 if part is None else part.value
        fields[f"{name}_low"] = 0.0 if part is None else part.low
        fields[f"{name}_high"] = 0.0 if part is None else part.high
    return document.AreaByComponent(**fields)


def _with_bands(energies: Mapping[str, Energy], pJ_per_unit: float) -> dict[str, float]:
    fields: dict[str, float] = {}
    for name, energy in energies.items():
        fields[name] = energy.value_pJ / pJ_per_unit
        fields[f"{name}_low"] = energy.low_pJ / pJ_per_unit
        fields[f"{name}_high"] = energy.high_pJ / pJ_per_unit
    return fields
