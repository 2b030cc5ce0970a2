"""Does the chart of a trade-off show what the reports hold?"""

import io
import re
from dataclasses import replace

from PIL import Image

from accel_sim.report.charts.chart import PictureKind, draw
from accel_sim.report.charts.width_law import draw_width_law
from accel_sim.report.facts import Datapath
from accel_sim.report.width_law import WidthPoint
from tests.report.sample import with_values, without_values
from tools.refresh_docs import chart_labels


def make_points(report=None, **totals):
    """Of 4 and 8 bits, whose machines are alike but for what is given of the narrow rebuilt one."""
    report = report or with_values()
    fixed = report.to_document()
    rebuilt = replace(report, datapath=Datapath.REBUILT).to_document()
    changed = rebuilt.totals.model_copy(update=totals)
    narrow = rebuilt.model_copy(update={"totals": changed})
    return (
        WidthPoint(bits=4, fixed=fixed, rebuilt=narrow),
        WidthPoint(bits=8, fixed=fixed, rebuilt=rebuilt),
    )


def labels(points):
    return chart_labels(draw(draw_width_law(points), PictureKind.SVG).decode())


def test_every_figure_of_a_panel_stands_in_the_drawing():
    points = make_points(energy_uJ=1e-3, energy_uJ_low=5e-4, energy_uJ_high=2e-3)
    shown = labels(points)
    totals = points[0].fixed.totals
    assert f"bits: 4; SQNR (dB): {totals.sqnr_dB:.4g}" in shown
    moved = (totals.dram_read_bytes + totals.dram_write_bytes) / 1024
    assert f"bits: 4; DRAM traffic (KiB): {moved:.4g}" in shown
    (unit,) = {found[1] for label in shown if (found := re.search(r"DRAM \((\w+)\)", label))}
    per_uJ = {"nJ": 1e3, "uJ": 1.0}[unit]
    assert (
        f"bits: 4; energy of chip and DRAM ({unit}): {1e-3 * per_uJ:.4g}; datapath: rebuilt; "
        f"low: {5e-4 * per_uJ:.4g}; high: {2e-3 * per_uJ:.4g}"
    ) in shown
    assert {"name: fixed datapath", "name: rebuilt datapath"} <= set(shown)


def test_traffic_is_one_line_unless_the_datapaths_move_different_bytes():
    def lines(points):
        return sum(label.startswith("bits: 4; DRAM traffic") for label in labels(points))

    assert lines(make_points()) == 1
    assert lines(make_points(dram_read_bytes=0)) == 2


def test_without_values_there_is_no_panel_of_sqnr():
    assert not [label for label in labels(make_points(without_values())) if "SQNR" in label]


def test_one_width_is_a_chart_too():
    assert [label for label in labels(make_points()[:1]) if label.startswith("bits: 4; SQNR")]


def test_a_picture_is_sharp_and_about_a_thousand_pixels_wide_at_normal_density():
    with Image.open(io.BytesIO(draw(draw_width_law(make_points()), PictureKind.PNG))) as picture:
        assert picture.format == "PNG"
        assert 900 <= picture.width / 2 <= 1000
