"""Area of array, register files and buffers, from the cells of the tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from accel_sim.energy.band import Constant
from accel_sim.energy.mac import mac_gate_equivalents
from accel_sim.energy.scaling import from_table, gate_um2, own_constant
from accel_sim.energy.sram import AREA_NODE_NM, BufferCosts
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import table_constants

MM2_PER_UM2 = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineArea:
    """Areas of a machine in mm2.

    Attributes
    ----------
    register_files
        None where there are none.
    buffers
        One per memory.
    """

    array: Constant
    register_files: Constant | None
    buffers: tuple[Constant, ...]

    @property
    def parts(self) -> Iterator[Constant]:
        """All that there is."""
        yield self.array
        if self.register_files is not None:
            yield self.register_files
        yield from self.buffers

    @property
    def logic_mm2(self) -> float:
        """Of everything but the buffers."""
        files = self.register_files
        return self.array.value + (0.0 if files is None else files.value)


def machine_area(hardware: HardwareConfig, memories: Iterable[BufferCosts]) -> MachineArea:
    """Area of array, register files and the given memories; ends of bands add up."""
    return MachineArea(
        array=_array_area(hardware),
        register_files=_register_file_area(hardware),
        buffers=tuple(costs.area for costs in memories),
    )


def area_mm2_elsewhere(
    hardware: HardwareConfig, memories: Iterable[BufferCosts], node_nm: int
) -> float:
    """Area of the same gates, registers and memories at another node, as the tables have it."""
    registers_um2 = register_file_bits(hardware) * _register_bit_um2(node_nm)
    logic_um2 = array_gates(hardware) * gate_um2(node_nm) + registers_um2
    shrink = (node_nm / AREA_NODE_NM) ** 2
    return logic_um2 * MM2_PER_UM2 + shrink * sum(costs.area_mm2_45nm for costs in memories)


def array_gates(hardware: HardwareConfig) -> float:
    """Gate equivalents of all processing elements."""
    return hardware.mac_array.rows * hardware.mac_array.cols * mac_gate_equivalents(hardware)


def register_file_bits(hardware: HardwareConfig) -> int:
    """Bits of all register files; 0 where there are none."""
    array, precision = hardware.mac_array, hardware.precision
    files = array.register_files
    if files is None:
        return 0
    bits_of_pe = (
        files.ifm_words * precision.activation_bits
        + files.weight_words * precision.weight_bits
        + files.psum_words * precision.stored_psum_bits
    )
    return array.rows * array.cols * bits_of_pe


def _array_area(hardware: HardwareConfig) -> Constant:
    node_nm, gates = hardware.technology.node_nm, array_gates(hardware)
    gate = own_constant("gate_um2", "array_area", "mm2", hardware)
    if gate is None:
        band, um2 = table_constants()["gate_area"], gate_um2(node_nm)
        gate = Constant(
            name="array_area",
            unit="mm2",
            value=um2,
            low=um2 * band.low,
            high=um2 * band.high,
            confidence=band.confidence,
            source=f"{um2:.3g} um2 per gate equivalent at {node_nm} nm, between the libraries of "
            "the MAC table (7, 45 and 130 nm)",
        )
    return gate.scaled(gates * MM2_PER_UM2, f"; times {gates:.4g} gate equivalents")


def _register_file_area(hardware: HardwareConfig) -> Constant | None:
    if hardware.mac_array.register_files is None:
        return None
    bits, node_nm = register_file_bits(hardware), hardware.technology.node_nm
    bit = own_constant("register_bit_um2", "register_file_area", "mm2", hardware)
    if bit is None:
        entry = table_constants()["register_bit_um2"]
        ratio = _register_bit_um2(node_nm) / entry.value
        bit = replace(from_table(entry), name="register_file_area", unit="mm2")
        bit = bit.scaled(ratio, f"; times {ratio:.3g} for {node_nm} nm, as for gates")
    return bit.scaled(bits * MM2_PER_UM2, f"; times {bits:,} bits")


def _register_bit_um2(node_nm: int) -> float:
    entry = table_constants()["register_bit_um2"]
    return entry.value * gate_um2(node_nm) / gate_um2(entry.node_nm)
