"""``accel-sim init``: a machine of one's own to edit."""

from pathlib import Path
from typing import Annotated

import typer

from accel_sim.cli.console import show
from accel_sim.cli.options import parse_name, parse_path
from accel_sim.cli.outputs import check_outputs
from quantizer.errors import InputError
from quantizer.input_file import exists

DEFAULT_MACHINE = "edge_16x16"


def init(
    path: Annotated[
        Path, typer.Argument(metavar="MY.yaml", parser=parse_path, help="File to write.")
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="HW",
            parser=parse_name,
            help="Machine to start from, comments included.",
        ),
    ] = DEFAULT_MACHINE,
) -> None:
    """Copy a machine into a new file; refuse to overwrite one."""
    from accel_sim.hardware.load import find_machine, load_hardware, read_text
    from accel_sim.report.output_file import write_file

    if path.suffix not in (".yaml", ".yml"):
        raise InputError(str(path), "a machine needs the ending .yaml; give such a name")
    if exists(path):
        raise InputError(str(path), "exists already; give another name, or remove it first")
    check_outputs({str(path): path}, ())
    load_hardware(source)
    text = read_text(find_machine(source))
    write_file(path, lambda file: file.write(text.encode()))
    show(f"Wrote {path}. Edit it, then: accel-sim simulate {path}")
