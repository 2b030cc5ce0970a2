"""Does the command line charge for compressed maps what its saved integers say?"""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from tests.oracles import zero_rle as oracle

NET = ("--network", "net.onnx", "--images", "test.npz", "--calibration", "calibration.npz",
       "--scale", "1/16")  # fmt: skip
# What the layers read and write.
MAPS = {
    "conv1": (["image"], "conv1_relu.output"),
    "conv2": (["conv1_relu.output"], "conv2_relu.output"),
    "residual_conv1": (["conv2_relu.output"], "residual_conv1_relu.output"),
    "residual_conv2": (["residual_conv1_relu.output"], "residual_conv2.output"),
    "residual_add": (["conv2_relu.output", "residual_conv2.output"], "residual_add_relu.output"),
    "max_pool": (["residual_add_relu.output"], "max_pool.output"),
    "squeeze": (["max_pool.output"], "squeeze_relu.output"),
    "expand1x1": (["squeeze_relu.output"], "expand1x1_relu.output"),
    "expand3x3": (["squeeze_relu.output"], "expand3x3_relu.output"),
    "concat": (["concat.output"], "concat.output"),  # moves nothing
    "depthwise": (["concat.output"], "depthwise_relu.output"),
    "pointwise": (["depthwise_relu.output"], "pointwise_relu.output"),
    "global_pool": (["pointwise_relu.output"], "global_pool.output"),
    "flatten": (["global_pool.output"], "flatten.output"),  # moves nothing
    "classifier": (["flatten.output"], "logits"),
}


def read(path):
    return json.loads(path.read_text())


def compression(run_bits):
    return "--set", f"dram.compression={{scheme: zero_rle, run_bits: {run_bits}}}"


def measure_lengths(path, run_bits):
    """Bits of the codes over those of the maps, by name; every code gives its map back."""
    lengths = {"image": Fraction(1)}  # as it comes
    with np.load(path) as archive:
        formats = json.loads(str(archive["formats"]))
        for name in {name for _, name in MAPS.values()}:
            bits, is_signed = formats[name]["bits"], formats[name]["signed"]
            coded = 0
            for one in archive[name]:
                values = one.ravel().tolist()
                code = oracle.encode(values, run_bits, bits)
                assert oracle.decode(code, len(values), run_bits, bits, is_signed) == values
                coded += len(code)
            lengths[name] = Fraction(coded, archive[name].size * bits)
    return lengths


@pytest.mark.parametrize(
    ("machine", "widths", "run_bits"),
    [
        ("edge_16x16", (), 5),
        ("mobile_32x32", (), 3),
        ("fusion_16x16", ("--activation-bits", "4", "--input-bits", "8"), 2),
    ],
)
def test_traffic_is_that_of_the_saved_integers(machine, widths, run_bits, run, outside):
    network = (*NET, *widths)
    assert run("simulate", machine, *network, "--json", "plain.json").status == 0
    outcome = run(
        "simulate", machine, *network, *compression(run_bits),
        "--json", "coded.json", "--save-tensors", "maps.npz", "--trace", "trace.json",
    )  # fmt: skip
    assert outcome.status == 0
    plain, coded = read(outside / "plain.json"), read(outside / "coded.json")
    assert coded["hardware"]["config"]["dram"]["compression"] == {
        "scheme": "zero_rle",
        "run_bits": run_bits,
    }
    lengths = measure_lengths(outside / "maps.npz", run_bits)
    assert min(lengths.values()) < 1 < max(lengths.values())
    shorter = longer = 0
    for before, after in zip(plain["layers"], coded["layers"], strict=True):
        moved = before["dram_bytes"]
        ifms, ofm = MAPS[before["name"]]
        by_key = {"ifm_read": ifms[0], "residual_read": ifms[-1], "ofm_write": ofm}
        expected = {
            key: math.ceil(count * lengths[by_key[key]]) if key in by_key else count
            for key, count in moved.items()
        }
        assert after["dram_bytes"] == expected
        assert after["uncompressed_dram_bytes"] == moved
        assert before["uncompressed_dram_bytes"] is None
        shorter += expected["ifm_read"] < moved["ifm_read"]
        longer += expected["ifm_read"] > moved["ifm_read"]
        assert after["mapping"] == before["mapping"]
        assert after["sqnr_dB"] == before["sqnr_dB"]
        assert sum(after["cycles"].values()) == 2 * after["cycles"]["total"]
    assert shorter
    assert longer
    totals = coded["totals"]
    for key, way in (("dram_read_bytes", "read"), ("dram_write_bytes", "write")):
        assert totals[key] == sum(
            count
            for layer in coded["layers"]
            for name, count in layer["dram_bytes"].items()
            if name.endswith(way)
        )
    events = read(outside / "trace.json")["traceEvents"]
    us = max(event["ts"] + event["dur"] for event in events if event["ph"] == "X")
    assert us == pytest.approx(totals["latency_us"])


