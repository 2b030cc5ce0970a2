"""``accel-sim check``: whether machines have no mistakes, and reports come out again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel_sim.cli import options
from accel_sim.cli.check_report import REPORT_SUFFIX, ReportInputs, check_report
from accel_sim.cli.console import show
from quantizer.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from accel_sim.hardware.config import HardwareConfig


DIFFERS = 3
"""Exit status where a report did not come out again."""

Subjects = Annotated[
    list[str],
    typer.Argument(
        metavar="HW...",
        parser=options.parse_name,
        help="YAML files or names of shipped machines; or reports: F.json of simulate.",
    ),
]


def check(
    subjects: Subjects,
    override: options.Override = None,
    constants: options.ShowConstants = False,
    network: options.NetworkName = None,
    input_shape: options.InputShape = None,
    images: options.Images = None,
    calibration: options.Calibration = None,
    mean: options.Mean = None,
    scale: options.Scale = None,
    layout: options.LayoutName = None,
    estimator: options.EstimatorName = None,
    headroom_bits: options.HeadroomBits = None,
    formats: options.Formats = None,
) -> None:
    """Load machines, stop at the first mistake, and say what each is; or run reports again.

    A report is run on the machine and with the numbers that it holds, and compared field by
    field. What it does not hold is given as it was to simulate: the files, and how ggd
    methods fit. Ends with 3 if anything differs.
    """
    inputs = ReportInputs(
        network=network,
        input_shape=input_shape,
        images=images,
        calibration=calibration,
        mean=mean,
        scale=scale,
        layout=layout,
        estimator=estimator,
        headroom_bits=headroom_bits,
        formats=formats,
    )
    reports = [Path(subject) for subject in subjects if subject.endswith(REPORT_SUFFIX)]
    if not reports:
        for option, value in inputs.given.items():
            if value is not None:
                raise InputError(option, "is for reports; give a file that --json wrote")
        _check_machines(subjects, override or [], shows_constants=constants)
        return
    if len(reports) < len(subjects):
        raise InputError(str(reports[0]), "is a report, others are machines; check them apart")
    for option, value in (("--set", override), ("--constants", constants or None)):
        if value is not None:
            raise InputError(option, "is for machines; a report has its own")
    # All of them, also behind one that differs.
    if not all([check_report(report, inputs) for report in reports]):
        raise typer.Exit(DIFFERS)


def _check_machines(
    names: Sequence[str], overrides: Sequence[str], *, shows_constants: bool
) -> None:
    from rich.text import Text

    from accel_sim.hardware.load import load_hardware
    from accel_sim.report.layer_table import make_table

    machines = [load_hardware(name, overrides) for name in names]
    table = make_table(
        "machine", "PEs", "MHz", "nm", "bits w/a", "dataflow", "buffers KiB", "DRAM", left=(0, 5, 7)
    )
    for machine in machines:
        table.add_row(*_summary(machine))
    show(table)
    if shows_constants:
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
