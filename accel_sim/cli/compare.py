"""``accel-sim compare``: machines, or reports, side by side."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel_sim.cli import options
from accel_sim.cli.console import count_columns, show, show_error
from accel_sim.cli.formats import refuse_numbers
from accel_sim.cli.inputs import (
    FormatRequest,
    NetworkRequest,
    add_batch,
    as_arguments,
    as_widths,
    read_widths,
)
from accel_sim.cli.outputs import check_outputs
from accel_sim.cli.pages import ChartFormat, ChartsOut, HtmlOut, write_page
from accel_sim.cli.points import simulate_points
from accel_sim.cli.workload import load_workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from accel_sim.report.comparison import Metric
    from accel_sim.report.document import ReportDocument

LABEL_COLUMNS = 16
COLUMNS_OF_TWO = 100
"""In which a table has room for two reports beside the first one; else it has one."""

CONDITION_HOLDS = 3
"""Exit status where a condition of --fail-if holds: neither a wrong input (2) nor a bug (1)."""

FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="Exit with 3 where it holds of a report but the first: 'energy_uJ>+2%' (change "
        "against the first), 'sqnr_dB<-0.5' (the same in its unit) or 'latency_us>900' (the "
        "value); any number of `totals`; repeatable.",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]
Sides = Annotated[
    list[str],
    typer.Argument(
        metavar="HW... | A.json...",
        parser=options.parse_name,
        help="Machines, or reports that --json wrote.",
    ),
]


def compare(
    sides: Sides,
    network: options.NetworkName = None,
    input_shape: options.InputShape = None,
    images: options.Images = None,
    calibration: options.Calibration = None,
    limit_images: options.LimitImages = None,
    mean: options.Mean = None,
    scale: options.Scale = None,
    layout: options.LayoutName = None,
    weight_bits: options.WeightBits = None,
    activation_bits: options.ActivationBits = None,
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
    override: options.Override = None,
    batch: options.Batch = None,
    no_values: options.NoValues = False,
    json: options.JsonOut = None,
    html: HtmlOut = None,
    charts: ChartsOut = None,
    chart_format: ChartFormat = "svg",
    fail_if: FailIf = None,
) -> None:
    """Put latency, energy, power and traffic side by side; differences are against the first.

    With --fail-if the exit status is 3 where a condition holds.
    """
    if len(sides) < 2:
        raise InputError("accel-sim compare", "needs two machines or reports at least; add one")
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
    check_outputs(
        {"--json": json, "--html": html, "--charts": charts},
        (*request.input_paths, *numbers.input_paths, *map(Path, sides)),
    )

    from accel_sim.hardware.load import load_hardware
    from accel_sim.report import gate
    from accel_sim.report.as_json import read_report, to_json_bytes
    from accel_sim.report.comparison import comparison_to_json
    from accel_sim.report.output_file import write_file
    from accel_sim.simulation import choose_bits
    from accel_sim.sweep.points import SweepPoint

    conditions = [gate.parse_condition(text) for text in fail_if or []]
    widths = as_widths(weight_bits, activation_bits)
    are_reports = [side.endswith(".json") for side in sides]
    if all(are_reports):
        machine_options = {"--set": override or None, "--batch": batch}
        given = as_arguments({**widths, **machine_options})
        _refuse_options([*request.arguments(), *numbers.arguments(), *given])
        reports = [read_report(Path(side)) for side in sides]
    elif any(are_reports):
        raise InputError(
            sides[are_reports.index(True)], "is a report among machines; give all of one kind"
        )
    else:
        given_bits = read_widths(numbers, weight_bits, activation_bits)
        points = [
            SweepPoint(
                hardware=machine,
                changes={},
                bits=choose_bits(
                    machine,
                    weights=weight_bits,
                    activations=activation_bits,
                    inputs=input_bits,
                    biases=bias_bits,
                    given=given_bits,
                ),
            )
            for machine in (load_hardware(side, add_batch(override or [], batch)) for side in sides)
        ]
        workload = load_workload(request)
        refuse_numbers(workload, widths | numbers.given)
        results = simulate_points(points, workload, numbers)
        reports = [result.report.to_document() for result in results]
    labels = [Path(side).stem for side in sides]
    failures = [
        sentence
        for condition in conditions
        for sentence in gate.check_condition(condition, labels, reports)
    ]
    if json is not None:
        content = to_json_bytes(comparison_to_json(labels, reports))
        write_file(json, lambda file: file.write(content))
    if html is not None or charts is not None:
        from accel_sim.report.page.comparison_page import make_comparison_page

        write_page(make_comparison_page(labels, reports), html, charts, chart_format)
    show(*_describe(labels, reports), "")
    at_a_time = 2 if count_columns() >= COLUMNS_OF_TWO else 1
    for first in range(1, len(reports), at_a_time):
        show(_table(labels, reports, range(first, min(first + at_a_time, len(reports)))))
    for sentence in failures:
        show_error(sentence)
    if failures:
        raise typer.Exit(CONDITION_HOLDS)


def _refuse_options(given: list[str]) -> None:
    if given:
        raise InputError(given[0], "has no use for finished reports; leave it out")


def _describe(labels: Sequence[str], reports: "Sequence[ReportDocument]") -> Iterator[str]:
    for label, report in zip(labels, reports, strict=True):
        numbers = report.quantization
        yield (
            f"{label}: {report.network.name}, {numbers.weight_bits}-bit weights, "
            f"{numbers.activation_bits}-bit activations, {report.totals.datapath} datapath, "
            f"batch {report.totals.batch}"
        )


def _table(labels: Sequence[str], reports: "Sequence[ReportDocument]", others: range) -> "Table":
    """Make a table of the first report and some others."""
    from accel_sim.report.comparison import compare_reports
    from accel_sim.report.layer_table import make_table
    from accel_sim.report.quantities import shorten_name

    columns = [shorten_name(labels[0], LABEL_COLUMNS)]
    for other in others:
        columns += [shorten_name(labels[other], LABEL_COLUMNS), "change"]
    table = make_table("", *columns)
    for metric in compare_reports(reports):
        row = [_format(metric, 0)]
        for other in others:
            row += [_format(metric, other), _format_delta(metric, other)]
        table.add_row(metric.key.replace("energy_uJ_by_component.", "  energy_uJ "), *row)
        if any(metric.delta_bands):
            ends = [cell for other in others for cell in ("", _format_band(metric, other))]
            table.add_row("  spread of sources", "", *ends)
    return table


def _format(metric: "Metric", index: int) -> str:
    from accel_sim.report.quantities import format_count, format_figures

    value = metric.values[index]
    if value is None:
        return "-"
    return format_count(int(value)) if metric.key.endswith("_bytes") else format_figures(value)


def _format_band(metric: "Metric", index: int) -> str:
    """Write the ends of a difference in whole percent: bands are no finer than that."""
    band = metric.delta_bands[index]
    return "-" if band is None else f"{100 * band[0]:+.0f} to {100 * band[1]:+.0f} %"


def _format_delta(metric: "Metric", index: int) -> str:
    from accel_sim.report.comparison import Difference

    delta = metric.deltas[index]
    if delta is None:
        return "-"
    if metric.difference is Difference.RELATIVE:
        return f"{100 * delta:+.1f} %"
    return f"{delta:+.3f}"