@pytest.mark.parametrize("machine", ["edge_16x16", "iot_8x8"])
def test_runs_of_two_bits_save_traffic_and_energy_on_sparse_maps(machine, run, outside):
    reports = {}
    for scheme in ("none", "{scheme: zero_rle, run_bits: 2}"):
        run("simulate", machine, *NET, "--set", f"dram.compression={scheme}", "--json", "r.json")
        reports[scheme[0]] = {layer["name"]: layer for layer in read(outside / "r.json")["layers"]}
    dense, coded = reports["n"]["global_pool"], reports["{"]["global_pool"]
    assert coded["zero_ifm_fraction"] > 0.5
    assert coded["dram_bytes"]["ifm_read"] < 0.7 * dense["dram_bytes"]["ifm_read"]
    assert coded["cycles"]["total"] <= dense["cycles"]["total"]
    assert coded["energy_pJ"]["dram_dynamic"] < 0.8 * dense["energy_pJ"]["dram_dynamic"]


def test_without_values_maps_move_as_they_are_and_the_report_says_so(run, tmp_path):
    plain = run("simulate", "edge_16x16", "--no-values", "--json", "plain.json")
    coded = run("simulate", "edge_16x16", "--no-values", "--json", "coded.json",
                "--set", "dram.compression=zero_rle")  # fmt: skip
    words = "feature maps as they are, for want of values to compress"
    assert words in " ".join(coded.out.split())
    assert words not in " ".join(plain.out.split())
    before, after = read(tmp_path / "plain.json"), read(tmp_path / "coded.json")
    assert after["totals"] == before["totals"]
    for one, other in zip(after["layers"], before["layers"], strict=True):
        assert one["uncompressed_dram_bytes"] == one["dram_bytes"]
        assert one | {"uncompressed_dram_bytes": None} == other


def test_the_table_says_what_compressed_maps_take(run, outside):
    outcome = run("simulate", "edge_16x16", *NET, *compression(3), "--json", "r.json")
    layers = read(outside / "r.json")["layers"]
    maps = ("ifm_read", "residual_read", "ofm_write")
    moved, plain = (
        sum(layer[key][name] for layer in layers for name in maps)
        for key in ("dram_bytes", "uncompressed_dram_bytes")
    )
    words = f"compressed feature maps take {100 * moved / plain:.1f} %"
    assert words in " ".join(outcome.out.split())


def test_a_dram_trace_holds_the_bursts_of_the_codes(run, outside):
    read_bytes = {}
    for name, scheme in (("plain", "none"), ("coded", "{scheme: zero_rle, run_bits: 1}")):
        outcome = run("simulate", "edge_16x16", *NET, "--set", f"dram.compression={scheme}",
                      "--dram-trace", "t.trc", "--json", "r.json")  # fmt: skip
        assert outcome.status == 0
        lines = (outside / "t.trc").read_text().splitlines()
        totals = read(outside / "r.json")["totals"]
        for way, key in (("READ", "dram_read_bytes"), ("WRITE", "dram_write_bytes")):
            traced = 64 * sum(f" {way} " in line for line in lines)
            assert totals[key] <= traced <= 3 * totals[key]
        read_bytes[name] = totals["dram_read_bytes"], totals["dram_write_bytes"]
    assert read_bytes["plain"] != read_bytes["coded"]


def test_an_unknown_scheme_is_refused(refuse):
    setting = "dram.compression=zero_rel"
    assert refuse("simulate", "edge_16x16", "--no-values", "--set", setting) == (
        f"--set {setting}: dram.compression: expected a section of keys or none, zero_rle; "
        "got 'zero_rel'"
    )
