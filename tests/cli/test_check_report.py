"""Does a report come out again, and is every difference told?"""

import json

import pytest

EDGE = "edge_16x16"
SATURATES = (
    "--set", "precision.accumulator_bits=16", "--set", "precision.accumulator_overflow=saturate",
)  # fmt: skip
RUNS = {
    "values": ("--limit-images", "9"),
    "costs": ("--no-values", "--network", "alexnet"),
    "tuned": ("--limit-images", "4", "--tune", "--tune-budget", "3", "--weight-bits", "5"),
    "saturating": ("--limit-images", "4", *SATURATES, "--per-channel", "--method", "min_max"),
    "by layer": ("--limit-images", "4", "--bits", "bits.json", "--input-bits", "6"),
    "codes": ("--limit-images", "4", "--set", "dram.compression=zero_rle", "--batch", "2"),
}


@pytest.fixture
def report(run, tmp_path):
    """Makes a report, and gives its content."""

    def make(*arguments):
        (tmp_path / "bits.json").write_text('{"conv1": 5, "classifier": {"activation_bits": 7}}')
        assert run("simulate", EDGE, *arguments, "--json", "r.json").status == 0
        return json.loads((tmp_path / "r.json").read_text())

    return make


@pytest.mark.parametrize("arguments", RUNS.values(), ids=RUNS)
def test_a_report_of_a_built_in_network_needs_nothing_else(run, report, arguments):
    report(*arguments)
    outcome = run("check", "r.json")
    assert (outcome.status, outcome.out, outcome.err) == (0, "r.json: equal\n", "")


def test_a_report_of_a_file_needs_the_files(run, report, outside):
    report("--network", "net.onnx", "--calibration", "calibration.npz", "--images", "test.npz",
           "--scale", "1/16", "--limit-images", "5")  # fmt: skip
    files = ("--network", "net.onnx", "--calibration", "calibration.npz", "--images", "test.npz")
    assert run("check", "r.json", *files).out == "r.json: equal\n"
    other = run("check", "r.json", *files, "--scale", "1/8")
    assert other.status == 3
    assert "images.scale[0]" in other.out


def test_a_quantized_file_is_run_with_its_own_formats(run, report, outside):
    assert run("quantize", "net.onnx", "--calibration", "calibration.npz", "--scale", "1/16",
               "-o", "net.q.onnx").status == 0  # fmt: skip
    report("--network", "net.q.onnx", "--images", "test.npz", "--scale", "1/16")
    outcome = run("check", "r.json", "--network", "net.q.onnx", "--images", "test.npz")
    assert outcome.out == "r.json: equal\n"


def change(tmp_path, content, *path, value):
    """Write a report in which one field is another."""
    *above, last = path
    section = content
    for key in above:
        section = section[key]
    section[last] = value
    (tmp_path / "r.json").write_text(json.dumps(content))


def test_every_difference_is_told_and_no_circumstance(run, report, tmp_path):
    content = report("--no-values")
    cycles = content["layers"][1]["cycles"]["total"]
    change(tmp_path, content, "run", "host", value="elsewhere")
    change(tmp_path, content, "layers", 1, "cycles", "total", value=cycles + 1)
    change(tmp_path, content, "layers", 2, "bound_by", value="luck")
    outcome = run("check", "r.json")
    assert outcome.status == 3
    lines = outcome.out.splitlines()
    assert lines[0] == "r.json: 2 fields differ"
    assert lines[3].split() == ["layers[1].cycles.total", str(cycles + 1), str(cycles)]
    assert lines[4].split()[:2] == ["layers[2].bound_by", '"luck"']


def test_many_differences_are_counted(run, report, tmp_path):
    content = report("--no-values")
    change(tmp_path, content, "hardware", "config", "clock_MHz", value=400.0)
    outcome = run("check", "r.json")
    assert outcome.status == 3
    assert len(outcome.out.splitlines()) == 25
    assert outcome.out.splitlines()[-1].startswith("and ")


def test_another_version_is_told_and_compared_all_the_same(run, report, tmp_path):
    change(tmp_path, report("--no-values"), "tool", "version", value="9.9")
    outcome = run("check", "r.json")
    assert (outcome.status, outcome.out) == (0, "r.json: equal\n")
    assert outcome.err.startswith("r.json: 9.9 wrote it, this is ")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("network", "name"), "net", "r.json: is of 'net', which is not built in; give its file: "
         "--network F.onnx"),
        (("hardware", "config", "mac_array", "rows"), 0, "r.json: hardware.config:1: "
         "mac_array.rows: expected at least 1, got 0"),
        (("images", "count"), 900, "--images: digits (test) holds 500 images, r.json is of 900"),
        (("quantization", "weight_bits"), 99, "r.json: weights must be 2 to 16 bits, got 99; give "
         "a file as --json wrote it"),
        (("quantization", "method"), "luck", "--method: unknown method 'luck'; give a name of: "
         "accel-sim list methods"),
        (("images", "layout"), "up", "r.json: 'up' is not a valid Layout; give a file as --json "
         "wrote it"),
        (("quantization", "tuning"), {"measure": "luck", "passes": 1, "budget": None}, "r.json: "
         "'luck' is not a valid TuneMeasure; give a file as --json wrote it"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_again_is_one_line(refuse, report, tmp_path, path, value, sentence):
    change(tmp_path, report("--limit-images", "2"), *path, value=value)
    assert refuse("check", "r.json") == sentence


def test_another_network_is_found_by_its_digest(refuse, report, tmp_path):
    change(tmp_path, report("--no-values"), "network", "digest", value="0" * 64)
    assert refuse("check", "r.json") == (
        "--network: digits has digest 61ba813062a9, that of r.json 000000000000; give the file "
        "that it was made from"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((EDGE, "--network", "digits"), "--network: is for reports; give a file that --json wrote"),
        (("r.json", EDGE), "r.json: is a report, others are machines; check them apart"),
        (("r.json", "--set", "clock_MHz=1"), "--set: is for machines; a report has its own"),
        (("r.json", "--constants"), "--constants: is for machines; a report has its own"),
        (("no.json",), "no.json: cannot be read (No such file or directory); expected a file that "
         "--json wrote"),
    ],
)  # fmt: skip
def test_machines_and_reports_have_options_of_their_own(refuse, arguments, sentence):
    assert refuse("check", *arguments) == sentence
