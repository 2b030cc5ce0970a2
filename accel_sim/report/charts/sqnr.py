"""SQNR of every layer, end to end and of its format alone."""

from accel_sim.report.charts.bars import BAR_STEP, name_axis
from accel_sim.report.charts.chart import Chart, make_chart
from accel_sim.report.charts.style import BLUE, ORANGE, legend
from accel_sim.report.document import ReportDocument

_SIDES = {
    "end to end": ("sqnr_dB", BLUE, "circle"),
    "its own format alone": ("local_sqnr_dB", ORANGE, "diamond"),
}


def draw_sqnr(report: ReportDocument) -> Chart | None:
    """Draw both figures of every layer that has noise; None where none has."""
    import altair as alt

    rows = [
        {"layer": layer.name, "noise": side, "sqnr_dB": getattr(layer, key)}
        for layer in report.layers
        for side, (key, _, _) in _SIDES.items()
        if getattr(layer, key) is not None
    ]
    if not rows:
        return None
    sides = list(_SIDES)
    drawing = (
        alt.Chart(alt.NamedData("layers"))
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            x=alt.X("sqnr_dB:Q", title="SQNR (dB)", scale=alt.Scale(zero=False, nice=True)),
            y=name_axis("layer", scale=alt.Scale(padding=0.5)).axis(grid=True),
            color=alt.Color(
                "noise:N",
                scale=alt.Scale(domain=sides, range=[colour for _, colour, _ in _SIDES.values()]),
                legend=legend(),
            ),
            shape=alt.Shape(
                "noise:N",
                scale=alt.Scale(domain=sides, range=[shape for _, _, shape in _SIDES.values()]),
                legend=legend(),
            ),
            tooltip=[
                alt.Tooltip("layer:N"),
                alt.Tooltip("noise:N"),
                alt.Tooltip("sqnr_dB:Q", title="SQNR (dB)", format=".2f"),
            ],
        )
        .properties(height=BAR_STEP * len({row["layer"] for row in rows}))
    )
    return make_chart(
        drawing,
        {"layers": rows},
        name="sqnr",
        title="SQNR of every layer",
        caption="Against the float network, with the noise of all layers before; and of rounding "
        "this output alone. Layers without any noise are left out.",
    )
