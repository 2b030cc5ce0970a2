"""Is a page one file that fetches nothing, and harmless whatever names it shows?"""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from accel_sim.report.page.page import json_inside_html, page_bytes
from accel_sim.report.page.points_page import make_points_page
from accel_sim.report.page.run_page import make_run_page
from tests.report.pages import (
    HOSTILE,
    HOSTILE_PAGES,
    hostile_run_page,
    make_bandwidth,
    make_histogram,
)
from tests.report.sample import with_values, without_values

SCRIPT = re.compile("<script([^>]*)>(.*?)</script>", re.DOTALL)
MEBIBYTE = 1 << 20
SIMULATE_LIMIT, SWEEP_LIMIT = 2 * MEBIBYTE, 4 * MEBIBYTE


@pytest.fixture(scope="module", params=list(HOSTILE_PAGES))
def hostile(request):
    return page_bytes(HOSTILE_PAGES[request.param]()).decode()


def test_a_page_refers_to_nothing_outside(hostile):
    around_scripts = SCRIPT.sub("", hostile)
    assert re.findall(r"\bsrc=|\bhref=|//|url\(|@import", around_scripts) == []


def test_a_page_lets_no_script_run_but_its_own(hostile):
    scripts = [text for kind, text in SCRIPT.findall(hostile) if not kind]
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts
    ]
    assert len(scripts) == 2
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', hostile)
    assert "default-src 'none'" in policy
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert policy.endswith(f"script-src {allowed}")


def test_a_name_cannot_leave_what_it_stands_in(hostile):
    # Two scripts, and two blocks of JSON.
    assert hostile.count("<script") == hostile.count("</script") == 4
    assert f"{html.escape(HOSTILE)}" in hostile


def test_the_library_that_draws_is_there_once(hostile):
    assert hostile.count("vegaEmbed=") + hostile.count("vegaEmbed =") == 1


def test_specifications_are_json_that_holds_the_names(hostile):
    (written,) = re.findall('<script type="application/json" id="drawings">(.*?)</script>', hostile)
    assert HOSTILE in json.dumps(json.loads(written), ensure_ascii=False)
    assert set("<>&\u2028\u2029").isdisjoint(written)


def test_json_inside_html_is_the_same_json():
    content = {"a": "<&>\u2028\u2029é\\u003c", "b": [1, 2.5, None, True]}
    written = json_inside_html(content)
    assert json.loads(written) == content
    assert set("<>&\u2028\u2029").isdisjoint(written)


def test_the_same_report_gives_the_same_bytes():
    assert page_bytes(hostile_run_page()) == page_bytes(hostile_run_page())


def test_a_run_without_values_has_no_page_of_them():
    report = without_values().to_document()
    page = make_run_page(report, (), make_bandwidth(report))
    assert {chart.name for chart in page.charts} == {
        "energy_by_component",
        "cycles_by_cause",
        "dram_traffic",
        "roofline",
        "dram_bandwidth",
    }
    assert [figure.what for figure in page.figures if figure.what in ("SQNR", "Top-1")] == []
    assert page.why == ""


def test_the_why_line_and_the_headline_are_those_of_the_report():
    report = with_values().to_document()
    page = make_run_page(report, (), make_bandwidth(report))
    assert page.why == (
        "Bound by waiting for DRAM (ifm), 23 % of all cycles; dram.bandwidth_GBps=20 (twice) "
        "would bring 20.0 % less time."
    )
    shown = {figure.what: figure.words for figure in page.figures}
    assert shown["Latency per batch of 2"] == "6.000 us"
    assert shown["SQNR"] == "30.2 dB"
    assert shown["Top-1"] == "50.0 %"


def test_a_large_run_stays_below_two_mebibytes():
    report = with_values()
    first = report.layers[0]
    names = [f"model/block_{number}/separable_convolution/Conv2D" for number in range(200)]
    layers = tuple(replace(first, performance=replace(first.performance, name=name))
                   for name in names)  # fmt: skip
    document = replace(report, layers=layers).to_document()
    # As many bins and points as there can be, with all of their figures.
    rising = np.linspace(0.01, 0.5, 48) / 3
    full = replace(
        make_histogram(HOSTILE),
        width=2.0**-10,
        first=-48,
        densities=np.linspace(1, 2, 96) / 3,
        curves=(np.stack((rising, rising)), np.stack((-rising, rising))),
    )
    maps = tuple(replace(full, layer=name) for name in names)
    assert len(page_bytes(make_run_page(document, maps, make_bandwidth(document)))) < SIMULATE_LIMIT


def test_a_sweep_of_a_thousand_points_stays_below_four_mebibytes():
    totals = with_values().to_document().totals.model_dump(mode="json")
    numbers = {key: value for key, value in totals.items() if isinstance(value, float)}
    records = [
        {
            "hardware": "edge_16x16",
            "network": "a network with a name of usual length",
            # As many columns as a results file has, with all of their figures.
            **{f"{key}.{part}": value * (1 + number / 7919) for part in "abcd"
               for key, value in numbers.items()},
            "energy_uJ": number / 7,
            "sqnr_dB": number / 11,
        }
        for number in range(1000)
    ]  # fmt: skip
    shown = list(records[0])[:12]
    page = make_points_page("r.db", records, shown=shown, told_by=[shown[2]], axes=[])
    assert len(records[0]) > 100
    assert 2 * MEBIBYTE < len(page_bytes(page)) < SWEEP_LIMIT
