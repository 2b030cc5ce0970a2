"""Stacked bars: energy by component, cycles by cause and traffic by operand, of layers or runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accel_sim.report.charts.chart import Chart, Rows, make_chart
from accel_sim.report.charts.style import (
    CAUSE_COLOURS,
    COMPONENT_COLOURS,
    TRAFFIC_COLOURS,
    few_ticks,
    legend,
    spell,
)
from accel_sim.report.document import LayerSection, ReportDocument
from accel_sim.report.quantities import choose_energy_unit, choose_storage_unit

if TYPE_CHECKING:
    import altair

BAR_STEP = 18
"""Pixels from bar to bar."""
LABEL_LETTERS = 22
"""Of a name beside its bar; its end tells layers of one network apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stack:
    """What bars are made of.

    Attributes
    ----------
    key
        Of the values in the rows, as in the report file.
    per_unit
        Units shown per unit of the values.
    colours
        By part, in the order of the stack.
    """

    key: str
    title: str
    per_unit: float
    colours: Mapping[str, str]
    number_format: str = ",.4~r"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """Name, title and caption of a chart."""

    name: str
    title: str
    caption: str


def draw_layer_bars(report: ReportDocument) -> tuple[Chart, ...]:
    """Draw energy, cycles and DRAM traffic of every layer that has any."""
    layers = report.layers
    most_pJ = max(sum(_components(layer).values()) for layer in layers)
    unit, per_uJ = choose_energy_unit(most_pJ / 1e6)
    energy = _Stack(
        key="energy_pJ",
        title=f"energy ({unit})",
        per_unit=per_uJ / 1e6,
        colours=COMPONENT_COLOURS,
    )
    cycles = _Stack(
        key="cycles", title="cycles", per_unit=1.0, colours=CAUSE_COLOURS, number_format=",d"
    )
    traffic = _traffic_stack(max(sum(_traffic(layer).values()) for layer in layers))
    charts = (
        _draw(
            "layer",
            [(layer.name, _components(layer)) for layer in layers],
            energy,
            _Words(
                name="energy_by_component",
                title="Energy by component",
                caption="What each layer takes of chip and DRAM, for a whole batch.",
            ),
        ),
        _draw(
            "layer",
            [(layer.name, _causes(layer)) for layer in layers],
            cycles,
            _Words(
                name="cycles_by_cause",
                title="Cycles by cause",
                caption="Green is arithmetic; blue waits for a buffer's port, red for DRAM, each "
                "by the operand that is waited for.",
            ),
        ),
        _draw(
            "layer",
            [(layer.name, _traffic(layer)) for layer in layers],
            traffic,
            _Words(
                name="dram_traffic",
                title="DRAM traffic",
                caption="Bytes over the DRAM bus; biases count as weights.",
            ),
        ),
    )
    return tuple(chart for chart in charts if chart is not None)


def draw_run_bars(labels: Sequence[str], reports: Sequence[ReportDocument]) -> tuple[Chart, ...]:
    """Draw the same of whole runs, one bar each."""
    runs = list(zip(labels, reports, strict=True))
    unit, per_uJ = choose_energy_unit(max(report.totals.energy_uJ for report in reports))
    energy = _Stack(
        key="energy_uJ", title=f"energy ({unit})", per_unit=per_uJ, colours=COMPONENT_COLOURS
    )
    times = _Stack(key="latency_us", title="latency (us)", per_unit=1.0, colours=CAUSE_COLOURS)
    moved = [(label, _summed(_traffic(layer) for layer in report.layers)) for label, report in runs]
    charts = (
        _draw(
            "run",
            [
                (label, _plain(report.totals.energy_uJ_by_component, COMPONENT_COLOURS))
                for label, report in runs
            ],
            energy,
            _Words(
                name="energy_by_component",
                title="Energy by component",
                caption="Chip and DRAM, for a whole batch.",
            ),
        ),
        _draw(
            "run",
            [(label, _times_us(report)) for label, report in runs],
            times,
            _Words(
                name="latency_by_cause",
                title="Latency by cause",
                caption="Green is arithmetic; blue waits for a buffer's port, red for DRAM.",
            ),
        ),
        _draw(
            "run",
            moved,
            _traffic_stack(max(sum(parts.values()) for _, parts in moved)),
            _Words(
                name="dram_traffic",
                title="DRAM traffic",
                caption="Bytes over the DRAM bus; biases count as weights.",
            ),
        ),
    )
    return tuple(chart for chart in charts if chart is not None)


