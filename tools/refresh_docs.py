"""Write what is generated: the reference, and what the commands of pages print.

    .venv/bin/python tools/refresh_docs.py [PAGE...]

Tests compare what stands there with what would be written.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from accel_sim.operators import operator_page
from tools.pages import count_commands, run_command, run_page
from tools.reference import device_page, machine_page, method_page, report_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PICTURE = DOCS / "simulate.svg"
REFERENCE = {
    DOCS / "operators.md": operator_page,
    DOCS / "machine-keys.md": machine_page,
    DOCS / "report-fields.md": report_page,
    DOCS / "methods.md": method_page,
    DOCS / "devices.md": device_page,
}
COLUMNS = 100


def pages() -> list[Path]:
    """All pages with commands."""
    found = (README, *sorted(DOCS.glob("*.md")))
    return [page for page in found if count_commands(page.read_text())]


def refresh(page: Path, folder: Path) -> str:
    """The page with what its commands print now, run in an empty folder."""
    return run_page(page.read_text(), folder)


def chart_labels(drawing: str) -> list[str]:
    """What a chart shows, in words and numbers.

    Where it shows them depends on the fonts of the machine that drew it.
    """
    return re.findall(r'aria-label="([^"]*)"', drawing)


def draw_report(command: str) -> str:
    """What a command prints, as the picture of a terminal."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(run_command(command, ROOT, FORCE_COLOR="1")))
    drawing = console.export_svg(title=command)
    # The reader's own font will do; a picture fetches nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)


def main() -> None:
    wanted = [Path(name).resolve() for name in sys.argv[1:]]
    for page, make in REFERENCE.items():
        page.write_text(make())
    for page in pages():
        if wanted and page not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(refresh(page, Path(folder)))
            for drawn in Path(folder).glob("*.svg"):
                if (kept := DOCS / drawn.name).exists():
                    shutil.copy(drawn, kept)
    if not wanted:
        PICTURE.write_text(draw_report("accel-sim simulate edge_16x16"))


if __name__ == "__main__":
    main()
