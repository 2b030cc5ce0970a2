"""``accel-sim sweep``: products of machines, networks, overrides, numbers and widths."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from accel_sim.cli import options, sweep_options
from accel_sim.cli.console import show
from accel_sim.cli.dry_run import show_plan
from accel_sim.cli.inputs import FormatRequest, NetworkRequest, add_batch, as_widths, read_widths
from accel_sim.cli.outputs import check_outputs
from accel_sim.cli.run_points import WorkersRequest, simulate_all_points
from accel_sim.cli.stored_points import simulate_missing_points
from accel_sim.cli.sweep_axes import expand_names, parse_changes, parse_names, parse_widths
from accel_sim.cli.sweep_points import (
    Axes,
    Combination,
    check_all_points,
    combine,
    require_machines,
)
from accel_sim.cli.sweep_studies import list_numbers, make_studies
from accel_sim.cli.sweep_table import describe_sweep, identity_columns, result_columns, show_columns
from quantizer.errors import InputError


def sweep(
    hardware: sweep_options.Machines,
    network: sweep_options.NetworkNames = None,
    input_shape: options.InputShape = None,
    images: options.Images = None,
    calibration: options.Calibration = None,
    limit_images: options.LimitImages = None,
    mean: options.Mean = None,
    scale: options.Scale = None,
    layout: options.LayoutName = None,
    weight_bits: sweep_options.WeightBitsList = None,
    activation_bits: sweep_options.ActivationBitsList = None,
    bits: sweep_options.BitsFiles = None,
    method: sweep_options.MethodList = None,
    estimator: sweep_options.EstimatorList = None,
    override: sweep_options.OverrideList = None,
    rebuild: sweep_options.Rebuild = False,
    dry_run: sweep_options.DryRun = False,
    input_bits: options.InputBits = None,
    bias_bits: options.BiasBits = None,
    per_channel: options.PerChannel = False,
    headroom_bits: options.HeadroomBits = None,
    formats: options.Formats = None,
    tune: options.Tune = False,
    tune_passes: options.TunePasses = None,
    tune_budget: options.TuneBudget = None,
    tune_measure: options.TuneMeasureName = None,
    batch: options.Batch = None,
    no_values: options.NoValues = False,
    output: sweep_options.ResultFile = None,
    workers: sweep_options.WorkerCount = None,
    scheduler: sweep_options.Scheduler = None,
    fail_fast: sweep_options.FailFast = False,
) -> None:
    """Simulate every combination of machines, networks, --set values, methods and bit widths.

    The datapath stays as built, where narrower operands save storage and traffic; or
    --rebuild makes it as wide as the operands, which saves arithmetic and area as well.
    """
    request = NetworkRequest(
        network=None,
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
        bits=None,
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
    _check_output(output, fails_fast=fail_fast)
    machines, requests = _expand_machines(hardware), _expand_networks(network, request)
    files = expand_names("--bits", [str(file) for file in bits or []])
    read = [path for each in requests for path in each.input_paths]
    check_outputs(
        {"--output": output}, [*read, *numbers.input_paths, *map(Path, (*machines, *files))]
    )
    weights = parse_widths("--weight-bits", weight_bits)
    activations = parse_widths("--activation-bits", activation_bits)
    changes = parse_changes(add_batch(override or [], batch))
    if rebuild:
        _refuse_widths_of_the_datapath(changes)
    methods = parse_names("--method", method, "ggd,min_max")
    estimators = parse_names("--estimator", estimator, "moments,log_cumulants")
    several = list_numbers(numbers, methods, estimators)
    given = [
        read_widths(replace(numbers, bits=Path(file)), weight_bits, activation_bits)
        for file in files
    ]
    widths = {**as_widths(weight_bits, activation_bits), "--bits": bits}

    from accel_sim.report.facts import Datapath

    axes = Axes(
        machines=machines,
        studies=make_studies(requests, several, widths),
        changes=changes,
        given=given or [None],
        weights=weights,
        activations=activations,
        datapath=Datapath.REBUILT if rebuild else Datapath.FIXED,
    )
    combinations = list(combine(axes))
    if dry_run:
        show_plan(axes, combinations, who, output if _is_results_file(output) else None)
        return
    records = _simulate(axes, combinations, who, output, fails_fast=fail_fast)
    show(describe_sweep(records, axes.datapath), "")
    results = result_columns(records, has_values=not no_values)
    show_columns([*identity_columns(records, axes.varied), *results])
    failed = sum(record["cycles"] is None for record in records)
    if failed:
        raise InputError(
            str(output),
            f"{failed} of {len(records)} points failed; accel-sim report {output} --failed says "
            "why",
        )


def _simulate(
    axes: Axes,
    combinations: Sequence[Combination],
    who: WorkersRequest,
    output: Path | None,
    *,
    fails_fast: bool,
) -> list[dict[str, Any]]:
    """Give a record per point, and keep them."""
    from accel_sim.report.as_csv import to_csv_bytes
    from accel_sim.report.output_file import write_file
    from accel_sim.sweep.point_records import point_record

    points = [combination.point for combination in combinations]
    experiments = [study.experiment for study in axes.studies]
    totals: Sequence[Mapping[str, Any]]
    if _is_results_file(output):
        stored = simulate_missing_points(output, points, experiments, who, fails_fast=fails_fast)
        totals = [point.record for point in stored]
    else:
        usable = require_machines(points)
        check_all_points(usable, axes.studies)
        totals = simulate_all_points(usable, experiments, who)
    records = [
        # The file may know the network by another name.
        point_record(each.columns, {**found, "hardware": each.machine, "network": each.network})
        for each, found in zip(combinations, totals, strict=True)
    ]
    if output is not None and not _is_results_file(output):
        table = to_csv_bytes(records)
        write_file(output, lambda file: file.write(table))
    return records


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


def _check_output(output: Path | None, *, fails_fast: bool) -> None:
    if output is not None and output.suffix not in (".db", ".csv"):
        raise InputError(
            "--output", f"{str(output)!r} has another ending than .db and .csv; give F.db or F.csv"
        )
    if fails_fast and not _is_results_file(output):
        raise InputError("--fail-fast", "is what happens without a results file; add -o F.db")


def _is_results_file(output: Path | None) -> TypeGuard[Path]:
    return output is not None and output.suffix == ".db"


def _expand_networks(
    patterns: Sequence[str] | None, request: NetworkRequest
) -> list[NetworkRequest]:
    """Give a request per network; without a pattern, that for the default."""
    from accel_sim.builtin import builtin_names

    if not patterns:
        return [request]
    names = expand_names("--network", patterns, builtin_names(), kind="built-in network")
    return [replace(request, network=name) for name in names]


def _expand_machines(patterns: Sequence[str]) -> tuple[str, ...]:
    from accel_sim.hardware.load import shipped_machines

    return expand_names("", patterns, shipped_machines(), kind="shipped machine")
