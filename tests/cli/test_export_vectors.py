"""Does export-vectors write a folder in one step, and refuse in one sentence?"""

import json

import pytest

VERB = ("export-vectors", "edge_16x16")


def test_a_folder_for_every_layer_is_written_and_told(run, tmp_path):
    (tmp_path / "v").mkdir()  # an empty one may be there
    outcome = run(*VERB, "-o", "v", "--tiles", "2", "--batch", "2")
    assert (outcome.status, outcome.err) == (0, "")
    manifest = json.loads((tmp_path / "v" / "manifest.json").read_text())
    assert manifest["images"] == "2 of digits (test)"
    rows = {line.split()[0]: line.split() for line in outcome.out.splitlines() if line.strip()}
    for layer in manifest["layers"]:
        name, op, tiles, written = rows[layer["name"]][:4]
        assert (name, op) == (layer["name"], layer["op"])
        assert (int(tiles), int(written)) == (layer["array_tiles"], len(layer["tiles"]))
    assert outcome.out.endswith("\nv: manifest.json says what each file holds.\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "v"]


def test_one_layer_of_an_onnx_file_under_another_machine(run, outside):
    outcome = run(
        *VERB, "--network", "net.onnx", "--calibration", "calibration.npz", "--scale", "1/16",
        "--layer", "conv2", "--set", "mac_array.rows=8", "-o", "new/../v",
    )  # fmt: skip
    assert outcome.status == 2
    (outside / "new").mkdir()
    outcome = run(
        *VERB, "--network", "net.onnx", "--calibration", "calibration.npz", "--scale", "1/16",
        "--layer", "conv2", "--set", "mac_array.rows=8", "-o", "new/v",
    )  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    (layer,) = json.loads((outside / "new" / "v" / "manifest.json").read_text())["layers"]
    assert layer["name"] == "conv2"
    assert max(tile["rows"] for tile in layer["tiles"]) == 8
    # The folder can be read by others, as one that mkdir makes.
    assert (outside / "new" / "v").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--layer", "conv3", "-o", "v"],
         "--layer: no layer 'conv3' in digits; did you mean 'conv2'?"),
        (["--layer", "zzz", "-o", "v"],
         "--layer: no layer 'zzz' in digits; give a convolution or dense layer, such as 'conv1'"),
        (["--layer", "max_pool", "-o", "v"],
         "layer 'max_pool': is a MaxPool, which does not run on the array; give a convolution or "
         "dense layer, such as 'conv1'"),
        (["-o", "full"], "--output: folder 'full' is not empty; give the name of a new one"),
        (["-o", "full/file"], "--output: 'full/file' is no folder; give the name of a new one"),
        (["-o", "x" * 300],
         f"--output: '{'x' * 300}' is no usable name (File name too long); choose another"),
        (["-o", "no/v"], "--output: folder 'no' does not exist; make it first"),
        (["-o", "v", "--tiles", "0"], "--tiles: expected a number from 1, got '0'"),
        ([], "accel-sim export-vectors: missing option '--output' / '-o'; see "
         "accel-sim export-vectors --help"),
        (["-o", "v", "--network", "net.csv"],
         "net.csv: holds shapes only, nothing to quantize; give an .onnx file"),
        (["-o", "v", "--network", "net.onnx"],
         "net.onnx: needs images to choose its formats; give --calibration and --images"),
        (["-o", "v", "--network", "net.onnx", "--formats", "formats.json"],
         "net.onnx: needs images to run; give --images"),
        (["-o", "v", "--batch", "501"],
         "digits (test): holds 500 images, the machine processes 501 together; give more, or a "
         "smaller --batch"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_in_one_sentence(refuse, outside, arguments, sentence):
    (outside / "full").mkdir()
    (outside / "full" / "file").write_text("mine")
    (outside / "formats.json").write_text("{}")
    assert refuse(*VERB, *arguments) == sentence
