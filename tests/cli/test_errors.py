"""Is every mistake on the command line one sentence, exit 2, and nothing written?"""

import numpy as np
import pytest

from accel_sim.builtin import find_builtin

EDGE = "edge_16x16"

USAGE_MISTAKES = [
    (["simulat"], "accel-sim: no such command 'simulat'; did you mean 'simulate'?"),
    (["--verbose"], "accel-sim: no such option: --verbose; did you mean '--version'?"),
    (["simulate"], "accel-sim simulate: missing argument 'HW'; see accel-sim simulate --help"),
    (
        ["simulate", EDGE, "--netwrk", "x"],
        "accel-sim simulate: no such option: --netwrk; did you mean '--network'?",
    ),
    (
        ["simulate", EDGE, "--weight-bits", "17"],
        "--weight-bits: expected a width from 2 to 16, got '17'",
    ),
    (
        ["simulate", EDGE, "--input-bits", "x"],
        "--input-bits: expected a width from 2 to 16, got 'x'",
    ),
    (["simulate", EDGE, "--batch", "0"], "--batch: expected a number from 1, got '0'"),
    (
        ["simulate", EDGE, "--layout", "hwc"],
        "--layout: 'hwc' is not one of 'nhwc', 'nchw'",
    ),
    (
        ["simulate", EDGE, "other"],
        "accel-sim simulate: got unexpected extra argument(s) (other); "
        "see accel-sim simulate --help",
    ),
    (
        ["list", "chips"],
        "WHAT: 'chips' is not one of 'networks', 'machines', 'devices', 'methods', 'operators'",
    ),
    (["schema", "network"], "WHAT: 'network' is not one of 'hardware', 'report'"),
    (
        ["simulate", EDGE, "--batch", "2", "--set", "mapping.batch=4"],
        "--set mapping.batch=4: is also given by --batch; leave one of them out",
    ),
    (
        ["simulate", EDGE, "--no-values", "--images", "x.npz"],
        "--images: has no use with --no-values; leave one of them out",
    ),
    (
        ["simulate", EDGE, "--no-values", "--limit-images", "3"],
        "--limit-images: has no use with --no-values; leave one of them out",
    ),
    (
        ["simulate", EDGE, "--no-values", "--save-tensors", "t.npz"],
        "--save-tensors: has no use with --no-values; leave one of them out",
    ),
    (
        ["simulate", EDGE, "--network", "digit"],
        "digit: no file or built-in network of this name; did you mean 'digits'?",
    ),
    (
        ["simulate", EDGE, "--network", "yolov3"],
        "yolov3: no file or built-in network of this name; give an .onnx file, or a name of: "
        "accel-sim list networks",
    ),
    (
        ["simulate", EDGE, "--input-shape", "1,8,8"],
        "--input-shape: the shapes of digits are fixed; leave it out",
    ),
    (
        ["simulate", EDGE, "--mean", "3"],
        "--mean: the images of digits have their own preprocessing; leave it out",
    ),
    (
        ["simulate", EDGE, "--method", "gdg"],
        "--method: unknown method 'gdg'; did you mean 'ggd'?",
    ),
    (
        ["sweep", EDGE, "--method", "best"],
        "--method: unknown method 'best'; give a name of: accel-sim list methods",
    ),
    (
        ["compare", EDGE, "iot_8x8", "--method", "octav", "--estimator", "moments"],
        "--estimator: has no use with --method octav, which fits no distribution; "
        "leave one of them out",
    ),
    (
        ["quantize", "digits", "--estimator", "moment"],
        "--estimator: 'moment' is not one of 'moments', 'maximum_likelihood', 'log_cumulants'",
    ),
    (
        ["quantize", "digits", "--headroom-bits", "2"],
        "--headroom-bits: expected 0 or 1, got '2'",
    ),
    (["compare", EDGE], "accel-sim compare: needs two machines or reports at least; add one"),
    (["compare", EDGE, "a.json"], "a.json: is a report among machines; give all of one kind"),
    (
        ["compare", "a.json", "b.json", "--weight-bits", "4"],
        "--weight-bits: has no use for finished reports; leave it out",
    ),
    (
        ["compare", "a.json", "b.json", "--network", "digits"],
        "--network: has no use for finished reports; leave it out",
    ),
    (
        ["compare", "a.json", "b.json"],
        "a.json: cannot be read (No such file or directory); expected a file that --json wrote",
    ),
    (
        ["sweep", EDGE, "--weight-bits", "8:4"],
        "--weight-bits: '8:4' is not a list of widths from 2 to 16; write 4,6,8 or 4:8",
    ),
    (
        ["sweep", EDGE, "--activation-bits", "4,,8"],
        "--activation-bits: '4,,8' is not a list of widths from 2 to 16; write 4,6,8 or 4:8",
    ),
    (
        ["sweep", EDGE, "--set", "mac_array.rows"],
        "--set mac_array.rows: is not KEY=V1,V2; write it as in mac_array.rows=8,16",
    ),
    (
        ["sweep", EDGE, "--set", "mac_array.rows=8", "--set", "mac_array.rows=16"],
        "--set mac_array.rows=16: is given twice; list its values in one, as in "
        "mac_array.rows=8,16",
    ),
    (
        ["sweep", EDGE, "-o", "results.json"],
        "--output: 'results.json' has another ending than .db and .csv; give F.db or F.csv",
    ),
    (
        ["init", "machine.txt"],
        "machine.txt: a machine needs the ending .yaml; give such a name",
    ),
    (
        ["init", "no/machine.yaml"],
        "no/machine.yaml: folder 'no' does not exist; make it first",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), USAGE_MISTAKES)
