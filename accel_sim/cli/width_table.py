"""What ``accel-sim widths`` prints: two machines, a row per width, and what one bit costs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from accel_sim.hardware.config import HardwareConfig
    from accel_sim.report.width_law import BitPrice, WidthPoint


def describe_machines(points: "Sequence[WidthPoint]", machine: "HardwareConfig") -> tuple[str, ...]:
    """Say what runs, and on which fixed datapath.

    Parameters
    ----------
    machine
        As its file gives it.
    """
    from accel_sim.report.quantities import format_figures, format_percent

    report = points[-1].fixed
    fixed, built = report.hardware.config["precision"], machine.precision
    as_built = (fixed["weight_bits"], fixed["activation_bits"]) == (
        built.weight_bits,
        built.activation_bits,
    )
    source = "as built" if as_built else "widened to hold all rows"
    area_mm2 = format_figures(report.totals.area_mm2 or 0.0)
    words = [
        f"{report.network.name} on {machine.name}: weights and activations of as many bits",
        f"fixed datapath: {fixed['weight_bits']} x {fixed['activation_bits']} bits, {source}, "
        f"{area_mm2} mm2",
    ]
    top1 = report.totals.float_top1_accuracy_fraction
    if top1 is not None:
        words.append(f"float network: {format_percent(top1)} top-1")
    return tuple(words)


def make_width_table(points: "Sequence[WidthPoint]") -> "Table":
    """Give a row per width; what the two datapaths have in common stands once."""
    from accel_sim.report.facts import Datapath
    from accel_sim.report.layer_table import make_table
    from accel_sim.report.quantities import (
        format_energy,
        format_figures,
        format_percent,
        format_sqnr,
        format_storage,
    )
    from accel_sim.report.width_law import dram_bytes, find_saved

    has_values = points[0].fixed.totals.images > 0
    # A datapath that costs less can make another schedule the best.
    moves_alike = all(
        dram_bytes(point.fixed.totals) == dram_bytes(point.rebuilt.totals) for point in points
    )
    movers = [Datapath.FIXED] if moves_alike else list(Datapath)
    table = make_table(
        "bits",
        *(("SQNR\ndB", "\ntop-1") if has_values else ()),
        *(
            head
            for datapath in movers
            for head in ("DRAM" if moves_alike else f"DRAM\n{datapath}", "\nsaved")
        ),
        *(head for datapath in Datapath for head in (f"energy\n{datapath}", "\nsaved")),
        "area mm2\nrebuilt",
        left=(),
    )
    for point in points:
        totals = point.fixed.totals
        saved = {datapath: find_saved(points, point, datapath) for datapath in Datapath}
        cells = [str(point.bits)]
        if has_values:
            accuracy = totals.top1_accuracy_fraction
            cells += [format_sqnr(totals.sqnr_dB, totals.exact), format_percent(accuracy)]
        for datapath in movers:
            cells += [
                format_storage(dram_bytes(point.on(datapath).totals)),
                format_percent(saved[datapath].dram_fraction),
            ]
        for datapath in Datapath:
            cells += [
                format_energy(point.on(datapath).totals.energy_uJ),
                format_percent(saved[datapath].energy_fraction),
            ]
        table.add_row(*cells, format_figures(point.rebuilt.totals.area_mm2 or 0.0))
    return table


def explain_bit(price: "BitPrice") -> str:
    """One sentence: what a bit brings, and what it costs."""
    from accel_sim.report.facts import Datapath
    from accel_sim.report.quantities import format_energy, format_figures, format_storage

    def signed(write: Callable[[float], str], amount: float) -> str:
        return ("-" if amount < 0 else "") + write(abs(amount))

    fixed, rebuilt = (
        (
            signed(format_storage, price.dram_bytes[side]),
            signed(format_energy, price.energy_uJ[side]),
        )
        for side in Datapath
    )
    brings = "" if price.sqnr_dB is None else f"brings {price.sqnr_dB:.1f} dB and "
    other_traffic = "" if fixed[0] == rebuilt[0] else f" ({rebuilt[0]} rebuilt)"
    area = signed(format_figures, price.area_mm2[Datapath.REBUILT])
    return (
        f"From {price.from_bits} to {price.to_bits} bits, each bit {brings}costs {fixed[0]} of "
        f"DRAM traffic{other_traffic}; {fixed[1]} on the fixed datapath, {rebuilt[1]} and {area} "
        "mm2 on the rebuilt one."
    )
