"""Pages of results and their charts: what asks for them, and their files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from accel_sim.cli import options

if TYPE_CHECKING:
    from accel_sim.report.page.page import Page

HtmlOut = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="F.html",
        parser=options.parse_path,
        help="Write a page with charts and tables, which opens offline.",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]
ChartsOut = Annotated[
    Path | None,
    typer.Option(
        "--charts",
        metavar="DIR",
        parser=options.parse_path,
        help="Write the charts of that page into a new folder.",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]
ChartFormat = Annotated[
    Literal["svg", "png"],
    typer.Option(
        "--chart-format", help="Of the files of --charts.", rich_help_panel=options.OUTPUT_PANEL
    ),
]


def write_page(page: "Page", html: Path | None, charts: Path | None, kind: str) -> None:
    """Write a page, and its charts into a folder, where each is asked for.

    Parameters
    ----------
    kind
        Of the charts: svg or png.
    """
    if charts is not None:
        from accel_sim.report.charts.chart import PictureKind, draw_files
        from accel_sim.report.output_folder import folder_in_one_step

        with folder_in_one_step(charts) as folder:
            for chart in page.charts:
                for name, drawing in draw_files(chart, PictureKind(kind)):
                    (folder / name).write_bytes(drawing)
    if html is not None:
        from accel_sim.report.output_file import write_file
        from accel_sim.report.page.page import page_bytes

        content = page_bytes(page)
        write_file(html, lambda file: file.write(content))
