"""Differences of reports against the first, with their bands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from accel_sim.report.charts.bars import name_axis
from accel_sim.report.charts.chart import Chart, make_chart
from accel_sim.report.charts.style import GREY, PALETTE, legend
from accel_sim.report.comparison import Metric

if TYPE_CHECKING:
    import altair

_SHOWN = (
    "latency_us",
    "energy_uJ",
    "chip_energy_uJ",
    "average_power_mW",
    "dram_read_bytes",
    "dram_write_bytes",
    "TOPS_per_W",
    "area_mm2",
)
"""Metrics that stand for all; the table has the others."""
_STEP, _GAP = 14, 8
"""Pixels from report to report, and more of them from metric to metric."""


def draw_deltas(labels: Sequence[str], metrics: Sequence[Metric]) -> Chart | None:
    """Draw how many times those of the first report each has; None where that is not known.

    Parameters
    ----------
    labels
        Of the reports, all different.
    """
    import altair as alt

    others = list(labels[1:])
    rows = [
        {
            "metric": metric.key,
            "run": label,
            "delta": delta,
            "low": None if band is None else band[0],
            "high": None if band is None else band[1],
        }
        for metric in metrics
        if metric.key in _SHOWN
        for label, delta, band in zip(
            others, metric.deltas[1:], metric.delta_bands[1:], strict=True
        )
        # Nothing at all has no place on a logarithmic axis.
        if delta is not None and delta > -1
    ]
    if not rows:
        return None
    shown = list(dict.fromkeys(row["metric"] for row in rows))
    base = (
        alt.Chart(alt.NamedData("deltas"))
        .transform_calculate(
            ratio="1 + datum.delta", low_ratio="1 + datum.low", high_ratio="1 + datum.high"
        )
        .encode(
            y=name_axis("metric", scale=alt.Scale(domain=shown)).axis(grid=True),
            yOffset=alt.YOffset(
                "run:N", sort=None, scale=alt.Scale(domain=others, paddingOuter=0.4)
            ),
            color=alt.Color(
                "run:N",
                sort=None,
                scale=alt.Scale(domain=others, range=list(PALETTE)),
                legend=legend() if len(others) > 1 else None,
            ),
        )
    )
    bands = (
        base.mark_rule(strokeWidth=5, strokeOpacity=0.35)
        .transform_filter("isValid(datum.low)")
        .encode(
            x=_ratio_axis("low_ratio:Q", labels[0]),
            x2="high_ratio:Q",
            tooltip=[
                alt.Tooltip("metric:N"),
                alt.Tooltip("run:N"),
                alt.Tooltip("low:Q", title="from", format="+.1%"),
                alt.Tooltip("high:Q", title="to", format="+.1%"),
            ],
        )
    )
    dots = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=_ratio_axis("ratio:Q", labels[0]),
        tooltip=[
            alt.Tooltip("metric:N"),
            alt.Tooltip("run:N"),
            alt.Tooltip("delta:Q", title="difference", format="+.2%"),
        ],
    )
    same = alt.Chart(alt.NamedData("same")).mark_rule(color=GREY).encode(x="ratio:Q")
    # Axes would lack an extent for bands that there are none of.
    layers = [same, *([bands] if any(row["low"] is not None for row in rows) else []), dots]
    height = len(shown) * (_STEP * len(others) + _GAP)
    return make_chart(
        alt.LayerChart(layer=layers, height=height),
        {"deltas": rows, "same": [{"ratio": 1}]},
        name="deltas",
        title=f"Results over those of {labels[0]}",
        caption="Bars are the spread of the sources of energy, with one factor per source in both "
        "runs; other metrics have none.",
    )


def _ratio_axis(field: str, first: str) -> "altair.X":
    """Give an axis on which half and twice are equally far from one."""
    import altair as alt

    return alt.X(
        field,
        title=f"times {first}",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(format="~g", tickCount=6),
    )
