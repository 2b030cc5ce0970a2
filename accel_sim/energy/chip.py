"""Energy of a layer on a machine: counts times constants, component by component."""

from dataclasses import dataclass, replace

from accel_sim.energy.band import Constant, sum_energies
from accel_sim.energy.dram import dram_background_power, dram_read_energy, dram_write_energy
from accel_sim.energy.layer_energy import LayerEnergy
from accel_sim.energy.mac import gated_fraction, mac_energy, mac_gate_equivalents
from accel_sim.energy.scaling import constant_times, scaled_constant
from accel_sim.energy.sram import BufferCosts, buffer_costs
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import mac_grid, table_constants
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.traffic import BufferAccesses, DramBytes

BITS_PER_BYTE = 8
PJ_PER_MW_US = 1e3

ADDS_PER_OUTPUT = 3
"""Additions of 32 bits that an output costs: bias, rounding, and the comparison that clips.

An entry of a table costs as much.
"""
ADDS_PER_OPERAND = 1
"""An element that is pooled or added: a comparison or an addition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyConstants:
    """All constants that a machine resolves to.

    Attributes
    ----------
    mac, gated_mac
        One MAC that computes, and one whose operands stand still; pJ.
    drained_psum
        One sum on its way out of the array; pJ.
    register_files
        What one MAC reads and writes in the register files of its processing element; pJ.
        None where there are none.
    addition
        One 32-bit addition; pJ.
    dram_read, dram_write
        Per bit; pJ.
    dram_background, leakage
        mW.
    clock_control
        Per cycle; pJ.
    """

    mac: Constant
    gated_mac: Constant
    drained_psum: Constant
    register_files: Constant | None
    addition: Constant
    ifm: BufferCosts
    weights: BufferCosts
    psum: BufferCosts | None
    ofm: BufferCosts
    dram_read: Constant
    dram_write: Constant
    dram_background: Constant
    clock_control: Constant
    leakage: Constant


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEvents:
    """What a layer did, as far as energy goes.

    Attributes
    ----------
    macs
        Products on the array, those with zeros off a diagonal included.
    gated_macs
        Of the MACs, those that a zero operand stopped.
    drained_psums
        Sums that left the array.
    additions, multiplications
        On the post-processing lanes: of 32 bits, and as wide as those of the array.
    """

    macs: int
    gated_macs: float
    drained_psums: int
    additions: int
    multiplications: int
    dram_bytes: DramBytes
    buffer_accesses: BufferAccesses
    cycles: int


def energy_constants(hardware: HardwareConfig) -> EnergyConstants:
    """Resolve every constant of a machine."""
    technology, buffers = hardware.technology, hardware.buffers
    mac, gated_mac = mac_constants(hardware)
    psum = buffers.psum if buffers.psum != "in_ofm" else None
    ifm = buffer_costs("ifm", buffers.ifm, technology)
    weights = buffer_costs("weights", buffers.weights, technology)
    ofm = buffer_costs("ofm", buffers.ofm, technology)
    psum_costs = None if psum is None else buffer_costs("psum", psum, technology)
    by_operand = {"ifm": ifm, "weights": weights, "psum": psum_costs, "ofm": ofm}
    memories = [costs for name in buffers.memories if (costs := by_operand[name]) is not None]
    return EnergyConstants(
        mac=mac,
        gated_mac=gated_mac,
        drained_psum=_drained_psum(hardware),
        register_files=_register_files(hardware),
        addition=scaled_constant("add_32", technology),
        ifm=ifm,
        weights=weights,
        psum=psum_costs,
        ofm=ofm,
        dram_read=dram_read_energy(hardware.dram),
        dram_write=dram_write_energy(hardware.dram),
        dram_background=dram_background_power(hardware.dram),
        clock_control=_clock_control(hardware, memories),
        leakage=_leakage(hardware, memories),
    )


def in_mode(
    constants: EnergyConstants, hardware: HardwareConfig, nest: LoopNest
) -> EnergyConstants:
    """Constants of a machine while its multipliers work in the mode of a layer."""
    if nest.mode is None:
        return constants
    layout = lay_out_reduction(nest, array_axes(hardware.mac_array.dataflow))
    mac, gated_mac = mac_constants(hardware, nest.mode, layout.products_per_pe)
    return replace(constants, mac=mac, gated_mac=gated_mac)


def mac_constants(
    hardware: HardwareConfig, mode: MultiplierMode | None = None, products_per_pe: int = 1
) -> tuple[Constant, Constant]:
    """Energy of a MAC that computes, and of one whose operands stand still; see `mac_energy`."""
    mac = mac_energy(hardware, mode, products_per_pe)
    return mac, _gated_mac(mac, gated_fraction(hardware.precision, mode))


def layer_energy(
    hardware: HardwareConfig, constants: EnergyConstants, events: LayerEvents
) -> LayerEnergy:
    """Energy of one layer by component, from the constants of its machine."""
    accesses = events.buffer_accesses
    time_us = events.cycles / hardware.clock_MHz
    read_bits = events.dram_bytes.read * BITS_PER_BYTE
    write_bits = events.dram_bytes.write * BITS_PER_BYTE
    # One memory for partial sums and ofm: its accesses are counted with the ofm's.
    psum_costs = constants.psum or constants.ofm
    register_file = [constants.drained_psum.times(events.drained_psums)]
    if constants.register_files is not None:
        # A MAC that a zero stops reads no weight and no sum.
        register_file.append(constants.register_files.times(events.macs - events.gated_macs))
    return LayerEnergy(
        mac=sum_energies(
            (
                constants.mac.times(events.macs - events.gated_macs),
                constants.gated_mac.times(events.gated_macs),
            )
        ),
        register_file=sum_energies(register_file),
        buffers=sum_energies(
            cost
            for costs, used in (
                (constants.ifm, accesses.ifm),
                (constants.weights, accesses.weights),
                (psum_costs, accesses.psum),
                (constants.ofm, accesses.ofm),
            )
            for cost in (costs.read.times(used.reads), costs.write.times(used.writes))
        ),
        dram_dynamic=sum_energies(
            (constants.dram_read.times(read_bits), constants.dram_write.times(write_bits))
        ),
        dram_background=constants.dram_background.times(time_us * PJ_PER_MW_US),
        post_processing=sum_energies(
            (
                constants.addition.times(events.additions),
                constants.mac.times(events.multiplications),
            )
        ),
        clock_control=constants.clock_control.times(events.cycles),
        leakage=constants.leakage.times(time_us * PJ_PER_MW_US),
    )


def idle_energy_pJ(hardware: HardwareConfig, constants: EnergyConstants) -> float:
    """Energy of one cycle in which nothing happens: clock, leakage, DRAM background."""
    power_mW = constants.leakage.value + constants.dram_background.value
    return constants.clock_control.value + power_mW * PJ_PER_MW_US / hardware.clock_MHz


def _requantized_outputs(nest: LoopNest) -> int:
    """Count the outputs that pass the output stage; a maximum keeps its format."""
    keeps_format = nest.kind.is_free or nest.kind is Kind.COPY or nest.op == "MaxPool"
    return 0 if keeps_format else nest.outputs


def _lane_operands(nest: LoopNest) -> int:
    """Count the elements pooled or added on the post-processing lanes."""
    return nest.outputs * nest.reduction if nest.kind in (Kind.POOL, Kind.ADD) else 0


def count_additions(nest: LoopNest) -> int:
    """Count the 32-bit additions of a layer outside the array."""
    return _requantized_outputs(nest) * ADDS_PER_OUTPUT + _lane_operands(nest) * ADDS_PER_OPERAND


def count_multiplications(nest: LoopNest) -> int:
    """Count the products of a layer outside the array; an offset rides on its product."""
    return nest.outputs if nest.kind is Kind.MULTIPLY else 0


def off_diagonal_mac(hardware: HardwareConfig, constants: EnergyConstants) -> Constant:
    """Energy of a product with a zero off the diagonal: that of any zero."""
    return constants.gated_mac if hardware.mac_array.zero_gating else constants.mac


def _gated_mac(mac: Constant, fraction: float) -> Constant:
    return _times(mac, fraction, f"; {fraction:.3g} of it where an operand is zero (clock pins)")


def _times(constant: Constant, factor: float, note: str) -> Constant:
    return Constant(
        name=constant.name,
        unit=constant.unit,
        value=constant.value * factor,
        low=constant.low * factor,
        high=constant.high * factor,
        source=constant.source + note,
    )


def _drained_psum(hardware: HardwareConfig) -> Constant:
    """Energy of a sum that leaves the array.

    One that stayed in it goes through the registers of the rows below; one that ran down
    its column, from MAC to MAC or through a tree, leaves at the foot in a single move. It is as
    wide as the accumulator, or as the words of the register files that it was in.
    """
    array, precision = hardware.mac_array, hardware.precision
    register = scaled_constant("register_bit", hardware.technology)
    axes = array_axes(array.dataflow)
    bits = precision.stored_psum_bits if axes.has_passes else precision.accumulator_bits
    moves, way = 1.0, "1 move at the foot of its column"
    if axes.keeps_sums:
        moves = (array.rows + 1) / 2
        way = f"{moves:g} moves, the mean over {array.rows} rows"
    note = f"; times {bits} bits and {way}"
    return _times(register, bits * moves, note)


def _register_files(hardware: HardwareConfig) -> Constant | None:
    """Energy of a MAC's operands and its sum, read, and of the sum, written."""
    if hardware.mac_array.register_files is None:
        return None
    precision = hardware.precision
    operands = precision.activation_bits + precision.weight_bits
    bits = operands + 2 * precision.stored_psum_bits
    register = scaled_constant("register_bit", hardware.technology)
    return _times(register, bits, f"; times {bits} bits: both operands, the sum read and written")


