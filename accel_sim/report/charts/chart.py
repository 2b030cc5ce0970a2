"""A chart of results, and the files that it makes.

Altair and vl-convert take a second to import, so that they are imported where a chart is drawn.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from accel_sim.report.charts.style import CONFIG

if TYPE_CHECKING:
    import altair

    Drawing = altair.Chart | altair.LayerChart | altair.HConcatChart

Rows = Sequence[Mapping[str, Any]]

FILE_WIDTH = 640
"""Of a chart that takes the width of its place, where it has no place."""
PNG_PIXELS_PER_UNIT = 2
"""So that lines are sharp on screens of high density."""


class PictureKind(StrEnum):
    """Formats of a drawing in a file."""

    SVG = "svg"
    PNG = "png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """What the reader of a page chooses; a drawing in a file has one of the values.

    Attributes
    ----------
    param
        Parameter of the specification.
    """

    param: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with its words.

    Attributes
    ----------
    name
        Of its file, without ending.
    caption
        How to read it, in a sentence or two.
    spec
        Vega-Lite, with its rows under ``datasets``; without title and configuration.
    selector
        Of which each value has a file; None where there is one file.
    """

    name: str
    title: str
    caption: str
    spec: Mapping[str, Any]
    selector: Selector | None = None

    @property
    def has_own_width(self) -> bool:
        """Whether it does not take that of its place."""
        return "hconcat" in self.spec


def make_chart(
    drawing: "Drawing",
    datasets: Mapping[str, Rows],
    *,
    name: str,
    title: str,
    caption: str,
    selector: Selector | None = None,
) -> Chart:
    """Finish a drawing.

    Parameters
    ----------
    datasets
        Rows by the name under which the drawing asks for them.
    """
    spec = drawing.to_dict()
    spec.pop("config", None)  # altair's own
    rows = spec.get("datasets", {}) | {key: list(values) for key, values in datasets.items()}
    return Chart(
        name=name,
        title=title,
        caption=caption,
        spec={**spec, "datasets": rows},
        selector=selector,
    )


def draw_files(chart: Chart, kind: PictureKind) -> Iterator[tuple[str, bytes]]:
    """Give name and content of every file of a chart."""
    if chart.selector is None:
        yield f"{chart.name}.{kind}", draw(chart, kind)
        return
    for number, value in enumerate(chart.selector.values):
        legible = re.sub(r"[^A-Za-z0-9]+", "_", value).strip("_")[-40:]
        yield f"{chart.name}_{number:02d}_{legible}.{kind}", draw(chart, kind, value)


def draw(chart: Chart, kind: PictureKind, choice: str | None = None) -> bytes:
    """Draw a chart with its title.

    Parameters
    ----------
    choice
        Value of its selector; None where it has none.
    """
    import vl_convert

    spec = {**chart.spec, "config": CONFIG, "background": "white"}
    if not chart.has_own_width:
        words = chart.title if choice is None else f"{chart.title}: {choice}"
        spec |= {
            "width": FILE_WIDTH,
            "title": {"text": words, "anchor": "start", "fontSize": 15, "offset": 12},
        }
    if chart.selector is not None:
        spec["params"] = [
            {**param, "value": choice} if param["name"] == chart.selector.param else param
            for param in spec["params"]
        ]
    if kind is PictureKind.SVG:
        return vl_convert.vegalite_to_svg(spec).encode()
    return vl_convert.vegalite_to_png(spec, scale=PNG_PIXELS_PER_UNIT)
