"""Does a sweep give each point what a simulation alone would, and no more work than needed?"""

from dataclasses import replace

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.sweep.point_records import to_records
from accel_sim.report.facts import Datapath
from accel_sim.simulation import choose_bits, simulate
from accel_sim.sweep import SweepFailure, SweepPoint, SweepResult, run_sweep, try_points
from quantizer.bits_file import GivenBits
from quantizer.errors import InputError
from quantizer.quantize import quantize
from quantizer.quantized import LayerBits
from tests.digits import load_digits


@pytest.fixture(scope="module")
def network():
    return load_digits(10)[0]


@pytest.fixture(scope="module")
def images():
    return load_digits(10)[1]


def point(weights: int, *overrides: str) -> SweepPoint:
    hardware = load_hardware("edge_16x16", overrides)
    changes = dict(override.split("=") for override in overrides)
    return SweepPoint(
        hardware=hardware, changes=changes, bits=choose_bits(hardware, weights=weights)
    )


POINTS = (
    point(4),
    point(8),
    point(4, "mac_array.rows=8"),
    point(4, "precision.requantize_rounding=to_neg"),
)


def test_every_point_is_what_a_simulation_alone_gives(network, images):
    calls = []
    steps = []

    def quantize_once(point, progress):
        hardware, bits = point.hardware, point.bits
        calls.append((bits.weights, hardware.precision.requantize_rounding))
        return quantize(network, images, bits, hardware.numeric_rules, progress=progress)

    results = list(
        run_sweep(
            POINTS,
            quantize_once,
            images,
            image_steps=len(images),
            progress=lambda done, total: steps.append((done, total)),
        )
    )
    assert calls == [(4, "ties_pos"), (8, "ties_pos"), (4, "to_neg")]
    assert [result.point for result in results] == list(POINTS)
    for result in results:
        quantized = quantize(
            network, images, result.point.bits, result.point.hardware.numeric_rules
        )
        alone = simulate(result.point.hardware, quantized, images).to_json_dict()
        swept = result.report.to_json_dict()
        del alone["run"], swept["run"]
        assert swept == alone
    assert steps == sorted(steps)
    assert steps[-1] == (60, 60)


def test_records_name_what_was_varied_and_the_totals_of_the_file(network):
    results = list(
        run_sweep(
            POINTS[2:3],
            lambda point, progress: network,
            None,
            image_steps=0,
            progress=lambda done, total: None,
        )
    )
    (record,) = to_records(results)
    totals = results[0].report.to_json_dict()["totals"]
    assert record["mac_array.rows"] == "8"
    assert (record["weight_bits"], record["activation_bits"], record["input_bits"]) == (4, 8, 8)
    assert record["energy_uJ"] == totals["energy_uJ"]
    assert record["sqnr_dB"] is None
    assert record["datapath"] == "fixed"


def test_saturating_machines_share_formats_and_have_values_of_their_own(network, images):
    """Their integers depend on the array, those of a machine that wraps do not."""
    narrow = ["precision.accumulator_bits=16", "precision.accumulator_overflow=saturate"]
    columns = ["mac_array.drain=hidden", "mac_array.dataflow=weight_stationary"]
    points = (point(8, *narrow), point(8, *narrow, *columns), point(8, *narrow))
    calls, steps = [], []

    def quantize_once(point, progress):
        calls.append(point.bits)
        rules = point.hardware.numeric_rules
        return quantize(network, images, point.bits, rules, progress=progress)

    results = list(
        run_sweep(
            points,
            quantize_once,
            images,
            image_steps=2 * len(images),
            progress=lambda done, total: steps.append((done, total)),
        )
    )
    assert len(calls) == 1
    assert steps == sorted(steps)
    assert steps[-1] == (40, 40)
    values = [result.report.values for result in results]
    assert values[0] is values[2]
    assert values[0] != values[1]
    for result in results[:2]:
        quantized = quantize(network, images, result.point.bits)
        assert result.report.values == simulate(result.point.hardware, quantized, images).values


def test_a_sweep_of_values_refuses_cut_sums_before_its_first_point(network, images):
    def quantize_never(point, progress):
        raise AssertionError("ran before it was refused")

    points = [point(8), point(8, "precision.psum_storage_bits=16")]
    with pytest.raises(InputError) as caught:
        next(run_sweep(points, quantize_never, images, image_steps=0, progress=lambda *_: None))
    assert str(caught.value) == (
        "edge_16x16: precision.psum_storage_bits: partial sums of 32 bits are cut to 16 in "
        "memory, which is not simulated; --no-values gives costs alone, "
        "--set precision.psum_storage_bits=32 keeps them whole"
    )


NARROW = ["precision.weight_bits=4", "precision.activation_bits=6"]


def rebuilt_point(base="edge_16x16", *overrides, **bits):
    hardware = load_hardware(base, overrides)
    widths = choose_bits(hardware, datapath=Datapath.REBUILT, **bits)
    return SweepPoint(hardware=hardware, changes={}, bits=widths, datapath=Datapath.REBUILT)


def sweep(points, network, images):
    """The results, and how many images ran in all."""
    steps = []
    results = run_sweep(
        points,
        lambda point, progress: quantize(
            network, images, point.bits, point.hardware.numeric_rules, progress=progress
        ),
        images,
        image_steps=0,
        progress=lambda done, total: steps.append(total),
    )
    return list(results), steps[-1]


