"""Are the array's cycles those of SCALE-Sim, where its keys are set as SCALE-Sim assumes?

SCALE-Sim 3.0.0 (Raj et al., "SCALE-Sim v3", ISPASS 2025): no pipeline, no overlap of
folds, every fold pays the skew of the whole array, and sums leave behind the next fold.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.timing.pipeline import TileSizes, layer_cycles
from accel_sim.timing.schedule_rules import schedule_rules
from tests.mapping.random_layers import SYSTOLIC
from tests.oracles.systolic_cycles import systolic_cycles

LINES = (Path(__file__).parent / "scalesim_compute_cycles.csv").read_text().splitlines()
SIMULATED = [
    (row["dataflow"], *(int(row[name]) for name in ("rows", "cols", "pixels", "reduction",
                                                    "filters", "cycles")))
    for row in csv.DictReader(line for line in LINES if not line.startswith("#"))
]  # fmt: skip
KEYS = (
    "mac_array.drain=hidden",
    "mac_array.fold_overlap=none",
    "mac_array.edge_tiles=full_skew",
    "mac_array.pipeline_cycles=0",
    "mac_array.output_register_cycles=0",
    "mac_array.tile_overhead_cycles=0",
)


def array_cycles(dataflow, rows, cols, pixels, reduction, filters):
    """Cycles of the array for a layer that is one tile."""
    array = (f"mac_array.dataflow={dataflow}", f"mac_array.rows={rows}", f"mac_array.cols={cols}")
    nest = LoopNest(
        layer="layer", op="Conv", kind=Kind.MAC, batch=1, groups=1, filters=filters,
        channels=reduction, filter_rows=1, filter_cols=1, output_rows=1, output_cols=pixels,
        input_rows=1, input_cols=pixels, stride=(1, 1), dilation=(1, 1), pads=(0, 0),
        ifm_bits=8, weight_bits=8, bias_bits=0, ofm_bits=8, residual_bits=0,
    )  # fmt: skip
    tile = TileSizes(
        groups=np.array([1]),
        pixels=np.array([pixels]),
        inputs=np.array([pixels]),
        filters=np.array([filters]),
        channels=np.array([reduction]),
    )
    rules = schedule_rules(nest, load_hardware("edge_16x16", [*KEYS, *array]))
    cycles = layer_cycles(rules, tile, LOOP_ORDERS[0])
    return cycles.compute + cycles.fill_drain


def test_every_layer_that_was_simulated_is_there():
    assert [sum(row[0] == dataflow for row in SIMULATED) for dataflow in SYSTOLIC] == [33, 24, 23]


@pytest.mark.parametrize(
    ("dataflow", "rows", "cols", "pixels", "reduction", "filters", "cycles"), SIMULATED
)
def test_a_layer_takes_the_cycles_of_scale_sim(
    dataflow, rows, cols, pixels, reduction, filters, cycles
):
    layer = (dataflow, rows, cols, pixels, reduction, filters)
    assert array_cycles(*layer) == cycles
    assert systolic_cycles(*layer) == cycles


@pytest.mark.parametrize("dataflow", SYSTOLIC)
@pytest.mark.parametrize("seed", range(10))
def test_any_layer_takes_the_cycles_of_the_closed_form(dataflow, seed):
    rng = np.random.default_rng(seed)
    layer = (*rng.integers(1, 40, 2).tolist(), *rng.integers(1, 300, 3).tolist())
    assert array_cycles(dataflow, *layer) == systolic_cycles(dataflow, *layer)
