"""Do SCALE-Sim's own topologies take SCALE-Sim's cycles when their files are read?

The two files hold the shapes of alexnet.csv and Resnet18.csv of SCALE-Sim 3.0.0; the cycles
are those of test_scalesim.py, where the array's keys stand too.
"""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.layer_nests import OperandWidths, build_loop_nests
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.timing.pipeline import TileSizes, layer_cycles
from accel_sim.timing.schedule_rules import schedule_rules
from quantizer.network.scalesim_topology import load_scalesim
from tests.published.test_scalesim import KEYS, LINES

ROWS = list(csv.DictReader(line for line in LINES if not line.startswith("#")))
FOLDER = Path(__file__).parent


def load(net):
    return load_scalesim(FOLDER / f"scalesim_{net}.csv")


def find_nest(net, layer):
    network = load(net)
    widths = OperandWidths(
        feature_maps=dict.fromkeys(network.shapes, 8),
        constants=dict.fromkeys(network.constants, 8),
    )
    nests = build_loop_nests(network, widths, 1, {})
    (nest,) = [nest for nest in nests if nest.layer == layer]
    return nest


@pytest.mark.parametrize("net", ["alexnet", "resnet18"])
def test_every_layer_that_was_simulated_is_in_the_file(net):
    names = [layer.name for layer in load(net).layers]
    assert {row["layer"] for row in ROWS if row["net"] == net} == set(names)


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: "-".join(row[key] for key in ("net", "layer", "dataflow", "rows"))
)
def test_a_layer_of_a_file_takes_the_cycles_of_scale_sim(row):
    nest = find_nest(row["net"], row["layer"])
    pixels = nest.output_rows * nest.output_cols
    reduction = nest.channels * nest.filter_rows * nest.filter_cols
    assert (pixels, reduction, nest.filters) == tuple(
        int(row[key]) for key in ("pixels", "reduction", "filters")
    )
    array = [f"mac_array.{key}={row[key]}" for key in ("dataflow", "rows", "cols")]
    rules = schedule_rules(nest, load_hardware("edge_16x16", [*KEYS, *array]))
    whole = TileSizes(
        groups=np.array([1]),
        pixels=np.array([pixels]),
        inputs=np.array([math.prod((nest.input_rows, nest.input_cols))]),
        filters=np.array([nest.filters]),
        channels=np.array([nest.channels]),
    )
    cycles = layer_cycles(rules, whole, LOOP_ORDERS[0])
    assert cycles.compute + cycles.fill_drain == int(row["cycles"])
