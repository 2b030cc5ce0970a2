"""A page, part by part, and its file: everything inside, nothing fetched."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel_sim.report.charts.chart import Chart
from accel_sim.report.charts.style import CONFIG
from accel_sim.report.page.table import Table

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What a page is about, in a line; `what` is a word for it."""

    what: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A result that stands at the head of a page.

    Attributes
    ----------
    detail
        In small letters below it.
    """

    what: str
    words: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """What the reader unfolds: a table, or sentences in which code stands in back quotes."""

    title: str
    sentences: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page with a title of its own."""

    title: str
    text: str = ""
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    folds: tuple[Fold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that a page shows.

    Attributes
    ----------
    why
        The sentence that says what bounds a run; empty where there is none.
    """

    title: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    figures: tuple[Figure, ...] = ()
    why: str = ""

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts, from top to bottom."""
        return tuple(chart for section in self.sections for chart in section.charts)


def page_bytes(page: Page) -> bytes:
    """Give a page the form of an HTML file.

    Names come from files of the user's. They are escaped wherever they stand, and the page
    says by their digests which scripts may run, so that no other would.
    """
    import vl_convert
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["pieces"] = _cut_name
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;") if page.charts else ""
    scripts = [text for text in (library, (FOLDER / "page.js").read_text("utf-8")) if text]
    written = environment.get_template("page.html").render(
        page=page,
        style=(FOLDER / "page.css").read_text("utf-8"),
        scripts=scripts,
        digests=[_digest(script) for script in scripts],
        drawings=json_inside_html({chart.name: _drawing(chart) for chart in page.charts}),
        config=json_inside_html(CONFIG),
    )
    return written.encode()


def _cut_name(name: str) -> list[str]:
    """Cut a name where a line may end within it."""
    return re.split("(?<=[/_.:])", name)


def json_inside_html(content: Any) -> str:
    """Write JSON that holds nothing a browser could read as markup or as the end of a line."""
    written = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", written)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _drawing(chart: Chart) -> Mapping[str, Any]:
    """Let a chart take the width of the page, which has its title beside it."""
    spec = {key: value for key, value in chart.spec.items() if key != "title"}
    return spec if chart.has_own_width else {**spec, "width": "container"}
