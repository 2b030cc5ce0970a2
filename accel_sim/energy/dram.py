"""Energy of DRAM: per bit moved and row opened, and for being there."""

from accel_sim.energy.band import Constant
from accel_sim.hardware.config import Dram, FlatDram
from accel_sim.hardware.devices import DramDevice, find_dram_device

BITS_PER_MB = 8e6


def dram_read_energy(dram: Dram) -> Constant:
    """Energy of one bit read from a sequential stream, row activations included, in pJ."""
    if isinstance(dram, FlatDram):
        return _flat(dram, "dram_read")
    device = find_dram_device(dram.device, dram.address_map)
    rows_pJ = device.read_activations_per_MB * device.activation_nJ * 1e3 / BITS_PER_MB
    return _device(
        device, "dram_read", device.read_pJ_per_bit + device.read_io_pJ_per_bit + rows_pJ
    )


def dram_write_energy(dram: Dram) -> Constant:
    """Energy of one bit written in a sequential stream, row activations included, in pJ."""
    if isinstance(dram, FlatDram):
        return _flat(dram, "dram_write")
    device = find_dram_device(dram.device, dram.address_map)
    rows_pJ = device.write_activations_per_MB * device.activation_nJ * 1e3 / BITS_PER_MB
    return _device(
        device, "dram_write", device.write_pJ_per_bit + device.write_io_pJ_per_bit + rows_pJ
    )


def dram_background_power(dram: Dram) -> Constant:
    """Standby and refresh of all channels, in mW; a flat memory has it in its bits."""
    if isinstance(dram, FlatDram):
        return Constant(
            name="dram_background",
            unit="mW",
            value=0.0,
            low=0.0,
            high=0.0,
            source="dram.energy_pJ_per_bit covers everything",
        )
    device = find_dram_device(dram.device, dram.address_map)
    power_mW = (device.standby_mW + device.refresh_mW) * dram.channels
    return Constant(
        name="dram_background",
        unit="mW",
        value=power_mW,
        low=power_mW,
        high=power_mW,
        source=f"{device.device}: IDD formulas of DRAMsim3, rows open, no power-down",
    )


def _flat(dram: FlatDram, name: str) -> Constant:
    energy_pJ = dram.energy_pJ_per_bit
    return Constant(
        name=name,
        unit="pJ/bit",
        value=energy_pJ,
        low=energy_pJ,
        high=energy_pJ,
        source="dram.energy_pJ_per_bit of the machine's file",
    )


def _device(device: DramDevice, name: str, energy_pJ: float) -> Constant:
    return Constant(
        name=name,
        unit="pJ/bit",
        value=energy_pJ,
        low=energy_pJ * device.dynamic_low_factor,
        high=energy_pJ * device.dynamic_high_factor,
        source=f"{device.device}, {device.address_map}: IDD formulas of DRAMsim3 and VDDQ "
        "currents, sequential stream",
    )
