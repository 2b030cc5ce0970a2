"""Does a dry run show what a sweep would do, and leave no trace?"""

import re

import pytest

from accel_sim.cli.dry_run import _format_duration

EDGE = "edge_16x16"
WIDTHS = ("sweep", EDGE, "--weight-bits", "4,6,8", "--limit-images", "7")
ESTIMATE = re.compile(
    r"About [0-9.]+ (s|min) (in this process|on [0-9]+ processes|of one processor like this, "
    r"for the workers of the cluster to share): an estimate, from a few images and points of each "
    r"network, timed just now"
)


@pytest.fixture
def cache(monkeypatch, tmp_path_factory):
    """Another folder for exact runs than that of other tests."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def test_a_dry_run_shows_the_points_and_an_estimate_and_writes_nothing(run, tmp_path, cache):
    outcome = run(*WIDTHS, "--set", "mac_array.rows=8,16", "-o", "R.db", "--dry-run")
    assert (outcome.status, outcome.err) == (0, "")
    *lines, estimate = outcome.out.splitlines()
    assert lines == [
        "digits on edge_16x16, 6 points, fixed datapath",
        "",
        "rows weights activations",
        "   8       4           8",
        "   8       6           8",
        "   8       8           8",
        "  16       4           8",
        "  16       6           8",
        "  16       8           8",
        "",
        "R.db: 0 of 6 points there",
        "To do: 3 exact runs, 6 simulations",
    ]
    assert ESTIMATE.fullmatch(estimate)
    assert list(tmp_path.iterdir()) == []
    assert list(cache.rglob("exact/*/*")) == []


def test_a_dry_run_knows_what_is_in_the_file_and_in_the_cache(run, tmp_path, cache):
    run(*WIDTHS, "-o", "R.db")
    before = (tmp_path / "R.db").read_bytes()
    lines = run(*WIDTHS, "-o", "R.db", "--dry-run").out.splitlines()
    assert lines[3].split() == ["4", "8", "there"]
    assert lines[-2:] == ["R.db: 3 of 3 points there", "To do: 0 exact runs, 0 simulations"]
    more = run(*WIDTHS, "--set", "mac_array.rows=8,16", "-o", "R.db", "--dry-run")
    lines = more.out.splitlines()
    assert lines[3].split() == ["8", "4", "8"]
    assert lines[6].split() == ["16", "4", "8", "there"]
    assert lines[-3:-1] == ["R.db: 3 of 6 points there", "To do: 0 exact runs, 3 simulations"]
    assert (tmp_path / "R.db").read_bytes() == before


def test_machines_that_saturate_may_share_more_than_is_known(run, cache):
    outcome = run(*WIDTHS[:2], "--limit-images", "2", "--set", "mac_array.rows=8,16", "--set",
                  "precision.accumulator_overflow=saturate", "--dry-run")  # fmt: skip
    assert outcome.out.splitlines()[-2] == "To do: at most 2 exact runs, 2 simulations"


def test_the_first_thirty_points_stand_for_all(run):
    outcome = run("sweep", EDGE, "--no-values", "--set", "clock_MHz=100:133", "--network",
                  "resnet18", "--dry-run", "--workers", "3")  # fmt: skip
    lines = outcome.out.splitlines()
    assert lines[32].split()[0] == "129"
    assert lines[33] == "and 4 more"
    assert lines[-2] == "To do: 0 exact runs, 34 simulations"
    assert "on 3 processes" in lines[-1]


def test_a_cluster_is_not_asked_and_shares_the_time_of_one_processor(run):
    outcome = run("sweep", EDGE, "--no-values", "--scheduler", "tcp://nowhere:1", "--dry-run")
    assert (outcome.status, outcome.err) == (0, "")
    estimate = outcome.out.splitlines()[-1]
    assert ESTIMATE.fullmatch(estimate)
    assert " of one processor like this, for the workers of the cluster to share: " in estimate


def test_points_that_would_fail_are_told_with_their_errors(run, tmp_path):
    points = ("--no-values", "--weight-bits", "8,9", "--set", "mac_array.rows=0,8")
    outcome = run("sweep", EDGE, *points, "-o", "R.db", "--dry-run")
    assert (outcome.status, outcome.err) == (2, "R.db: 3 of 4 points would fail\n")
    lines = outcome.out.splitlines()
    assert [line.split()[-1] for line in lines[3:7]] == ["fails", "fails", "8", "fails"]
    assert lines[-3:] == [
        "",
        "2 points fail: --set mac_array.rows=0: mac_array.rows: expected at least 1, got 0",
        "1 point fails: layer 'conv1': its weights have 9 bits, the datapath of edge_16x16 8; "
        "--set precision.weight_bits=9 builds one that holds them",
    ]
    assert list(tmp_path.iterdir()) == []
    real = run("sweep", EDGE, *points, "-o", "R.db")
    assert real.err == "R.db: 3 of 4 points failed; accel-sim report R.db --failed says why\n"


def test_a_point_that_fails_only_when_it_runs_is_found_by_timing(run, tmp_path):
    # One filter of 51 x 51 taps is more than half of 4 KiB.
    (tmp_path / "n.csv").write_text(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
        "Num Filter, Strides,\nlarge, 60, 60, 51, 51, 1, 1, 1,\n"
    )
    points = ("sweep", EDGE, "--network", "n.csv", "--no-values", "--set",
              "buffers.weights.capacity_KiB=4,64", "-o", "R.db")  # fmt: skip
    planned, real = run(*points, "--dry-run"), run(*points)
    assert planned.out.splitlines()[3].split()[-1] == "fails"
    assert planned.out.splitlines()[-4] == "To do: 0 exact runs, 1 simulation"
    assert (planned.status, real.status) == (2, 2)
    assert planned.err == "R.db: 1 of 2 points would fail\n"
    assert real.err == "R.db: 1 of 2 points failed; accel-sim report R.db --failed says why\n"
    planned, real = run(*points[:-2], "--dry-run"), run(*points[:-2])
    assert (planned.status, planned.out, planned.err) == (real.status, real.out, real.err)
    assert planned.err.startswith("layer 'large': the smallest tile needs 2601 bytes of weights")


def test_without_a_results_file_the_first_failure_is_the_answer(refuse):
    arguments = ("sweep", EDGE, "--no-values", "--set", "mac_array.rows=0,8")
    sentence = "--set mac_array.rows=0: mac_array.rows: expected at least 1, got 0"
    assert refuse(*arguments) == refuse(*arguments, "--dry-run") == sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0.1 s"), (9.94, "9.9 s"), (9.96, "10 s"), (99.9, "100 s"), (100.0, "1.7 min"),
     (5_999.0, "100 min"), (6_000.0, "1.7 h"), (359_000.0, "100 h"), (864_000.0, "10 days")],
)  # fmt: skip
def test_a_duration_has_the_figures_of_an_estimate(seconds, words):
    assert _format_duration(seconds) == words
