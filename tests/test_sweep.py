"""Does a sweep give each point what a simulation alone would, and no more work than needed?"""

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.simulation import choose_bits, simulate
from accel_sim.sweep import SweepPoint, run_sweep, to_records
from quantizer.errors import InputError
from quantizer.quantize import quantize
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

    def quantize_once(hardware, bits, progress):
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
            lambda hardware, bits, progress: network,
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

    def quantize_once(hardware, bits, progress):
        calls.append(bits)
        return quantize(network, images, bits, hardware.numeric_rules, progress=progress)

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
    def quantize_never(hardware, bits, progress):
        raise AssertionError("ran before it was refused")

    points = [point(8), point(8, "precision.psum_storage_bits=16")]
    with pytest.raises(InputError) as caught:
        next(run_sweep(points, quantize_never, images, image_steps=0, progress=lambda *_: None))
    assert str(caught.value) == (
        "edge_16x16: precision.psum_storage_bits: partial sums of 32 bits are cut to 16 in "
        "memory, which is not simulated; --no-values gives costs alone, "
        "--set precision.psum_storage_bits=32 keeps them whole"
    )