def test_a_mistake_on_the_command_line_is_one_sentence(refuse, arguments, sentence):
    assert refuse(*arguments) == sentence


OUTSIDE_MISTAKES = [
    (
        [],
        "net.onnx: needs images to choose its formats; give --calibration and --images, "
        "or --no-values for the costs alone",
    ),
    (
        ["--images", "test.npz"],
        "--images: formats are chosen from other images than these; add --calibration",
    ),
    (
        ["--no-values", "--mean", "3"],
        "--mean: there are no images to apply it to; leave it out",
    ),
    (
        ["--calibration", "calibration.npz", "--mean", "1,x"],
        "--mean: '1,x' is not a list of numbers; write 0.5, 1/255 or 125,123,114",
    ),
    (
        ["--calibration", "calibration.npz", "--scale", "1/0"],
        "--scale: '1/0' is not a list of numbers; write 0.5, 1/255 or 125,123,114",
    ),
    (
        ["--calibration", "calibration.npz", "--scale", "0"],
        "--scale: 0 would make every image black; give another number",
    ),
    (
        ["--no-values", "--input-shape", "1,8,-8"],
        "--input-shape: '1,8,-8' is not a shape; write channels, rows, columns: 3,32,32",
    ),
    (
        ["--calibration", "none.npz"],
        "none.npz: cannot be read (No such file or directory); "
        "expected an .npz file or a picture folder",
    ),
    (
        ["--calibration", "calibration.npz", "--json", "calibration.npz"],
        "--json: 'calibration.npz' is also an input; give another name",
    ),
    (
        ["--no-values", "--json", "net.onnx"],
        "--json: 'net.onnx' is also an input; give another name",
    ),
    (
        ["--no-values", "--json", "out", "--csv", "./out"],
        "--csv: 'out' is already written by --json; give another name",
    ),
    (["--no-values", "--json", "no/out"], "--json: folder 'no' does not exist; make it first"),
    (
        ["--formats", "none.json"],
        "net.onnx: needs images to run; give --images, or --no-values",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), OUTSIDE_MISTAKES)
def test_a_mistake_about_files_is_one_sentence(outside, refuse, arguments, sentence):
    assert refuse("simulate", EDGE, "--network", "net.onnx", *arguments) == sentence


def test_the_machine_is_not_overwritten_by_a_result(run, refuse):
    run("init", "mine.yaml")
    assert refuse("simulate", "mine.yaml", "--json", "mine.yaml") == (
        "--json: 'mine.yaml' is also an input; give another name"
    )


def test_init_overwrites_nothing(run, refuse):
    run("init", "mine.yaml")
    assert refuse("init", "mine.yaml") == (
        "mine.yaml: exists already; give another name, or remove it first"
    )


def test_a_label_that_is_no_class_is_refused(outside, refuse):
    with np.load(outside / "test.npz") as archive:
        np.savez(outside / "wrong.npz", images=archive["images"], labels=archive["labels"] + 20)
        first = archive["labels"][0] + 20
    sentence = refuse(
        "simulate", EDGE, "--network", "net.onnx",
        "--calibration", "calibration.npz", "--images", "wrong.npz",
    )  # fmt: skip
    assert sentence == (
        f"wrong.npz: label {first} of image 0 is out of range; the network has 10 outputs, 0 to 9"
    )


def test_an_operand_wider_than_the_datapath_names_the_set_that_builds_it(refuse):
    assert refuse("simulate", EDGE, "--weight-bits", "9") == (
        "layer 'conv1': its weights have 9 bits, the datapath of edge_16x16 8; "
        "--set precision.weight_bits=9 builds one that holds them"
    )


@pytest.mark.parametrize("verb", ["sweep", "compare"])
def test_a_point_that_cannot_run_stops_all_before_any_runs(refuse, verb):
    sides = (EDGE, "server_32x32") if verb == "compare" else (EDGE,)
    widths = "4,9" if verb == "sweep" else "9"
    assert refuse(verb, *sides, "--weight-bits", widths).startswith(
        "layer 'conv1': its weights have 9 bits, the datapath of edge_16x16 8; "
    )


def test_quantize_without_images_asks_for_them(outside, refuse):
    assert refuse("quantize", "net.onnx") == (
        "net.onnx: needs images to choose its formats; give --calibration"
    )


def test_digits_can_run_on_the_users_images_with_the_shipped_preprocessing(outside, run):
    outcome = run("simulate", EDGE, "--images", "test.npz")
    assert outcome.status == 0
    scale = find_builtin("digits").scale[0]
    assert f"6 images of test.npz: (x - 0) * {scale:g}, nhwc" in outcome.out
