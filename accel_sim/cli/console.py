"""Results to stdout, everything else to stderr."""

import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.report.quantities import printable
from quantizer.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

PIPE_COLUMNS = 100
"""Width of tables that no terminal bounds, so that a file holds the same bytes anywhere."""

Progress = Callable[[int, int], None]
"""Takes the number of steps done and the number of steps in all."""


def prepare_streams() -> None:
    """Let printing never fail for a closed stream or for letters that a terminal lacks."""
    if sys.stdout is None:  # as >&- leaves it
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(errors="backslashreplace")


def count_columns() -> int:
    """Count the columns that a line of stdout has room for."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_COLUMNS


def show(*results: "RenderableType") -> None:
    """Print results, styled on a terminal and plain elsewhere."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    printed = io.StringIO()
    console = Console(
        file=printed,
        width=None if is_terminal else PIPE_COLUMNS,
        # Rich keeps bold under NO_COLOR; who asks for that wants plain text.
        force_terminal=False if os.environ.get("NO_COLOR") else is_terminal or None,
        # Names of layers and files are text, whatever they look like.
        markup=False,
        highlight=False,
        emoji=False,
    )
    for result in results:
        if isinstance(result, str):
            console.print(printable(result), soft_wrap=True)
        else:
            console.print(_Spelled(result))
    # Tables pad their last column.
    show_text("".join(line.rstrip() + "\n" for line in printed.getvalue().splitlines()))


@dataclass(frozen=True, slots=True)
class _Spelled:
    """A table or a text, in which names cannot move the cursor or change colours."""

    content: "RenderableType"

    def __rich_console__(
        self, console: "Console", options: "ConsoleOptions"
    ) -> "Iterator[Segment]":
        from rich.segment import Segment

        for segment in console.render(self.content, options):
            lines = segment.text.split("\n")
            yield Segment("\n".join(map(printable, lines)), segment.style)


def show_text(text: str) -> None:
    """Print text as it is; end quietly if the reader has left (``| head``).

    Raises
    ------
    InputError
        If stdout is a file that cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python flushes stdout once more at exit; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise InputError("stdout", f"cannot be written ({error.strerror})") from None


def show_error(message: str) -> None:
    """Print one line on stderr, whatever the message holds."""
    sys.stderr.write(printable(message) + "\n")


@contextmanager
def progress_bar(label: str, unit: str | None = None) -> Iterator[Progress]:
    """Show a bar on stderr while inside, if stderr is a terminal.

    Parameters
    ----------
    unit
        What a step is, to show how many a second there are, and the time that is left.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    speed = () if unit is None else (TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    with Bar(
        *columns, TimeElapsedColumn(), *speed, console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(label, total=None, speed="")
        started = time.monotonic()

        def show_progress(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - started, 1e-9)
            speed = f"{rate:.3g} {unit}/s," if done else ""
            bar.update(task, completed=done, total=total, speed=speed)

        yield show_progress
