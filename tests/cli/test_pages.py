"""Do verbs write pages and charts whole, and refuse what is none?"""

import subprocess
import sys

import pytest

EDGE = "edge_16x16"
FEW = ("--limit-images", "2")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["simulate", EDGE, "--html", "page.pdf"],
            "--html: 'page.pdf' has another ending than .html; use that",
        ),
        (
            ["compare", EDGE, "tpu_256x256", "--html", "page"],
            "--html: 'page' has another ending than .html; use that",
        ),
        (
            ["simulate", EDGE, "--html", "no/page.html"],
            "--html: folder 'no' does not exist; make it first",
        ),
        (
            ["simulate", EDGE, "--html", "page.html", "--json", "page.html"],
            "--html: 'page.html' is already written by --json; give another name",
        ),
        (
            ["simulate", EDGE, "--charts", "no/charts"],
            "--charts: folder 'no' does not exist; make it first",
        ),
    ],
)
def test_a_mistake_is_one_sentence(refuse, arguments, sentence):
    assert refuse(*arguments) == sentence


def test_charts_never_go_where_something_is(refuse, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.svg").write_text("mine")
    assert refuse("simulate", EDGE, "--charts", "full") == (
        "--charts: folder 'full' is not empty; give the name of a new one"
    )
    (tmp_path / "file").write_text("mine")
    assert refuse("simulate", EDGE, "--charts", "file") == (
        "--charts: 'file' is no folder; give the name of a new one"
    )


@pytest.mark.parametrize("option", ["--html", "--charts"])
def test_there_is_no_page_of_no_points(run, refuse, option):
    run("sweep", EDGE, "--no-values", "-o", "r.db")
    name = "p.html" if option == "--html" else "charts"
    assert refuse("report", "r.db", "--where", "latency_us<0", option, name) == (
        f"{option}: r.db holds no such point; leave it out"
    )


def test_a_page_changes_nothing_that_is_printed(run, tmp_path):
    plain = run("simulate", EDGE, *FEW)
    with_page = run("simulate", EDGE, *FEW, "--html", "page.html")
    assert (with_page.status, with_page.err) == (0, "")
    assert with_page.out == plain.out
    assert (tmp_path / "page.html").read_bytes().startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_charts_of_a_run_are_files_of_their_own(run, tmp_path, kind, start):
    outcome = run("simulate", EDGE, *FEW, "--charts", "charts", "--chart-format", kind)
    assert (outcome.status, outcome.err) == (0, "")
    files = sorted((tmp_path / "charts").iterdir())
    names = {file.name for file in files}
    assert {f"{name}.{kind}" for name in (
        "energy_by_component", "cycles_by_cause", "dram_traffic", "roofline", "dram_bandwidth",
        "sqnr", "feature_map_00_network_input_image", "feature_map_01_conv1",
        "feature_map_15_classifier",
    )} <= names  # fmt: skip
    assert len(names) == 6 + 16
    assert [file.name for file in files if not file.read_bytes().startswith(start)] == []


def test_charts_of_points_and_of_a_comparison(run, tmp_path):
    run("sweep", EDGE, "--no-values", "--weight-bits", "4,8", "-o", "r.db")
    assert run("report", "r.db", "--charts", "points").status == 0
    assert [file.name for file in (tmp_path / "points").iterdir()] == ["points.svg"]
    assert run("compare", EDGE, "tpu_256x256", "--no-values", "--charts", "both").status == 0
    assert {file.name for file in (tmp_path / "both").iterdir()} == {
        "deltas.svg", "energy_by_component.svg", "latency_by_cause.svg", "dram_traffic.svg",
    }  # fmt: skip


def test_a_single_point_has_a_page(run, tmp_path):
    run("sweep", EDGE, "--no-values", "-o", "r.db")
    outcome = run("report", "r.db", "--html", "p.html")
    assert (outcome.status, outcome.err) == (0, "")
    assert "1 point of r.db" in (tmp_path / "p.html").read_text()


def test_failed_points_have_a_page(run, tmp_path):
    run("sweep", EDGE, "--no-values", "--set", "buffers.weights.capacity_KiB=0.03125,64", "-o",
        "r.db")  # fmt: skip
    outcome = run("report", "r.db", "--failed", "--html", "p.html")
    assert (outcome.status, outcome.err) == (0, "")
    assert "1 point of r.db" in (tmp_path / "p.html").read_text()


def test_without_a_page_nothing_that_draws_is_imported(tmp_path):
    script = (
        "import sys\n"
        "from accel_sim.cli.main import main\n"
        f"assert main(['simulate', '{EDGE}', '--no-values']) == 0\n"
        "assert not {'altair', 'vl_convert', 'narwhals', 'jinja2'} & {*sys.modules}\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (finished.returncode, finished.stderr) == (0, "")
