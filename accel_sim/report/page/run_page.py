"""The page of one run: ``simulate --html``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accel_sim.report.as_csv import flatten, layer_records
from accel_sim.report.as_table import chip_power_mW, why
from accel_sim.report.charts.bandwidth import draw_bandwidth
from accel_sim.report.charts.bars import draw_layer_bars
from accel_sim.report.charts.chart import Chart
from accel_sim.report.charts.histograms import draw_histograms
from accel_sim.report.charts.roofline import draw_roofline
from accel_sim.report.charts.sqnr import draw_sqnr
from accel_sim.report.document import LayerSection, ReportDocument
from accel_sim.report.layer_table import layer_energy_pJ
from accel_sim.report.page.assumptions import applied_assumptions
from accel_sim.report.page.page import Fact, Figure, Fold, Page, Section
from accel_sim.report.page.table import Column, Table, make_table, write_value
from accel_sim.report.quantities import (
    format_count,
    format_energy,
    format_figures,
    format_percent,
    format_power,
    format_sqnr,
    format_storage,
    format_time,
)

if TYPE_CHECKING:
    from accel_sim.dram_bandwidth import DramBandwidth
    from accel_sim.map_histograms import MapHistogram


def make_run_page(
    report: ReportDocument, maps: "Sequence[MapHistogram]", bandwidth: "DramBandwidth"
) -> Page:
    """Put a page of one run together.

    Parameters
    ----------
    maps
        None of a run without values.
    """
    return Page(
        title=f"{report.network.name} on {report.hardware.name}",
        facts=run_facts(report),
        figures=tuple(_figures(report)),
        why="" if report.doubling is None else why(report, report.doubling),
        sections=(
            Section(
                title="Where time, energy and traffic go",
                text="One bar for each layer that takes any, in the order in which they run.",
                charts=draw_layer_bars(report),
            ),
            Section(
                title="What holds it up",
                charts=_drawn(draw_roofline(report), draw_bandwidth(report, bandwidth)),
            ),
            *_value_sections(report, maps),
            Section(title="Layers", tables=tuple(_layer_tables(report))),
            Section(
                title="Machine",
                folds=(Fold(title="Every key of its configuration", table=_machine_table(report)),),
            ),
            Section(
                title="What was assumed",
                text="Sentences of the machine model that have a bearing on this run, and what "
                "the model does not know.",
                folds=applied_assumptions(report),
            ),
        ),
    )


def _drawn(*charts: Chart | None) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _value_sections(report: ReportDocument, maps: "Sequence[MapHistogram]") -> tuple[Section, ...]:
    charts = _drawn(draw_sqnr(report), draw_histograms(maps))
    return (Section(title="What the numbers lose", charts=charts),) if charts else ()


def run_facts(report: ReportDocument) -> tuple[Fact, ...]:
    """Say what runs on what, and in which numbers."""
    return (
        network_fact(report),
        machine_fact(report),
        _numbers_fact(report),
        images_fact(report),
        Fact(what="Written by", words=f"{report.tool.name} {report.tool.version}"),
        *(Fact(what="Note", words=note) for note in report.network.notes),
    )


def network_fact(report: ReportDocument) -> Fact:
    """Say what runs."""
    network = report.network
    return Fact(
        what="Network",
        words=f"{network.name}: {format_count(network.macs)} MACs, "
        f"{format_count(network.parameters)} parameters, batch {report.totals.batch}",
    )


def machine_fact(report: ReportDocument) -> Fact:
    """Say what it runs on."""
    config = report.hardware.config
    array, precision = config["mac_array"], config["precision"]
    return Fact(
        what="Machine",
        words=f"{report.hardware.name}: {array['rows']} x {array['cols']} "
        f"{array['dataflow'].replace('_', ' ')}, {config['technology']['node_nm']} nm, "
        f"{config['clock_MHz']:g} MHz; {report.totals.datapath} datapath for "
        f"{precision['weight_bits']}-bit weights, {precision['activation_bits']}-bit activations",
    )


def images_fact(report: ReportDocument) -> Fact:
    """Say where the values come from."""
    if report.images is None:
        return Fact(what="Images", words="none: costs alone, of operands none of which is zero")
    count = "1 image" if report.images.count == 1 else f"{report.images.count} images"
    return Fact(what="Images", words=f"{count} of {report.images.source}")


def _numbers_fact(report: ReportDocument) -> Fact:
    bits = report.quantization
    words = (
        f"{bits.weight_bits}-bit weights, {bits.activation_bits}-bit activations, "
        f"{bits.input_bits}-bit input"
    )
    if bits.layer_bits:
        words += f", others in {len(bits.layer_bits)} layers"
    words += f", {bits.method}" * (bits.method is not None)
    words += ", per channel" * bits.per_channel + ", tuned" * bits.tuned
    return Fact(what="Numbers", words=words)


def _figures(report: ReportDocument) -> list[Figure]:
    totals = report.totals
    per = "image" if totals.batch == 1 else f"batch of {totals.batch}"
    low, high = (format_energy(end) for end in totals.energy_uJ_band)
    figures = [
        Figure(
            what=f"Latency per {per}",
            words=format_time(totals.latency_us),
            detail=f"{format_figures(totals.frames_per_second)} frames/s",
        ),
        Figure(
            what=f"Energy per {per}",
            words=format_energy(totals.energy_uJ),
            detail=f"{low} to {high} by the spread of sources",
        ),
        Figure(
            what="Average power",
            words=format_power(totals.average_power_mW),
            detail=f"{format_power(chip_power_mW(report))} without DRAM",
        ),
        Figure(
            what=f"DRAM per {per}",
            words=format_storage(totals.dram_read_bytes + totals.dram_write_bytes),
            detail=f"{format_storage(totals.dram_read_bytes)} read; "
            f"{format_figures(totals.dram_average_GBps)} GB/s on average",
        ),
        Figure(
            what="Array used",
            words=format_percent(totals.utilization_fraction),
            detail=f"{format_figures(totals.effective_TOPS)} TOPS, "
            f"{format_figures(totals.TOPS_per_W)} TOPS/W",
        ),
    ]
    if totals.area_mm2 is not None:
        figures.append(
            Figure(
                what="Area",
                words=f"{format_figures(totals.area_mm2)} mm²",
                detail="array, register files and buffers",
            )
        )
    if totals.images:
        figures.append(
            Figure(
                what="SQNR",
                words=format_sqnr(totals.sqnr_dB, totals.exact)
                + " dB" * (totals.sqnr_dB is not None),
                detail="at the output, against float",
            )
        )
    if totals.top1_agreement_fraction is not None:
        figures.append(_top1_figure(report))
    return figures


def _top1_figure(report: ReportDocument) -> Figure:
    totals = report.totals
    agreement = format_percent(totals.top1_agreement_fraction)
    if totals.top1_accuracy_fraction is None:
        return Figure(what="Top-1", words=agreement, detail="same class as float (no labels)")
    return Figure(
        what="Top-1",
        words=format_percent(totals.top1_accuracy_fraction),
        detail=f"float {format_percent(totals.float_top1_accuracy_fraction)}; agree on {agreement}",
    )


_NAMES = (Column(key="name", title="layer", is_number=False),
          Column(key="op", title="op", is_number=False))  # fmt: skip
_COSTS = (
    *_NAMES,
    Column(key="macs", title="MACs"),
    Column(key="cycles.total", title="cycles"),
    Column(key="utilization_fraction", title="array\nused"),
    Column(key="bound_by", title="bound by", is_number=False),
    Column(key="dram_bytes", title="DRAM\nKiB"),
    Column(key="energy_pJ", title="energy\nnJ"),
)
_VALUES = (
    *_NAMES,
    Column(key="weight_bits", title="weight\nbits"),
    Column(key="ifm_bits", title="ifm\nbits"),
    Column(key="ofm_bits", title="ofm\nbits"),
    Column(key="ofm_frac_bits", title="ofm frac\nbits"),
    Column(key="sqnr_dB", title="SQNR\ndB"),
    Column(key="local_sqnr_dB", title="own format\ndB"),
    Column(key="accumulator_overflows", title="accumulator\noverflows"),
    Column(key="accumulator_bits_needed", title="accumulator\nbits needed"),
    Column(key="output_saturations", title="saturated\noutputs"),
    Column(key="zero_ifm_fraction", title="zeros\nin ifm"),
)


def _layer_tables(report: ReportDocument) -> list[Table]:
    records = [
        {**record, **_sums(layer)}
        for record, layer in zip(layer_records(report), report.layers, strict=True)
    ]
    tables = [make_table("costs", "Costs", _COSTS, records, _write_layer)]
    if report.images is not None:
        tables.append(make_table("values", "Formats and values", _VALUES, records, _write_layer))
    return tables


def _sums(layer: LayerSection) -> dict[str, Any]:
    return {
        "dram_bytes": sum(moved for _, moved in layer.dram_bytes),
        "energy_pJ": layer_energy_pJ(layer),
    }


def _write_layer(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key.endswith("_fraction"):
        return format_percent(value)
    match key:
        case "dram_bytes":
            return format_figures(value / 1024)
        case "energy_pJ":
            return format_figures(value / 1e3)
        case "sqnr_dB" | "local_sqnr_dB":
            return format_sqnr(value, exact=None)
        case _:
            return write_value(value)


def _machine_table(report: ReportDocument) -> Table:
    keys = {key: value for key, value in flatten(report.hardware.config).items() if value != []}
    return make_table(
        "machine",
        f"Every key of {report.hardware.name}",
        (
            Column(key="key", title="key", is_number=False),
            Column(key="value", title="value", is_number=False),
        ),
        [{"key": key, "value": value} for key, value in keys.items() if value is not None],
    )
