"""Is a sweep the product of machines, networks, methods, files and values, each once?"""

import csv
import io
import json
import shutil
from itertools import takewhile

import numpy as np
import pytest

from accel_sim.cli import console
from accel_sim.cli.sweep_axes import expand_names, parse_changes, parse_names

EDGE = "edge_16x16"
COSTS = ("sweep", EDGE, "--no-values")
OUTSIDE = ("--calibration", "calibration.npz", "--images", "test.npz", "--scale", "1/16")


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.fixture
def files(outside):
    """Two bits files, and a folder of two networks that are the same but for their names."""
    (outside / "bits_a.json").write_text('{"conv1": 6}')
    (outside / "bits_b.json").write_text('{"conv1": 4}')
    (outside / "nets").mkdir()
    for name in ("one", "two"):
        shutil.copy(outside / "net.onnx", outside / "nets" / f"{name}.onnx")
    return outside


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4:8", ("4", "5", "6", "7", "8")),
        ("8:64:8", ("8", "16", "24", "32", "40", "48", "56", "64")),
        ("8:63:x2", ("8", "16", "32")),
        ("1,4:5, 8:16:x2", ("1", "4", "5", "8", "16")),
        ("7:7", ("7",)),
        ("[4:8],{a: 4:8},-1:4,1.5:2,a:b", ("[4:8]", "{a: 4:8}", "-1:4", "1.5:2", "a:b")),
    ],
)
def test_ranges_hold_both_ends_and_step_by_sums_or_products(text, values):
    assert parse_changes([f"k={text}"]) == {"k": values}


def test_a_pattern_stands_for_names_or_else_for_files_and_all_are_given_once(files, monkeypatch):
    monkeypatch.chdir(files)
    (files / "[x].json").write_text("{}")
    (files / "bits_folder.json").mkdir()
    known = ("two", "onnx", "one")
    assert expand_names("", ["o*", "two", "one"], known) == ("one", "onnx", "two")
    assert expand_names("", ["nets/*.onnx", "nets/one.onnx"], known) == (
        "nets/one.onnx",
        "nets/two.onnx",
    )
    assert expand_names("", ["[x].json", "bits_?.json", "bits_[ab]*"]) == (
        "[x].json",
        "bits_a.json",
        "bits_b.json",
    )


def test_names_are_a_list_of_which_each_counts_once():
    assert parse_names("--method", None, "a,b") == (None,)
    assert parse_names("--method", "ggd, min_max,ggd", "a,b") == ("ggd", "min_max")


