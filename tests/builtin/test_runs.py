"""Does every machine run every topology, and every topology give values?"""

import itertools
import json

import pytest

from accel_sim.builtin import builtin_names, find_builtin
from accel_sim.cli.main import main
from accel_sim.hardware.load import load_hardware, shipped_machines
from accel_sim.performance import run_performance
from quantizer.network.layers import Conv, Dense

TOPOLOGIES = builtin_names()[1:]
MACHINES = shipped_machines()
EXACT = [name for name in MACHINES if load_hardware(name).precision.keeps_psums_exact]
"""Machines whose values are known."""


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_machine_has_costs_for_every_topology(name, machine):
    network, hardware = (
        find_builtin(name).without_weights(),
        load_hardware(machine, ["mapping.batch=1"]),
    )
    weights = {layer.weights for layer in network.layers if isinstance(layer, Conv | Dense)}
    layers = run_performance(
        hardware,
        network,
        dict.fromkeys(network.shapes, 8),
        {constant: 8 if constant in weights else 16 for constant in network.constants},
    )
    pes = hardware.mac_array.rows * hardware.mac_array.cols
    assert sum(layer.macs for layer in layers) == network.macs
    assert all(layer.cycles.total * pes >= layer.macs for layer in layers)
    # Every weight comes at least once, a byte each; a bias has two.
    assert sum(layer.dram_bytes.weights_read for layer in layers) >= network.parameters


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "machine"), list(zip(TOPOLOGIES, itertools.cycle(EXACT), strict=False))
)
def test_every_topology_runs_with_values(name, machine, tmp_path):
    path = tmp_path / "report.json"
    widths = ("--weight-bits", "8", "--activation-bits", "8")
    assert main(["simulate", machine, "--network", name, *widths, "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert report["network"]["notes"] == ["synthetic weights (He-normal, seeded by tensor name)"]
    assert report["images"]["count"] == 1
    assert report["totals"]["top1_accuracy_fraction"] is None
    assert report["totals"]["sqnr_dB"] > 20
