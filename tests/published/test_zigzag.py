"""Are the cycles of ResNet-18 those that ZigZag expects of much the same machine?

Layers, machines and reasons are those of `benchmarks/zigzag.py`.
"""

from dataclasses import replace

import pytest

from accel_sim.builtin import find_builtin
from accel_sim.performance import run_performance
from benchmarks.zigzag import ARRAYS, count_bits, load_machine, read_table


@pytest.mark.parametrize("side", ARRAYS)
def test_cycles_are_near_those_of_zigzag(side):
    network = find_builtin("resnet18").without_weights()
    # Pools and sums cost nothing in ZigZag, and take the search most of its time.
    convolutions = tuple(layer for layer in network.layers if network.layer_macs(layer))
    layers = run_performance(
        load_machine(side), replace(network, layers=convolutions), *count_bits(network)
    )
    rows = read_table(side)
    ratios = {}
    for layer, row in zip(layers, rows, strict=True):
        assert (layer.name, layer.macs) == (row["layer"], int(row["macs"]))
        ratios[layer.name] = layer.cycles.total / int(row["cycles"])
        # Neither searches for fewer bytes, but none can move less than each operand once.
        assert layer.dram_bytes.ofm_write == pytest.approx(int(row["ofm_bytes"]), rel=0.006)
    if side == 32:
        # ZigZag's DRAM reads and writes at a time: its bytes take longer one after the other.
        row = next(row for row in rows if row["layer"] == "layer3.0.downsample")
        moved = sum(int(row[key]) for key in ("ifm_bytes", "weights_bytes", "ofm_bytes"))
        assert moved / 10 > 1.2 * int(row["cycles"])
        assert 1.25 < ratios.pop("layer3.0.downsample") < 1.5
    # One loads its first tile whole, the other cuts it; everything else is the same work.
    assert all(0.85 < ratio < 1.16 for ratio in ratios.values()), ratios
    total = sum(layer.cycles.total for layer in layers)
    assert total / sum(int(row["cycles"]) for row in rows) == pytest.approx(0.975, abs=0.01)
