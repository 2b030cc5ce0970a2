"""Options of ``accel-sim sweep`` alone: the values along its axes, and how they are simulated."""

from pathlib import Path
from typing import Annotated

import typer

from accel_sim.cli import options

_SWEEP = "Sweep"
_WORKERS = "Workers"

Machines = Annotated[
    list[str],
    typer.Argument(
        metavar="HW...",
        parser=options.parse_name,
        help="YAML files, names of shipped machines, or patterns of either, such as 'edge_*'.",
    ),
]
NetworkNames = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        metavar="NET",
        parser=options.parse_name,
        help="As simulate takes it, or a pattern of files or names, such as 'nets/*.onnx'; "
        "repeatable. Images are for all networks; a built-in one has its own.",
        rich_help_panel=_SWEEP,
    ),
]
WeightBitsList = Annotated[
    str | None,
    typer.Option(
        "--weight-bits",
        metavar="LIST",
        help="Such as 4,6,8 or 4:8; default: what the machine is built for.",
        rich_help_panel=_SWEEP,
    ),
]
ActivationBitsList = Annotated[
    str | None,
    typer.Option(
        "--activation-bits",
        metavar="LIST",
        help="Such as 4,6,8 or 4:8; default: what the machine is built for.",
        rich_help_panel=_SWEEP,
    ),
]
BitsFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--bits",
        metavar="F.json",
        parser=options.parse_path,
        help="Widths by layer name, as simulate takes them, or a pattern of such files, such as "
        "'bits/*.json'; repeatable.",
        rich_help_panel=_SWEEP,
    ),
]
MethodList = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="LIST",
        parser=options.parse_name,
        help="How feature-map formats are chosen, such as ggd,min_max; default ggd (see: accel-sim "
        "list methods).",
        rich_help_panel=_SWEEP,
    ),
]
EstimatorList = Annotated[
    str | None,
    typer.Option(
        "--estimator",
        metavar="LIST",
        parser=options.parse_name,
        help="How the ggd methods fit their distribution: moments, maximum_likelihood, "
        "log_cumulants; default: moments.",
        rich_help_panel=_SWEEP,
    ),
]
OverrideList = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=LIST",
        help="Values of one key of the machine, such as mac_array.rows=8,16; integers also as "
        "4:32, 8:64:8 (in steps of 8) or 8:64:x2 (each twice the last); repeatable.",
        rich_help_panel=_SWEEP,
    ),
]
Rebuild = Annotated[
    bool,
    typer.Option(
        "--rebuild",
        help="Build one datapath per point, as wide as its operands and without modes; the input "
        "has the activations' width, unless --input-bits gives another.",
        rich_help_panel=_SWEEP,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show the points and how long they would take, and write nothing.",
        rich_help_panel=_SWEEP,
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
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast",
        help="End with the first point that fails; with F.db, others run all the same.",
        rich_help_panel=options.OUTPUT_PANEL,
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
        rich_help_panel=_WORKERS,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        parser=options.parse_name,
        help="Of a Dask cluster, such as tcp://host:8786, whose workers simulate points.",
        rich_help_panel=_WORKERS,
    ),
]
