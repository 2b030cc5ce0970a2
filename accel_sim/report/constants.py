"""Every constant of energy and power that a machine resolves to, and where it comes from."""

from collections.abc import Iterator

from accel_sim.energy.band import Constant
from accel_sim.energy.chip import energy_constants, mac_constants
from accel_sim.energy.sram import BufferCosts
from accel_sim.hardware.buffers import OPERANDS
from accel_sim.hardware.choices import Along
from accel_sim.hardware.config import HardwareConfig


def list_constants(hardware: HardwareConfig) -> Iterator[tuple[str, Constant]]:
    """Give all constants of a machine with what each is the price of.

    Operands that share a memory share its price, which stands under the first of them. A mode
    along the reduction has the price of as many products as it can add up; a layer of fewer
    shares the accumulator among these.
    """
    constants = energy_constants(hardware)
    yield "mac", constants.mac
    yield "gated mac", constants.gated_mac
    for mode in hardware.precision.modes:
        products = mode.macs_per_pe if mode.along is Along.REDUCTION else 1
        what = f"mac w{mode.weight_bits} a{mode.activation_bits} along {mode.along}"
        mac, gated_mac = mac_constants(hardware, mode, products)
        yield what, mac
        yield f"gated {what}", gated_mac
    yield "drained psum", constants.drained_psum
    if constants.register_files is not None:
        yield "register files per mac", constants.register_files
    yield "addition of 32 bits", constants.addition
    for name in OPERANDS:
        costs: BufferCosts | None = getattr(constants, name)
        if costs is None or name not in hardware.buffers.memories:
            continue
        yield f"{name} read", costs.read
        yield f"{name} write", costs.write
        yield f"{name} leakage", costs.leakage
    yield "dram read", constants.dram_read
    yield "dram write", constants.dram_write
    yield "dram background", constants.dram_background
    yield "clock and control", constants.clock_control
    yield "leakage, buffers included", constants.leakage
