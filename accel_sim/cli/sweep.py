"""``accel-sim sweep``: products of machines, overrides and bit widths."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_sim.cli import options
from accel_sim.cli.console import show
from accel_sim.cli.formats import refuse_numbers
from accel_sim.cli.inputs import FormatRequest, NetworkRequest, add_batch, as_widths, read_widths
from accel_sim.cli.outputs import check_outputs
from accel_sim.cli.points import simulate_points
from accel_sim.cli.workload import load_workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from accel_sim.report.facts import Datapath
    from accel_sim.sweep import SweepPoint
    from quantizer.bits_file import GivenBits

WeightBitsList = Annotated[
    str | None,
    typer.Option(
        "--weight-bits",
        metavar="LIST",
        help="Such as 4,6,8 or 4:8; default: what the machine is built for.",
        rich_help_panel="Sweep",
    ),
]
ActivationBitsList = Annotated[
    str | None,
    typer.Option(
        "--activation-bits",
        metavar="LIST",
        help="Such as 4,6,8 or 4:8; default: what the machine is built for.",
        rich_help_panel="Sweep",
    ),
]
OverrideList = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=V1,V2",
        help="Values of one key of the machine, such as mac_array.rows=8,16; repeatable.",
        rich_help_panel="Sweep",
    ),
]
Rebuild = Annotated[
    bool,
    typer.Option(
        "--rebuild",
        help="Build one datapath per point, as wide as its operands and without modes; the input "
        "has the activations' width, unless --input-bits gives another.",
        rich_help_panel="Sweep",
    ),
]
ResultFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="F.csv",
        parser=options.parse_path,
        help="Write one line per point.",
        rich_help_panel="Output",
    ),
]


_SEPARATOR = re.compile(r",(?![^\[{]*[\]}])")
"""A comma that no bracket closes after, unless one opens first."""


def sweep(
    hardware: options.HardwareList,
    network: options.NetworkName = None,
    input_shape: options.InputShape = None,
    images: options.Images = None,
    calibration: options.Calibration = None,
    limit_images: options.LimitImages = None,
    mean: options.Mean = None,
    scale: options.Scale = None,
    layout: options.LayoutName = None,
    weight_bits: WeightBitsList = None,
    activation_bits: ActivationBitsList = None,
    input_bits: options.InputBits = None,
    bias_bits: options.BiasBits = None,
    bits: options.BitsFile = None,
    per_channel: options.PerChannel = False,
    method: options.Method = None,
    estimator: options.EstimatorName = None,
    headroom_bits: options.HeadroomBits = None,
    formats: options.Formats = None,
    tune: options.Tune = False,
    tune_passes: options.TunePasses = None,
    tune_budget: options.TuneBudget = None,
    tune_measure: options.TuneMeasureName = None,
    override: OverrideList = None,
    batch: options.Batch = None,
    rebuild: Rebuild = False,
    no_values: options.NoValues = False,
    output: ResultFile = None,
) -> None:
    """Simulate every combination of machines, --set values and bit widths.

    The datapath stays as built, where narrower operands save storage and traffic; or
    --rebuild makes it as wide as the operands, which saves arithmetic and area as well.
    """
    request = NetworkRequest(
        network=network,
        input_shape=input_shape,
        images=images,
        calibration=calibration,
        limit_images=limit_images,
        mean=mean,
        scale=scale,
        layout=layout,
        needs_images=not no_values,
        has_formats=formats is not None,
    )
    numbers = FormatRequest(
        input_bits=input_bits,
        bias_bits=bias_bits,
        bits=bits,
        per_channel=per_channel,
        method=method,
        estimator=estimator,
        headroom_bits=headroom_bits,
        formats=formats,
        tune=tune,
        tune_passes=tune_passes,
        tune_budget=tune_budget,
        tune_measure=tune_measure,
    )
    if output is not None and output.suffix != ".csv":
        raise InputError("--output", f"{str(output)!r} has another ending than .csv; give F.csv")
    check_outputs(
        {"--output": output}, (*request.input_paths, *numbers.input_paths, *map(Path, hardware))
    )
    weights = parse_widths("--weight-bits", weight_bits)
    activations = parse_widths("--activation-bits", activation_bits)
    changes = parse_changes(add_batch(override or [], batch))
    if rebuild:
        _refuse_widths_of_the_datapath(changes)

    from accel_sim.report.as_csv import to_csv_bytes
    from accel_sim.report.facts import Datapath
    from accel_sim.report.output_file import write_file
    from accel_sim.sweep import to_records

    given = read_widths(numbers, weight_bits, activation_bits)
    datapath = Datapath.REBUILT if rebuild else Datapath.FIXED
    points = list(_points(hardware, changes, weights, activations, numbers, given, datapath))
    workload = load_workload(request)
    refuse_numbers(workload, as_widths(weight_bits, activation_bits) | numbers.given)
    results = simulate_points(points, workload, numbers)
    records = to_records(results)
    if output is not None:
        table = to_csv_bytes(records)
        write_file(output, lambda file: file.write(table))
    varied = [key for key, values in changes.items() if len(values) > 1]
    show(f"{workload.network.name}, {len(records)} points, {datapath} datapath", "")
    show(_table(records, varied, has_values=workload.images is not None))


_SET_BY_REBUILD = (
    "precision",
    "precision.weight_bits",
    "precision.activation_bits",
    "precision.modes",
)


def _refuse_widths_of_the_datapath(changes: Mapping[str, Sequence[str]]) -> None:
    for key in changes:
        if key in _SET_BY_REBUILD:
            raise InputError(
                f"--set {key}", "is what --rebuild makes of the operands; leave one of them out"
            )


def _points(
    hardware: Sequence[str],
    changes: Mapping[str, Sequence[str]],
    weights: Sequence[int | None],
    activations: Sequence[int | None],
    numbers: FormatRequest,
    given: "GivenBits | None",
    datapath: "Datapath",
) -> "Iterator[SweepPoint]":
    from accel_sim.hardware.load import load_hardware
    from accel_sim.simulation import choose_bits
    from accel_sim.sweep import SweepPoint

    for name, *values in product(hardware, *changes.values()):
        chosen = dict(zip(changes, values, strict=True))
        machine = load_hardware(name, [f"{key}={value}" for key, value in chosen.items()])
        for weight_width, activation_width in product(weights, activations):
            bits = choose_bits(
                machine,
                weights=weight_width,
                activations=activation_width,
                inputs=numbers.input_bits,
                biases=numbers.bias_bits,
                given=given,
                datapath=datapath,
            )
            yield SweepPoint(hardware=machine, changes=chosen, bits=bits, datapath=datapath)


def parse_widths(option: str, text: str | None) -> tuple[int | None, ...]:
    """``"4,6,8"`` or ``"4:8"`` (both ends) as widths; nothing as the machine's own."""
    if text is None:
        return (None,)
    widths: dict[int, None] = {}
    for part in text.split(","):
        low, colon, high = (word.strip() for word in part.partition(":"))
        high = high if colon else low
        are_numbers = options.is_number(low) and options.is_number(high)
        if not (are_numbers and 2 <= int(low) <= int(high) <= 16):
            raise InputError(
                option, f"{text!r} is not a list of widths from 2 to 16; write 4,6,8 or 4:8"
            )
        widths |= dict.fromkeys(range(int(low), int(high) + 1))
    return tuple(widths)