def _traffic_stack(most_bytes: float) -> _Stack:
    unit, per_byte = choose_storage_unit(most_bytes)
    return _Stack(
        key="dram_bytes",
        title=f"DRAM traffic ({unit})",
        per_unit=per_byte,
        colours=TRAFFIC_COLOURS,
    )


def _plain(section: object, keys: Iterable[str]) -> dict[str, float]:
    return {key: getattr(section, key) for key in keys}


def _components(layer: LayerSection) -> dict[str, float]:
    return _plain(layer.energy_pJ, COMPONENT_COLOURS)


def _causes(layer: LayerSection) -> dict[str, float]:
    return _plain(layer.cycles, CAUSE_COLOURS)


def _traffic(layer: LayerSection) -> dict[str, float]:
    return _plain(layer.dram_bytes, TRAFFIC_COLOURS)


def _times_us(report: ReportDocument) -> dict[str, float]:
    """Cycles of machines with different clocks do not compare; their times do."""
    cycles = _summed(_causes(layer) for layer in report.layers)
    clock_MHz = report.hardware.config["clock_MHz"]
    return {cause: count / clock_MHz for cause, count in cycles.items()}


def _summed(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for each in parts:
        for key, value in each.items():
            total[key] = total.get(key, 0) + value
    return total


def _draw(
    what: str, bars: Sequence[tuple[str, Mapping[str, float]]], stack: _Stack, words: _Words
) -> Chart | None:
    """Draw bars that have a length; None where none has."""
    import altair as alt

    rows: Rows = [
        {what: name, "part": spell(part), stack.key: value}
        for name, parts in bars
        for part, value in parts.items()
        if value
    ]
    if not rows:
        return None
    present = {row["part"] for row in rows}
    colours = {spell(key): colour for key, colour in stack.colours.items() if spell(key) in present}
    drawing = (
        alt.Chart(alt.NamedData("bars"))
        .mark_bar(stroke="white", strokeWidth=0.5)
        .transform_calculate(
            shown=f"datum.{stack.key} * {stack.per_unit!r}",
            rank=f"indexof({list(colours)}, datum.part)",
        )
        .encode(
            x=alt.X(
                "sum(shown):Q",
                title=stack.title,
                axis=alt.Axis(tickCount=few_ticks()),
            ),
            y=name_axis(what),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
                legend=legend(symbolType="square"),
            ),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip(f"{what}:N"),
                alt.Tooltip("part:N"),
                alt.Tooltip("sum(shown):Q", title=stack.title, format=stack.number_format),
            ],
        )
        .properties(height=BAR_STEP * len({row[what] for row in rows}))
    )
    return make_chart(
        drawing, {"bars": rows}, name=words.name, title=words.title, caption=words.caption
    )


def name_axis(field: str, **options: Any) -> "altair.Y":
    """Give the axis of names, in the order of the rows; of a long name its end is shown."""
    import altair as alt

    short = (
        f"length(datum.label) > {LABEL_LETTERS} ? "
        f"'…' + slice(datum.label, -{LABEL_LETTERS - 1}) : datum.label"
    )
    return alt.Y(
        f"{field}:N",
        sort=None,
        title=None,
        axis=alt.Axis(labelExpr=short, labelLimit=0, ticks=False, domain=False),
        **options,
    )
