"""``accel-sim schema``: the JSON Schemas of the files, for editors and programs."""

import json
from typing import Annotated, Literal

import typer

from accel_sim.cli.console import show_text


def schema(
    of: Annotated[
        Literal["hardware", "report"],
        typer.Argument(metavar="WHAT", help="Which file; default: hardware."),
    ] = "hardware",
) -> None:
    """Print the JSON Schema of a machine's file, or of the report file."""
    if of == "hardware":
        from accel_sim.hardware.load import hardware_schema

        content = hardware_schema()
    else:
        from accel_sim.report.as_json import report_schema

        content = report_schema()
    show_text(json.dumps(content, indent=2) + "\n")
