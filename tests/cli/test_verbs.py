"""Do the verbs print and write what they promise?"""

import csv
import io
import json
import shlex

import jsonschema
import numpy as np
import onnx
import pytest

from accel_sim.builtin import find_builtin
from accel_sim.cli.inputs import parse_numbers, parse_shape
from accel_sim.cli.sweep_axes import parse_changes, parse_widths
from accel_sim.functional import ExactNetwork
from accel_sim.hardware.load import load_hardware, shipped_machines
from accel_sim.report.as_json import report_schema
from accel_sim.simulation import choose_bits
from quantizer.network.images import Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from tests.network.onnx_models import model, node

EDGE = "edge_16x16"
OUTSIDE = ("--network", "net.onnx", "--calibration", "calibration.npz", "--images", "test.npz")
SCALED = (*OUTSIDE, "--scale", "1/16")


def without_run(path):
    content = json.loads(path.read_text())
    del content["run"]
    return content


def test_without_arguments_the_built_in_network_runs(run, tmp_path):
    outcome = run("simulate", EDGE, "--limit-images", "20", "--json", "r.json", "--csv", "r.csv")
    assert (outcome.status, outcome.err) == (0, "")
    report = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(report, report_schema())
    assert report["network"]["name"] == "digits"
    assert report["images"]["source"] == "digits (test)"
    assert report["totals"]["images"] == 20
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text())))
    assert [row["name"] for row in rows] == [layer["name"] for layer in report["layers"]]
    for layer in report["layers"]:
        assert layer["name"] in outcome.out
    assert "Bound by " in outcome.out
    assert outcome.out.count("\n  accel-sim ") == 3


def test_a_folder_of_the_same_name_does_not_hide_the_built_in_network(run, tmp_path):
    (tmp_path / "digits").mkdir()
    outcome = run("simulate", EDGE, "--limit-images", "2")
    assert (outcome.status, outcome.err) == (0, "")


def test_a_second_run_writes_the_same_bytes_but_for_the_run(run, outside):
    for name in ("a", "b"):
        run("simulate", EDGE, *SCALED, "--json", f"{name}.json",
            "--csv", f"{name}.csv", "--save-tensors", f"{name}.npz")  # fmt: skip
    assert without_run(outside / "a.json") == without_run(outside / "b.json")
    assert (outside / "a.csv").read_bytes() == (outside / "b.csv").read_bytes()
    assert (outside / "a.npz").read_bytes() == (outside / "b.npz").read_bytes()


def test_an_onnx_file_runs_with_its_own_images(outside, run):
    outcome = run("simulate", EDGE, *SCALED, "--json", "r.json")
    assert outcome.status == 0
    assert "6 images of test.npz: (x - 0) * 0.0625, nhwc" in outcome.out
    report = json.loads((outside / "r.json").read_text())
    assert report["images"] == {
        "source": "test.npz", "count": 6, "mean": [0.0], "scale": [0.0625], "layout": "nhwc",
    }  # fmt: skip
    assert report["totals"]["top1_accuracy_fraction"] is not None


def test_without_images_the_values_are_those_of_the_calibration_images(outside, run):
    outcome = run("simulate", EDGE, *SCALED[:4], "--scale", "1/16")
    assert outcome.status == 0
    assert "12 images of calibration.npz" in outcome.out
    assert "(no labels)" in outcome.out


def test_costs_alone_need_no_images(outside, run):
    outcome = run("simulate", EDGE, "--network", "net.onnx", "--no-values", "--json", "r.json")
    assert outcome.status == 0
    report = json.loads((outside / "r.json").read_text())
    assert report["images"] is None
    assert report["totals"]["sqnr_dB"] is None
    assert report["totals"]["energy_uJ"] > 0
    assert report["layers"][0]["ofm_frac_bits"] is None


