"""Write what is generated: docs/operators.md, and what the commands of README.md print.

    .venv/bin/python tools/refresh_docs.py

Tests compare what stands there with what would be written.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from accel_sim.operators import operator_page

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "simulate.svg"
OPERATORS = ROOT / "docs" / "operators.md"
BLOCK = re.compile(r"```\n\$ (accel-sim [^\n]*)\n(.*?)```", re.DOTALL)
COLUMNS = 100


def run_command(command: str, **environment: str) -> str:
    """Standard output of an accel-sim command, as on a pipe."""
    name, *arguments = shlex.split(command)
    executable = Path(sys.executable).parent / name
    done = subprocess.run(
        [executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


def refresh(text: str) -> str:
    """The text with the output of every command as it is now."""
    return BLOCK.sub(lambda found: f"```\n$ {found[1]}\n{run_command(found[1])}```", text)


def draw_report(command: str) -> str:
    """What a command prints, as the picture of a terminal."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(run_command(command, FORCE_COLOR="1")))
    drawing = console.export_svg(title=command)
    # The reader's own font will do; a picture fetches nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)


def main() -> None:
    README.write_text(refresh(README.read_text()))
    OPERATORS.write_text(operator_page())
    PICTURE.write_text(draw_report("accel-sim simulate edge_16x16"))


if __name__ == "__main__":
    main()
