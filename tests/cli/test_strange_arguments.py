"""Is an argument that no sane person types one sentence all the same?"""

import json
import os

import pytest

EDGE = "edge_16x16"
ENDLESS = "9" * 5000
LONG = "x" * 300
ARABIC_THREE = "\u0663"

NO_WIDTHS = "is not a list of widths from 2 to 16; write 4,6,8 or 4:8"
NO_NUMBERS = "is not a list of numbers; write 0.5, 1/255 or 125,123,114"
NO_NAME = "expected a name, got ''"
ARCHIVE = "expected an .npz file or a picture folder"

OPTIONS = [
    ("--limit-images", ENDLESS, f"expected a number from 1, got '{ENDLESS}'"),
    ("--batch", ARABIC_THREE, f"expected a number from 1, got '{ARABIC_THREE}'"),
    ("--weight-bits", ARABIC_THREE, f"expected a width from 2 to 16, got '{ARABIC_THREE}'"),
    ("--network", "", NO_NAME),
    ("--method", "", NO_NAME),
    ("--images", "", NO_NAME),
    ("--calibration", "", NO_NAME),
    ("--formats", "", NO_NAME),
    ("--json", "", NO_NAME),
    ("--csv", "", NO_NAME),
    ("--save-tensors", "", NO_NAME),
    ("--json", "-", "'-' is no file name, and stdout holds the table; give a file name"),
    ("--json", LONG, f"'{LONG}' is no usable name (File name too long); choose another"),
    (
        "--csv",
        "circle",
        "'circle' is no usable name (Too many levels of symbolic links); choose another",
    ),
    ("--json", "link", "folder '{here}/no' does not exist; make it first"),
    ("--json", "pipe", "'pipe' is not an ordinary file; give a file name"),
]


@pytest.fixture
def odd_files(tmp_path):
    """Things that are no ordinary files."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "link").symlink_to("no/report.json")
    (tmp_path / "endless.json").write_text(f'{{"w": {ENDLESS}}}')
    return tmp_path


@pytest.mark.parametrize(("option", "value", "problem"), OPTIONS)
def test_an_option_with_a_strange_value_is_named(odd_files, refuse, option, value, problem):
    sentence = refuse("simulate", EDGE, option, value)
    assert sentence == f"{option}: {problem.replace('{here}', str(odd_files))}"


COMMANDS = [
    (["sweep", EDGE, "--weight-bits", f"2:{ENDLESS}"], f"--weight-bits: '2:{ENDLESS}' {NO_WIDTHS}"),
    (
        ["sweep", EDGE, "--activation-bits", ARABIC_THREE],
        f"--activation-bits: '{ARABIC_THREE}' {NO_WIDTHS}",
    ),
    (["simulate", ""], f"HW: {NO_NAME}"),
    (["compare", EDGE, ""], f"HW... | A.json...: {NO_NAME}"),
    (["quantize", ""], f"NET: {NO_NAME}"),
    (["init", ""], f"MY.yaml: {NO_NAME}"),
    (["sweep", EDGE, "-o", ""], f"--output: {NO_NAME}"),
    (
        ["compare", "pipe.json", "a.json"],
        "pipe.json: cannot be read (No such file or directory); expected a file that --json wrote",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), COMMANDS)
def test_a_strange_command_is_one_sentence(refuse, arguments, sentence):
    assert refuse(*arguments) == sentence


INPUTS = [
    ("--mean", "1e99999999", f"--mean: '1e99999999' {NO_NUMBERS}"),
    ("--scale", "inf", f"--scale: 'inf' {NO_NUMBERS}"),
    ("--scale", "1e-999", "--scale: 0 would make every image black; give another number"),
    ("--images", "\x1b[31m", f"\\x1b[31m: cannot be read (No such file or directory); {ARCHIVE}"),
    ("--images", "a\nb", f"a\\nb: cannot be read (No such file or directory); {ARCHIVE}"),
    ("--images", LONG, f"{LONG}: cannot be read (File name too long); {ARCHIVE}"),
    ("--images", "pipe", f"pipe: is not an ordinary file; {ARCHIVE}"),
    ("--formats", "pipe", "pipe: is not an ordinary file; expected a formats file"),
    (
        "--formats",
        "circle",
        "circle: cannot be read (Too many levels of symbolic links); expected a formats file",
    ),
    (
        "--formats",
        "endless.json",
        "endless.json: not valid JSON (a number has too many digits)",
    ),
    (
        "--network",
        LONG,
        f"{LONG}: no file or built-in network of this name; give an .onnx file, or a name of: "
        "accel-sim list networks",
    ),
    (
        "--network",
        "circle",
        "circle: no file or built-in network of this name; give an .onnx file, "
        "or a name of: accel-sim list networks",
    ),
]


@pytest.mark.parametrize(("option", "value", "sentence"), INPUTS)
def test_a_strange_input_is_one_sentence(odd_files, refuse, option, value, sentence):
    del odd_files
    images = ["--images", "x.npz"] if option in ("--mean", "--scale") else []
    assert refuse("simulate", EDGE, option, value, *images) == sentence


def test_a_network_from_a_pipe_is_refused(odd_files, refuse):
    (odd_files / "pipe").rename(odd_files / "pipe.onnx")
    assert refuse("simulate", EDGE, "--network", "pipe.onnx", "--no-values") == (
        "pipe.onnx: is not an ordinary file; expected an .onnx file"
    )


@pytest.mark.parametrize("name", ["[red]x [1].json", "-1", "\u00fc\x1b.json", "n" * 250])
def test_a_report_can_have_any_name(tmp_path, run, name):
    # The quickest network: shapes of one small layer.
    (tmp_path / "net.csv").write_text("Layer, M, N, K,\nFC, 1, 8, 8,\n")
    network = ("--network", "net.csv", "--no-values")
    assert run("simulate", EDGE, *network, "--json", f"./{name}").status == 0
    assert json.loads((tmp_path / name).read_text())["schema_version"] == 1
