"""Energy of DRAM: rows opened, bits moved in it and on the link to it, and for being there."""

from dataclasses import dataclass

from accel_sim.energy.band import Constant, Energy, sum_energies
from accel_sim.energy.scaling import own_constant
from accel_sim.hardware.config import FlatDram, HardwareConfig
from accel_sim.hardware.devices import DramDevice, find_dram_device
from accel_sim.mapping.traffic import DramBytes

BITS_PER_BYTE = 8
BITS_PER_MB = 8e6
PJ_PER_NJ = 1e3
PJ_PER_MW_US = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class DramCosts:
    """What a DRAM costs; a flat memory has all of it in its bits.

    Attributes
    ----------
    activation
        Of one row, in nJ.
    read, write
        Of one bit inside the device, in pJ.
    read_io, write_io
        Of one bit on the link, in pJ.
    standby, refresh
        Of all channels, in mW.
    read_activations_per_bit, write_activations_per_bit
        Rows opened by a sequential stream.
    """

    activation: Constant
    read: Constant
    write: Constant
    read_io: Constant
    write_io: Constant
    standby: Constant
    refresh: Constant
    read_activations_per_bit: float
    write_activations_per_bit: float

    @property
    def read_pJ_per_bit(self) -> float:
        """All that a bit read from a sequential stream costs."""
        rows_pJ = self.activation.value * PJ_PER_NJ * self.read_activations_per_bit
        return self.read.value + self.read_io.value + rows_pJ

    @property
    def write_pJ_per_bit(self) -> float:
        """All that a bit written in a sequential stream costs."""
        rows_pJ = self.activation.value * PJ_PER_NJ * self.write_activations_per_bit
        return self.write.value + self.write_io.value + rows_pJ

    @property
    def background_mW(self) -> float:
        """Standby and refresh."""
        return self.standby.value + self.refresh.value


@dataclass(frozen=True, slots=True, kw_only=True)
class DramEnergy:
    """Energy of DRAM by cause."""

    activate: Energy
    read: Energy
    write: Energy
    io: Energy
    standby: Energy
    refresh: Energy

    @property
    def dynamic(self) -> Energy:
        """Of rows opened and bits moved."""
        return sum_energies((self.activate, self.read, self.write, self.io))

    @property
    def background(self) -> Energy:
        """For being there."""
        return sum_energies((self.standby, self.refresh))


def dram_costs(hardware: HardwareConfig) -> DramCosts:
    """Resolve what the DRAM of a machine costs."""
    dram = hardware.dram
    if isinstance(dram, FlatDram):
        per_bit = dram.energy_pJ_per_bit
        return DramCosts(
            activation=_flat("dram_activation", "nJ", 0.0),
            read=_flat("dram_read", "pJ/bit", per_bit),
            write=_flat("dram_write", "pJ/bit", per_bit),
            read_io=_flat("dram_read_io", "pJ/bit", 0.0),
            write_io=_flat("dram_write_io", "pJ/bit", 0.0),
            standby=_flat("dram_standby", "mW", 0.0),
            refresh=_flat("dram_refresh", "mW", 0.0),
            read_activations_per_bit=0.0,
            write_activations_per_bit=0.0,
        )
    device = find_dram_device(dram.device, dram.address_map)

    def constant(name: str, unit: str, value: float, *factors: float) -> Constant:
        low, high = factors
        table = Constant(
            name=name,
            unit=unit.replace("_per_", "/"),
            value=value,
            low=value * low,
            high=value * high,
            confidence=_CONFIDENCE,
            source=_source(device, name),
        )
        return own_constant(f"{name}_{unit}", name, table.unit, hardware) or table

    moved = device.dynamic_low_factor, device.dynamic_high_factor
    idle = device.background_low_factor, device.background_high_factor
    channels = f"; times {dram.channels} channels" if dram.channels > 1 else ""
    return DramCosts(
        activation=constant("dram_activation", "nJ", device.activation_nJ, *moved),
        read=constant("dram_read", "pJ_per_bit", device.read_pJ_per_bit, *moved),
        write=constant("dram_write", "pJ_per_bit", device.write_pJ_per_bit, *moved),
        read_io=constant("dram_read_io", "pJ_per_bit", device.read_io_pJ_per_bit, *moved),
        write_io=constant("dram_write_io", "pJ_per_bit", device.write_io_pJ_per_bit, *moved),
        standby=constant("dram_standby", "mW", device.standby_mW, *idle).scaled(
            dram.channels, channels
        ),
        refresh=constant("dram_refresh", "mW", device.refresh_mW, *idle).scaled(
            dram.channels, channels
        ),
        read_activations_per_bit=device.read_activations_per_MB / BITS_PER_MB,
        write_activations_per_bit=device.write_activations_per_MB / BITS_PER_MB,
    )


def dram_energy(costs: DramCosts, moved: DramBytes, time_us: float) -> DramEnergy:
    """Energy of what was moved, and of the time that it and the array took."""
    read_bits, write_bits = moved.read * BITS_PER_BYTE, moved.write * BITS_PER_BYTE
    rows = read_bits * costs.read_activations_per_bit + write_bits * costs.write_activations_per_bit
    return DramEnergy(
        activate=costs.activation.times(rows * PJ_PER_NJ),
        read=costs.read.times(read_bits),
        write=costs.write.times(write_bits),
        io=sum_energies((costs.read_io.times(read_bits), costs.write_io.times(write_bits))),
        standby=costs.standby.times(time_us * PJ_PER_MW_US),
        refresh=costs.refresh.times(time_us * PJ_PER_MW_US),
    )


_CONFIDENCE = "medium"
"""Of the whole table: a simulator's formulas over the currents of data sheets."""


def _source(device: DramDevice, name: str) -> str:
    where = f"{device.device}, {device.address_map}"
    if name.endswith("_io"):
        return f"{where}: VDDQ currents of the data sheet"
    if name == "dram_activation":
        return (
            f"{where}: IDD formulas of DRAMsim3; a sequential stream opens "
            f"{device.read_activations_per_MB:g} rows per MB read, "
            f"{device.write_activations_per_MB:g} per MB written"
        )
    if name in ("dram_standby", "dram_refresh"):
        return f"{where}: IDD formulas of DRAMsim3, rows open, no power-down"
    return f"{where}: IDD formulas of DRAMsim3"


def _flat(name: str, unit: str, value: float) -> Constant:
    return Constant(
        name=name,
        unit=unit,
        value=value,
        low=value,
        high=value,
        confidence="user",
        source="dram.energy_pJ_per_bit of the machine's file, which covers everything",
    )