def parse_changes(overrides: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``["mac_array.rows=8,16"]`` as values by key; commas in brackets do not split."""
    changes: dict[str, tuple[str, ...]] = {}
    for override in overrides:
        where = f"--set {override}"
        key, equals, text = (part.strip() for part in override.partition("="))
        values = tuple(value.strip() for value in _SEPARATOR.split(text))
        if not equals or not key or not all(values):
            raise InputError(where, "is not KEY=V1,V2; write it as in mac_array.rows=8,16")
        if key in changes:
            raise InputError(where, f"is given twice; list its values in one, as in {key}=8,16")
        changes[key] = values
    return changes


def _table(
    records: Sequence[Mapping[str, Any]], varied: Sequence[str], *, has_values: bool
) -> "Table":
    from accel_sim.report.as_table import make_table
    from accel_sim.report.quantities import (
        format_energy,
        format_percent,
        format_power,
        format_sqnr,
        format_storage,
        format_time,
    )

    # The last part of a key tells; the whole would not leave room for results.
    settings = [key.rpartition(".")[2] for key in varied]
    measured = ("SQNR dB", "top-1", "float") if has_values else ()
    table = make_table(
        "machine",
        *settings,
        "weights",
        "activations",
        *measured,
        "DRAM",
        "energy",
        "latency",
        "power",
    )
    for record in records:
        values = (
            format_sqnr(record["sqnr_dB"], record["exact"]),
            format_percent(record["top1_accuracy_fraction"]),
            format_percent(record["float_top1_accuracy_fraction"]),
        )
        table.add_row(
            record["hardware"],
            *(record[key] for key in varied),
            str(record["weight_bits"]),
            str(record["activation_bits"]),
            *(values if has_values else ()),
            format_storage(record["dram_read_bytes"] + record["dram_write_bytes"]),
            format_energy(record["energy_uJ"]),
            format_time(record["latency_us"]),
            format_power(record["average_power_mW"]),
        )
    return table
