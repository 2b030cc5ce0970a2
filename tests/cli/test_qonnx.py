"""Does a quantized file give the report of the float one, and refuse what it cannot do?"""

import json
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.qonnx.cases import CASES
from tests.qonnx.files import model, node, quant

EDGE = "edge_16x16"
PIXELS = ("--mean", "0", "--scale", "1/16")
FLOAT = ("--network", "net.onnx", "--calibration", "calibration.npz", *PIXELS)
QUANTIZED = ("--network", "net.q.onnx", *PIXELS)
IMAGES = ("--images", "test.npz")


def read(path: Path):
    """A report, without what differs from run to run."""
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "run"}


def assert_same_but_for_the_name(folder: Path, name: str = "net"):
    expected, found = (read(folder / f"{which}.json") for which in ("float", "quantized"))
    assert expected["network"]["name"] == name
    assert found["network"].pop("name") == f"{name}.q"
    del expected["network"]["name"]
    assert found == expected


@pytest.fixture
def written(run, outside):
    """A folder with the digits network, float and quantized, and images for it."""
    outcome = run("quantize", "net.onnx", "--calibration", "calibration.npz", *PIXELS,
                  "-o", "net.q.onnx")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    return outside


def test_a_quantized_file_gives_the_report_of_the_float_one(run, written):
    run("simulate", EDGE, *FLOAT, *IMAGES, "--json", "float.json")
    outcome = run("simulate", EDGE, *QUANTIZED, *IMAGES, "--json", "quantized.json")
    assert (outcome.status, outcome.err) == (0, "")
    assert_same_but_for_the_name(written)
    assert read(written / "quantized.json")["totals"]["sqnr_dB"] > 20


