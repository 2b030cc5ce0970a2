"""Does ``widths`` give the trade-off, and does ``--rebuild`` build one chip per point?"""

import csv
import io
import json
import sys
from subprocess import run as start

import pytest

from accel_sim.cli.width_table import explain_bit
from accel_sim.report.facts import Datapath
from accel_sim.report.width_law import BitPrice

EDGE = "edge_16x16"
SCALED = (
    "--network", "net.onnx", "--calibration", "calibration.npz", "--images", "test.npz",
    "--scale", "1/16",
)  # fmt: skip


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_trade_off_is_one_table(run, tmp_path):
    outcome = run("widths", EDGE, "--bits", "8,4:5", "--limit-images", "40",
                  "--csv", "w.csv", "--json", "w.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert max(map(len, lines[:-1])) <= 100
    assert lines[0] == "digits on edge_16x16: weights and activations of as many bits"
    assert lines[1].startswith("fixed datapath: 8 x 8 bits, as built, ")
    assert lines[2] == "float network: 100.0 % top-1"
    assert [line.split()[0] for line in lines[6:9]] == ["4", "5", "8"]
    assert lines[-1].startswith("From 4 to 8 bits, each bit brings ")
    rows = read_csv(tmp_path / "w.csv")
    assert [row["bits"] for row in rows] == [row["input_bits"] for row in rows] == ["4", "5", "8"]
    sqnr = [float(row["fixed.sqnr_dB"]) for row in rows]
    assert sqnr == sorted(sqnr) == [float(row["rebuilt.sqnr_dB"]) for row in rows]
    for datapath, built in {"fixed": ["8", "8", "8"], "rebuilt": ["4", "5", "8"]}.items():
        energy = [float(row[f"{datapath}.energy_uJ"]) for row in rows]
        assert energy == sorted(energy)
        assert [row[f"{datapath}.built_weight_bits"] for row in rows] == built
        saved = [float(row[f"{datapath}.energy_saved_fraction"]) for row in rows]
        assert saved == pytest.approx([1 - each / energy[-1] for each in energy])
    file = json.loads((tmp_path / "w.json").read_text())
    assert [point["rebuilt"]["energy_uJ"] for point in file["points"]] == [
        float(row["rebuilt.energy_uJ"]) for row in rows
    ]
    assert file["per_bit"]["sqnr_dB"] == pytest.approx((sqnr[-1] - sqnr[0]) / 4)


def test_costs_alone_have_no_columns_of_values(run):
    outcome = run("widths", EDGE, "--no-values")
    assert (outcome.status, outcome.err) == (0, "")
    assert "SQNR" not in outcome.out
    assert "top-1" not in outcome.out
    rows = [line.split()[0] for line in outcome.out.splitlines()[5:-2]]
    assert rows == ["4", "5", "6", "7", "8"]  # up to what the machine is built for
    assert outcome.out.splitlines()[-1].startswith("From 4 to 8 bits, each bit costs ")


def test_rows_wider_than_the_machine_widen_the_fixed_datapath_and_keep_its_modes(run, tmp_path):
    outcome = run("widths", "fusion_16x16", "--no-values", "--bits", "4,9", "--input-bits", "10",
                  "--csv", "w.csv")  # fmt: skip
    assert outcome.out.splitlines()[1].startswith(
        "fixed datapath: 9 x 10 bits, widened to hold all rows, "
    )
    narrow, wide = read_csv(tmp_path / "w.csv")
    built = ("rebuilt.built_weight_bits", "rebuilt.built_activation_bits")
    assert [narrow[key] for key in built] == ["4", "10"]
    assert [wide[key] for key in built] == ["9", "10"]
    assert int(narrow["fixed.cycles"]) < int(narrow["rebuilt.cycles"])  # in a mode of 4 bits


def test_the_last_line_says_what_a_bit_brings_and_costs():
    def price(fixed, rebuilt, sqnr_dB):
        return BitPrice(
            from_bits=4,
            to_bits=8,
            sqnr_dB=sqnr_dB,
            dram_bytes={Datapath.FIXED: 2048.0, Datapath.REBUILT: rebuilt},
            energy_uJ={Datapath.FIXED: fixed, Datapath.REBUILT: 2e3},
            area_mm2={Datapath.FIXED: 0.0, Datapath.REBUILT: 0.125},
        )

    assert explain_bit(price(1.5, 2048.0, 5.96)) == (
        "From 4 to 8 bits, each bit brings 6.0 dB and costs 2.000 KiB of DRAM traffic; 1.500 uJ on "
        "the fixed datapath, 2.000 mJ and 0.1250 mm2 on the rebuilt one."
    )
    assert explain_bit(price(-1.5, -1024.0, None)) == (
        "From 4 to 8 bits, each bit costs 2.000 KiB of DRAM traffic (-1.000 KiB rebuilt); "
        "-1.500 uJ on the fixed datapath, 2.000 mJ and 0.1250 mm2 on the rebuilt one."
    )


def test_one_width_alone_has_no_price_of_a_bit(run):
    outcome = run("widths", EDGE, "--no-values", "--bits", "6")
    assert (outcome.status, outcome.err) == (0, "")
    assert "each bit" not in outcome.out
    assert outcome.out.splitlines()[-1].split()[0] == "6"


def test_a_network_from_a_file_runs_with_its_own_images(outside, run):
    outcome = run("widths", EDGE, *SCALED, "--bits", "6,8", "--csv", "w.csv")
    assert (outcome.status, outcome.err) == (0, "")
    assert len(read_csv(outside / "w.csv")) == 2


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"),
                                               ("html", b"<!DOCTYPE html>")])  # fmt: skip
