"""Energy of a layer on a machine: counts times constants, component by component."""

from dataclasses import dataclass

from accel_sim.energy.band import Energy, sum_energies
from accel_sim.energy.constants import PJ_PER_MW_US, EnergyConstants
from accel_sim.energy.dram import DramEnergy, dram_energy
from accel_sim.energy.events import LayerEvents
from accel_sim.hardware.config import HardwareConfig

COMPONENTS = (
    "mac", "register_file", "wires", "buffers", "dram_dynamic", "dram_background",
    "post_processing", "clock_control", "leakage",
)  # fmt: skip
"""Attributes of `LayerEnergy` that together are its total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEnergy:
    """Energy by component; together they are the layer's.

    Attributes
    ----------
    mac
        Multipliers, adders, and the operand and accumulator registers beside them.
    register_file
        Registers that carry finished sums out of the array, and the files that a row-stationary
        array has of every operand.
    wires
        Words on their way between the on-chip memories and the array.
    buffers
        Reads and writes of the on-chip memories.
    dram
        Rows opened and bits moved; standby and refresh while the layer runs.
    post_processing
        Bias, requantize, pooling, addition.
    clock_control
        Clock tree and control: grows with area and cycles, whatever is computed.
    leakage
        Of array and buffers.
    """

    mac: Energy
    register_file: Energy
    wires: Energy
    buffers: Energy
    dram: DramEnergy
    post_processing: Energy
    clock_control: Energy
    leakage: Energy

    @property
    def dram_dynamic(self) -> Energy:
        """Of rows opened and bits moved."""
        return self.dram.dynamic

    @property
    def dram_background(self) -> Energy:
        """Of standby and refresh."""
        return self.dram.background

    @property
    def chip(self) -> Energy:
        """Everything but DRAM."""
        return sum_energies(
            (
                self.mac,
                self.register_file,
                self.wires,
                self.buffers,
                self.post_processing,
                self.clock_control,
                self.leakage,
            )
        )

    @property
    def total(self) -> Energy:
        """Chip and DRAM."""
        return sum_energies((self.chip, self.dram_dynamic, self.dram_background))


def layer_energy(
    hardware: HardwareConfig, constants: EnergyConstants, events: LayerEvents
) -> LayerEnergy:
    """Energy of one layer by component, from the constants of its machine."""
    macs, accesses = events.macs, events.buffer_accesses
    time_us = events.cycles / hardware.clock_MHz
    used = (
        (constants.ifm, accesses.ifm),
        (constants.weights, accesses.weights),
        (constants.psum, accesses.psum),
        (constants.ofm, accesses.ofm),
    )
    register_file = [constants.drained_psum.times(events.drained_psums)]
    if constants.register_files is not None:
        # A MAC that a zero stops reads no weight and no sum.
        register_file.append(constants.register_files.times(macs.computed))
    return LayerEnergy(
        mac=sum_energies(
            (
                constants.macs.busy.times(macs.busy),
                constants.macs.zero.times(macs.zero),
                constants.macs.gated.times(macs.gated),
            )
        ),
        register_file=sum_energies(register_file),
        wires=sum_energies(
            energy
            for costs, words in used
            for energy in (
                costs.wires.read.times(words.reads),
                costs.wires.write.times(words.writes),
            )
        ),
        buffers=sum_energies(
            energy
            for costs, words in used
            for energy in (
                costs.memory.read.times(words.reads),
                costs.memory.write.times(words.writes),
            )
        ),
        dram=dram_energy(constants.dram, events.dram_bytes, time_us),
        post_processing=sum_energies(
            (
                constants.addition.times(events.additions),
                constants.macs.busy.times(events.multiplications),
            )
        ),
        clock_control=constants.clock_control.times(events.cycles),
        leakage=constants.leakage.times(time_us * PJ_PER_MW_US),
    )
