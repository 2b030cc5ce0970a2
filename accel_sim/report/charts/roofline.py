"""The roofline: what layers do per second, over what they do per byte of DRAM traffic.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", 2009.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from accel_sim.hardware.devices import find_dram_device
from accel_sim.report.charts.chart import Chart, make_chart
from accel_sim.report.charts.style import BLUE, GREEN, GREY, VERMILION, YELLOW, legend
from accel_sim.report.document import LayerSection, ReportDocument
from accel_sim.report.quantities import format_figures

OPS_PER_MAC = 2
MARGIN = 2.0
"""Factor that axes reach beyond what they show."""

_NAMES: tuple[tuple[str, Literal["left", "right"], int, int], ...] = (
    ("slope", "left", 10, 12),
    ("flat", "right", -4, -4),
)
"""Where the name of each kind of roof stands beside its end."""
_BOUNDS = {
    "compute": GREEN,
    "fill and drain": YELLOW,
    "overhead": GREY,
    "port": BLUE,
    "DRAM": VERMILION,
}


def peak_bandwidth_GBps(config: Mapping[str, Any]) -> float:
    """Give what the DRAM of a machine moves at best."""
    dram = config["dram"]
    if dram["model"] == "flat":
        return float(dram["bandwidth_GBps"])
    return find_dram_device(dram["device"], dram["address_map"]).peak_GBps * int(dram["channels"])


def draw_roofline(report: ReportDocument) -> Chart | None:
    """Draw layers with MACs and DRAM traffic below the machine's roofs; None without any."""
    import altair as alt

    points = [
        _point(layer, report.hardware.config["clock_MHz"])
        for layer in report.layers
        if layer.macs and layer.cycles.total and _moved_bytes(layer)
    ]
    if not points:
        return None
    roofs = list(_roofs(report, points))
    lowest = min(point["GOPS"] for point in points) / MARGIN
    highest = max(roof["GOPS"] for roof in roofs) * MARGIN
    ends = [roofs[0]["intensity"], roofs[-1]["intensity"]]
    x = alt.X(
        "intensity:Q",
        title="operations per byte of DRAM traffic",
        scale=alt.Scale(type="log", domain=ends, nice=False),
        axis=alt.Axis(format="~g", tickCount=6, grid=False),
    )
    y = alt.Y(
        "GOPS:Q",
        title="GOPS",
        scale=alt.Scale(type="log", domain=[lowest, highest], nice=False),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    lines = (
        alt.Chart(alt.NamedData("roofs"))
        .mark_line(color="black", strokeWidth=1.5, clip=True)
        .encode(x=x, y=y, detail="roof:N", tooltip=[alt.Tooltip("roof:N")])
    )
    names = [
        alt.Chart(alt.NamedData("roofs"))
        .mark_text(align=align, baseline="bottom", dx=dx, dy=dy)
        .transform_filter(alt.datum.names == end)
        .encode(x=x, y=y, text="roof:N")
        for end, align, dx, dy in _NAMES
    ]
    dots = (
        alt.Chart(alt.NamedData("layers"))
        .mark_point(filled=True, opacity=0.85, stroke="black", strokeWidth=0.5)
        .encode(
            x=x,
            y=y,
            size=alt.Size("cycles:Q", scale=alt.Scale(range=[30, 400], domainMin=0), legend=None),
            color=alt.Color(
                "bound:N",
                scale=alt.Scale(domain=list(_BOUNDS), range=list(_BOUNDS.values())),
                legend=legend(symbolType="circle"),
            ),
            tooltip=[
                alt.Tooltip("layer:N"),
                alt.Tooltip("bound_by:N", title="bound by"),
                alt.Tooltip("intensity:Q", title="operations per byte", format=",.4~r"),
                alt.Tooltip("GOPS:Q", format=",.4~r"),
                alt.Tooltip("cycles:Q", format=",d"),
            ],
        )
    )
    return make_chart(
        alt.LayerChart(layer=[lines, *names, dots], height=320),
        {"roofs": roofs, "layers": points},
        name="roofline",
        title="Roofline",
        caption="No layer can be above the roof: left of its corner DRAM holds it down, right of "
        "it the array does. Larger points take more cycles; colours say what bounds them. Layers "
        "without MACs or without DRAM traffic have no place here.",
    )


def _moved_bytes(layer: LayerSection) -> int:
    return sum(value for _, value in layer.dram_bytes)


def _point(layer: LayerSection, clock_MHz: float) -> dict[str, Any]:
    kind = layer.bound_by.partition("_")[0]
    bound = {"dram": "DRAM", "fill": "fill and drain"}.get(kind, kind)
    return {
        "layer": layer.name,
        "intensity": OPS_PER_MAC * layer.macs / _moved_bytes(layer),
        "GOPS": OPS_PER_MAC * layer.macs * clock_MHz / layer.cycles.total / 1e3,
        "cycles": layer.cycles.total,
        "bound_by": layer.bound_by,
        "bound": bound,
    }


def _roofs(report: ReportDocument, points: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give the corners of the roof, from left to right; modes that were used have their own."""
    config = report.hardware.config
    array, clock_MHz = config["mac_array"], config["clock_MHz"]
    bandwidth_GBps = peak_bandwidth_GBps(config)
    whole_GOPS = OPS_PER_MAC * array["rows"] * array["cols"] * clock_MHz / 1e3
    modes = {
        layer.mapping.mode.macs_per_pe
        for layer in report.layers
        if layer.mapping is not None and layer.mapping.mode is not None
    }
    peaks = {1: whole_GOPS} | {count: count * whole_GOPS for count in sorted(modes)}
    corners = [peak / bandwidth_GBps for peak in peaks.values()]
    left = min(*corners, *(point["intensity"] for point in points)) / MARGIN
    right = max(*corners, *(point["intensity"] for point in points)) * MARGIN
    slope = f"DRAM {format_figures(bandwidth_GBps)} GB/s"
    yield _corner(slope, left, bandwidth_GBps * left, names="slope")
    yield _corner(slope, max(corners), bandwidth_GBps * max(corners))
    for (count, peak), corner in zip(peaks.items(), corners, strict=True):
        words = f"array {format_figures(peak)} GOPS" + (f", x{count} mode" if count > 1 else "")
        yield _corner(words, corner, peak)
        yield _corner(words, right, peak, names="flat")


def _corner(roof: str, intensity: float, GOPS: float, names: str = "") -> dict[str, Any]:
    """Give a corner of a roof, and which of its names stands there."""
    return {"roof": roof, "intensity": intensity, "GOPS": GOPS, "names": names}
