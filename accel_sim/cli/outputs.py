"""Output files of a verb, refused before the work if they cannot be."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.report.page.page import Page

HTML_SUFFIX = ".html"


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse output paths that cannot be written, or would destroy something.

    Parameters
    ----------
    outputs
        Paths by the option that asks for them; ``--charts`` asks for a folder.
    inputs
        What the verb reads.

    Raises
    ------
    InputError
        If a path cannot be written, is given twice, is also read, or is no page by its name.
    """
    from accel_sim.report.output_file import check_writable, follow_links
    from accel_sim.report.output_folder import check_folder

    read = {follow_links(path) for path in inputs if path is not None}
    taken: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        if option == "--html" and path.suffix != HTML_SUFFIX:
            raise InputError(option, f"{str(path)!r} has another ending than .html; use that")
        (check_folder if option == "--charts" else check_writable)(option, path)
        target = follow_links(path)
        if target in read:
            raise InputError(option, f"{str(path)!r} is also an input; give another name")
        if target in taken:
            raise InputError(
                option, f"{str(path)!r} is already written by {taken[target]}; give another name"
            )
        taken[target] = option


def write_page(page: "Page", html: Path | None, charts: Path | None, kind: str) -> None:
    """Write a page, and its charts into a folder, where each is asked for.

    Parameters
    ----------
    kind
        Of the charts: svg or png.
    """
    from accel_sim.report.output_file import write_file

    if html is not None:
        from accel_sim.report.page.page import page_bytes

        content = page_bytes(page)
        write_file(html, lambda file: file.write(content))
    if charts is not None:
        from accel_sim.report.charts.chart import PictureKind, draw_files
        from accel_sim.report.output_folder import folder_in_one_step

        with folder_in_one_step(charts) as folder:
            for chart in page.charts:
                for name, drawing in draw_files(chart, PictureKind(kind)):
                    (folder / name).write_bytes(drawing)
