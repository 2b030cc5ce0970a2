"""SQNR, DRAM traffic and energy over the bits of the operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accel_sim.report.charts.chart import Chart, make_chart
from accel_sim.report.charts.style import BLUE, GREY, LABEL_SIZE, VERMILION
from accel_sim.report.facts import Datapath
from accel_sim.report.quantities import FIGURES, choose_energy_unit, choose_storage_unit, printable
from accel_sim.report.width_law import WidthPoint, dram_bytes

if TYPE_CHECKING:
    import altair

# A dash tells them apart in grey.
COLOURS = {Datapath.FIXED: BLUE, Datapath.REBUILT: VERMILION}
PANEL_WIDTH, PANEL_HEIGHT = 260, 240
DB_PER_BIT = 6.02
"""What halving a quantization step brings: 20 log10(2)."""


def draw_width_law(points: Sequence[WidthPoint]) -> Chart:
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
    words = "weights and feature maps of as many bits; bands: the spread of the sources of energy"
    title = alt.TitleParams(
        f"{printable(report.network.name)} on {printable(report.hardware.name)}",
        subtitle=words,
        anchor="start",
        fontSize=15,
        subtitleColor="#555555",
        subtitleFontSize=LABEL_SIZE,
        offset=12,
    )
    return make_chart(
        alt.hconcat(*panels, spacing=36, title=title),
        {},
        name="width_law",
        title="SQNR, traffic and energy over bits",
        caption=words[0].upper() + words[1:] + ".",
    )


def _sqnr_panel(points: Sequence[WidthPoint]) -> "altair.LayerChart":
    import altair as alt

    rows = [
        {"bits": point.bits, "sqnr": _round(point.fixed.totals.sqnr_dB)}
        for point in points
        if point.fixed.totals.sqnr_dB is not None
    ]
    middle = rows[len(rows) // 2]
    ruler = [
        {"bits": row["bits"], "sqnr": _round(middle["sqnr"] + rise_dB)}
        for row in rows
        for rise_dB in (DB_PER_BIT * (row["bits"] - middle["bits"]),)
    ]
    quantity = _Quantity(field="sqnr", title="SQNR (dB)")
    slope = (
        _chart(points, ruler)
        .mark_line(color=GREY, strokeDash=[4, 4], strokeWidth=1, aria=False)
        .transform_filter(alt.datum.sqnr >= 0)
        .encode(y=quantity.axis())
    )
    return _panel(
        slope,
        *_line(_chart(points, rows), quantity),
        *_names({f"dashed: {DB_PER_BIT} dB per bit": GREY}),
    )


def _traffic_panel(points: Sequence[WidthPoint]) -> "altair.LayerChart":
    """Draw one line where both datapaths move the same, else two."""
    unit, per_byte = choose_storage_unit(dram_bytes(points[-1].fixed.totals))
    quantity = _Quantity(field="moved", title=f"DRAM traffic ({unit})")
    moved = {
        datapath: [
            {"bits": point.bits, "moved": _round(dram_bytes(point.on(datapath).totals) * per_byte)}
            for point in points
        ]
        for datapath in Datapath
    }
    if moved[Datapath.FIXED] == moved[Datapath.REBUILT]:
        return _panel(*_line(_chart(points, moved[Datapath.FIXED]), quantity))
    lines = [
        _line(_chart(points, rows, datapath), quantity, datapath)
        for datapath, rows in moved.items()
    ]
    return _panel(*lines[0], *lines[1], *_datapath_names())


def _energy_panel(points: Sequence[WidthPoint]) -> "altair.LayerChart":
    import altair as alt

    unit, per_uJ = choose_energy_unit(points[-1].fixed.totals.energy_uJ)
    quantity = _Quantity(
        field="energy", title=f"energy of chip and DRAM ({unit})", ends=("low", "high")
    )
    bands: list[altair.Chart] = []
    lines: list[altair.Chart] = []
    for datapath in Datapath:
        totals = [(point.bits, point.on(datapath).totals) for point in points]
        rows = [
            {
                "bits": bits,
                "energy": _round(total.energy_uJ * per_uJ),
                "low": _round(total.energy_uJ_low * per_uJ),
                "high": _round(total.energy_uJ_high * per_uJ),
            }
            for bits, total in totals
        ]
        chart = _chart(points, rows, datapath)
        band = chart.mark_area(color=COLOURS[datapath], opacity=0.15, aria=False)
        bands.append(band.encode(y=alt.Y("low:Q", title=quantity.title), y2="high:Q"))
        lines += _line(chart, quantity, datapath)
    return _panel(*bands, *lines, *_datapath_names())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    """What a panel shows: its field in the rows, its title, and fields of the ends of its band."""

    field: str
    title: str
    ends: tuple[str, ...] = ()

    def axis(self) -> "altair.Y":
        """From zero, so that heights compare."""
        import altair as alt

        return alt.Y(f"{self.field}:Q", title=self.title, scale=alt.Scale(zero=True))


def _round(value: float) -> float:
    """Keep the figures that tables show; no pixel tells more."""
    return float(f"{value:.{FIGURES}g}")


def _chart(
    points: Sequence[WidthPoint],
    rows: Sequence[Mapping[str, Any]],
    datapath: Datapath | None = None,
) -> "altair.Chart":
    """Start a chart of rows over the bits of all points."""
    import altair as alt

    widths = [point.bits for point in points]
    named = {} if datapath is None else {"datapath": str(datapath)}
    return alt.Chart(alt.InlineData(values=[{**named, **row} for row in rows])).encode(
        x=alt.X(
            "bits:Q",
            title="bits",
            scale=alt.Scale(domain=[widths[0] - 0.3, widths[-1] + 0.3], nice=False, zero=False),
            axis=alt.Axis(values=widths, format="d", grid=False),
        )
    )


def _line(
    chart: "altair.Chart", quantity: _Quantity, datapath: Datapath | None = None
) -> "list[altair.Chart]":
    """Draw a line and its points; a rebuilt one lets the fixed one through where both agree."""
    import altair as alt

    colour = "black" if datapath is None else COLOURS[datapath]
    dash = [6, 3] if datapath is Datapath.REBUILT else []
    tooltip = [
        *([] if datapath is None else [alt.Tooltip("datapath:N")]),
        alt.Tooltip("bits:Q"),
        alt.Tooltip(f"{quantity.field}:Q", title=quantity.title),
        *(alt.Tooltip(f"{end}:Q") for end in quantity.ends),
    ]
    chart = chart.encode(y=quantity.axis())
    dots = chart.mark_point(color=colour, filled=True, size=40, opacity=1).encode(tooltip=tooltip)
    return [chart.mark_line(color=colour, strokeDash=dash, aria=False), dots]


def _datapath_names() -> "list[altair.Chart]":
    return _names({f"{datapath} datapath": COLOURS[datapath] for datapath in Datapath})


def _names(colours: Mapping[str, str]) -> "list[altair.Chart]":
    """Name lines in their colours, in the corner that what rises with the bits leaves free."""
    import altair as alt

    return [
        alt.Chart(alt.InlineData(values=[{"name": name}]))
        .mark_text(color=colour, fontSize=LABEL_SIZE, fontWeight="bold", align="left")
        .encode(text="name:N", x=alt.value(8), y=alt.value(10 + 1.4 * LABEL_SIZE * line))
        for line, (name, colour) in enumerate(colours.items())
    ]


def _panel(*layers: "altair.Chart") -> "altair.LayerChart":
    import altair as alt

    return alt.LayerChart(layer=list(layers), width=PANEL_WIDTH, height=PANEL_HEIGHT)
