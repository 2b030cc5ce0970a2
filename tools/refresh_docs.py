"""Write what is generated: docs/operators.md, and what the examples of other pages print.

    .venv/bin/python tools/refresh_docs.py

Tests compare what stands there with what would be written.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from accel_sim.operators import operator_page

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "simulate.svg"
OPERATORS = ROOT / "docs" / "operators.md"
CALIBRATION = ROOT / "docs" / "calibration.md"
EXAMPLE = re.compile(
    r"`(?P<name>[^`\n]+\.csv)`[^`]*```csv\n(?P<table>.*?)```.*?"
    r"```python\n(?P<program>.*?)```[^`]*```\n(?P<output>.*?)```",
    re.DOTALL,
)
BIT_WIDTHS = ROOT / "docs" / "bit-widths.md"
BLOCK = re.compile(r"```\n\$ (accel-sim [^\n]*)\n(.*?)```", re.DOTALL)
COLUMNS = 100


def run_command(command: str, folder: Path = ROOT, **environment: str) -> str:
    """Standard output of an accel-sim command, as on a pipe; its files go to the folder."""
    name, *arguments = shlex.split(command)
    executable = Path(sys.executable).parent / name
    done = subprocess.run(
        [executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, **environment},
    )
    return done.stdout


def refresh(text: str, folder: Path = ROOT) -> str:
    """The text with the output of every command as it is now, run in a folder."""
    return BLOCK.sub(lambda found: f"```\n$ {found[1]}\n{run_command(found[1], folder)}```", text)


def chart_labels(drawing: str) -> list[str]:
    """What a chart shows, in words and numbers.

    Where it shows them depends on the fonts of the machine that drew it.
    """
    return re.findall(r'aria-label="([^"]*)"', drawing)


def refresh_example(text: str) -> str:
    """The text with what its program prints now, beside the table that the text shows."""
    found = EXAMPLE.search(text)
    assert found is not None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / found["name"]).write_text(found["table"])
        done = subprocess.run(
            [sys.executable, "-c", found["program"]],
            capture_output=True, text=True, check=True, cwd=folder,
        )  # fmt: skip
    start, end = found.span("output")
    return f"{text[:start]}{done.stdout}{text[end:]}"


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
    CALIBRATION.write_text(refresh_example(CALIBRATION.read_text()))
    BIT_WIDTHS.write_text(refresh(BIT_WIDTHS.read_text(), BIT_WIDTHS.parent))
    OPERATORS.write_text(operator_page())
    PICTURE.write_text(draw_report("accel-sim simulate edge_16x16"))


if __name__ == "__main__":
    main()
