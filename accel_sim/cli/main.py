"""The command ``accel-sim``: verbs, and what an error becomes."""

import atexit
import gc
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from accel_sim.cli import (
    check,
    compare,
    export_vectors,
    init,
    list_names,
    quantize,
    report,
    schema,
    simulate,
    sweep,
    widths,
)
from accel_sim.cli.console import prepare_streams, show_error, show_text
from quantizer.errors import InputError

USER_ERROR = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

_OBJECTS_BETWEEN_COLLECTIONS = 500_000
"""A run makes a quarter of a million that live to its end, most of them by imports. By default
Python looks through them hundreds of times, which takes 7 % of a short run."""

_BAD_VALUE = re.compile(
    r"Invalid value for '(?P<option>[^']+)'( / '[^']+')?: (Value error, )?(?P<problem>.*)"
)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("simulate")(simulate.simulate)
app.command("compare")(compare.compare)
app.command("sweep")(sweep.sweep)
app.command("report")(report.report)
app.command("widths")(widths.widths)
app.command("quantize")(quantize.quantize)
app.command("export-vectors")(export_vectors.export_vectors)
app.command("check")(check.check)
app.command("init")(init.init)
app.command("list")(list_names.list_names)
app.command("schema")(schema.schema)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from accel_sim import __version__

        show_text(f"accel-sim {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Run a quantized CNN on a fixed-point accelerator described in YAML.

    One run gives the exact integers, how far they are from the float network, cycles,
    memory traffic and energy. Try: accel-sim simulate edge_16x16
    """
    if context.invoked_subcommand is None:
        show_text(context.get_help() + "\n")


def run() -> None:
    """Run the command line and exit: 0 done, 2 user error, 130 interrupted.

    A bug keeps its traceback, with which Python exits with 1.
    """
    prepare_streams()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    status: int | None = None
    was_interrupted = False

    def leave() -> None:
        """End here, unless there is a bug to tell of: to free all objects takes 0.4 s."""
        if status is not None:
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(status)

    atexit.register(leave)  # the first of them, and so the last to be called

    def interrupt(*_: object) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        # What is half built complains when it is thrown away; that is no news now.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, interrupt)
    try:
        status = main(sys.argv[1:])
    except (Exception, KeyboardInterrupt):
        # An interrupted import of compiled code ends as an ImportError.
        if not was_interrupted:
            raise
        status = _end_interrupted()
    sys.exit(status)


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        # typer returns the status of an early exit (--help), or what the verb returned: None.
        status = app(args=list(arguments), prog_name="accel-sim", standalone_mode=False) or 0
    except InputError as error:
        show_error(str(error))
        return USER_ERROR
    except typer.TyperException as error:
        show_error(_usage_sentence(error))
        return USER_ERROR
    return _end_interrupted() if status == INTERRUPTED else int(status)


def _end_interrupted() -> int:
    show_error("accel-sim: interrupted")
    return INTERRUPTED


def _usage_sentence(error: typer.TyperException) -> str:
    """Our form of a complaint about the command line: ``where: what; what would be right``."""
    context = getattr(error, "ctx", None)
    where = "accel-sim" if context is None else context.command_path
    option, nearest = getattr(error, "option_name", ""), getattr(error, "possibilities", ())
    if option and nearest:
        return f"{where}: no such option: {option}; did you mean {nearest[0]!r}?"
    message = " ".join(error.format_message().split()).removesuffix(".")
    if value := _BAD_VALUE.fullmatch(message):
        return f"{value['option']}: {value['problem']}"
    message = message[0].lower() + message[1:].replace(". Did you mean", "; did you mean")
    return f"{where}: {message}" + ("" if message.endswith("?") else f"; see {where} --help")
