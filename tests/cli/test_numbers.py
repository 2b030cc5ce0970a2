"""Do the options about widths, channels and tuning do what they say, and complain in one line?"""

import csv
import io
import json
import shlex

import numpy as np
import pytest

EDGE = "edge_16x16"
OUTSIDE = ("--network", "net.onnx", "--calibration", "calibration.npz", "--images", "test.npz",
           "--scale", "1/16")  # fmt: skip
TUNED = ("--tune", "--tune-budget", "12")


@pytest.fixture
def widths(outside):
    """Write a bits file."""

    def write(content):
        (outside / "b.json").write_text(json.dumps(content))
        return "b.json"

    return write


def read_json(folder, name="r.json"):
    content = json.loads((folder / name).read_text())
    del content["run"]
    return content


def by_name(report):
    return {layer["name"]: layer for layer in report["layers"]}


def test_a_bits_file_gives_widths_by_layer(outside, run, widths):
    file = widths({
        "default": {"weight_bits": 6, "activation_bits": 7, "input_bits": 5, "bias_bits": 12},
        "conv1": 4,
        "squeeze": {"activation_bits": 8, "bias_bits": 10},
    })  # fmt: skip
    outcome = run("simulate", EDGE, *OUTSIDE, "--bits", file, "--json", "r.json",
                  "--save-tensors", "t.npz")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    header = " ".join(outcome.out.split())
    assert "6-bit weights, 7-bit activations, 5-bit input, others in 2 layers, ggd" in header
    report = read_json(outside)
    quantization = report["quantization"]
    assert [quantization[f"{kind}_bits"] for kind in ("weight", "activation", "input", "bias")] == [
        6, 7, 5, 12,
    ]  # fmt: skip
    assert quantization["layer_bits"] == {
        "conv1": {"weight_bits": 4, "activation_bits": 4, "bias_bits": None},
        "squeeze": {"weight_bits": None, "activation_bits": 8, "bias_bits": 10},
    }
    layers = by_name(report)
    keys = ("weight_bits", "ifm_bits", "ofm_bits")
    assert [layers["conv1"][key] for key in keys] == [4, 5, 4]
    assert [layers["conv2"][key] for key in keys] == [6, 4, 7]
    assert [layers["squeeze"][key] for key in keys] == [6, 7, 8]
    with np.load(outside / "t.npz", allow_pickle=False) as saved:
        formats = json.loads(str(saved["formats"]))
    assert formats["conv1.bias"]["bits"] == 12
    assert formats["squeeze.bias"]["bits"] == 10


def test_narrower_operands_are_less_traffic_without_values_too(outside, run, widths):
    file = widths({"conv2": 4})
    run("simulate", EDGE, "--no-values", "--json", "plain.json")
    run(
        "simulate", EDGE, "--no-values", "--bits", file, "--bias-bits", "8", "--json", "narrow.json"
    )
    plain, narrow = (by_name(read_json(outside, f"{name}.json")) for name in ("plain", "narrow"))
    reads = {
        name: plain[name]["dram_bytes"]["weights_read"] - narrow[name]["dram_bytes"]["weights_read"]
        for name in ("conv1", "conv2")
    }
    assert reads["conv1"] == 16 * (16 - 8) // 8, "conv1 has 16 filters"
    assert reads["conv2"] == (32 * 16 * 9 * (8 - 4) + 32 * (16 - 8)) // 8


def test_a_sweep_varies_what_a_bits_file_leaves_open(run, outside, widths):
    file = widths({"default": {"activation_bits": 8}, "conv1": 8, "classifier": {"weight_bits": 8}})
    outcome = run("sweep", EDGE, *OUTSIDE, "--bits", file, "--weight-bits", "3,8",
                  "-o", "s.csv")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO((outside / "s.csv").read_text())))
    assert [(row["weight_bits"], row["activation_bits"]) for row in rows] == [
        ("3", "8"), ("8", "8"),
    ]  # fmt: skip
    run("sweep", EDGE, *OUTSIDE, "--weight-bits", "3", "-o", "plain.csv")
    (plain,) = csv.DictReader(io.StringIO((outside / "plain.csv").read_text()))
    assert float(plain["sqnr_dB"]) < float(rows[0]["sqnr_dB"]) < float(rows[1]["sqnr_dB"])


