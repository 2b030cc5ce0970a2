"""Points of a sweep over any two of their columns, with the Pareto front."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accel_sim.report.charts.chart import Chart, make_chart
from accel_sim.report.charts.style import GREY, PALETTE, few_ticks, legend
from accel_sim.report.pareto import is_high_better

if TYPE_CHECKING:
    import altair

Record = Mapping[str, Any]

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


def draw_points(
    records: Sequence[Record],
    axes: tuple[str, str],
    told_by: Sequence[str],
    columns: Sequence[str],
) -> Chart:
    """Draw points over two columns that the reader chooses.

    Parameters
    ----------
    axes
        Columns to begin with.
    told_by
        Columns that tell a point when it is pointed at.
    columns
        Of numbers, that axes may have.
    """
    import altair as alt

    params = [
        alt.param(
            name=f"{axis}_column",
            value=columns.index(column),
            bind=alt.binding_select(
                options=list(range(len(columns))), labels=list(columns), name=f"{axis} "
            ),
        )
        for axis, column in zip("xy", axes, strict=True)
    ]
    signs = {True: -1, False: 1, None: None}
    params += [
        alt.param(name="names", value=list(columns)),
        # What makes the better end of a column the low one, where that is known.
        alt.param(name="ends", value=[signs[is_high_better(column)] for column in columns]),
    ]
    x = alt.X("x:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=few_ticks()))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False))
    priced = _priced_points()
    # A line through the others is there but not seen, so that axes never lack an extent.
    front = priced.mark_line(color=GREY, strokeDash=[4, 3]).encode(
        x=x,
        y=y,
        detail=["network:N", "is_on_front:N"],
        order=alt.Order("x:Q"),
        strokeOpacity=alt.condition("datum.is_on_front", alt.value(1), alt.value(0)),
    )
    dots = priced.mark_point(filled=True, size=55, strokeWidth=1).encode(
        x=x,
        y=y,
        color=alt.Color("hardware:N", **_kinds(records, "hardware", PALETTE)),
        shape=alt.Shape("network:N", **_kinds(records, "network", _SHAPES)),
        opacity=alt.condition("datum.is_on_front", alt.value(1), alt.value(0.45)),
        stroke=alt.condition("datum.is_on_front", alt.value("black"), alt.value(None)),
        tooltip=[
            alt.Tooltip("hardware:N"),
            alt.Tooltip("network:N"),
            alt.Tooltip("point:N"),
            alt.Tooltip("x:Q", format=",.4~r"),
            alt.Tooltip("y:Q", format=",.4~r"),
        ],
    )
    return make_chart(
        alt.LayerChart(layer=[front, dots, *_axis_names()], height=380).add_params(*params),
        {
            "points": [
                {
                    "hardware": record["hardware"],
                    "network": record["network"],
                    "point": ", ".join(f"{key} {record.get(key)}" for key in told_by),
                    "values": [record.get(column) for column in columns],
                }
                for record in records
            ],
            "axes": [{}],
        },
        name="points",
        title="Points over two columns",
        caption="Outlined points, joined by a line, are those of a network that no other of it "
        "beats in both columns; there are none where nothing says which end of a column is better.",
    )


def _priced_points() -> "altair.Chart":
    """Give points with their place, and whether they are on the front."""
    import altair as alt

    chart = (
        alt.Chart(alt.NamedData("points"))
        .transform_calculate(x="datum.values[x_column]", y="datum.values[y_column]")
        .transform_filter("isNumber(datum.x) && isNumber(datum.y)")
    )
    chart = chart.transform_calculate(
        cost_x="datum.x * ends[x_column]", cost_y="datum.y * ends[y_column]"
    )
    chart = chart.transform_window(
        best_y="min(cost_y)",
        sort=[alt.SortField("cost_x")],
        frame=[None, 0],
        ignorePeers=False,
        groupby=["network"],
    ).transform_window(
        best_x="min(cost_x)",
        sort=[alt.SortField("cost_y")],
        frame=[None, 0],
        ignorePeers=False,
        groupby=["network"],
    )
    # Whoever is as good in one column is not better in the other.
    return chart.transform_calculate(
        is_on_front="isNumber(ends[x_column]) && isNumber(ends[y_column])"
        " && datum.best_y === datum.cost_y && datum.best_x === datum.cost_x"
    )


def _kinds(records: Sequence[Record], column: str, looks: Sequence[str]) -> dict[str, Any]:
    """Give scale and legend of what tells machines or networks apart, if there are several."""
    import altair as alt

    kinds = list(dict.fromkeys(record[column] for record in records))
    return {
        "scale": alt.Scale(domain=kinds, range=list(looks)),
        "legend": legend() if len(kinds) > 1 else None,
    }


def _axis_names() -> "list[altair.Chart]":
    """Name the axes inside the drawing: a title of an axis cannot change."""
    import altair as alt

    base = alt.Chart(alt.NamedData("axes"))
    return [
        base.mark_text(align="right", baseline="bottom", fontWeight="bold", dx=-4, dy=-4).encode(
            text=alt.value(alt.expr("names[x_column]")),
            x=alt.value("width"),
            y=alt.value("height"),
        ),
        base.mark_text(align="left", baseline="top", fontWeight="bold", dx=4, dy=4).encode(
            text=alt.value(alt.expr("names[y_column]")), x=alt.value(0), y=alt.value(0)
        ),
    ]