def test_costs_alone_are_the_same_too(run, written):
    run("simulate", EDGE, *FLOAT, "--no-values", "--json", "float.json")
    outcome = run("simulate", EDGE, "--network", "net.q.onnx", "--no-values",
                  "--json", "quantized.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    assert_same_but_for_the_name(written)


@pytest.mark.parametrize(
    "machine",
    [
        "precision.requantize_rounding=ties_even",
        "precision.activations=signed",
        "precision.weight_bits=6",
    ],
)
def test_a_file_can_be_made_for_any_machine(run, outside, machine):
    run("init", "mine.yaml", "--from", EDGE)
    text = (outside / "mine.yaml").read_text()
    key, value = machine.removeprefix("precision.").split("=")
    lines = [
        f"  {key}: {value}" if line.strip().startswith(f"{key}:") else line
        for line in text.splitlines()
    ]
    (outside / "mine.yaml").write_text("\n".join(lines) + "\n")
    assert (outside / "mine.yaml").read_text() != text
    run("simulate", "mine.yaml", *FLOAT, *IMAGES, "--json", "float.json")
    outcome = run("quantize", "net.onnx", "--calibration", "calibration.npz", *PIXELS,
                  "--machine", "mine.yaml", "-o", "net.q.onnx")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    run("simulate", "mine.yaml", *QUANTIZED, *IMAGES, "--json", "quantized.json")
    assert_same_but_for_the_name(outside)


@pytest.mark.parametrize(
    "options",
    [
        ("--per-channel", "--bias-bits", "12", "--method", "max_range"),
        ("--bits", "bits.json", "--headroom-bits", "1", "--input-bits", "6"),
        ("--tune", "--tune-budget", "30", "--weight-bits", "4", "--estimator", "log_cumulants"),
    ],
)
def test_a_file_says_how_its_numbers_were_asked_for(run, outside, options):
    (outside / "bits.json").write_text(
        '{"default": {"weight_bits": 6}, "conv2": {"weight_bits": 4}}'
    )
    run("simulate", EDGE, *FLOAT, *IMAGES, *options, "--json", "float.json")
    outcome = run("quantize", "net.onnx", "--calibration", "calibration.npz", *PIXELS, *options,
                  "-o", "net.q.onnx")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    outcome = run("simulate", EDGE, *QUANTIZED, *IMAGES, "--json", "quantized.json")
    assert (outcome.status, outcome.err) == (0, "")
    assert_same_but_for_the_name(outside)


@pytest.mark.slow
def test_a_real_quantized_file_gives_the_report_of_the_float_one(run, tmp_path, reference_data):
    images, calibration = (
        reference_data / "images" / f"cifar10_{name}.npz" for name in ("test_jpeg_a", "calib_jpeg")
    )
    name = "resnet8_cifar10"
    network = reference_data / "networks" / f"{name}.onnx"
    outcome = run("quantize", network, "--calibration", calibration, "-o", f"{name}.q.onnx")
    assert (outcome.status, outcome.err) == (0, "")
    run("simulate", EDGE, "--network", network, "--calibration", calibration, "--images", images,
        "--limit-images", "20", "--json", "float.json")  # fmt: skip
    run("simulate", EDGE, "--network", f"{name}.q.onnx", "--images", images,
        "--limit-images", "20", "--json", "quantized.json")  # fmt: skip
    assert_same_but_for_the_name(tmp_path, name)


def test_a_quantized_file_can_be_compared_and_swept(run, written):
    compared = run("compare", EDGE, "iot_8x8", *QUANTIZED, *IMAGES)
    swept = run("sweep", EDGE, "--set", "mac_array.rows=8,16", *QUANTIZED, *IMAGES, "-o", "p.csv")
    for outcome in (compared, swept):
        assert (outcome.status, outcome.err) == (0, "")
    lines = (written / "p.csv").read_text().splitlines()
    run("sweep", EDGE, "--set", "mac_array.rows=8,16", *FLOAT, *IMAGES, "-o", "f.csv")
    expected = (written / "f.csv").read_text().splitlines()
    assert [line.replace("net.q", "net") for line in lines] == expected


def test_golden_vectors_of_a_quantized_file_are_those_of_the_float_one(run, written):
    for name, network in (("f", FLOAT), ("q", QUANTIZED)):
        outcome = run("export-vectors", EDGE, *network, *IMAGES, "--layer", "conv1", "-o", name)
        assert (outcome.status, outcome.err) == (0, "")
    files = sorted(path.name for path in (written / "f").rglob("*.hex"))
    assert files
    for name in files:
        (float_one,), (quantized_one,) = (list((written / each).rglob(name)) for each in "fq")
        assert float_one.read_bytes() == quantized_one.read_bytes()


def test_suggested_commands_keep_to_the_formats_of_the_file(run, written):
    outcome = run("simulate", EDGE, *QUANTIZED, *IMAGES)
    commands = outcome.out[outcome.out.index("Next:") :].splitlines()[1:]
    assert len(commands) == 3
    for command in commands:
        assert "--network net.q.onnx" in command
        assert "-bits" not in command
        again = run(*shlex.split(command)[1:])
        assert (again.status, again.err) == (0, "")


def test_a_quantized_file_shows_its_formats(run, written):
    first = run("quantize", "net.q.onnx", "--write-formats", "q.json")
    assert (first.status, first.err) == (0, "")
    second = run("quantize", "net.onnx", "--calibration", "calibration.npz", *PIXELS,
                 "--write-formats", "f.json")  # fmt: skip
    assert first.out == second.out
    assert (written / "q.json").read_bytes() == (written / "f.json").read_bytes()


def test_a_name_with_another_ending_is_told_by_its_content(run, written):
    (written / "renamed.onnx").write_bytes((written / "net.q.onnx").read_bytes())
    outcome = run("simulate", EDGE, "--network", "renamed.onnx", *PIXELS, *IMAGES)
    assert (outcome.status, outcome.err) == (0, "")


def test_calibration_images_stand_in_for_images(run, written):
    outcome = run("simulate", EDGE, *QUANTIZED, "--calibration", "calibration.npz")
    assert (outcome.status, outcome.err) == (0, "")
    assert "12 images of calibration.npz" in outcome.out


def open_file(folder: Path) -> None:
    """The last layer has no Quant node behind it."""
    nodes = [
        quant("x", "xq", 2**-4), quant("w", "wq", 2**-4, 6.0), node("Conv", ["xq", "wq"], "c"),
        quant("c", "cq", 2**-4), quant("v", "vq", 2**-4, 6.0), node("Conv", ["cq", "vq"], "y"),
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    weights = {"w": rng.normal(size=(2, 1, 3, 3)), "v": rng.normal(size=(3, 2, 3, 3))}
    onnx.save(model(nodes, weights, input_shape=(1, 1, 8, 8)), folder / "open.q.onnx")


ROUNDS = (
    "--set", "precision.requantize_rounding=ties_even",
    "--set", "precision.average_pool_rounding=ties_even",
)  # fmt: skip


def test_calibration_images_choose_what_a_file_leaves_open(run, outside):
    open_file(outside)
    outcome = run("simulate", EDGE, "--network", "open.q.onnx", "--calibration", "calibration.npz",
                  *PIXELS, *ROUNDS, "--activation-bits", "7", "--json", "r.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    report = read(outside / "r.json")
    assert [layer["ofm_bits"] for layer in report["layers"]] == [8, 7]
    assert report["quantization"]["method"] == "ggd"


def test_a_file_that_leaves_something_open_needs_calibration_images(refuse, outside):
    open_file(outside)
    sentence = (
        "open.q.onnx: feature map 'y': has no Quant node; "
        "give --calibration to have its format chosen"
    )
    images = ("--network", "open.q.onnx", *IMAGES, *PIXELS, *ROUNDS)
    assert refuse("simulate", EDGE, *images) == sentence
    assert refuse("sweep", EDGE, *images) == sentence
    assert refuse("simulate", EDGE, "--network", "open.q.onnx", "--no-values", *ROUNDS) == sentence
    assert refuse("quantize", "open.q.onnx") == sentence


def test_a_machine_that_rounds_otherwise_is_refused(refuse, written):
    wrong = ("--set", "precision.requantize_rounding=to_zero")
    sentence = (
        "net.q.onnx: is quantized for requantize_rounding ties_pos, the machine has to_zero; "
        "quantize the network with --machine, or build another with "
        "--set precision.requantize_rounding=ties_pos"
    )
    assert refuse("simulate", EDGE, *QUANTIZED, *IMAGES, *wrong) == sentence
    several = ("--set", "precision.requantize_rounding=ties_pos,to_zero")
    assert refuse("sweep", EDGE, *QUANTIZED, *IMAGES, *several) == sentence


@pytest.mark.parametrize(
    "option",
    [
        ("--weight-bits", "4"),
        ("--activation-bits", "4"),
        ("--input-bits", "4"),
        ("--method", "ggd"),
        ("--formats", "f.json"),
    ],
)
def test_options_that_choose_formats_have_no_use(refuse, run, written, option):
    run("quantize", "net.q.onnx", "--write-formats", "f.json")
    sentence = f"{option[0]}: the formats of net.q.onnx are in that file; leave it out"
    for command in (("simulate", EDGE), ("compare", EDGE, EDGE), ("sweep", EDGE)):
        assert refuse(*command, *QUANTIZED, *IMAGES, *option) == sentence
    assert refuse("quantize", "net.q.onnx", *option) == sentence


def test_a_formats_file_does_not_add_to_an_open_file(refuse, outside):
    open_file(outside)
    assert refuse("quantize", "open.q.onnx", "--formats", "f.json") == (
        "--formats: the formats of open.q.onnx are in that file; leave it out"
    )


def test_an_operand_wider_than_the_machine_is_refused_before_it_runs(refuse, run, written):
    run("quantize", "net.onnx", "--calibration", "calibration.npz", *PIXELS, "--weight-bits", "9",
        "-o", "wide.q.onnx")  # fmt: skip
    sentence = (
        "layer 'conv1': its weights have 9 bits, the datapath of edge_16x16 8; "
        "--set precision.weight_bits=9 builds one that holds them"
    )
    for command in (("simulate", EDGE), ("compare", EDGE, "iot_8x8"), ("sweep", EDGE)):
        assert refuse(*command, "--network", "wide.q.onnx", *IMAGES, *PIXELS) == sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["quantize", "net.onnx", "--calibration", "calibration.npz", "-o", "net.onnx"],
            "--output: 'net.onnx' is also an input; give another name",
        ),
        (
            ["quantize", "net.onnx", "--calibration", "calibration.npz", "-o", "net.qonnx"],
            "--output: 'net.qonnx' has another ending than .onnx; give F.q.onnx",
        ),
        (
            ["quantize", "net.onnx", "--calibration", "calibration.npz", "-o", "no/net.q.onnx"],
            "--output: folder 'no' does not exist; make it first",
        ),
        (
            ["quantize", "net.onnx", "--calibration", "calibration.npz", "-o", "a.onnx",
             "--write-formats", "a.onnx"],
            "--write-formats: 'a.onnx' is already written by --output; give another name",
        ),
        (
            ["quantize", "net.onnx", "--calibration", "calibration.npz", "--machine", "edge"],
            "edge: no file or shipped machine of this name "
            "(`accel-sim list machines` shows those)",
        ),
        (
            ["simulate", EDGE, "--network", "net.q.onnx"],
            "net.q.onnx: needs images to run; give --images, or --no-values",
        ),
        (
            ["simulate", EDGE, "--network", "net.q.onnx", "--no-values", "--mean", "3"],
            "--mean: there are no images to apply it to; leave it out",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(refuse, written, arguments, sentence):
    assert refuse(*arguments) == sentence


def test_a_file_of_another_tool_runs(run, outside):
    made = model(*CASES["Brevitas, dynamo"])
    onnx.save(made, outside / "other.onnx")
    images = np.random.default_rng(2).normal(size=(3, 2, 6, 6)).astype(np.float32)
    np.savez(outside / "six.npz", images=images)
    outcome = run("simulate", EDGE, "--network", "other.onnx", "--images", "six.npz", *ROUNDS)
    assert (outcome.status, outcome.err) == (0, "")
    assert "file" in outcome.out


def test_a_node_without_an_equal_is_named(refuse, outside):
    made = model([quant("x", "xq", 0.3), node("Relu", ["xq"], "y", "relu")], {})
    onnx.save(made, outside / "other.onnx")
    sentence = "other.onnx: node 'xq' (Quant): has scale 0.300000012; expected powers of two"
    assert refuse("simulate", EDGE, "--network", "other.onnx", *IMAGES) == sentence
    assert refuse("quantize", "other.onnx") == sentence
