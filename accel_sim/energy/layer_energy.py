"""Energy of a layer by component."""

from dataclasses import dataclass

from accel_sim.energy.band import Energy, sum_energies


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEnergy:
    """Energy by component; together they are the layer's.

    Attributes
    ----------
    mac
        Multipliers, adders, and the operand and accumulator registers beside them.
    register_file
        Registers that carry finished sums out of the array.
    buffers
        Reads and writes of the on-chip memories.
    dram_dynamic, dram_background
        Bits moved and rows opened; standby and refresh while the layer runs.
    post_processing
        Bias, requantize, pooling, addition.
    clock_control
        Clock tree and control: grows with area and cycles, whatever is computed.
    leakage
        Of array and buffers.
    """

    mac: Energy
    register_file: Energy
    buffers: Energy
    dram_dynamic: Energy
    dram_background: Energy
    post_processing: Energy
    clock_control: Energy
    leakage: Energy

    @property
    def chip(self) -> Energy:
        """Everything but DRAM."""
        return sum_energies(
            (
                self.mac,
                self.register_file,
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
