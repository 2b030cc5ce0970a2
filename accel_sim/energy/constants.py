"""All constants of energy, power and area that a machine resolves to."""

from dataclasses import dataclass, replace

from accel_sim.energy.area import MachineArea, machine_area
from accel_sim.energy.band import Constant, sum_constants
from accel_sim.energy.dram import DramCosts, dram_costs
from accel_sim.energy.mac import MacCosts, mac_costs
from accel_sim.energy.scaling import scaled_constant
from accel_sim.energy.sram import BufferCosts, buffer_costs
from accel_sim.energy.static import clock_control_energy, leakage_power
from accel_sim.energy.wires import WireCosts, wire_costs
from accel_sim.hardware.buffers import OperandName
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.loop_nest import LoopNest

PJ_PER_MW_US = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandCosts:
    """What the memory of an operand costs, and the wires between it and the array."""

    memory: BufferCosts
    wires: WireCosts

    @property
    def read_pJ(self) -> float:
        """Of a word that the memory gives, and its way."""
        return self.memory.read.value + self.wires.read.value

    @property
    def write_pJ(self) -> float:
        """Of a word that the memory takes, and its way."""
        return self.memory.write.value + self.wires.write.value


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyConstants:
    """All constants that a machine resolves to.

    Attributes
    ----------
    drained_psum
        One sum on its way out of the array; pJ.
    register_files
        What one MAC reads and writes in the register files of its processing element; pJ.
        None where there are none.
    addition
        One 32-bit addition; pJ.
    psum
        The ofm's where partial sums lie there.
    clock_control
        Per cycle; pJ.
    leakage
        mW.
    """

    macs: MacCosts
    drained_psum: Constant
    register_files: Constant | None
    addition: Constant
    ifm: OperandCosts
    weights: OperandCosts
    psum: OperandCosts
    ofm: OperandCosts
    dram: DramCosts
    clock_control: Constant
    leakage: Constant
    area: MachineArea


def energy_constants(hardware: HardwareConfig) -> EnergyConstants:
    """Resolve every constant of a machine."""
    buffers = hardware.buffers
    memories = {
        name: buffer_costs(name, buffer, hardware) for name, buffer in buffers.memories.items()
    }
    area = machine_area(hardware, memories.values())

    def operand(name: OperandName) -> OperandCosts:
        memory = memories[buffers.memory_key(name)]
        port_bits = buffers.memories[buffers.memory_key(name)].port_bits
        return OperandCosts(
            memory=memory, wires=wire_costs(name, port_bits, memory, area, hardware)
        )

    return EnergyConstants(
        macs=mac_costs(hardware),
        drained_psum=_drained_psum(hardware),
        register_files=_register_files(hardware),
        addition=scaled_constant("add_32_pJ", hardware),
        ifm=operand("ifm"),
        weights=operand("weights"),
        psum=operand("psum"),
        ofm=operand("ofm"),
        dram=dram_costs(hardware),
        clock_control=clock_control_energy(hardware, memories.values()),
        leakage=leakage_power(hardware, memories.values()),
        area=area,
    )


def in_mode(
    constants: EnergyConstants, hardware: HardwareConfig, nest: LoopNest
) -> EnergyConstants:
    """Constants of a machine while its multipliers work in the mode of a layer."""
    if nest.mode is None:
        return constants
    layout = lay_out_reduction(nest, array_axes(hardware.mac_array.dataflow))
    return replace(constants, macs=mac_costs(hardware, nest.mode, layout.products_per_pe))


def idle_energy_pJ(hardware: HardwareConfig, constants: EnergyConstants) -> float:
    """Energy of one cycle in which nothing happens: clock, leakage, DRAM background."""
    power_mW = constants.leakage.value + constants.dram.background_mW
    return constants.clock_control.value + power_mW * PJ_PER_MW_US / hardware.clock_MHz


def _drained_psum(hardware: HardwareConfig) -> Constant:
    """Energy of a sum that leaves the array.

    One that stayed in it goes through the registers of the rows below; one that ran down
    its column, from MAC to MAC or through a tree, leaves at the foot in a single move. It is as
    wide as the accumulator, or as the words of the register files that it was in.
    """
    array, precision = hardware.mac_array, hardware.precision
    axes = array_axes(array.dataflow)
    bits = precision.stored_psum_bits if axes.has_passes else precision.accumulator_bits
    moves, way = 1.0, "1 move at the foot of its column"
    if axes.keeps_sums:
        moves = (array.rows + 1) / 2
        way = f"{moves:g} moves, the mean over {array.rows} rows"
    register = scaled_constant("register_bit_pJ", hardware)
    return register.scaled(bits * moves, f"; times {bits} bits and {way}")


def _register_files(hardware: HardwareConfig) -> Constant | None:
    """Energy of a MAC's operands and its sum, read, and of the sum, written.

    Every access moves the bits of a word through registers, and compares its address with that
    of every word of the file.

    Notes
    -----
    As Accelergy's Aladdin plug-in has it. A file of 0.5 KiB then costs 1.25 MACs of 16 bits;
    Chen, Emer and Sze (ISCA 2016) have 1.
    """
    files, precision = hardware.mac_array.register_files, hardware.precision
    if files is None:
        return None
    psum_bits = precision.stored_psum_bits
    accesses = (
        (files.ifm_words, precision.activation_bits),
        (files.weight_words, precision.weight_bits),
        (files.psum_words, psum_bits),
        (files.psum_words, psum_bits),
    )
    moved_bits = sum(bits for _, bits in accesses)
    compared_bits = sum(words * (words - 1).bit_length() for words, _ in accesses)
    return sum_constants(
        "register_files",
        "pJ",
        (
            scaled_constant("register_bit_pJ", hardware).scaled(
                moved_bits, f"; times {moved_bits} bits: both operands, the sum read and written"
            ),
            scaled_constant("compare_bit_pJ", hardware).scaled(
                compared_bits, f"; times {compared_bits} bits of address, of every word of a file"
            ),
        ),
    )
