"""DRAM bandwidth over the time of a run."""

from typing import TYPE_CHECKING, Any

from accel_sim.report.charts.chart import Chart, make_chart
from accel_sim.report.charts.roofline import peak_bandwidth_GBps
from accel_sim.report.charts.style import BLUE, ORANGE, few_ticks, legend
from accel_sim.report.document import ReportDocument
from accel_sim.report.quantities import FIGURES

if TYPE_CHECKING:
    from accel_sim.dram_bandwidth import DramBandwidth

_COLOURS = {"read": BLUE, "written": ORANGE}
_STRIP = (6, 16)
"""Pixels below the axis between which layers are shown."""
_SHADES = ("#BBBBBB", "#666666")
"""Of layers in turn."""


def draw_bandwidth(report: ReportDocument, bandwidth: "DramBandwidth") -> Chart:
    """Draw what DRAM moves in every slot of time, below its peak, with the layers beside."""
    import altair as alt

    peak_GBps = peak_bandwidth_GBps(report.hardware.config)
    length_us = float(bandwidth.edges_us[-1])
    x_scale = alt.Scale(domain=[0, length_us], nice=False)
    x_axis = alt.Axis(offset=_STRIP[1] + 6, grid=False, tickCount=few_ticks())
    height = 220
    bars = (
        alt.Chart(alt.NamedData("slots"))
        .mark_bar()
        .encode(
            x=alt.X("from:Q", title="time (us)", scale=x_scale, axis=x_axis),
            x2="to:Q",
            y=alt.Y("low:Q", title="DRAM GB/s", scale=alt.Scale(domain=[0, peak_GBps * 1.08])),
            y2="high:Q",
            color=alt.Color(
                "direction:N",
                scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())),
                legend=legend(symbolType="square"),
            ),
            tooltip=[
                alt.Tooltip("direction:N"),
                alt.Tooltip("GBps:Q", title="GB/s", format=",.4~r"),
                alt.Tooltip("from:Q", title="from (us)", format=",.4~r"),
                alt.Tooltip("to:Q", title="to (us)", format=",.4~r"),
            ],
        )
    )
    peak = (
        alt.Chart(alt.NamedData("peak"))
        .mark_rule(strokeDash=[5, 3], color="black")
        .encode(y="GBps:Q", tooltip=[alt.Tooltip("GBps:Q", title="peak GB/s", format=",.4~r")])
    )
    strip = (
        alt.Chart(alt.NamedData("layers"))
        .mark_rect()
        .encode(
            x=alt.X("from:Q", scale=x_scale, axis=x_axis),
            x2="to:Q",
            y=alt.value(height + _STRIP[0]),
            y2=alt.value(height + _STRIP[1]),
            color=alt.Color("shade:N", scale=None),
            tooltip=[
                alt.Tooltip("layer:N"),
                alt.Tooltip("from:Q", title="from (us)", format=",.4~r"),
                alt.Tooltip("to:Q", title="to (us)", format=",.4~r"),
            ],
        )
    )
    return make_chart(
        alt.LayerChart(layer=[bars, peak, strip], height=height).resolve_scale(color="independent"),
        {
            "slots": _slots(bandwidth),
            "peak": [{"GBps": peak_GBps}],
            "layers": [
                {
                    "layer": span.layer,
                    "from": span.start_us,
                    "to": span.end_us,
                    "shade": _SHADES[number % 2],
                }
                for number, span in enumerate(bandwidth.layers)
            ],
        },
        name="dram_bandwidth",
        title="DRAM bandwidth over time",
        caption="Averages over slots of equal length, below the peak of the device (dashed). The "
        "grey strip shows which layer runs.",
    )


def _slots(bandwidth: "DramBandwidth") -> list[dict[str, Any]]:
    rows = []
    edges = bandwidth.edges_us.tolist()
    for since, until, read, written in zip(
        edges[:-1],
        edges[1:],
        bandwidth.read_bytes.tolist(),
        bandwidth.written_bytes.tolist(),
        strict=True,
    ):
        low = 0.0
        for direction, moved in (("read", read), ("written", written)):
            GBps = _round(moved / (until - since) / 1e3)
            if GBps:
                rows.append(
                    {
                        "direction": direction,
                        "from": _round(since),
                        "to": _round(until),
                        "GBps": GBps,
                        "low": low,
                        "high": _round(low + GBps),
                    }
                )
            low = _round(low + GBps)
    return rows


def _round(value: float) -> float:
    """Keep more than a pixel tells, and less than would fill the page."""
    return float(f"{value:.{FIGURES + 2}g}")
