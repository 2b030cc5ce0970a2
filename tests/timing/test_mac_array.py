"""Are the array's cycles those of the RTL, and does every key do what it says?"""

import csv
from pathlib import Path

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.timing.mac_array import array_rules, compute_cycles, fill_drain_cycles

MEASURED = [
    tuple(int(value) for value in row.values())
    for row in csv.DictReader(
        line
        for line in (Path(__file__).parent / "rtl_os_cycles.csv").read_text().splitlines()
        if not line.startswith("#")
    )
]


def cycles_of(overrides, groups, pixels, filters, reduction):
    array = load_hardware("edge_16x16", [f"mac_array.{key}" for key in overrides]).mac_array
    tile = (array_rules(array), groups, pixels, filters, reduction)
    compute, skew = compute_cycles(*tile), fill_drain_cycles(*tile)
    assert (compute_cycles.py_func(*tile), fill_drain_cycles.py_func(*tile)) == (compute, skew)
    return compute, skew


def test_the_measured_tiles_are_there():
    assert len(MEASURED) == 56


@pytest.mark.parametrize(("rows", "cols", "reduction", "measured"), MEASURED)
def test_a_fold_takes_the_cycles_of_the_rtl(rows, cols, reduction, measured):
    compute, skew = cycles_of([f"rows={rows}", f"cols={cols}"], 1, rows, cols, reduction)
    assert compute == reduction
    assert compute + skew == measured


@pytest.mark.parametrize(
    ("overrides", "skew"),
    [
        # 20 pixels on 16 rows and 10 filters on 16 cols: 2 folds of 9 products.
        ([], 2 * (16 + 16 - 2 + 16)),
        (["pipeline_cycles=2", "output_register_cycles=1"], 2 * (16 + 16 - 2 + 3 + 16)),
        (["drain=hidden"], 2 * (16 + 16 - 2)),
        # Folds use 16 and 4 rows, 10 columns each, and drain the rows they use.
        (["edge_tiles=used_skew"], (16 + 10 - 2 + 16) + (4 + 10 - 2 + 4)),
        (["edge_tiles=used_skew", "drain=hidden"], (16 + 10 - 2) + (4 + 10 - 2)),
        # Overlapped: the skew once, the drain (while the array waits) of each.
        (["fold_overlap=full"], (16 + 16 - 2) + 2 * 16),
        # Hidden drains need their registers for 16 cycles; a fold of 9 waits 7 for them.
        (["fold_overlap=full", "drain=hidden"], (16 + 16 - 2) + 7),
        (["fold_overlap=full", "drain=hidden", "pipeline_cycles=5"], (16 + 16 - 2) + 7 + 5),
    ],
)
def test_every_key_of_the_array_costs_what_it_says(overrides, skew):
    assert cycles_of(overrides, 1, 20, 10, 9) == (2 * 9, skew)


def test_groups_take_folds_of_their_own():
    one = cycles_of([], 1, 16, 1, 9)
    assert cycles_of([], 5, 16, 1, 9) == (5 * one[0], 5 * one[1])
