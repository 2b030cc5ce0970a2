"""Does the key of a point change with everything that determines its result, and with no more?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.report.facts import Datapath
from accel_sim.results_file import settings_key
from accel_sim.simulation import choose_bits, simulate
from accel_sim.sweep.point_records import (
    digest_images,
    failure_record,
    point_record,
    point_settings,
    setting_columns,
    shared_settings,
    totals_record,
    unusable_settings,
)
from accel_sim.sweep.points import SweepPoint, UnusablePoint
from quantizer.errors import InputError
from quantizer.network.images import ImageSet, Layout, Preprocessing
from quantizer.quantized import LayerBits
from tests.digits import load_digits

NUMBERS = {
    "method": "ggd",
    "estimator": "moments",
    "headroom_bits": 0,
    "per_channel": False,
    "formats": None,
    "tuning": None,
}


@pytest.fixture(scope="module")
def network():
    return load_digits(4)[0]


@pytest.fixture(scope="module")
def images():
    return load_digits(4)[1]


def make_point(*overrides, datapath=Datapath.FIXED, **bits) -> SweepPoint:
    hardware = load_hardware("edge_16x16", overrides)
    changes = dict(override.split("=") for override in overrides)
    widths = replace(choose_bits(hardware), **bits)
    return SweepPoint(hardware=hardware, changes=changes, bits=widths, datapath=datapath)


@pytest.fixture(scope="module")
def shared(network, images):
    return dict(
        network=network,
        quantized_digest=None,
        calibration=images,
        images=images,
        quantization=NUMBERS,
    )


def key(point, shared) -> str:
    return settings_key(point_settings(point, shared_settings(**shared)))


def test_every_change_of_a_point_is_another_key(shared):
    points = (
        make_point(),
        make_point("mac_array.rows=8"),
        make_point("precision.requantize_rounding=to_neg"),
        make_point("mapping.batch=2"),
        make_point(datapath=Datapath.REBUILT),
        make_point(weights=7),
        make_point(activations=7),
        make_point(inputs=7),
        make_point(biases=12),
        make_point(layers={"conv1": LayerBits(weights=7)}),
        make_point(layers={"conv1": LayerBits(activations=7)}),
    )
    assert len({key(point, shared) for point in points}) == len(points)


def test_every_change_of_the_inputs_is_another_key(shared, network, images):
    shapes = {**network.shapes, network.input: (1, 9, 9)}
    others = (
        {},
        {"network": replace(network, digest="0" * 64)},
        {"network": replace(network, shapes=shapes)},
        {"quantized_digest": "1" * 64},
        {"calibration": None},
        {"images": None},
        {"images": replace(images, labels=None)},
        *({"quantization": {**NUMBERS, name: value}} for name, value in (
            ("method", "mse"),
            ("estimator", "maximum_likelihood"),
            ("headroom_bits", 1),
            ("per_channel", True),
            ("formats", {"w": {"bits": 8, "frac_bits": [7], "signed": True}}),
            ("tuning", {"measure": "sqnr", "passes": 1, "budget": None}),
        )),
    )  # fmt: skip
    assert len({key(make_point(), shared | other) for other in others}) == len(others)


def test_names_are_not_part_of_the_key(shared, network, images):
    renamed = {
        "network": replace(network, name="other", notes=("a note",)),
        "images": replace(images, source="elsewhere.npz"),
    }
    as_built = make_point("mac_array.rows=16")  # what it has anyway
    same_layers = make_point(inputs=8)
    assert key(as_built, shared | renamed) == key(make_point(), shared)
    assert key(same_layers, shared) == key(make_point(), shared)


def test_images_count_by_their_content(images):
    pixels = images.images.copy()
    pixels[-1, 0, -1, -1] ^= 1
    labels = images.labels.copy()
    labels[0] ^= 1
    others = [
        images,
        replace(images, images=pixels),
        replace(images, labels=labels),
        replace(images, labels=None),
        replace(images, images=images.images.astype(np.float32)),
        replace(images, images=images.images.swapaxes(2, 3)),
        replace(images, images=images.images[:2], labels=images.labels[:2]),
        replace(images, preprocessing=Preprocessing(mean=(1.0,))),
        replace(images, preprocessing=Preprocessing(scale=(2.0,))),
    ]
    assert len(set(map(digest_images, others))) == len(others)
    preprocessing = replace(images.preprocessing, layout=Layout.NCHW)
    same = ImageSet(
        images=np.asfortranarray(images.images),
        labels=images.labels,
        preprocessing=preprocessing,
        source="a copy",
    )
    assert digest_images(same) == digest_images(images)


def test_records_hold_all_numbers_of_the_totals_and_what_a_sweep_tabulates_first(network):
    point = make_point("mac_array.rows=8")
    report = simulate(point.hardware, network)
    record = totals_record(report.to_document())
    totals = report.to_json_dict()["totals"]
    assert record["energy_uJ"] == totals["energy_uJ"]
    assert record["area_mm2"] == totals["area_mm2"]
    assert record["energy_uJ_by_component.mac"] == totals["energy_uJ_by_component"]["mac"]
    assert {key.partition(".")[0] for key in record} >= set(totals) - {"energy_uJ_band"}
    tabulated = point_record(point.changes, record)
    assert list(tabulated)[:3] == ["hardware", "network", "mac_array.rows"]
    assert list(record)[: len(tabulated) - 1] == [key for key in tabulated if "rows" not in key]


def test_a_point_that_failed_has_a_record_of_what_is_known(network, shared):
    assert failure_record(make_point(weights=7), network) == {
        "hardware": "edge_16x16",
        "network": network.name,
        "weight_bits": 7,
        "activation_bits": 8,
        "input_bits": 8,
    }
    unusable = UnusablePoint(
        machine="m.yaml",
        changes={"mac_array.rows": "0"},
        weights=4,
        activations=None,
        error=InputError("m.yaml", "wrong"),
    )
    record = failure_record(unusable, network)
    assert (record["hardware"], record["weight_bits"]) == ("m.yaml", 4)
    assert record["activation_bits"] is None
    known = shared_settings(**shared)
    settings = unusable_settings(unusable, "name: m", known)
    assert setting_columns(settings)["mac_array.rows"] == "0"
    others = (
        unusable_settings(unusable, "name: n", known),
        unusable_settings(replace(unusable, changes={"mac_array.rows": "-1"}), "name: m", known),
        unusable_settings(replace(unusable, weights=5), "name: m", known),
        unusable_settings(replace(unusable, machine="n.yaml"), "name: m", known),
    )
    assert len({settings_key(other) for other in (settings, *others)}) == 5
    assert point_record(unusable.changes, record)["cycles"] is None


def test_every_setting_is_a_column(shared):
    known = shared_settings(**shared)
    settings = point_settings(make_point("mac_array.rows=8", biases=12), known)
    columns = setting_columns(settings)
    assert columns["mac_array.rows"] == 8
    assert columns["mapping.batch"] == 1
    assert columns["bias_bits"] == 12
    assert columns["datapath"] == "fixed"
    assert columns["method"] == "ggd"
    assert columns["network_digest"] == shared["network"].digest
    assert columns["images_digest"] == digest_images(shared["images"])
    formats = {**NUMBERS, "formats": {"w": {"bits": 8, "frac_bits": [7], "signed": True}}}
    known = shared_settings(**(shared | {"quantization": formats}))
    assert len(setting_columns(point_settings(make_point(), known))["formats_digest"]) == 64
