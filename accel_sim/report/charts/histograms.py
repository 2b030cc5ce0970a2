"""What feature maps hold, with the fitted distribution and the range of the chosen format."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from accel_sim.report.charts.chart import Chart, Selector, make_chart
from accel_sim.report.charts.style import BLUE, VERMILION, few_ticks
from accel_sim.report.quantities import FIGURES, format_percent

if TYPE_CHECKING:
    from accel_sim.map_histograms import MapHistogram

_PARAM = "feature_map"
_WORDS = 6
"""Lines above the bars."""


def draw_histograms(maps: "Sequence[MapHistogram]") -> Chart | None:
    """Draw the map that the reader chooses; None where there is none."""
    import altair as alt

    if not maps:
        return None
    labels = [_label(each) for each in maps]
    chosen = alt.param(
        name=_PARAM,
        value=labels[min(1, len(labels) - 1)],
        bind=alt.binding_select(options=labels, name="output of "),
    )
    axis = alt.Axis(tickCount=few_ticks())
    x = alt.X("value:Q", title="value", scale=alt.Scale(nice=False), axis=axis)
    y = alt.Y(
        "density:Q",
        title="density of what is not zero",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    here = alt.Chart(alt.NamedData("maps")).transform_filter(f"datum.map === {_PARAM}")
    bars = (
        here.transform_flatten(["bin", "density"])
        .transform_calculate(**{"from": "datum.bin * datum.width"})
        .transform_calculate(to="datum.from + datum.width")
        .mark_bar(color=BLUE, opacity=0.55, stroke="white", strokeWidth=0.3)
        .encode(
            x=alt.X("from:Q", title="value", scale=alt.Scale(nice=False), axis=axis),
            x2="to:Q",
            y=y,
            y2="floor:Q",
            tooltip=[
                alt.Tooltip("from:Q", format=",.4~r"),
                alt.Tooltip("to:Q", format=",.4~r"),
                alt.Tooltip("density:Q", format=",.4~r"),
            ],
        )
    )
    curves = (
        here.transform_flatten(["curves"])
        .transform_calculate(
            sign="datum.curves.sign", value="datum.curves.value", density="datum.curves.density"
        )
        .transform_flatten(["value", "density"])
        .mark_line(color=VERMILION, strokeWidth=2)
        .encode(
            x=x,
            y=y,
            detail="sign:N",
            tooltip=[
                alt.Tooltip("sign:N", title="fit of"),
                alt.Tooltip("value:Q", format=",.4~r"),
                alt.Tooltip("density:Q", format=",.4~r"),
            ],
        )
    )
    ends = (
        here.transform_flatten(["ends"], as_=["value"])
        .mark_rule(color="black", strokeDash=[5, 3], strokeWidth=1.5)
        .encode(x=x, tooltip=[alt.Tooltip("value:Q", title="end of the range")])
    )
    words = [
        here.transform_calculate(words=f"datum.words[{line}]")
        .mark_text(align="left")
        .encode(text="words:N", x=alt.value(0), y=alt.value(16 * (line - _WORDS)))
        for line in range(_WORDS)
    ]
    drawing = alt.LayerChart(layer=[bars, curves, ends, *words], height=300).add_params(chosen)
    return make_chart(
        drawing,
        {"maps": [_row(each, label) for each, label in zip(maps, labels, strict=True)]},
        name="feature_map",
        title="Feature maps and their formats",
        caption="Bars: samples from the network with its quantized weights, on a logarithmic "
        "scale. Red: the generalized gamma distribution that was fitted to each sign, where it "
        "decided on the format. Dashed: ends of the range; what lies beyond is clipped.",
        selector=Selector(param=_PARAM, values=tuple(labels)),
    )


def _label(histogram: "MapHistogram") -> str:
    return histogram.layer or f"network input ({histogram.tensor})"


def _round(value: float) -> float:
    """Keep what a chart can show, and a table would."""
    return float(f"{value:.{FIGURES + 1}g}")


def _row(histogram: "MapHistogram", label: str) -> dict[str, Any]:
    held = histogram.densities > 0
    densities = histogram.densities[held]
    floor = float(densities.min()) / 2
    fmt = histogram.fmt
    return {
        "map": label,
        "width": histogram.width,
        "bin": (histogram.first + np.flatnonzero(held)).tolist(),
        "density": [_round(density) for density in densities.tolist()],
        "floor": _round(floor),
        "curves": _curves(histogram, floor)
        # A line of one point is not seen, but gives axes an extent.
        or [{"sign": "", "value": [0], "density": [_round(floor)]}],
        "ends": [fmt.raw_min * fmt.step, fmt.raw_max * fmt.step],
        "words": _words(histogram),
    }


def _curves(histogram: "MapHistogram", floor: float) -> list[dict[str, Any]]:
    """Give the points of every curve that are among the bars."""
    highest = 2 * histogram.densities.max()
    return [
        {
            "sign": "positive values" if curve[0, 0] > 0 else "negative values",
            "value": [_round(value) for value in curve[0, shown].tolist()],
            "density": [_round(density) for density in curve[1, shown].tolist()],
        }
        for curve in histogram.curves
        for shown in ((curve[1] >= floor) & (curve[1] <= highest),)
        if shown.any()
    ]


def _words(histogram: "MapHistogram") -> list[str]:
    fmt, choice = histogram.fmt, histogram.choice
    step = f"step 2^{-fmt.frac_bits}"
    if choice is not None and choice.step is not None:
        step += f", by the rule {choice.step:.3g}"
    words = [
        f"{fmt.bits} bits, {'signed' if fmt.signed else 'unsigned'}",
        step,
    ]
    if choice is None:
        words.append("format given, or shared with another map")
    else:
        words += [f"fit: k {k:.3g}, p {p:.3g}" for k, p in dict.fromkeys(choice.shapes)]
        if choice.predicted_sqnr_dB is not None:
            words.append(f"predicted SQNR {choice.predicted_sqnr_dB:.1f} dB")
    if histogram.zeros_fraction:
        words.append(f"not shown: {format_percent(histogram.zeros_fraction)} zeros")
    return words[:_WORDS] + [""] * (_WORDS - len(words))
