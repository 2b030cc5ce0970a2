"""Results to stdout, everything else to stderr."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPE_COLUMNS = 100
"""Width of tables that no terminal bounds, so that a file holds the same bytes anywhere."""

Progress = Callable[[int, int], None]
"""Takes the number of steps done and the number of steps in all."""


def show(*results: "RenderableType") -> None:
    """Print results, styled on a terminal and plain elsewhere."""
    from rich.console import Console

    console = Console(
        width=None if sys.stdout.isatty() else PIPE_COLUMNS,
        # Rich keeps bold under NO_COLOR; who asks for that wants plain text.
        force_terminal=False if os.environ.get("NO_COLOR") else None,
        # Names of layers and files are text, whatever they look like.
        markup=False,
        highlight=False,
        emoji=False,
    )
    with console.capture() as capture:
        for result in results:
            console.print(result, soft_wrap=isinstance(result, str))
    # Tables pad their last column.
    show_text("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))


def show_text(text: str) -> None:
    """Print text as it is; end quietly if the reader has left (``| head``)."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_error(message: str) -> None:
    """Print one line on stderr, whatever the message holds."""
    sys.stderr.write(" ".join(message.splitlines()) + "\n")


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Show a bar on stderr while inside, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
