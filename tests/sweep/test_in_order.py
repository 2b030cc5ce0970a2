"""Does a sweep give each point what a simulation alone would, and no more work than needed?"""

from dataclasses import replace

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.report.facts import Datapath
from accel_sim.simulation import choose_bits, simulate
from accel_sim.sweep.in_order import run_in_order
from accel_sim.sweep.points import SweepPoint
from quantizer.bits_file import GivenBits
from quantizer.errors import InputError
from quantizer.quantize import quantize
from quantizer.quantized import LayerBits
from tests.digits import load_digits
from tests.sweep.points import NARROW_ACCUMULATORS, count_calls, make_experiment, make_point


@pytest.fixture(scope="module")
def network():
    return load_digits(10)[0]


@pytest.fixture(scope="module")
def images():
    return load_digits(10)[1]


POINTS = (
    make_point(4),
    make_point(8),
    make_point(4, "mac_array.rows=8"),
    make_point(4, "precision.requantize_rounding=to_neg"),
)


def run(points, experiment):
    """The results, and the steps of progress."""
    steps = []
    results = run_in_order(points, experiment, lambda done, total: steps.append((done, total)))
    return list(results), steps


def test_every_point_is_what_a_simulation_alone_gives(network, images):
    calls, quantize_once = count_calls(network, images)
    experiment = make_experiment(network, images, quantize_once, image_steps=len(images))
    results, steps = run(POINTS, experiment)
    assert [(call.bits.weights, call.hardware.numeric_rules) for call in calls] == [
        (point.bits.weights, point.hardware.numeric_rules)
        for point in (POINTS[0], POINTS[1], POINTS[3])
    ]
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


def test_saturating_machines_share_formats_and_have_values_of_their_own(network, images):
    """Their integers depend on the array, those of a machine that wraps do not."""
    columns = ["mac_array.drain=hidden", "mac_array.dataflow=weight_stationary"]
    points = (
        make_point(8, *NARROW_ACCUMULATORS),
        make_point(8, *NARROW_ACCUMULATORS, *columns),
        # Another DRAM adds in the same order.
        make_point(8, *NARROW_ACCUMULATORS, "dram.channels=2"),
    )
    calls, quantize_once = count_calls(network, images)
    experiment = make_experiment(network, images, quantize_once, image_steps=2 * len(images))
    results, steps = run(points, experiment)
    assert len(calls) == 1
    assert steps == sorted(steps)
    assert steps[-1] == (60, 60)
    values = [result.report.values for result in results]
    assert values[0] is values[2]
    assert values[0] != values[1]
    for result in results:
        quantized = quantize(network, images, result.point.bits)
        assert result.report.values == simulate(result.point.hardware, quantized, images).values


def test_a_sweep_of_values_refuses_cut_sums_before_its_first_point(network, images):
    calls, quantize_never = count_calls(network, images)
    points = [make_point(8), make_point(8, "precision.psum_storage_bits=16")]
    with pytest.raises(InputError) as caught:
        next(run_in_order(points, make_experiment(network, images, quantize_never), print))
    assert not calls
    assert str(caught.value) == (
        "edge_16x16: precision.psum_storage_bits: partial sums of 32 bits are cut to 16 in "
        "memory, which is not simulated; --no-values gives costs alone, "
        "--set precision.psum_storage_bits=32 keeps them whole"
    )


def test_a_float_network_has_costs_alone(network):
    experiment = make_experiment(network, None, is_quantized=False)
    (result,), steps = run(POINTS[2:3], experiment)
    alone = simulate(result.point.hardware, network, bits=result.point.bits)
    assert result.report.to_json_dict()["totals"] == alone.to_json_dict()["totals"]
    assert not steps


NARROW = ["precision.weight_bits=4", "precision.activation_bits=6"]


def rebuilt_point(base="edge_16x16", *overrides, **bits):
    hardware = load_hardware(base, overrides)
    widths = choose_bits(hardware, datapath=Datapath.REBUILT, **bits)
    return SweepPoint(hardware=hardware, changes={}, bits=widths, datapath=Datapath.REBUILT)


def sweep(points, network, images):
    """The results, and how many images ran in all."""
    _, quantize_once = count_calls(network, images)
    results, steps = run(points, make_experiment(network, images, quantize_once))
    return results, steps[-1][1]


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


def test_fixed_and_rebuilt_machines_that_saturate_add_in_their_own_order(network, images):
    """A tile of narrower operands can be larger, and then ends elsewhere."""
    rebuilt = rebuilt_point("edge_16x16", *NARROW_ACCUMULATORS, weights=4, activations=6)
    points = [replace(rebuilt, datapath=Datapath.FIXED), rebuilt]
    results, _ = sweep(points, network, images)
    for point, result in zip(points, results, strict=True):
        quantized = quantize(network, images, point.bits)
        machine = point.machine_for(quantized)
        assert result.report.values == simulate(machine, quantized, images).values


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