def test_compared_machines_take_the_same_options(run, outside, widths):
    outcome = run("compare", EDGE, "server_32x32", *OUTSIDE, "--bits", widths({"conv1": 4}),
                  "--per-channel", "--bias-bits", "12", *TUNED, "--json", "c.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    sides = json.loads((outside / "c.json").read_text())["reports"]
    for side in sides:
        assert side["quantization"]["layer_bits"].keys() == {"conv1"}
        assert side["quantization"]["per_channel"]
        assert side["quantization"]["bias_bits"] == 12
        assert side["quantization"]["tuned"]


def test_every_channel_can_have_its_own_fraction_length(outside, run):
    for extra in ((), ("--per-channel",)):
        run("simulate", EDGE, *OUTSIDE, *extra, "--json", f"{len(extra)}.json")
    tensor, channels = read_json(outside, "0.json"), read_json(outside, "1.json")
    assert not tensor["quantization"]["per_channel"]
    assert channels["quantization"]["per_channel"]
    assert all(isinstance(layer["weight_frac_bits"], int | None) for layer in tensor["layers"])
    lengths = by_name(channels)["conv1"]["weight_frac_bits"]
    assert len(lengths) == 16
    assert len(set(lengths)) > 1
    assert channels["totals"]["sqnr_dB"] > tensor["totals"]["sqnr_dB"]


def test_the_table_of_formats_shows_the_range_of_the_channels(outside, run):
    outcome = run("quantize", "net.onnx", *OUTSIDE[2:4], "--scale", "1/16", "--per-channel",
                  "--write-formats", "f.json")  # fmt: skip
    assert outcome.status == 0
    lengths = json.loads((outside / "f.json").read_text())["conv1.weight"]["frac_bits"]
    (row,) = [line.split() for line in outcome.out.splitlines() if line.startswith("conv1.weight ")]
    assert row == [
        "conv1.weight",
        "conv1",
        "weights",
        f"s8f{min(lengths)}..{max(lengths)}",
    ]


def test_written_formats_give_the_same_integers(outside, run, widths):
    file = widths({"conv1": 4, "squeeze": {"bias_bits": 9}})
    extra = ("--bits", file, "--per-channel", *TUNED)
    assert run("quantize", "net.onnx", *OUTSIDE[2:4], "--scale", "1/16", *extra,
               "--write-formats", "f.json").status == 0  # fmt: skip
    run("simulate", EDGE, *OUTSIDE, *extra, "--save-tensors", "a.npz")
    run("simulate", EDGE, "--network", "net.onnx", "--images", "test.npz", "--scale", "1/16",
        "--formats", "f.json", "--save-tensors", "b.npz")  # fmt: skip
    assert (outside / "a.npz").read_bytes() == (outside / "b.npz").read_bytes()


def test_tuning_raises_the_sqnr_of_the_images_that_it_sees(outside, run):
    seen = ("--network", "net.onnx", "--calibration", "calibration.npz", "--scale", "1/16",
            "--weight-bits", "4", "--activation-bits", "4")  # fmt: skip
    for name, extra in (("a", ()), ("b", ("--tune",)), ("c", ("--tune",))):
        outcome = run("simulate", EDGE, *seen, *extra, "--json", f"{name}.json")
        assert (outcome.status, outcome.err) == (0, "")
        assert (", tuned " in " ".join(outcome.out.split())) is bool(extra)
    before, after = (read_json(outside, f"{name}.json") for name in "ab")
    assert after["totals"]["sqnr_dB"] > before["totals"]["sqnr_dB"] + 1
    assert after == read_json(outside, "c.json")
    assert before["quantization"]["tuned"] is False
    assert before["quantization"]["tuning"] is None
    assert after["quantization"]["tuned"] is True
    assert after["quantization"]["tuning"] == {"measure": "sqnr", "passes": 1, "budget": None}
    cost = ("cycles", "energy_uJ")
    assert all(layer["weight_bits"] in (4, None) for layer in after["layers"])
    assert after["totals"][cost[0]] == before["totals"][cost[0]]


def test_top1_is_tuned_by_labels(outside, run):
    with np.load(outside / "test.npz") as archive:
        np.savez(outside / "labelled.npz", **archive)
    outcome = run("simulate", EDGE, "--network", "net.onnx", "--calibration", "labelled.npz",
                  "--scale", "1/16", "--weight-bits", "3", "--activation-bits", "3", "--tune",
                  "--tune-measure", "top1", "--tune-passes", "2", "--tune-budget", "30",
                  "--json", "r.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    assert read_json(outside)["quantization"]["tuning"] == {
        "measure": "top1", "passes": 2, "budget": 30,
    }  # fmt: skip


def test_the_next_commands_ask_for_the_same_numbers(outside, run, widths):
    file = widths({"default": {"activation_bits": 6}, "conv1": 4})
    extra = ("--bias-bits", "12", "--bits", file, "--per-channel", "--tune",
             "--tune-passes", "2", "--tune-budget", "2")  # fmt: skip
    first = run("simulate", EDGE, *OUTSIDE, "--weight-bits", "6", *extra)
    commands = [
        shlex.split(line) for line in first.out.splitlines() if line.startswith("  accel-sim ")
    ]
    assert len(commands) == 3
    for command in commands:
        assert " ".join(extra) in " ".join(command)
        outcome = run(*command[1:])
        assert (outcome.status, outcome.err) == (0, "")


WRONG_BITS = [
    ("{", "b.json:1: not valid JSON (Expecting property name enclosed in double quotes)"),
    ({"conv1": 1}, "b.json: 'conv1': expected a width from 2 to 16, or an object of weight_bits, "
     "activation_bits and bias_bits; got 1"),
    ({"default": {"weight_bits": 17}},
     "b.json: 'default': weight_bits: expected an integer from 2 to 16, got 17"),
    ({"con1": 4},
     "b.json: 'con1': the network has no layer of this name; did you mean 'conv1'?"),
    ({"concat": {"weight_bits": 4}},
     "b.json: 'concat': weight_bits: the layer has no weights; leave it out"),
    ({"expand1x1": 4, "expand3x3": 5},
     "b.json: 'expand3x3': activation_bits: the format of its output is shared with layer "
     "'expand1x1', for which it is 4; expected one width, got 5"),
    ({"conv2": {"weight_bits": 9}},
     "layer 'conv2': its weights have 9 bits, the datapath of edge_16x16 8; "
     "--set precision.weight_bits=9 builds one that holds them"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), WRONG_BITS)
def test_a_wrong_bits_file_is_one_sentence(outside, refuse, content, sentence):
    text = content if isinstance(content, str) else json.dumps(content)
    (outside / "b.json").write_text(text)
    arguments = ("--bits", "b.json", "--json", "r.json")
    assert refuse("simulate", EDGE, *OUTSIDE, *arguments) == sentence
    if "datapath" not in sentence:
        assert refuse("quantize", "net.onnx", *OUTSIDE[2:4], "--bits", "b.json") == sentence
    assert refuse("sweep", EDGE, "--bits", "b.json") == sentence
    assert refuse("simulate", EDGE, "--bits", "b.json", "--no-values") == sentence


def test_a_width_is_given_once(outside, refuse, widths):
    keys = ("weight_bits", "activation_bits", "input_bits", "bias_bits")
    file = widths({"default": dict.fromkeys(keys, 6)})
    for key in keys:
        option = f"--{key.replace('_', '-')}"
        for verb in ("simulate", "sweep"):
            assert refuse(verb, EDGE, "--bits", file, option, "4") == (
                f"{option}: is also given by the default of b.json; leave one of them out"
            )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--bias-bits", "1"), "--bias-bits: expected a width from 2 to 16, got '1'"),
        (
            ("--bits", "no.json"),
            "no.json: cannot be read (No such file or directory); expected a bits file",
        ),
        (("--tune-passes", "2"), "--tune-passes: has no use without --tune; add that"),
        (("--tune-budget", "2"), "--tune-budget: has no use without --tune; add that"),
        (("--tune-measure", "top1"), "--tune-measure: has no use without --tune; add that"),
        (("--tune", "--tune-passes", "0"), "--tune-passes: expected a number from 1, got '0'"),
        (("--tune", "--tune-budget", "x"), "--tune-budget: expected a number from 1, got 'x'"),
        (
            ("--tune", "--tune-measure", "top5"),
            "--tune-measure: 'top5' is not one of 'sqnr', 'top1'",
        ),
    ],
)
def test_a_mistake_about_numbers_is_one_sentence(refuse, arguments, sentence):
    assert refuse("simulate", EDGE, *arguments) == sentence
    assert refuse("sweep", EDGE, *arguments) == sentence
    assert refuse("quantize", "digits", *arguments) == sentence