def test_costs_alone_of_the_built_in_network_still_name_its_formats(run, tmp_path):
    run("simulate", EDGE, "--no-values", "--json", "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    assert all(layer["ofm_frac_bits"] is not None for layer in report["layers"])
    assert report["totals"]["images"] == 0


@pytest.mark.parametrize("extra", [(), ("--no-values",)])
def test_the_next_commands_run_as_pasted(outside, run, extra):
    nodes = [node("Conv", ["x", "w"], "c"), node("Flatten", ["c"], "y")]
    small = model(nodes, {"w": np.ones((4, 1, 3, 3))}, input_dims=("N", 1, 8, 8))
    onnx.save(small, outside / "my net.onnx")
    images = SCALED[2:] if not extra else ()
    first = run("simulate", EDGE, "--network", "my net.onnx", *images, *extra)
    assert first.status == 0
    commands = [
        shlex.split(line) for line in first.out.splitlines() if line.startswith("  accel-sim ")
    ]
    assert len(commands) == 3
    assert {command[1] for command in commands} == {"sweep", "simulate", "compare"}
    for command in commands:
        assert "my net.onnx" in command
        outcome = run(*command[1:])
        assert (outcome.status, outcome.err) == (0, "")


def test_saved_tensors_are_the_integers_of_the_exact_run(outside, run):
    run("simulate", EDGE, *SCALED, "--save-tensors", "t.npz")
    network = load_onnx(outside / "net.onnx")
    shape = network.shapes[network.input]
    preprocessing = Preprocessing(scale=(1 / 16,))
    test, calibration = (
        load_images(outside / name, shape=shape, preprocessing=preprocessing)
        for name in ("test.npz", "calibration.npz")
    )
    quantized = quantize(network, calibration, choose_bits(load_hardware(EDGE)))
    exact = ExactNetwork(quantized)
    with np.load(outside / "t.npz", allow_pickle=False) as saved:
        assert set(saved) == {*quantized.formats, "formats"}
        for index in range(len(test)):
            for name, raw in exact.run(test.real(index)).tensors.items():
                assert (saved[name][index] == raw).all()
        formats = json.loads(str(saved["formats"]))
        for name, fmt in quantized.formats.items():
            expected = {"bits": fmt.bits, "frac_bits": fmt.frac_bits, "signed": fmt.signed}
            assert formats[name] == expected
            assert saved[name].dtype == np.dtype("int8" if fmt.signed else "uint8")
        assert set(network.constants) <= set(formats)


def test_written_formats_are_obeyed_and_make_calibration_needless(outside, run):
    assert run("quantize", "net.onnx", *SCALED[2:4], "--scale", "1/16",
               "--write-formats", "f.json").status == 0  # fmt: skip
    run("simulate", EDGE, *SCALED, "--json", "a.json")
    given = run("simulate", EDGE, "--network", "net.onnx", "--images", "test.npz",
                "--scale", "1/16", "--formats", "f.json", "--json", "b.json")  # fmt: skip
    assert given.status == 0
    assert without_run(outside / "a.json") == without_run(outside / "b.json")


def test_quantize_shows_every_tensor(run):
    outcome = run("quantize", "digits", "--weight-bits", "4", "--activation-bits", "6")
    assert outcome.status == 0
    network = load_onnx(find_builtin("digits").onnx_path)
    # The shapes of a second sign stand on a line of their own.
    lines = [line for line in outcome.out.splitlines()[1:] if not line.startswith(" ")]
    shown = {line.split()[0]: line.split() for line in lines}
    assert set(shown) == {*network.shapes, *network.constants}
    convolution = network.layers[0]
    for name, layer, kind, start in (
        (network.input, "-", "input", "u8f"),
        (convolution.weights, convolution.name, "weights", "s4f"),
        (convolution.bias, convolution.name, "bias", "s16f"),
        (convolution.ofm, convolution.name, "map", "u6f"),
    ):
        assert shown[name][1:3] == [layer, kind]
        assert shown[name][3].startswith(start)
    # A map that decides on a format says why: two shapes, a step, the predicted SQNR.
    *shapes, step, sqnr, unit = shown[convolution.ofm][4:]
    assert (len(shapes), unit) == (2, "dB")
    assert float(step) > 0
    assert 20 < float(sqnr) < 40


def test_overrides_change_the_machine(run, tmp_path):
    run("simulate", EDGE, "--no-values", "--set", "mac_array.rows=8", "--batch", "3",
        "--json", "r.json")  # fmt: skip
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["hardware"]["config"]["mac_array"]["rows"] == 8
    assert report["totals"]["batch"] == 3


def test_a_sweep_tabulates_the_trade_off(run, tmp_path):
    outcome = run("sweep", EDGE, "--weight-bits", "4,8", "--activation-bits", "4,8",
                  "--limit-images", "40", "-o", "s.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "digits on edge_16x16, 4 points, fixed datapath"
    assert max(map(len, lines)) <= 100
    rows = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text())))
    widths = [(row["weight_bits"], row["activation_bits"]) for row in rows]
    assert widths == [("4", "4"), ("4", "8"), ("8", "4"), ("8", "8")]
    sqnr = [float(row["sqnr_dB"]) for row in rows]
    assert sqnr[0] < min(sqnr[1:3])
    assert max(sqnr[:3]) < sqnr[3]
    traffic = [int(row["dram_read_bytes"]) + int(row["dram_write_bytes"]) for row in rows]
    assert traffic[0] < min(traffic[1:3])
    assert max(traffic[1:3]) < traffic[3]
    assert [line.split()[:2] for line in lines[3:]] == [list(pair) for pair in widths]