def test_a_chart_has_the_form_of_its_ending(run, tmp_path, suffix, start):
    outcome = run("widths", EDGE, "--no-values", "--bits", "4,8", "--chart", f"w.{suffix}")
    assert (outcome.status, outcome.err) == (0, "")
    assert (tmp_path / f"w.{suffix}").read_bytes().startswith(start)


def test_without_a_chart_nothing_that_draws_is_imported():
    script = (
        "import sys\n"
        "from accel_sim.cli.main import main\n"
        f"assert main(['widths', '{EDGE}', '--no-values', '--bits', '8']) == 0\n"
        "assert not {'altair', 'vl_convert', 'narwhals'} & {*sys.modules}\n"
    )
    finished = start([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")


MISTAKES = [
    (
        ["widths", EDGE, "--bits", "8:4"],
        "--bits: '8:4' is not a list of widths from 2 to 16; write 4,6,8 or 4:8",
    ),
    (
        ["widths", EDGE, "--chart", "w.pdf"],
        "--chart: 'w.pdf' has another ending than .svg, .png and .html; use one",
    ),
    (["widths", EDGE, "--chart", "no/w.svg"], "--chart: folder 'no' does not exist; make it first"),
    (
        ["widths", "w.svg", "--chart", "w.svg"],
        "--chart: 'w.svg' is also an input; give another name",
    ),
    (
        ["widths", EDGE, "--csv", "w", "--json", "w"],
        "--json: 'w' is already written by --csv; give another name",
    ),
    (
        ["widths", EDGE, "--no-values", "--images", "x.npz"],
        "--images: has no use with --no-values; leave one of them out",
    ),
    (
        ["widths", EDGE, "--no-values", "--bits", "16", "--set", "precision.accumulator_bits=24"],
        "layer 'conv1': one product of 16-bit weights and 16-bit activations needs 32 bits, the "
        "accumulators of edge_16x16 have 24; --set precision.accumulator_bits=32 builds ones that "
        "hold it",
    ),
    (
        ["sweep", EDGE, "--rebuild", "--set", "precision.weight_bits=4"],
        "--set precision.weight_bits: is what --rebuild makes of the operands; "
        "leave one of them out",
    ),
    (
        ["sweep", EDGE, "--rebuild", "--set", "precision.modes=[]"],
        "--set precision.modes: is what --rebuild makes of the operands; leave one of them out",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(refuse, arguments, sentence):
    assert refuse(*arguments) == sentence


def test_a_network_of_given_formats_has_no_widths_to_trade(outside, run, refuse):
    run("quantize", "net.onnx", *SCALED[2:4], "--scale", "1/16", "-o", "net.q.onnx")
    assert refuse("widths", EDGE, "--network", "net.q.onnx", "--images", "test.npz") == (
        "net.q.onnx: has widths of its own; give the float network it was made from"
    )


def test_a_rebuilt_sweep_equals_the_machines_of_these_widths(run, tmp_path):
    outcome = run("sweep", EDGE, "--weight-bits", "4,9", "--activation-bits", "6", "--rebuild",
                  "--no-values", "-o", "rebuilt.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[0] == "digits on edge_16x16, 2 points, rebuilt datapath"
    run("sweep", EDGE, "--set", "precision.weight_bits=4,9", "--set",
        "precision.activation_bits=6", "--no-values", "-o", "set.csv")  # fmt: skip
    rebuilt, fixed = (read_csv(tmp_path / f"{name}.csv") for name in ("rebuilt", "set"))
    for row, other in zip(rebuilt, fixed, strict=True):
        assert (row.pop("datapath"), other["datapath"]) == ("rebuilt", "fixed")
        assert row == {key: other[key] for key in row}


def test_a_rebuilt_sweep_holds_the_input_and_the_operands_of_a_file(outside, run):
    run("quantize", "net.onnx", *SCALED[2:4], "--scale", "1/16", "--weight-bits", "3",
        "--activation-bits", "5", "--input-bits", "6", "-o", "net.q.onnx")  # fmt: skip
    outcome = run("sweep", EDGE, "--network", "net.q.onnx", "--images", "test.npz", "--scale",
                  "1/16", "--rebuild", "-o", "s.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    run("simulate", EDGE, "--network", "net.q.onnx", "--images", "test.npz", "--scale", "1/16",
        "--set", "precision.weight_bits=3", "--set", "precision.activation_bits=6",
        "--json", "n.json")  # fmt: skip
    totals = json.loads((outside / "n.json").read_text())["totals"]
    (row,) = read_csv(outside / "s.csv")
    assert float(row["energy_uJ"]) == totals["energy_uJ"]
    assert float(row["sqnr_dB"]) == totals["sqnr_dB"]


def test_a_rebuilt_machine_that_saturates_is_tuned_in_its_own_order(run, tmp_path):
    """Wider than the machine's own datapath, on which this network has no schedule."""
    outcome = run("sweep", EDGE, "--weight-bits", "9", "--rebuild", "--tune", "--tune-budget", "1",
                  "--limit-images", "2", "--set", "precision.accumulator_overflow=saturate",
                  "-o", "s.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    assert read_csv(tmp_path / "s.csv")[0]["datapath"] == "rebuilt"
