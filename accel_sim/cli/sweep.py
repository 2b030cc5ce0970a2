"""``accel-sim sweep``: products of machines, overrides and bit widths."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from accel_sim.cli import options
from accel_sim.cli.console import show
from accel_sim.cli.formats import refuse_numbers
from accel_sim.cli.inputs import FormatRequest, NetworkRequest, add_batch, as_widths, read_widths
from accel_sim.cli.outputs import check_outputs
from accel_sim.cli.points import check_points, make_experiment
from accel_sim.cli.run_points import WorkersRequest, simulate_all_points
from accel_sim.cli.stored_points import simulate_missing_points
from accel_sim.cli.sweep_points import combine, require_machines
from accel_sim.cli.sweep_table import make_sweep_table
from accel_sim.cli.workload import load_workload
from quantizer.errors import InputError

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
        metavar="F",
        parser=options.parse_path,
        help="F.db: a results file that keeps every point as soon as it is known; the same "
        "command goes on where it ended, and report reads it. F.csv: one line per point, at "
        "the end.",
        rich_help_panel="Output",
    ),
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        parser=options.parse_count,
        help="Processes that simulate points; 1 is this one alone. Default: one per processor, if "
        "there are enough points.",
        rich_help_panel="Workers",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        parser=options.parse_name,
        help="Of a Dask cluster, such as tcp://host:8786, whose workers simulate points.",
        rich_help_panel="Workers",
    ),
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast",
        help="End with the first point that fails; with F.db, others run all the same.",
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
    workers: WorkerCount = None,
    scheduler: Scheduler = None,
    fail_fast: FailFast = False,
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
    who = WorkersRequest(workers=workers, scheduler=scheduler)
    if output is not None and output.suffix not in (".db", ".csv"):
        raise InputError(
            "--output", f"{str(output)!r} has another ending than .db and .csv; give F.db or F.csv"
        )
    if fail_fast and (output is None or output.suffix != ".db"):
        raise InputError("--fail-fast", "is what happens without a results file; add -o F.db")
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
    from accel_sim.sweep.point_records import point_record

    given = read_widths(numbers, weight_bits, activation_bits)
    datapath = Datapath.REBUILT if rebuild else Datapath.FIXED
    points = list(combine(hardware, changes, weights, activations, numbers, given, datapath))
    workload = load_workload(request)
    refuse_numbers(workload, as_widths(weight_bits, activation_bits) | numbers.given)
    experiments = [make_experiment(workload, numbers)]
    if output is not None and output.suffix == ".db":
        stored = simulate_missing_points(output, points, experiments, who, fails_fast=fail_fast)
        totals = [point.record for point in stored]
    else:
        usable = require_machines(points)
        check_points(usable, workload, numbers)
        totals = simulate_all_points(usable, experiments, who)
    records = [
        # The file may know the network by another name.
        point_record(point.changes, {**found, "network": workload.network.name})
        for point, found in zip(points, totals, strict=True)
    ]
    if output is not None and output.suffix == ".csv":
        table = to_csv_bytes(records)
        write_file(output, lambda file: file.write(table))
    varied = [key for key, values in changes.items() if len(values) > 1]
    show(f"{workload.network.name}, {len(records)} points, {datapath} datapath", "")
    show(make_sweep_table(records, varied, has_values=workload.images is not None))
    failed = sum(record["cycles"] is None for record in records)
    if failed:
        raise InputError(
            str(output),
            f"{failed} of {len(points)} points failed; accel-sim report {output} --failed says why",
        )


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
