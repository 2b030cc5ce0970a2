"""``accel-sim widths``: what each bit of the operands brings and costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel_sim.cli import options
from accel_sim.cli.console import show
from accel_sim.cli.inputs import FormatRequest, NetworkRequest, add_batch
from accel_sim.cli.outputs import HTML_SUFFIX, check_outputs
from accel_sim.cli.points import simulate_points
from accel_sim.cli.sweep_axes import parse_widths
from accel_sim.cli.width_table import describe_machines, explain_bit, make_width_table
from accel_sim.cli.workload import load_workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.hardware.config import HardwareConfig
    from accel_sim.report.width_law import WidthPoint
    from accel_sim.sweep.points import SweepPoint

CHART_SUFFIXES = (".svg", ".png", HTML_SUFFIX)
NARROWEST_BITS = 4
"""Of the default list: with fewer, most networks tell nothing apart any more."""

BitsList = Annotated[
    str | None,
    typer.Option(
        "--bits",
        metavar="LIST",
        help="Of weights and activations alike, such as 4,6,8 or 4:10; default: 4 to what the "
        "machine is built for.",
        rich_help_panel="Widths",
    ),
]
InputBits = Annotated[
    int | None,
    typer.Option(
        "--input-bits",
        metavar="BITS",
        parser=options.parse_width,
        help="Of the network input, which a datapath holds as well; default: those of the "
        "activations.",
        rich_help_panel="Widths",
    ),
]
ChartOut = Annotated[
    Path | None,
    typer.Option(
        "--chart",
        metavar="F",
        parser=options.parse_path,
        help="Draw SQNR, DRAM traffic and energy over the bits: F.svg, F.png or F.html, which "
        "opens offline.",
        rich_help_panel="Output",
    ),
]
CsvOut = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="F",
        parser=options.parse_path,
        help="Write one line per width.",
        rich_help_panel="Output",
    ),
]
JsonOut = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="F",
        parser=options.parse_path,
        help="Write the whole trade-off.",
        rich_help_panel="Output",
    ),
]


def widths(
    hardware: options.Hardware,
    network: options.NetworkName = None,
    input_shape: options.InputShape = None,
    images: options.Images = None,
    calibration: options.Calibration = None,
    limit_images: options.LimitImages = None,
    mean: options.Mean = None,
    scale: options.Scale = None,
    layout: options.LayoutName = None,
    bits: BitsList = None,
    input_bits: InputBits = None,
    bias_bits: options.BiasBits = None,
    per_channel: options.PerChannel = False,
    method: options.Method = None,
    estimator: options.EstimatorName = None,
    headroom_bits: options.HeadroomBits = None,
    tune: options.Tune = False,
    tune_passes: options.TunePasses = None,
    tune_budget: options.TuneBudget = None,
    tune_measure: options.TuneMeasureName = None,
    override: options.Override = None,
    batch: options.Batch = None,
    no_values: options.NoValues = False,
    chart: ChartOut = None,
    csv: CsvOut = None,
    json: JsonOut = None,
) -> None:
    """Trade bits for SQNR, DRAM traffic and energy, on a fixed datapath and on rebuilt ones.

    The fixed datapath is the machine's, or holds the widest operands if these are wider. A
    rebuilt one is as wide as the operands of its row.
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
    )
    numbers = FormatRequest(
        input_bits=input_bits,
        bias_bits=bias_bits,
        bits=None,
        per_channel=per_channel,
        method=method,
        estimator=estimator,
        headroom_bits=headroom_bits,
        formats=None,
        tune=tune,
        tune_passes=tune_passes,
        tune_budget=tune_budget,
        tune_measure=tune_measure,
    )
    asked = parse_widths("--bits", bits)

    if chart is not None and chart.suffix not in CHART_SUFFIXES:
        raise InputError(
            "--chart", f"{str(chart)!r} has another ending than .svg, .png and .html; use one"
        )
    check_outputs(
        {"--chart": chart, "--csv": csv, "--json": json},
        (*request.input_paths, Path(hardware)),
    )

    from accel_sim.hardware.load import load_hardware
    from accel_sim.report.as_csv import to_csv_bytes
    from accel_sim.report.as_json import to_json_bytes
    from accel_sim.report.output_file import write_file
    from accel_sim.report.width_law import WidthPoint, price_bit, width_law_to_json, width_records

    machine = load_hardware(hardware, add_batch(override or [], batch))
    workload = load_workload(request)
    if workload.qonnx is not None:
        raise InputError(
            workload.qonnx.where, "has widths of its own; give the float network it was made from"
        )
    listed = _choose_widths(asked, machine)
    results = simulate_points(_points(machine, listed, numbers), workload, numbers)
    reports = [result.report.to_document() for result in results]
    points = [
        WidthPoint(bits=width, fixed=fixed, rebuilt=rebuilt)
        for width, fixed, rebuilt in zip(listed, reports[::2], reports[1::2], strict=True)
    ]
    if chart is not None:
        drawn = _draw(points, chart.suffix)
        write_file(chart, lambda file: file.write(drawn))
    if csv is not None:
        table = to_csv_bytes(width_records(points))
        write_file(csv, lambda file: file.write(table))
    if json is not None:
        content = to_json_bytes(width_law_to_json(points))
        write_file(json, lambda file: file.write(content))
    show(*describe_machines(points, machine), "")
    show(make_width_table(points))
    price = price_bit(points)
    if price is not None:
        show("", explain_bit(price))


def _draw(points: "Sequence[WidthPoint]", suffix: str) -> bytes:
    """Give a page, or the drawing alone."""
    from accel_sim.report.charts.chart import PictureKind, draw
    from accel_sim.report.charts.width_law import draw_width_law
    from accel_sim.report.page.page import page_bytes
    from accel_sim.report.page.width_page import make_width_page

    if suffix == HTML_SUFFIX:
        return page_bytes(make_width_page(points))
    return draw(draw_width_law(points), PictureKind(suffix.removeprefix(".")))


def _choose_widths(asked: Sequence[int | None], machine: "HardwareConfig") -> tuple[int, ...]:
    """Widths by rising number: those asked for, or up to what the machine is built for."""
    given = {width for width in asked if width is not None}
    if not given:
        built = max(machine.precision.weight_bits, machine.precision.activation_bits)
        given = set(range(min(NARROWEST_BITS, built), built + 1))
    return tuple(sorted(given))


def _points(
    machine: "HardwareConfig", widths: Sequence[int], numbers: FormatRequest
) -> "list[SweepPoint]":
    """Give two points per width: on the datapath that holds all of them, and rebuilt."""
    from accel_sim.machine_fit import set_datapath
    from accel_sim.report.facts import Datapath
    from accel_sim.simulation import choose_bits
    from accel_sim.sweep.points import SweepPoint

    built = machine.precision
    fixed = set_datapath(
        machine,
        weight_bits=max(built.weight_bits, *widths),
        activation_bits=max(built.activation_bits, *widths, numbers.input_bits or 0),
        modes=built.modes,
    )
    return [
        SweepPoint(
            hardware=fixed,
            changes={},
            # The same integers on both, and so one exact run for the two.
            bits=choose_bits(
                fixed,
                weights=width,
                activations=width,
                inputs=numbers.input_bits,
                biases=numbers.bias_bits,
                datapath=Datapath.REBUILT,
            ),
            datapath=datapath,
        )
        for width in widths
        for datapath in (Datapath.FIXED, Datapath.REBUILT)
    ]
