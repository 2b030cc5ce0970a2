"""``accel-sim check``: whether machines are described without mistakes."""

from typing import TYPE_CHECKING

from accel_sim.cli import options
from accel_sim.cli.console import show

if TYPE_CHECKING:
    from rich.table import Table

    from accel_sim.hardware.config import HardwareConfig


def check(
    hardware: options.HardwareList,
    override: options.Override = None,
    constants: options.ShowConstants = False,
) -> None:
    """Load machines, stop at the first mistake, and say what each is."""
    from rich.text import Text

    from accel_sim.hardware.load import load_hardware
    from accel_sim.report.layer_table import make_table

    machines = [load_hardware(name, override or []) for name in hardware]
    table = make_table(
        "machine", "PEs", "MHz", "nm", "bits w/a", "dataflow", "buffers KiB", "DRAM", left=(0, 5, 7)
    )
    for machine in machines:
        table.add_row(*_summary(machine))
    show(table)
    if constants:
        for machine in machines:
            show(Text(f"\n{machine.name}", style="bold"), _constants(machine))


def _constants(machine: "HardwareConfig") -> "Table":
    from accel_sim.report.constants import list_constants
    from accel_sim.report.layer_table import make_table
    from accel_sim.report.quantities import format_figures

    columns = ("constant", "value", "low", "high", "unit", "trust", "source")
    table = make_table(*columns, left=(0, 4, 5, 6))
    table.columns[-1].no_wrap = False
    for what, constant in list_constants(machine):
        figures = (format_figures(end) for end in (constant.value, constant.low, constant.high))
        table.add_row(what, *figures, constant.unit, constant.confidence, constant.source)
    return table


def _summary(machine: "HardwareConfig") -> tuple[str, ...]:
    from accel_sim.hardware.config import FlatDram

    array, precision, dram = machine.mac_array, machine.precision, machine.dram
    capacity_KiB = sum(buffer.capacity_KiB for buffer in machine.buffers.memories.values())
    return (
        machine.name,
        f"{array.rows} x {array.cols}",
        f"{machine.clock_MHz:g}",
        str(machine.technology.node_nm),
        f"{precision.weight_bits}/{precision.activation_bits}",
        array.dataflow,
        f"{capacity_KiB:g}",
        f"{dram.bandwidth_GBps:g} GB/s"
        if isinstance(dram, FlatDram)
        else f"{dram.channels} x {dram.device}",
    )
