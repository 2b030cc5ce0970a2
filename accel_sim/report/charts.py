"""Charts of results: SVG, PNG, or a page that needs no network.

Altair takes most of a second to import, so that it is imported where a chart is drawn.
"""

import html
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from accel_sim.report.facts import Datapath
from accel_sim.report.quantities import choose_energy_unit, choose_storage_unit, printable
from accel_sim.report.width_law import WidthPoint, dram_bytes

if TYPE_CHECKING:
    import altair

CHART_SUFFIXES = (".svg", ".png", ".html")
PNG_PIXELS_PER_UNIT = 2
"""So that lines are sharp on screens of high density."""

# Okabe and Ito 2008: told apart with every kind of colour blindness, and in grey.
COLOURS = {Datapath.FIXED: "#0072B2", Datapath.REBUILT: "#D55E00"}
PANEL_WIDTH, PANEL_HEIGHT = 260, 240
LABEL_SIZE = 12
DB_PER_BIT = 6.02
"""Of a quantizer whose noise alone grows with its step: 20 log10(2)."""


def draw_width_law(points: "Sequence[WidthPoint]") -> "altair.HConcatChart":
    """Draw SQNR, DRAM bytes and energy over the bits of the operands, side by side.

    Without values the SQNR is left out. Energies have the band that their sources span.

    Parameters
    ----------
    points
        By rising width.
    """
    import altair as alt

    panels = [_traffic_panel(points), _energy_panel(points)]
    if any(point.fixed.totals.sqnr_dB is not None for point in points):
        panels.insert(0, _sqnr_panel(points))
    report = points[0].fixed
    title = alt.TitleParams(
        f"{printable(report.network.name)} on {printable(report.hardware.name)}",
        subtitle="weights and feature maps of as many bits; "
        "bands: the spread of the sources of energy",
        anchor="start",
        fontSize=15,
        subtitleColor="#555555",
        subtitleFontSize=LABEL_SIZE,
        offset=12,
    )
    return (
        alt.hconcat(*panels, spacing=36, title=title, background="white")
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=LABEL_SIZE,
            titleFontSize=LABEL_SIZE,
            titleFontWeight="normal",
            gridColor="#E6E6E6",
            domainColor="#888888",
            tickColor="#888888",
        )
    )


