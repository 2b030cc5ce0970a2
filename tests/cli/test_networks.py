"""Do built-in topologies and SCALE-Sim files run by name, and refuse what makes no sense?"""

import json

import numpy as np
import pytest

from accel_sim.builtin import builtin_names
from accel_sim.cli.inputs import NetworkRequest
from accel_sim.cli.workload import load_workload

EDGE = "edge_16x16"
NET = "squeezenet1_1"
TOPOLOGY = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\nConv1, 20, 20, 3, 3, 3, 16, 2,\nFC, 1, 1, 1, 1, 400, 10, 1,\n"
)


@pytest.fixture
def shapes(tmp_path):
    (tmp_path / "net.csv").write_text(TOPOLOGY)
    return "net.csv"


def read(path):
    return json.loads(path.read_text())


def test_networks_are_listed_with_their_sizes(run):
    lines = run("list", "networks").out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.split()}
    assert set(builtin_names()) <= rows.keys()
    assert rows["resnet18"].split() == [
        "resnet18", "3", "x", "224", "x", "224", "1,814,073,344", "11,684,712", "synthetic",
        "seeded",
    ]  # fmt: skip
    assert "trained" in rows["digits"]
    assert "31,978" in rows["digits"]


def test_a_topology_runs_on_seeded_images(run, tmp_path):
    outcome = run("simulate", EDGE, "--network", NET, "--json", "r.json")
    assert (outcome.status, outcome.err) == (0, "")
    report = read(tmp_path / "r.json")
    assert report["network"]["name"] == NET
    assert report["network"]["notes"] == ["synthetic weights (He-normal, seeded by tensor name)"]
    assert report["images"]["source"] == f"{NET} (seeded test)"
    assert report["images"]["count"] == 1
    assert report["totals"]["top1_accuracy_fraction"] is None
    assert report["totals"]["sqnr_dB"] > 20


def test_costs_alone_need_no_weights(run, tmp_path):
    outcome = run("simulate", EDGE, "--network", "resnet18", "--no-values", "--json", "r.json")
    assert (outcome.status, outcome.err) == (0, "")
    report = read(tmp_path / "r.json")
    assert report["network"]["macs"] == 1_814_073_344
    assert report["images"] is None
    assert report["layers"][0]["ofm_frac_bits"] is None


@pytest.mark.parametrize(
    ("wish", "has_weights"),
    [({}, False), ({"needs_formats": True}, True), ({"has_formats": True}, True),
     ({"needs_images": True}, True)],
)  # fmt: skip
def test_weights_are_made_only_where_values_or_formats_are_asked_for(wish, has_weights):
    request = NetworkRequest(
        network=NET, input_shape=None, images=None, calibration=None, limit_images=None,
        mean=None, scale=None, layout=None, **{"needs_images": False, **wish},
    )  # fmt: skip
    workload = load_workload(request)
    assert any(constant.any() for constant in workload.network.constants.values()) is has_weights
    assert (workload.calibration is not None) is has_weights
    assert (workload.images is not None) is ("needs_images" in wish)


@pytest.mark.slow
def test_costs_are_the_same_with_and_without_values(run, tmp_path):
    run("simulate", EDGE, "--network", NET, "--json", "with.json")
    run("simulate", EDGE, "--network", NET, "--no-values", "--json", "without.json")
    with_values, without = (read(tmp_path / f"{name}.json") for name in ("with", "without"))
    assert with_values["network"] == without["network"]
    assert with_values["totals"]["cycles"] == without["totals"]["cycles"]


@pytest.mark.slow
def test_a_topology_quantizes_and_its_formats_can_be_given(run):
    quantized = run("quantize", NET, "--write-formats", "f.json")
    assert (quantized.status, quantized.err) == (0, "")
    outcome = run("simulate", EDGE, "--network", NET, "--no-values", "--formats", "f.json",
                  "--json", "r.json")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")