def test_a_sweep_varies_machines_and_keys_together(run, tmp_path):
    outcome = run("sweep", *shipped_machines()[:2], "--set", "clock_MHz=100,200", "--no-values",
                  "-o", "s.csv")  # fmt: skip
    assert outcome.status == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text())))
    names = [load_hardware(name).name for name in shipped_machines()[:2]]
    assert [(row["hardware"], row["clock_MHz"]) for row in rows] == [
        (name, clock) for name in names for clock in ("100", "200")
    ]
    assert "clock_MHz" in outcome.out


def test_compared_machines_stand_side_by_side(run, tmp_path):
    names = shipped_machines()
    outcome = run("compare", *names, "--no-values", "--json", "c.json")
    assert (outcome.status, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 100
    comparison = json.loads((tmp_path / "c.json").read_text())
    assert [side["label"] for side in comparison["reports"]] == list(names)
    for name in names:
        assert name in outcome.out


def test_comparing_reports_gives_what_comparing_machines_gives(run, tmp_path):
    first, second = shipped_machines()[:2]
    for name in (first, second):
        run("simulate", name, "--limit-images", "5", "--json", f"{name}.json")
    run("compare", first, second, "--limit-images", "5", "--json", "machines.json")
    run("compare", f"{first}.json", f"{second}.json", "--json", "reports.json")
    machines, reports = (tmp_path / f"{kind}.json" for kind in ("machines", "reports"))
    assert machines.read_bytes() == reports.read_bytes()


def test_check_shows_every_constant_with_its_source(run):
    outcome = run("check", "iot_8x8", "--constants")
    assert (outcome.status, outcome.err) == (0, "")
    (row,) = (line for line in outcome.out.splitlines() if line.startswith("dram read"))
    figures = ["40.00", "40.00", "40.00", "pJ/bit", "user", "dram.energy_pJ_per_bit"]
    assert row.split()[2:8] == figures


def test_check_says_what_every_machine_is(run):
    outcome = run("check", *shipped_machines())
    assert (outcome.status, outcome.err) == (0, "")
    for name in shipped_machines():
        assert load_hardware(name).name in outcome.out


def test_init_copies_a_machine_comments_included(run, tmp_path):
    for name in shipped_machines():
        outcome = run("init", f"my_{name}.yaml", "--from", name)
        assert outcome.out == (
            f"Wrote my_{name}.yaml. Edit it, then: accel-sim simulate my_{name}.yaml\n"
        )
        assert load_hardware(tmp_path / f"my_{name}.yaml") == load_hardware(name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("networks", "digits"),
        ("machines", EDGE),
        ("devices", "LPDDR4-3200"),
        ("methods", "ggd"),
        ("operators", "GlobalAveragePool"),
    ],
)
def test_lists_name_what_the_command_line_takes(run, kind, name):
    alone = run("list", kind)
    assert any(line.split()[0] == name for line in alone.out.splitlines())
    assert alone.out in run("list").out


def test_schemas_are_json_schemas(run):
    for kind in ("hardware", "report"):
        schema = json.loads(run("schema", kind).out)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
    assert run("schema").out == run("schema", "hardware").out


def test_the_schema_of_the_hardware_accepts_the_shipped_machines(run):
    schema = json.loads(run("schema", "hardware").out)
    for name in shipped_machines():
        jsonschema.validate(load_hardware(name).model_dump(mode="json"), schema)


@pytest.mark.parametrize(
    ("text", "widths"),
    [(None, (None,)), ("4,6,8", (4, 6, 8)), ("4:8", (4, 5, 6, 7, 8)), ("8,2:3, 8", (8, 2, 3))],
)
def test_widths_are_lists_and_ranges_in_the_order_given(text, widths):
    assert parse_widths("--weight-bits", text) == widths


def test_values_of_a_key_split_at_commas_outside_brackets():
    assert parse_changes(["a.b=8, 16", "c=[x,y],[]", "d={k: 1, l: 2},3"]) == {
        "a.b": ("8", "16"),
        "c": ("[x,y]", "[]"),
        "d": ("{k: 1, l: 2}", "3"),
    }


def test_numbers_may_be_fractions():
    assert parse_numbers("--scale", "1/4, 2e-3,-3") == (0.25, 0.002, -3.0)
    assert parse_shape("3x32x32") == parse_shape("3, 32, 32") == (3, 32, 32)


def test_a_comparison_can_fail(run):
    machines = ["edge_16x16", "mcu_4x4"]
    outcome = run("compare", *machines, "--no-values", "--fail-if", "latency_us>+10%")
    assert outcome.status == 3
    assert outcome.err.startswith("mcu_4x4: latency_us +")
    assert outcome.err.endswith(" % against edge_16x16; fails latency_us>+10%\n")
    assert "energy_uJ" in outcome.out
    outcome = run("compare", *machines, "--no-values", "--fail-if", "latency_us<-10%")
    assert (outcome.status, outcome.err) == (0, "")