def _sqnr_panel(points: Sequence[WidthPoint]) -> "altair.LayerChart":
    import altair as alt

    rows = [
        {"bits": point.bits, "sqnr_dB": point.fixed.totals.sqnr_dB}
        for point in points
        if point.fixed.totals.sqnr_dB is not None
    ]
    x, y = _bits_axis(points), alt.Y("sqnr_dB:Q", title="SQNR (dB)", scale=alt.Scale(zero=True))
    chart = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    # A ruler of the ideal slope through the middle of what was measured.
    middle = rows[len(rows) // 2]
    ruler = [
        {"bits": row["bits"], "sqnr_dB": sqnr_dB}
        for row in rows
        if (sqnr_dB := middle["sqnr_dB"] + DB_PER_BIT * (row["bits"] - middle["bits"])) >= 0
    ]
    ideal = alt.Chart(alt.Data(values=ruler)).encode(x=x, y=y)
    layers: list[Any] = [
        ideal.mark_line(color="#999999", strokeDash=[4, 4], strokeWidth=1, aria=False),
        chart.mark_line(color="black"),
        chart.mark_point(color="black", filled=True, size=40).encode(
            tooltip=["bits:Q", "sqnr_dB:Q"]
        ),
    ]
    return _panel(*layers)


def _traffic_panel(points: Sequence[WidthPoint]) -> "altair.LayerChart":
    """Draw one line where both datapaths move the same, else two."""
    import altair as alt

    unit, per_byte = choose_storage_unit(dram_bytes(points[-1].fixed.totals))
    moved = {
        datapath: [dram_bytes(point.on(datapath).totals) for point in points]
        for datapath in Datapath
    }
    sides = list(Datapath) if moved[Datapath.FIXED] != moved[Datapath.REBUILT] else [Datapath.FIXED]
    layers: list[Any] = []
    y = alt.Y("moved:Q", title=f"DRAM traffic ({unit})", scale=alt.Scale(zero=True))
    for side in sides:
        rows = [
            {"bits": point.bits, "moved": count * per_byte}
            for point, count in zip(points, moved[side], strict=True)
        ]
        colour = COLOURS[side] if len(sides) > 1 else "black"
        chart = alt.Chart(alt.Data(values=rows)).encode(x=_bits_axis(points), y=y)
        layers += _line(chart, colour, ["bits:Q", "moved:Q"])
    return _panel(*layers)


def _energy_panel(points: Sequence[WidthPoint]) -> "altair.LayerChart":
    import altair as alt

    unit, per_uJ = choose_energy_unit(points[-1].fixed.totals.energy_uJ)
    title = f"energy of chip and DRAM ({unit})"
    y = alt.Y("energy:Q", title=title, scale=alt.Scale(zero=True))
    bands: list[Any] = []
    lines: list[Any] = []
    for datapath in Datapath:
        rows = [
            {
                "bits": point.bits,
                "energy": totals.energy_uJ * per_uJ,
                "low": totals.energy_uJ_low * per_uJ,
                "high": totals.energy_uJ_high * per_uJ,
            }
            for point in points
            for totals in (point.on(datapath).totals,)
        ]
        colour = COLOURS[datapath]
        chart = alt.Chart(alt.Data(values=rows)).encode(x=_bits_axis(points))
        band = chart.mark_area(color=colour, opacity=0.15, aria=False)
        bands.append(band.encode(y=alt.Y("low:Q", title=title), y2="high:Q"))
        lines += _line(chart.encode(y=y), colour, ["bits:Q", "energy:Q", "low:Q", "high:Q"])
        lines.append(
            _label(rows[0], f"{datapath} datapath", colour, above=datapath is Datapath.FIXED)
        )
    return _panel(*bands, *lines)


def _label(row: Any, text: str, colour: str, *, above: bool) -> "altair.Chart":
    """Name a line where it begins, so that no legend is needed."""
    import altair as alt

    return (
        alt.Chart(alt.Data(values=[{**row, "name": text}]))
        .mark_text(
            color=colour,
            fontSize=LABEL_SIZE,
            fontWeight="bold",
            align="left",
            dx=-4,
            dy=-14 if above else 16,
        )
        .encode(x="bits:Q", y="energy:Q", text="name:N")
    )


def _line(chart: "altair.Chart", colour: str, tooltip: list[str]) -> list[Any]:
    line = chart.mark_line(color=colour)
    return [line, chart.mark_point(color=colour, filled=True, size=40).encode(tooltip=tooltip)]


def _bits_axis(points: Sequence[WidthPoint]) -> "altair.X":
    import altair as alt

    widths = [point.bits for point in points]
    return alt.X(
        "bits:Q",
        title="bits",
        scale=alt.Scale(domain=[widths[0] - 0.3, widths[-1] + 0.3], nice=False, zero=False),
        axis=alt.Axis(values=widths, format="d", grid=False),
    )


def _panel(*layers: "altair.Chart") -> "altair.LayerChart":
    import altair as alt

    return alt.layer(*layers).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT)


def chart_bytes(chart: "altair.HConcatChart", suffix: str) -> bytes:
    """Give a chart the form of a file of one of `CHART_SUFFIXES`."""
    import vl_convert

    spec = chart.to_dict()
    if suffix == ".svg":
        return vl_convert.vegalite_to_svg(spec).encode()
    if suffix == ".png":
        return vl_convert.vegalite_to_png(spec, scale=PNG_PIXELS_PER_UNIT)
    return "".join(_page(chart.title.text, [spec])).encode()


def _page(title: str, specs: Sequence[Any]) -> Iterator[str]:
    """Write a page of charts, with the script that draws them inside."""
    import vl_convert

    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n"
        "<style>body { font-family: sans-serif; margin: 1rem }</style>\n"
        f"<script>{vl_convert.javascript_bundle()}</script>\n</head>\n<body>\n"
    )
    for number, spec in enumerate(specs):
        # A name in the spec could close the script, which the reader's browser would run.
        written = json.dumps(spec, allow_nan=False).replace("<", "\\u003c")
        options = (
            '{"actions": {"export": true, "source": false, "compiled": false, "editor": false}}'
        )
        yield (
            f'<div id="chart{number}"></div>\n'
            f'<script>vegaEmbed("#chart{number}", {written}, {options})</script>\n'
        )
    yield "</body>\n</html>\n"