def _clock_control(hardware: HardwareConfig, memories: list[BufferCosts]) -> Constant:
    """Energy per cycle of clock tree and control, proportional to area.

    The area is that of the same gates and memories at the node of the constant's source,
    so that scaling counts once, in the energy.
    """
    entry = table_constants()["clock_control"]
    grid = mac_grid()
    array = hardware.mac_array
    gates = array.rows * array.cols * mac_gate_equivalents(hardware)
    area_mm2_45nm = gates * grid.um2_per_gate_equivalent * 1e-6
    area_mm2_45nm += sum(costs.area_mm2_45nm for costs in memories)
    area_mm2 = area_mm2_45nm * (entry.node_nm / 45) ** 2
    per_mm2 = scaled_constant("clock_control", hardware.technology)
    return _times(per_mm2, area_mm2, f"; times {area_mm2:.3g} mm2 at {entry.node_nm} nm")


def _leakage(hardware: HardwareConfig, memories: list[BufferCosts]) -> Constant:
    """Leakage of array and buffers in mW; voltage and node leave a gate's as it is."""
    entry = table_constants()[f"leakage_{hardware.technology.sram_cell}"]
    array = hardware.mac_array
    gates = array.rows * array.cols * mac_gate_equivalents(hardware)
    logic = constant_times(entry, gates * 1e-6, f"; times {gates:.3g} gate equivalents")
    return Constant(
        name="leakage",
        unit="mW",
        value=logic.value + sum(costs.leakage.value for costs in memories),
        low=logic.low + sum(costs.leakage.low for costs in memories),
        high=logic.high + sum(costs.leakage.high for costs in memories),
        source=f"{logic.source}; buffers: {memories[0].leakage.source} and so on",
    )
