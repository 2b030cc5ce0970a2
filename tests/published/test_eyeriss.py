"""Does the model of Eyeriss keep what was measured of the chip?

Layers, tiles and figures are those of `benchmarks/eyeriss.py`.
"""

import pytest

from accel_sim.hardware.load import load_hardware
from benchmarks.eyeriss import NEUTRAL, PINS, buffer_MB, processing_ms, read_table, run_layers


@pytest.fixture(scope="module")
def layers():
    return run_layers(PINS)


def test_as_many_processing_elements_work(layers):
    table = read_table()
    mapped = {layer.name: layer.mapping.passes.mapped_pes for layer in layers}
    assert mapped == {name: row["mapped_pes"] for name, row in table.items()}


def test_the_time_of_processing_is_near_that_of_the_chip(layers):
    table = read_table()
    errors = {
        layer.name: processing_ms(layer) / table[layer.name]["processing_ms"] - 1
        for layer in layers
    }
    assert all(abs(error) <= 0.10 for error in errors.values()), errors
    total = sum(map(processing_ms, layers)) / sum(row["processing_ms"] for row in table.values())
    assert abs(total - 1) <= 0.05
    # nn_dataflow, the nearest of its peers, is further away in the sum and in most layers.
    theirs = {name: row["nn_dataflow_ms"] / row["processing_ms"] - 1 for name, row in table.items()}
    assert sum(abs(errors[name]) < abs(theirs[name]) for name in table) >= 4


def test_the_buffer_moves_as_many_bytes(layers):
    table = read_table()
    for layer in layers:
        assert buffer_MB(layer) == pytest.approx(table[layer.name]["buffer_MB"], rel=0.2)
    total = sum(row["buffer_MB"] for row in table.values())
    assert sum(map(buffer_MB, layers)) == pytest.approx(total, rel=0.15)


def test_one_value_is_fitted_and_worth_three_percent(layers):
    """Without it, all stays within 5 % in the sum, though conv5 does not within 10 %."""
    (fitted,) = load_hardware("eyeriss_12x14").fitted
    assert NEUTRAL.startswith(f"{fitted.key}=")
    table = read_table()
    neutral = run_layers(PINS, NEUTRAL)
    measured = sum(row["processing_ms"] for row in table.values())
    assert abs(sum(map(processing_ms, neutral)) / measured - 1) <= 0.05
    assert processing_ms(neutral[-1]) > 1.1 * table["conv5"]["processing_ms"]
    assert sum(map(processing_ms, neutral)) / sum(map(processing_ms, layers)) == pytest.approx(
        1.03, abs=0.01
    )


def test_a_search_finds_no_slower_schedule_and_fewer_bytes(layers):
    """What it finds by itself is not what the chip was configured with, but no worse."""
    found = run_layers()
    assert sum(map(processing_ms, found)) < sum(map(processing_ms, layers))
    assert sum(map(buffer_MB, found)) < sum(map(buffer_MB, layers))
    table = read_table()
    for layer in found:
        measured = table[layer.name]["processing_ms"]
        assert processing_ms(layer) == pytest.approx(measured, rel=0.1)