def test_tuning_needs_calibration_images(outside, run, refuse):
    run("quantize", "net.onnx", *OUTSIDE[2:4], "--scale", "1/16", "--write-formats", "f.json")
    given = ("--network", "net.onnx", "--images", "test.npz", "--scale", "1/16",
             "--formats", "f.json", "--tune")  # fmt: skip
    sentence = "--tune: needs images to tune on; give --calibration"
    assert refuse("simulate", EDGE, *given) == sentence
    assert refuse("simulate", EDGE, "--network", "net.onnx", "--no-values", "--tune") == sentence


def test_top1_needs_labels(outside, refuse):
    assert refuse("quantize", "net.onnx", *OUTSIDE[2:4], "--tune", "--tune-measure", "top1") == (
        "calibration.npz: has no labels to tune top-1 accuracy by; expected an array 'labels'"
    )


def test_finished_reports_cannot_be_tuned(refuse):
    for option in ("--tune", "--per-channel"):
        assert refuse("compare", "a.json", "b.json", option) == (
            f"{option}: has no use for finished reports; leave it out"
        )


def test_tuning_leaves_a_network_of_given_formats_alone(outside, run):
    run("quantize", "net.onnx", *OUTSIDE[2:4], "--scale", "1/16", "--write-formats", "f.json")
    outcome = run("quantize", "net.onnx", *OUTSIDE[2:4], "--scale", "1/16", "--formats", "f.json",
                  "--tune", "--write-formats", "g.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    assert (outside / "f.json").read_bytes() == (outside / "g.json").read_bytes()
    assert run("sweep", EDGE, *OUTSIDE, "--formats", "f.json", "--tune").status == 0


WRONG_IMAGES = [
    (np.full((2, 1, 8, 8), np.nan, np.float32),
     "image 0 holds NaN or infinity; give finite numbers"),
    (np.zeros((2, 8, 8, 3), np.uint8),
     "images are uint8[2, 8, 8, 3]; the network takes [N, 8, 8, 1] (NHWC)"),
    (np.zeros((0, 8, 8, 1), np.uint8), "holds no images; give at least one"),
]  # fmt: skip


@pytest.mark.parametrize(("images", "sentence"), WRONG_IMAGES)
def test_calibration_images_that_no_network_takes_are_refused(outside, refuse, images, sentence):
    np.savez(outside / "wrong.npz", images=images)
    for extra in ((), ("--tune",)):
        assert refuse("quantize", "net.onnx", "--calibration", "wrong.npz", *extra) == (
            f"wrong.npz: {sentence}"
        )


def test_a_format_of_no_tensor_is_refused(outside, refuse):
    entry = {"bits": 8, "frac_bits": 4, "signed": True}
    (outside / "f.json").write_text(json.dumps({"conv1.wight": entry}))
    assert refuse("simulate", EDGE, *OUTSIDE, "--formats", "f.json") == (
        "f.json: 'conv1.wight': the network has no such tensor with a format of its own; "
        "did you mean 'conv1.weight'?"
    )


def test_tuning_counts_what_the_machines_order_saturates(run, outside):
    saturating = ("--set", "precision.accumulator_bits=16",
                  "--set", "precision.accumulator_overflow=saturate")  # fmt: skip
    outcome = run("simulate", EDGE, *OUTSIDE, "--scale", "1/16", *saturating, "--tune",
                  "--tune-budget", "2", "--json", "r.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    report = json.loads((outside / "r.json").read_text())
    assert sum(layer["accumulator_overflows"] for layer in report["layers"]) > 0
    assert "clamped additions of 16 bits" in outcome.out