def test_a_rebuilt_point_is_what_the_narrow_machine_gives(network, images):
    (result,), _ = sweep([rebuilt_point(weights=4, activations=6)], network, images)
    narrow = load_hardware("edge_16x16", NARROW)
    quantized = quantize(network, images, choose_bits(narrow), narrow.numeric_rules)
    alone = simulate(narrow, quantized, images).to_json_dict()
    swept = result.report.to_json_dict()
    assert (swept["totals"].pop("datapath"), alone["totals"].pop("datapath")) == (
        "rebuilt",
        "fixed",
    )
    del alone["run"], swept["run"]
    assert swept == alone


def test_fixed_and_rebuilt_machines_that_wrap_share_their_exact_run(network, images):
    rebuilt = rebuilt_point(weights=4, activations=6)
    results, steps = sweep([replace(rebuilt, datapath=Datapath.FIXED), rebuilt], network, images)
    assert steps == len(images)
    assert results[0].report.values is results[1].report.values
    fixed, narrow = (result.report for result in results)
    assert narrow.energy.value_pJ < fixed.energy.value_pJ
    assert narrow.dram_read_bytes == fixed.dram_read_bytes


def test_fixed_and_rebuilt_machines_that_saturate_run_on_their_own(network, images):
    narrow = ["precision.accumulator_bits=16", "precision.accumulator_overflow=saturate"]
    rebuilt = rebuilt_point("edge_16x16", *narrow, weights=4, activations=6)
    results, steps = sweep([replace(rebuilt, datapath=Datapath.FIXED), rebuilt], network, images)
    assert steps == 2 * len(images)
    assert results[0].report.values is not results[1].report.values


CONVOLUTIONS = (
    "conv1", "conv2", "residual_conv1", "residual_conv2", "squeeze", "expand1x1", "expand3x3",
    "depthwise", "pointwise",
)  # fmt: skip


def widths_of(**weights):
    return GivenBits(layers={name: LayerBits(weights=bits) for name, bits in weights.items()})


@pytest.mark.parametrize(
    ("bits", "datapath"),
    [
        ({}, (8, 8)),
        ({"weights": 3}, (3, 8)),
        ({"weights": 10, "activations": 12}, (10, 12)),
        ({"activations": 4}, (8, 4)),
        # One chip runs all layers: the first one's input counts as well, and single layers do.
        ({"activations": 4, "inputs": 7}, (8, 7)),
        ({"weights": 4, "activations": 4, "given": widths_of(classifier=6)}, (6, 4)),
        # What no layer has does not.
        ({"given": widths_of(classifier=6, **dict.fromkeys(CONVOLUTIONS, 5))}, (6, 8)),
    ],
)
def test_a_rebuilt_datapath_is_as_wide_as_the_widest_operands(network, bits, datapath):
    point = rebuilt_point(**bits)
    for runs in (network, quantize(network, load_digits(2)[1], point.bits)):
        precision = point.machine_for(runs).precision
        assert (precision.weight_bits, precision.activation_bits) == datapath


def test_a_rebuilt_datapath_has_no_modes_and_the_accumulators_of_before(network):
    point = rebuilt_point("fusion_16x16", weights=4, activations=4)
    built = point.machine_for(network)
    assert point.hardware.precision.modes
    assert built.precision.modes == ()
    kept = {"precision"}
    assert built.model_dump(exclude=kept) == point.hardware.model_dump(exclude=kept)
    assert built.precision.accumulator_bits == point.hardware.precision.accumulator_bits
    assert replace(point, datapath=Datapath.FIXED).machine_for(network) is point.hardware


def test_points_after_one_that_fails_run_all_the_same(network, images):
    def quantize_some(point, progress):
        if point.bits.weights == 5:
            raise ZeroDivisionError("a bug")
        return quantize(network, images, point.bits, progress=progress)

    points = [point(8), point(9), point(5), point(8, "precision.psum_storage_bits=16"), point(4)]
    steps = []
    outcomes = list(
        try_points(
            points,
            quantize_some,
            images,
            image_steps=0,
            progress=lambda done, total: steps.append((done, total)),
        )
    )
    assert [outcome.point for outcome in outcomes] == points
    assert [type(outcome) for outcome in outcomes] == [
        SweepResult,
        SweepFailure,
        SweepFailure,
        SweepFailure,
        SweepResult,
    ]
    assert str(outcomes[1].error).startswith("layer 'conv1': its weights have 9 bits")
    assert isinstance(outcomes[2].error, ZeroDivisionError)
    assert "partial sums of 32 bits are cut" in str(outcomes[3].error)
    assert steps == sorted(steps)


def test_points_that_are_not_needed_cost_nothing(network):
    calls = []

    def quantize_once(point, progress):
        calls.append(point.bits.weights)
        return network

    def is_needed(point):
        return point.bits.weights == 8

    outcomes = list(
        try_points(
            POINTS, quantize_once, None, image_steps=0, progress=lambda *_: None,
            is_needed=is_needed,
        )
    )  # fmt: skip
    assert [outcome.point for outcome in outcomes] == [POINTS[1]]
    assert calls == [8]


def test_formats_tuned_by_a_saturating_machine_are_its_own(network, images):
    """What one machine's order of additions made must not depend on which came first."""
    narrow = ["precision.accumulator_bits=16", "precision.accumulator_overflow=saturate"]
    points = (point(8, *narrow), point(8, *narrow, "mac_array.rows=8"), point(8), point(8))
    calls = []

    def quantize_once(point, progress):
        calls.append(point)
        return network

    for is_tuned, expected in ((True, [0, 1, 2]), (False, [0, 2])):
        calls.clear()
        list(
            run_sweep(
                points, quantize_once, None, image_steps=0, progress=lambda *_: None,
                is_tuned=is_tuned,
            )
        )  # fmt: skip
        assert calls == [points[index] for index in expected]
