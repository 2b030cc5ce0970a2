"""A report as text for a terminal."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from accel_sim.report.document import Doubling, DramBytes, ReportDocument, Totals
from accel_sim.report.layer_table import component_values, layer_table
from accel_sim.report.quantities import (
    choose_energy_unit,
    format_count,
    format_figures,
    format_percent,
    format_power,
    format_sqnr,
    format_storage,
    format_time,
)
from quantizer.fixedpoint.qformat import Overflow


def to_renderables(report: ReportDocument, columns: int = 100) -> Iterator[RenderableType]:
    """Header, layers, totals and the reason for them, in this order.

    Parameters
    ----------
    columns
        That a line of layers has, where names can give way to numbers.
    """
    yield _header(report)
    yield layer_table(report, columns)
    yield _totals(report)
    if report.doubling is not None:
        yield Text(why(report, report.doubling) + "\n")


def _header(report: ReportDocument) -> Text:
    config, network, bits = report.hardware.config, report.network, report.quantization
    array, technology = config["mac_array"], config["technology"]
    text = Text()
    text.append(network.name, style="bold")
    text.append(
        f"  {format_count(network.macs)} MACs, {format_count(network.parameters)} "
        f"parameters; {bits.weight_bits}-bit weights, {bits.activation_bits}-bit activations, "
        f"{bits.input_bits}-bit input"
    )
    if bits.layer_bits:
        text.append(f", others in {len(bits.layer_bits)} layers")
    if bits.method is not None:
        text.append(f", {bits.method}")
    text.append(", per channel" * bits.per_channel + ", tuned" * bits.tuned)
    text.append("\n")
    text.append(report.hardware.name, style="bold")
    text.append(
        f"  {array['rows']} x {array['cols']} {array['dataflow']}, {technology['node_nm']} nm, "
        f"{config['clock_MHz']:g} MHz; built for {config['precision']['weight_bits']}-bit weights, "
        f"{config['precision']['activation_bits']}-bit activations\n"
    )
    if report.images is not None:
        images = report.images
        mean, scale = (
            ",".join(f"{number:g}" for number in values) for values in (images.mean, images.scale)
        )
        layout = f", {images.layout}" if images.layout else ""
        count = "1 image" if images.count == 1 else f"{images.count} images"
        text.append(f"{count} of {images.source}: (x - {mean}) * {scale}{layout}\n", style="dim")
    else:
        text.append("costs alone, of operands none of which is zero\n", style="dim")
    for note in (*network.notes, *_host_note(report)):
        text.append(f"{note}\n", style="dim")
    return text


def _host_note(report: ReportDocument) -> tuple[str, ...]:
    names = [layer.name for layer in report.layers if layer.on_host]
    if not names:
        return ()
    return (
        f"{', '.join(names)}: computed by the host in float64, at no cost to the machine; "
        "these bits are not promised to be the same everywhere",
    )


def _totals(report: ReportDocument) -> Table:
    totals = report.totals
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    per = "image" if totals.batch == 1 else f"batch of {totals.batch}"
    table.add_row(
        f"\nlatency per {per}",
        f"\n{format_time(totals.latency_us)}, {format_figures(totals.frames_per_second)} "
        f"frames/s; array used {100 * totals.utilization_fraction:.1f} %, "
        f"{format_figures(totals.effective_TOPS)} TOPS",
    )
    table.add_row(
        f"DRAM per {per}",
        f"{format_storage(totals.dram_read_bytes)} read, "
        f"{format_storage(totals.dram_write_bytes)} written; "
        f"{format_figures(totals.dram_average_GBps)} GB/s on average, "
        f"{format_figures(totals.dram_peak_GBps)} in the busiest layer"
        + _stay_words(report)
        + _compression_words(report),
    )
    unit, per_uJ = choose_energy_unit(totals.energy_uJ)
    low, high = totals.energy_uJ_band
    components = sorted(
        component_values(totals.energy_uJ_by_component).items(), key=lambda item: -item[1]
    )
    shares = ", ".join(
        f"{name.replace('_', ' ')} {100 * value / totals.energy_uJ:.0f} %"
        for name, value in components
        if value >= 0.005 * totals.energy_uJ
    )
    table.add_row(
        f"energy per {per}",
        f"{format_figures(totals.energy_uJ * per_uJ)} {unit} "
        f"({format_figures(low * per_uJ)} to {format_figures(high * per_uJ)} by the "
        f"spread of sources): {shares}",
    )
    table.add_row(
        "average power",
        f"{format_power(totals.average_power_mW)} with DRAM, "
        f"{format_power(chip_power_mW(report))} chip alone; "
        f"{format_figures(totals.TOPS_per_W)} TOPS/W",
    )
    if totals.area_mm2 is not None:
        table.add_row("area", _area_words(totals))
    if totals.images:
        table.add_row("SQNR", _sqnr_words(report))
    if totals.top1_agreement_fraction is not None:
        table.add_row("top-1", _top1_words(report))
    return table


def _area_words(totals: Totals) -> str:
    parts, low, high = totals.area_mm2_by_component, totals.area_mm2_low, totals.area_mm2_high
    words = f"{format_figures(totals.area_mm2 or 0.0)} mm2"
    if parts is None or low is None or high is None:
        return words
    named = {"array": parts.array, "register files": parts.register_files, "buffers": parts.buffers}
    shares = ", ".join(
        f"{name} {format_figures(area_mm2)}" for name, area_mm2 in named.items() if area_mm2
    )
    return f"{words} ({format_figures(low)} to {format_figures(high)}): {shares}"


def _stay_words(report: ReportDocument) -> str:
    stay = sum("ofm" in layer.resident for layer in report.layers)
    return f"; {stay} feature {'map stays' if stay == 1 else 'maps stay'} on chip" * (stay > 0)


def _compression_words(report: ReportDocument) -> str:
    """Say what feature maps take, where the machine compresses them and some cross DRAM."""
    moved = [_map_bytes(layer.dram_bytes) for layer in report.layers]
    as_they_are = [
        _map_bytes(layer.uncompressed_dram_bytes)
        for layer in report.layers
        if layer.uncompressed_dram_bytes is not None
    ]
    if not sum(as_they_are):
        return ""
    if report.images is None:
        return "; feature maps as they are, for want of values to compress"
    return f"; compressed feature maps take {format_percent(sum(moved) / sum(as_they_are))}"


def _map_bytes(moved: DramBytes) -> int:
    return moved.ifm_read + moved.residual_read + moved.ofm_write


def chip_power_mW(report: ReportDocument) -> float:
    """Average power without DRAM."""
    return report.totals.chip_energy_uJ / report.totals.latency_us * 1e3


def _sqnr_words(report: ReportDocument) -> str:
    totals = report.totals
    words = format_sqnr(totals.sqnr_dB, totals.exact) + " dB" * (totals.sqnr_dB is not None)
    saturations = sum(layer.output_saturations or 0 for layer in report.layers)
    return (
        f"{words} against float, at the output; {_overflow_words(report)}, "
        f"{saturations:,} outputs saturated"
    )


def _overflow_words(report: ReportDocument) -> str:
    precision = report.hardware.config["precision"]
    saturates = precision["accumulator_overflow"] == Overflow.SAT
    overflows = sum(layer.accumulator_overflows or 0 for layer in report.layers)
    words = f"{overflows:,} " + ("clamped additions" if saturates else "accumulator overflows")
    if overflows:
        needed = max(layer.accumulator_bits_needed or 0 for layer in report.layers)
        built = precision["accumulator_bits"]
        words += f" of {built} bits (with {needed} there can be none)"
    if saturates:
        channels = sum(layer.accumulator_channels or 0 for layer in report.layers)
        proven = sum(layer.accumulator_proven_channels or 0 for layer in report.layers)
        words += f", {proven:,} of {channels:,} channels proven to have none"
    return words


def _top1_words(report: ReportDocument) -> str:
    totals = report.totals
    agree = f"agree on {format_percent(totals.top1_agreement_fraction)}"
    if totals.top1_accuracy_fraction is None:
        return f"quantized and float {agree} of the images (no labels)"
    return (
        f"{format_percent(totals.top1_accuracy_fraction)} quantized, "
        f"{format_percent(totals.float_top1_accuracy_fraction)} float; {agree}"
    )


_PLAIN = {
    "compute": "arithmetic",
    "fill_drain": "filling and draining the array",
    "overhead": "per-tile overhead and post-processing",
}


def why(report: ReportDocument, doubling: Doubling) -> str:
    """One sentence: what bounds the run, and what twice of it would bring."""
    bound = doubling.bound_by
    if bound in _PLAIN:
        reason = _PLAIN[bound]
    else:
        resource, operand = bound.split("_", 1)
        memory = "DRAM" if resource == "dram" else "the buffer port"
        reason = f"waiting for {memory} ({operand})"
    before, after = report.totals.cycles, doubling.cycles
    change = 100 * (before - after) / before
    effect = f"{change:.1f} % less time" if change >= 0.05 else "nothing"
    return (
        f"Bound by {reason}, {100 * doubling.cycles_fraction:.0f} % of all cycles; "
        f"{doubling.key}={doubling.value} (twice) would bring {effect}."
    )
