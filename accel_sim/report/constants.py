"""Every constant of energy, power and area that a machine resolves to, and where it comes from."""

from collections.abc import Iterator

from accel_sim.energy.band import Constant
from accel_sim.energy.constants import energy_constants
from accel_sim.energy.mac import MacCosts, mac_costs
from accel_sim.hardware.choices import Along
from accel_sim.hardware.config import HardwareConfig


def list_constants(hardware: HardwareConfig) -> Iterator[tuple[str, Constant]]:
    """Give all constants of a machine with what each is the price of.

    Operands that share a memory share its price, which stands under the first of them. A mode
    along the reduction has the price of as many products as it can add up; a layer of fewer
    shares the accumulator among these.
    """
    constants = energy_constants(hardware)
    yield from _list_macs("mac", constants.macs)
    for mode in hardware.precision.modes:
        products = mode.macs_per_pe if mode.along is Along.REDUCTION else 1
        what = f"mac w{mode.weight_bits} a{mode.activation_bits} along {mode.along}"
        yield from _list_macs(what, mac_costs(hardware, mode, products))
    yield "drained psum", constants.drained_psum
    if constants.register_files is not None:
        yield "register files per mac", constants.register_files
    yield "addition of 32 bits", constants.addition
    for name in hardware.buffers.memories:
        costs = getattr(constants, name)
        yield f"{name} read", costs.memory.read
        yield f"{name} write", costs.memory.write
        yield f"{name} read wires", costs.wires.read
        yield f"{name} write wires", costs.wires.write
        yield f"{name} leakage", costs.memory.leakage
        yield f"{name} area", costs.memory.area
    dram = constants.dram
    for constant in (
        dram.activation, dram.read, dram.write, dram.read_io, dram.write_io, dram.standby,
        dram.refresh,
    ):  # fmt: skip
        if constant.high > 0:  # a flat memory has all in its bits
            yield constant.name.replace("_", " "), constant
    yield "clock and control", constants.clock_control
    yield "leakage, buffers included", constants.leakage
    yield "array area", constants.area.array
    if constants.area.register_files is not None:
        yield "register file area", constants.area.register_files


def _list_macs(what: str, macs: MacCosts) -> Iterator[tuple[str, Constant]]:
    yield what, macs.busy
    yield f"zero {what}", macs.zero
    yield f"gated {what}", macs.gated
