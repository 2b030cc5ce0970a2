"""The page of a trade-off of widths: ``widths --chart F.html``."""

from collections.abc import Sequence

from accel_sim.report.charts.width_law import draw_width_law
from accel_sim.report.page.page import Page, Section
from accel_sim.report.page.run_page import images_fact, machine_fact, network_fact
from accel_sim.report.page.table import Column, make_table
from accel_sim.report.width_law import WidthPoint, width_records

_COLUMNS = {
    "bits": "bits",
    "fixed.sqnr_dB": "SQNR\ndB",
    "fixed.top1_accuracy_fraction": "top-1\nfraction",
    "fixed.dram_read_bytes": "DRAM read\nbytes",
    "fixed.dram_write_bytes": "DRAM written\nbytes",
    "fixed.energy_uJ": "energy, fixed\nuJ",
    "rebuilt.energy_uJ": "energy, rebuilt\nuJ",
    "fixed.latency_us": "latency, fixed\nus",
    "rebuilt.area_mm2": "area, rebuilt\nmm²",
}


def make_width_page(points: Sequence[WidthPoint]) -> Page:
    """Put a page of points together, which go by rising width."""
    report, records = points[-1].fixed, width_records(points)
    columns = [
        Column(key=key, title=title)
        for key, title in _COLUMNS.items()
        if any(record[key] is not None for record in records)
    ]
    return Page(
        title=f"{report.network.name} on {report.hardware.name}, by bits",
        facts=(network_fact(report), machine_fact(report), images_fact(report)),
        sections=(
            Section(
                title="What a bit brings and costs",
                charts=(draw_width_law(points),),
                tables=(make_table("widths", "Widths", columns, records),),
            ),
        ),
    )
