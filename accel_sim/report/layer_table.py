"""The table of a report's layers, cut to the width of the terminal."""

from collections.abc import Sequence

from rich.table import Table

from accel_sim.energy.layer_energy import COMPONENTS
from accel_sim.report.document import EnergyByComponent, LayerSection, ReportDocument
from accel_sim.report.quantities import (
    choose_energy_unit,
    format_count,
    format_figures,
    format_sqnr,
    shorten_name,
)

NAME_COLUMNS = 18
"""At most, for the name of a layer."""
_LEAST_COLUMNS = (10, 6)
"""For names of layers and operators, however narrow the terminal is."""


def make_table(*columns: str, left: Sequence[int] = (0,)) -> Table:
    """Make a table without lines; columns are right-aligned but for those in `left`."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index in left else "right", no_wrap=True)
    return table


def layer_table(report: ReportDocument, columns: int) -> Table:
    """Give a line per layer; where there is no room, names are shortened, and numbers never."""
    unit, per_uJ = choose_energy_unit(report.totals.energy_uJ / len(report.layers))
    headings = (
        "layer", "op", "MACs", "bits", "cycles", "used", "bound by", "DRAM\nKiB",
        f"energy\n{unit}", "SQNR\ndB",
    )  # fmt: skip
    rows = [
        (
            shorten_name(layer.name, NAME_COLUMNS),
            layer.op,
            format_count(layer.macs) if layer.macs else "",
            _bits(layer),
            _cycles(layer),
            f"{100 * layer.utilization_fraction:.0f} %" if layer.macs else "",
            layer.bound_by if layer.cycles.total else "",
            format_figures(_dram_bytes(layer) / 1024) if _dram_bytes(layer) else "",
            format_figures(layer_energy_pJ(layer) / 1e6 * per_uJ) if layer.cycles.total else "",
            format_sqnr(layer.sqnr_dB, layer.exact),
        )
        for layer in report.layers
    ]
    lines = [heading.split("\n") for heading in headings]
    widths = [
        max(map(len, (*heading, *cells)))
        for heading, cells in zip(lines, zip(*rows, strict=True), strict=True)
    ]
    names = _share(widths[:2], columns - sum(widths[2:]) - len(widths) + 1)
    table = make_table(*headings, left=(0, 1, 6))
    for name, operator, *cells in rows:
        table.add_row(shorten_name(name, names[0]), shorten_name(operator, names[1]), *cells)
    return table


def _share(widths: Sequence[int], room: int) -> list[int]:
    """Take from the widest of some columns first, until they fit."""
    widths = list(widths)
    while sum(widths) > room:
        spare = [place for place in (0, 1) if widths[place] > _LEAST_COLUMNS[place]]
        if not spare:
            break
        widths[max(spare, key=lambda place: widths[place] - _LEAST_COLUMNS[place])] -= 1
    return widths


def _cycles(layer: LayerSection) -> str:
    if layer.on_host:
        return "host"
    return format_count(layer.cycles.total) if layer.cycles.total else ""


def _bits(layer: LayerSection) -> str:
    """Weights (if any), input and output; in a mode, products of a multiplier at once."""
    widths = (layer.weight_bits, layer.ifm_bits, layer.ofm_bits)
    bits = "/".join(str(width) for width in widths if width is not None)
    mode = layer.mapping and layer.mapping.mode
    return f"{bits} x{mode.macs_per_pe}" if mode else bits


def _dram_bytes(layer: LayerSection) -> int:
    return sum(value for _, value in layer.dram_bytes)


def layer_energy_pJ(layer: LayerSection) -> float:
    """Chip and DRAM."""
    return sum(component_values(layer.energy_pJ).values())


def component_values(energy: EnergyByComponent) -> dict[str, float]:
    """Energies without their bands, by component."""
    return {component: getattr(energy, component) for component in COMPONENTS}