@pytest.mark.slow
def test_a_topology_runs_on_the_users_images(run, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", images=images)
    outcome = run("simulate", EDGE, "--network", NET, "--images", "mine.npz",
                  "--limit-images", "1", "--mean", "128", "--scale", "1/64")  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    assert "1 image of mine.npz: (x - 128) * 0.015625, nhwc" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["simulate", EDGE, "--network", NET, "--input-shape", "3,32,32"],
            f"--input-shape: the shapes of {NET} are fixed; leave it out",
        ),
        (
            ["simulate", EDGE, "--network", NET, "--mean", "3"],
            f"--mean: the images of {NET} have their own preprocessing; leave it out",
        ),
        (
            ["simulate", EDGE, "--network", NET, "--no-values", "--images", "x.npz"],
            "--images: has no use with --no-values; leave one of them out",
        ),
        (
            ["simulate", EDGE, "--network", "resnet-50"],
            "resnet-50: no file or built-in network of this name; did you mean 'resnet50'?",
        ),
    ],
)
def test_options_without_a_use_for_a_topology_are_refused(refuse, arguments, sentence):
    assert refuse(*arguments) == sentence


def test_a_scale_sim_file_has_costs(run, shapes, tmp_path):
    outcome = run("simulate", EDGE, "--network", shapes, "--no-values", "--json", "r.json")
    assert (outcome.status, outcome.err) == (0, "")
    report = read(tmp_path / "r.json")
    assert report["network"]["notes"] == [
        "layers of a SCALE-Sim topology: shapes alone, each with an input of its own"
    ]
    assert [layer["name"] for layer in report["layers"]] == ["Conv1", "FC"]
    # ceil((20 - 3 + 2) / 2) = 10 outputs along each axis.
    assert [layer["macs"] for layer in report["layers"]] == [10 * 10 * 16 * 27, 4000]
    assert [layer["ifm_bits"] for layer in report["layers"]] == [8, 8]


def test_a_scale_sim_file_can_be_compared_and_swept(run, shapes):
    for arguments in (("compare", EDGE, EDGE), ("sweep", EDGE, "--set", "mac_array.rows=8,16")):
        outcome = run(*arguments, "--network", shapes, "--no-values")
        assert (outcome.status, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["simulate", EDGE, "--network", "net.csv"],
            "net.csv: holds shapes only, no values; add --no-values",
        ),
        (
            ["quantize", "net.csv"],
            "net.csv: holds shapes only, nothing to quantize; give an .onnx file",
        ),
        (
            ["simulate", EDGE, "--network", "net.csv", "--no-values", "--input-shape", "3,4,4"],
            "--input-shape: has no use for the shapes in net.csv; leave it out",
        ),
        (
            ["simulate", EDGE, "--network", "net.csv", "--no-values", "--calibration", "c.npz"],
            "--calibration: has no use for the shapes in net.csv; leave it out",
        ),
        (
            ["simulate", EDGE, "--network", "net.csv", "--no-values", "--formats", "f.json"],
            "--formats: has no use for the shapes in net.csv; leave it out",
        ),
        (
            ["simulate", EDGE, "--network", "net.csv", "--no-values", "--scale", "2"],
            "--scale: there are no images to apply it to; leave it out",
        ),
        (
            ["simulate", EDGE, "--network", "no.csv", "--no-values"],
            "no.csv: cannot be read (No such file or directory); expected a SCALE-Sim topology",
        ),
    ],
)
def test_what_a_scale_sim_file_cannot_do_is_refused(refuse, shapes, arguments, sentence):
    assert refuse(*arguments) == sentence


def test_layers_without_a_chain_pass_through_dram_where_maps_could_stay(run, tmp_path):
    """Each has an input of its own, which nobody writes."""
    (tmp_path / "two.csv").write_text(
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, "
        "Num Filter, Strides,\nfirst, 18, 18, 3, 3, 8, 16, 1,\nsecond, 16, 16, 1, 1, 16, 8, 1,\n"
    )
    command = ("simulate", "edge_16x16", "--network", "two.csv", "--no-values", "--set",
               "buffers.shared=[ifm, ofm]")  # fmt: skip
    assert run(*command, "--json", "auto.json").status == 0
    assert run(*command, "--set", "mapping.residency=none", "--json", "none.json").status == 0
    auto, none = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("auto", "none"))
    assert auto["layers"] == none["layers"]
    assert auto["layers"][1]["dram_bytes"]["ifm_read"] > 0
