"""Pages of reports that were put together by hand, names of which would harm a careless page."""

from dataclasses import replace

import numpy as np

from accel_sim.dram_bandwidth import DramBandwidth, LayerSpan
from accel_sim.map_histograms import MapHistogram
from accel_sim.report.page.comparison_page import make_comparison_page
from accel_sim.report.page.page import Page
from accel_sim.report.page.points_page import make_points_page
from accel_sim.report.page.run_page import make_run_page
from quantizer.fixedpoint.qformat import QFormat
from quantizer.quantized import MapChoice
from tests.report.sample import with_values

HOSTILE = "</script><script>alert(1)</script>"


def hostile_report():
    """Of a network, a machine and a layer that would end a script."""
    report = with_values()
    first, *others = report.layers
    named = replace(first, performance=replace(first.performance, name=HOSTILE))
    return replace(
        report,
        network=replace(report.network, name=HOSTILE, notes=(HOSTILE,)),
        layers=(named, *others),
    ).to_document()


def make_histogram(layer):
    values = np.array([0.25, 0.5, 1.0])
    return MapHistogram(
        tensor="t",
        layer=layer,
        fmt=QFormat(bits=4, frac_bits=3, signed=True),
        width=0.5,
        first=-2,
        densities=np.array([0.2, 0.8, 0.0, 1.0]),
        zeros_fraction=0.25,
        choice=MapChoice(shapes=((0.5, 2.0),), step=0.13, predicted_sqnr_dB=20.5),
        curves=(np.stack((values, np.exp(-values))), np.stack((-values, np.exp(-values)))),
    )


def make_bandwidth(report):
    end_us = report.totals.latency_us
    return DramBandwidth(
        edges_us=np.array([0.0, end_us / 2, end_us]),
        read_bytes=np.array([3000.0, 1000.0]),
        written_bytes=np.array([0.0, 20.0]),
        layers=(LayerSpan(layer=report.layers[0].name, start_us=0.0, end_us=end_us),),
    )


def hostile_run_page() -> Page:
    report = hostile_report()
    maps = (make_histogram(None), make_histogram(HOSTILE))
    return make_run_page(report, maps, make_bandwidth(report))


def hostile_comparison_page() -> Page:
    report = hostile_report()
    return make_comparison_page([HOSTILE, HOSTILE], [report, report])


def hostile_points_page() -> Page:
    records = [
        {"hardware": HOSTILE, "network": name, "energy_uJ": energy_uJ, "sqnr_dB": 30.0 + energy_uJ}
        for energy_uJ, name in ((1.0, HOSTILE), (2.0, HOSTILE), (3.0, "other"))
    ]
    return make_points_page(
        HOSTILE,
        records,
        shown=["hardware", "network", "energy_uJ", "sqnr_dB"],
        told_by=["network"],
        axes=[],
    )


HOSTILE_PAGES = {
    "run": hostile_run_page,
    "comparison": hostile_comparison_page,
    "points": hostile_points_page,
}