def test_a_sweep_runs_every_network_on_every_machine(run, tmp_path):
    outcome = run("sweep", "edge_*", "iot_8x8", "--network", "mobilenet*", "--network", "digits",
                  "--no-values", "--set", "clock_MHz=100:200:100", "-o", "s.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    networks = ("mobilenet_v1", "mobilenet_v2", "digits")
    expected = [
        (machine, network, clock)
        for machine in (EDGE, "iot_8x8")
        for network in networks
        for clock in ("100", "200")
    ]
    lines = outcome.out.splitlines()
    assert lines[0] == "3 networks on 2 machines, 12 points, fixed datapath"
    assert lines[2].split()[:3] == ["machine", "network", "clock_MHz"]
    assert [tuple(line.split()[:3]) for line in lines[3:]] == expected
    found = read_csv(tmp_path / "s.csv")
    assert [(row["hardware"], row["network"], row["clock_MHz"]) for row in found] == expected
    run(*COSTS, "--network", "mobilenet_v2", "--set", "clock_MHz=200", "-o", "one.csv")
    (alone,) = read_csv(tmp_path / "one.csv")
    assert found[3] == alone


def test_images_are_for_all_networks_and_equal_names_become_paths(run, files):
    outcome = run("sweep", EDGE, "--network", "nets/*.onnx", "--network", "net.onnx", *OUTSIDE,
                  "--weight-bits", "8", "-o", "s.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    rows = read_csv(files / "s.csv")
    assert [row["network"] for row in rows] == ["one", "two", "net"]
    assert len({row["sqnr_dB"] for row in rows}) == 1
    shutil.copy(files / "nets" / "one.onnx", files / "one.onnx")
    outcome = run("sweep", EDGE, "--network", "one.onnx", "--network", "nets/*", *OUTSIDE,
                  "-o", "s.csv")  # fmt: skip
    assert [row["network"] for row in read_csv(files / "s.csv")] == [
        "one.onnx",
        "nets/one.onnx",
        "two",
    ]


def test_methods_estimators_and_bits_files_are_axes(run, files):
    """Only methods that fit a distribution have an estimator."""
    command = ("sweep", EDGE, "--network", "net.onnx", *OUTSIDE, "--method", "ggd,min_max",
               "--estimator", "moments,log_cumulants", "--bits", "bits_*.json")  # fmt: skip
    outcome = run(*command, "-o", "s.csv")
    assert (outcome.status, outcome.err) == (0, "")
    rows = read_csv(files / "s.csv")
    expected = [
        (method, estimator, file)
        for method, estimator in (("ggd", "moments"), ("ggd", "log_cumulants"), ("min_max", ""))
        for file in ("bits_a.json", "bits_b.json")
    ]
    assert [(row["method"], row["estimator"], row["bits_file"]) for row in rows] == expected
    for row, (method, estimator, file) in zip(rows, expected, strict=True):
        choice = ("--estimator", estimator) if estimator else ()
        run("simulate", EDGE, *command[2:10], "--method", method, *choice, "--bits", file,
            "--json", "r.json")  # fmt: skip
        report = json.loads((files / "r.json").read_text())
        assert report["quantization"]["method"] == method
        assert float(row["sqnr_dB"]) == report["totals"]["sqnr_dB"]
        assert float(row["energy_uJ"]) == report["totals"]["energy_uJ"]


def test_report_shows_and_filters_methods_and_bits_files(run, files):
    run("sweep", EDGE, "--network", "net.onnx", *OUTSIDE, "--method", "ggd,min_max",
        "--bits", "bits_b.json", "--bits", "bits_a.json", "-o", "R.db")  # fmt: skip
    outcome = run("report", "R.db", "--where", "method=min_max")
    lines = outcome.out.splitlines()
    assert lines[:2] == ["R.db: 4 points", "2 of 4 shown"]
    assert lines[3].split()[0] == "bits"
    assert [line.split()[:2] for line in lines[5:7]] == [
        [EDGE, "bits_a.json"],
        [EDGE, "bits_b.json"],
    ]
    outcome = run("report", "R.db", "--where", "bits_file=bits_a.json")
    assert [line.split()[:2] for line in outcome.out.splitlines()[5:7]] == [
        [EDGE, "ggd"],
        [EDGE, "min_max"],
    ]


def test_report_lists_points_in_an_order_of_its_own(run):
    for rows in ("16", "8", "128", "32"):
        for machine in ("iot_8x8", EDGE):
            run("sweep", machine, "--no-values", "--set", f"mac_array.rows={rows}",
                "--network", "digits", "--network", "alexnet", "-o", "R.db")  # fmt: skip
    lines = run("report", "R.db", "--columns", "hardware,network,mac_array.rows").out.splitlines()
    assert [line.split() for line in lines[-16:]] == [
        [machine, network, rows]
        for machine in (EDGE, "iot_8x8")
        for network in ("alexnet", "digits")
        for rows in ("8", "16", "32", "128")
    ]
    sorted_again = run("report", "R.db", "--columns", "mac_array.rows", "--sort", "-mac_array.rows")
    assert sorted_again.out.splitlines()[-1] == "   8"


LONG = ",".join(
    f"{{model: device, device: LPDDR4-3200, channels: {channels}, address_map: row_linear, "
    "max_outstanding_reads: 16, packing: dense}"
    for channels in (1, 2)
)


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_long_values_give_way_and_numbers_are_never_cut(run, monkeypatch, columns):
    monkeypatch.setattr(console, "PIPE_COLUMNS", columns)
    outcome = run(*COSTS[:2], "--limit-images", "2", "--set", f"dram={LONG}")
    lines = outcome.out.splitlines()
    assert max(map(len, lines[:5])) <= columns
    points = list(takewhile(str, lines[2:]))[-2:]
    one, two = (line.split("   8 ")[0] for line in points)
    assert one != two, "what differs is shown"
    numbers = [line.split("…")[-1] for line in points]
    assert all("…" not in text for text in numbers)
    # In 80 columns, headings of two lines leave room for all.
    assert ("No room for" in lines[-1]) == (columns < 80)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["zz*"], "zz*: matches no file and no shipped machine; accel-sim list machines shows "
         "those"),
        ([EDGE, "--network", "nets/*.x"], "--network nets/*.x: matches no file and no built-in "
         "network; accel-sim list networks shows those"),
        ([EDGE, "--bits", "c*.json"], "--bits c*.json: matches no file"),
        ([EDGE, "--set", "mac_array.rows="], "--set mac_array.rows=: is not KEY=V1,V2; write it "
         "as in mac_array.rows=8,16"),
        ([EDGE, "--set", "mac_array.rows=32:4"], "--set mac_array.rows=32:4: 32:4 is empty; write "
         "the lower end first"),
        ([EDGE, "--set", "mac_array.rows=4:32:0"], "--set mac_array.rows=4:32:0: 4:32:0 never "
         "ends; write it as in 4:32, 8:64:8 (steps of 8) or 8:64:x2"),
        ([EDGE, "--set", "mac_array.rows=4:32:x1"], "--set mac_array.rows=4:32:x1: 4:32:x1 never "
         "ends; write it as in 4:32, 8:64:8 (steps of 8) or 8:64:x2"),
        ([EDGE, "--set", "mac_array.rows=0:32:x2"], "--set mac_array.rows=0:32:x2: 0:32:x2 never "
         "ends; write it as in 4:32, 8:64:8 (steps of 8) or 8:64:x2"),
        ([EDGE, "--set", "mac_array.rows=1:10001"], "--set mac_array.rows=1:10001: 1:10001 has "
         "over 10,000 values; take larger steps"),
        ([EDGE, "--method", "ggd,"], "--method: 'ggd,' is not a list of names; write it as in "
         "ggd,min_max"),
        ([EDGE, "--method", "ggd,best"], "--method: unknown method 'best'; give a name of: "
         "accel-sim list methods"),
        ([EDGE, "--estimator", "moment"], "--estimator: 'moment' is not one of 'moments', "
         "'maximum_likelihood', 'log_cumulants'"),
        ([EDGE, "--method", "octav", "--estimator", "moments,log_cumulants"], "--estimator: has "
         "no use with --method octav, which fits no distribution; leave one of them out"),
        ([EDGE, "--network", "resnet18", "--no-values", "--method", "ggd,min_max"], "--method: no "
         "format of resnet18 is chosen, by whichever method; give one, or --calibration"),
        ([EDGE, "--network", "digits", "--network", "net.onnx", *OUTSIDE, "--input-shape",
          "1,8,8"], "--input-shape: the shapes of digits are fixed; leave it out"),
        ([EDGE, "--network", "net.onnx", "--network", "nets/*", "--no-values", "--mean", "3"],
         "--mean with --network net.onnx: there are no images to apply it to; leave it out"),
    ],
)  # fmt: skip
def test_what_makes_no_axis_is_one_sentence(refuse, files, arguments, sentence):
    assert refuse("sweep", *arguments) == sentence


def test_images_without_labels_are_judged_by_the_float_network(run, outside):
    with np.load(outside / "test.npz") as archive:
        np.savez(outside / "plain.npz", images=archive["images"])
    command = ("sweep", "edge_16x16", "--network", "net.onnx", "--calibration", "calibration.npz")
    labelled, plain = (
        run(*command, "--images", name).out.splitlines()[2] for name in ("test.npz", "plain.npz")
    )
    assert "top-1  float" in labelled
    assert "as float" not in labelled
    assert "as float" in plain
    assert "top-1" not in plain
