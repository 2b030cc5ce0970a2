"""Output files of a verb, refused before the work if they cannot be."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from quantizer.errors import InputError

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
