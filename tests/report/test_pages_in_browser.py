"""Does a browser show what the files hold, ask for nothing, and complain of nothing?"""

import json
from itertools import pairwise

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from accel_sim.cli.main import main
from accel_sim.report.as_csv import layer_records
from accel_sim.report.as_json import read_report
from accel_sim.report.charts.style import spell
from accel_sim.report.comparison import compare_reports
from accel_sim.report.pareto import Objective, pareto_front
from tests.report.browser import needs_chromium

pytestmark = needs_chromium

MEBIBYTE = 1 << 20
PAGES = ("simulate", "compare", "report", "widths")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page of every verb that writes one, with the files of the same results."""
    folder = tmp_path_factory.mktemp("pages")
    few = ["--limit-images", "4"]
    commands = [
        ["simulate", "edge_16x16", *few, "--html", "simulate.html", "--json", "edge.json"],
        ["simulate", "tpu_256x256", *few, "--json", "tpu.json"],
        ["compare", "edge.json", "tpu.json", "--html", "compare.html", "--json", "compare.json"],
        ["sweep", "edge_16x16", "mobile_32x32", *few, "--activation-bits", "4,6,8",
         "--weight-bits", "5,8", "-o", "points.db"],
        ["report", "points.db", "--html", "report.html", "--csv", "points.csv"],
        ["widths", "edge_16x16", "--no-values", "--bits", "6:8", "--chart", "widths.html"],
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands:
            assert main(command) == 0, command
    return folder


@pytest.fixture(scope="module")
def report(folder):
    return read_report(folder / "edge.json")


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_without_a_complaint_a_request_or_an_empty_chart(browser, folder, page, width):
    browser.open(folder / f"{page}.html", width)
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.chart_names()
    assert [name for name in browser.chart_names() if not browser.count_marks(name)] == []
    # What is wider than the window scrolls in a box of its own.
    assert browser.ask("document.documentElement.scrollWidth") <= width


def test_a_page_of_a_run_is_small(folder):
    assert (folder / "simulate.html").stat().st_size < 2 * MEBIBYTE


def test_bars_are_the_energies_cycles_and_bytes_of_the_report(browser, folder, report):
    browser.open(folder / "simulate.html")
    for chart, key, section in (
        ("energy_by_component", "energy_pJ", "energy_pJ"),
        ("cycles_by_cause", "cycles", "cycles"),
        ("dram_traffic", "dram_bytes", "dram_bytes"),
    ):
        drawn = {(row["layer"], row["part"]): row[key] for row in browser.rows(chart, "bars")}
        expected = {
            (layer.name, spell(part)): value
            for layer in report.layers
            for part, value in getattr(layer, section)
            if value and part != "total" and not part.endswith(("_low", "_high"))
        }
        assert drawn == expected
    total = sum(row["cycles"] for row in browser.rows("cycles_by_cause", "bars"))
    assert total == report.totals.cycles


def test_points_of_sqnr_are_those_of_the_report(browser, folder, report):
    browser.open(folder / "simulate.html")
    drawn = {(row["layer"], row["noise"]): row["sqnr_dB"] for row in browser.rows("sqnr", "layers")}
    expected = {
        (layer.name, side): value
        for layer in report.layers
        for side, value in (
            ("end to end", layer.sqnr_dB), ("its own format alone", layer.local_sqnr_dB)
        )
        if value is not None
    }  # fmt: skip
    assert drawn == expected


def test_tables_hold_the_values_of_the_report(browser, folder, report):
    browser.open(folder / "simulate.html")
    records = layer_records(report)
    for table, keys in (
        ("costs", ("name", "op", "macs", "cycles.total", "utilization_fraction", "bound_by")),
        ("values", ("name", "weight_bits", "ofm_frac_bits", "sqnr_dB", "output_saturations")),
    ):
        for key in keys:
            assert browser.column(table, key) == [record[key] for record in records]
    moved = [sum(value for _, value in layer.dram_bytes) for layer in report.layers]
    assert browser.column("costs", "dram_bytes") == moved


def test_a_click_on_a_heading_sorts_and_another_one_turns(browser, folder):
    browser.open(folder / "simulate.html")
    unsorted = browser.column("costs", "cycles.total")
    assert unsorted != sorted(unsorted)
    names = browser.column("costs", "name")
    browser.sort("costs", "cycles.total")
    assert browser.column("costs", "cycles.total") == sorted(unsorted)
    # Rows stay whole.
    by_name = dict(zip(names, unsorted, strict=True))
    after = zip(browser.column("costs", "name"), browser.column("costs", "cycles.total"),
                strict=True)  # fmt: skip
    assert dict(after) == by_name
    browser.sort("costs", "cycles.total")
    assert browser.column("costs", "cycles.total") == sorted(unsorted, reverse=True)
    heading = browser.ask("document.querySelector('th[data-key=\"cycles.total\"]').ariaSort")
    assert heading == "descending"


def test_what_has_no_value_is_sorted_last_both_ways(browser, folder):
    browser.open(folder / "simulate.html")
    for _ in range(2):
        browser.sort("values", "weight_bits")
        column = browser.column("values", "weight_bits")
        assert None in column
        first_empty = column.index(None)
        assert set(column[first_empty:]) == {None}


def test_the_reader_chooses_a_feature_map(browser, folder, report):
    browser.open(folder / "simulate.html")
    select = Select(browser.driver.find_element(By.CSS_SELECTOR, "#chart-feature_map select"))
    options = [option.text for option in select.options]
    assert options == ["network input (image)", *(layer.name for layer in report.layers)]

    def drawn():
        return browser.ask(
            "[...document.querySelectorAll('#chart-feature_map .mark-rect.role-mark path')]"
            ".map((bar) => bar.__data__.datum).map((row) => [row.map, row.from, row.density])"
        )

    # One whose format was not fitted, too.
    for name in ("flatten", "classifier"):
        before = drawn()
        select.select_by_visible_text(name)
        browser.settle("feature_map")
        assert drawn() != before
    assert browser.complaints() == []
    (row,) = [r for r in browser.rows("feature_map", "maps") if r["map"] == "classifier"]
    assert drawn() == [
        ["classifier", index * row["width"], density]
        for index, density in zip(row["bin"], row["density"], strict=True)
    ]


def test_a_comparison_has_the_differences_and_bands_of_its_file(browser, folder):
    browser.open(folder / "compare.html")
    metrics = json.loads((folder / "compare.json").read_text())["metrics"]
    assert browser.column("metrics", "metric") == [metric["key"] for metric in metrics]
    for key, field in (("value.1", "values"), ("delta.1", "deltas"), ("band.1", "delta_bands")):
        assert browser.column("metrics", key) == [metric[field][1] for metric in metrics]
    by_key = {metric["key"]: metric for metric in metrics}
    rows = browser.rows("deltas", "deltas")
    assert rows
    for row in rows:
        metric = by_key[row["metric"]]
        assert row["delta"] == metric["deltas"][1]
        assert [row["low"], row["high"]] == (metric["delta_bands"][1] or [None, None])
    energy = [row for row in rows if row["metric"] == "energy_uJ"]
    assert energy[0]["low"] < energy[0]["delta"] < energy[0]["high"]


def test_bars_of_a_comparison_sum_to_the_totals(browser, folder):
    browser.open(folder / "compare.html")
    reports = {name: read_report(folder / f"{name}.json") for name in ("edge", "tpu")}
    for name, one in reports.items():
        rows = [row for row in browser.rows("energy_by_component", "bars") if row["run"] == name]
        energy_uJ = sum(row["energy_uJ"] for row in rows)
        assert energy_uJ == pytest.approx(one.totals.energy_uJ, rel=1e-12)
        rows = [row for row in browser.rows("latency_by_cause", "bars") if row["run"] == name]
        latency_us = sum(row["latency_us"] for row in rows)
        assert latency_us == pytest.approx(one.totals.latency_us, rel=1e-12)
    assert compare_reports(list(reports.values()))[0].key == "latency_us"


def front_of(browser):
    """Values over both axes of the points that a page outlines."""
    points = browser.ask(
        "[...document.querySelectorAll('#chart-points .mark-symbol.role-mark path')]"
        ".map((point) => point.__data__.datum)"
        ".filter((row) => row.is_on_front).map((row) => [row.x, row.y])"
    )
    return sorted(map(tuple, points))


@pytest.mark.parametrize(
    ("x", "y", "is_high_better"),
    [
        ("energy_uJ", "sqnr_dB", (False, True)),
        ("latency_us", "area_mm2", (False, False)),
        ("frames_per_second", "TOPS_per_W", (True, True)),
    ],
)
def test_the_outlined_points_are_the_pareto_front_of_any_two_columns(
    browser, folder, x, y, is_high_better
):
    browser.open(folder / "report.html")
    for axis, column in (("x", x), ("y", y)):
        select = browser.driver.find_element(
            By.CSS_SELECTOR, f"#chart-points select[name={axis}_column]"
        )
        Select(select).select_by_visible_text(column)
    browser.settle("points")
    labels = browser.ask(
        "[...document.querySelectorAll('#chart-points select[name=x_column] option')]"
        ".map((option) => option.textContent)"
    )
    columns = (labels.index(x), labels.index(y))
    records = [
        {"network": row["network"], x: row["values"][columns[0]], y: row["values"][columns[1]]}
        for row in browser.rows("points", "points")
    ]
    assert len(records) == 12
    objectives = [
        Objective(column=column, is_high_better=is_high)
        for column, is_high in zip((x, y), is_high_better, strict=True)
    ]
    expected = sorted((record[x], record[y]) for record in pareto_front(records, objectives))
    assert front_of(browser) == expected
    assert 0 < len(expected) < len(records)


def test_points_without_a_better_end_have_no_front(browser, folder):
    browser.open(folder / "report.html")
    select = browser.driver.find_element(By.CSS_SELECTOR, "#chart-points select[name=x_column]")
    Select(select).select_by_visible_text("activation_bits")
    browser.settle("points")
    assert front_of(browser) == []
    assert browser.count_marks("points") >= 12
    assert browser.complaints() == []


def test_printed_charts_fit_the_paper(browser, folder):
    browser.open(folder / "simulate.html")
    try:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        browser.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 690, "height": 1000, "deviceScaleFactor": 1, "mobile": False},
        )
        widths = browser.ask(
            "[...document.querySelectorAll('figure svg.marks')].map(c => c.clientWidth)"
        )
        assert widths
        assert max(widths) <= 690
        assert browser.ask(
            "[...document.querySelectorAll('.inputs')].every(i => i.offsetParent === null)"
        )
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_slots_of_time_follow_one_another_below_the_peak(browser, folder):
    browser.open(folder / "simulate.html")
    rows = browser.rows("dram_bandwidth", "slots")
    (peak,) = browser.rows("dram_bandwidth", "peak")
    assert max(row["high"] for row in rows) <= peak["GBps"]
    read = [row for row in rows if row["direction"] == "read"]
    assert all(one["to"] <= other["from"] for one, other in pairwise(read))
