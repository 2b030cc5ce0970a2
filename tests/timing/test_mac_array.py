"""Are the array's cycles those of the RTL, and does every key do what it says?"""

import csv
from pathlib import Path

import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.timing.mac_array import (
    array_rules,
    compute_cycles,
    fill_drain_cycles,
    lay_on_array,
)


def measured(name):
    """Read tiles that were measured: rows, cols, extent in time, cycles."""
    lines = (Path(__file__).parent / name).read_text().splitlines()
    table = csv.reader(line for line in lines if not line.startswith("#"))
    next(table)
    return [tuple(int(value) for value in row) for row in table]


OUTPUT_STATIONARY = measured("rtl_os_cycles.csv")
WEIGHT_STATIONARY = measured("rtl_ws_cycles.csv")
PRELOADED = ["drain=hidden", "dataflow=weight_stationary"]


def cycles_of(overrides, groups, pixels, filters, reduction, passes=1):
    array = load_hardware("edge_16x16", [f"mac_array.{key}" for key in overrides]).mac_array
    rules = array_rules(array)
    tile = (rules, groups, lay_on_array(rules, pixels, filters, reduction, passes))
    compute, skew = compute_cycles(*tile), fill_drain_cycles(*tile)
    assert (compute_cycles.py_func(*tile), fill_drain_cycles.py_func(*tile)) == (compute, skew)
    return compute, skew


def test_the_measured_tiles_are_there():
    assert len(OUTPUT_STATIONARY) == len(WEIGHT_STATIONARY) == 56


@pytest.mark.parametrize(("rows", "cols", "reduction", "cycles"), OUTPUT_STATIONARY)
def test_an_output_stationary_fold_takes_the_cycles_of_the_rtl(rows, cols, reduction, cycles):
    compute, skew = cycles_of([f"rows={rows}", f"cols={cols}"], 1, rows, cols, reduction)
    assert compute == reduction
    assert compute + skew == cycles


@pytest.mark.parametrize(("rows", "cols", "pixels", "cycles"), WEIGHT_STATIONARY)
def test_a_weight_stationary_fold_takes_the_cycles_of_the_rtl(rows, cols, pixels, cycles):
    keys = [*PRELOADED, f"rows={rows}", f"cols={cols}", "output_register_cycles=1"]
    compute, skew = cycles_of(keys, 1, pixels, cols, rows)
    assert compute == pixels
    assert compute + skew == cycles


@pytest.mark.parametrize(("rows", "cols", "filters", "cycles"), WEIGHT_STATIONARY)
def test_an_input_stationary_fold_is_one_with_the_operands_exchanged(rows, cols, filters, cycles):
    keys = ["drain=hidden", "dataflow=input_stationary", f"rows={rows}", f"cols={cols}"]
    compute, skew = cycles_of([*keys, "output_register_cycles=1"], 1, cols, filters, rows)
    assert compute == filters
    assert compute + skew == cycles


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


@pytest.mark.parametrize(
    ("overrides", "skew"),
    [
        # 20 products on 16 rows and 10 filters on 16 cols: 2 folds of 9 pixels, each
        # behind 16 cycles in which weights are loaded.
        ([], 2 * (16 + 16 + 16 - 2)),
        (["pipeline_cycles=2", "output_register_cycles=1"], 2 * (16 + 16 + 16 - 2 + 3)),
        # Folds use 16 and 4 rows, 10 columns each, and load the rows they use.
        (["edge_tiles=used_skew"], (16 + 16 + 10 - 2) + (4 + 4 + 10 - 2)),
        # The first load shows, the second hides behind the first fold.
        (["fold_overlap=weight_preload"], 16 + 2 * (16 + 16 - 2)),
        # Overlapped: the skew once; a load of 16 rows waits 7 behind 9 pixels, one of 4 none.
        (["fold_overlap=full"], 16 + 7 + (16 + 16 - 2)),
        (["fold_overlap=full", "edge_tiles=used_skew"], 16 + (16 + 10 - 2)),
    ],
)
def test_every_key_of_an_array_with_preload_costs_what_it_says(overrides, skew):
    assert cycles_of([*PRELOADED, *overrides], 1, 9, 10, 20) == (2 * 9, skew)


def test_a_load_behind_a_short_fold_shows():
    # 17 products on 16 rows, 17 filters on 16 columns, 1 pixel; folds in order:
    # 16 rows x 16 cols, 1 x 16, 16 x 1, 1 x 1. Their skews are 30, 15, 15 and 0; the
    # third load takes 16 cycles and starts with a fold of 1 + 15 cycles: all hidden. In
    # the next group it starts with a fold of 1 + 0 cycles: 15 show.
    keys = [*PRELOADED, "edge_tiles=used_skew", "fold_overlap=weight_preload"]
    assert cycles_of(keys, 1, 1, 17, 17) == (4, 16 + 30 + 15 + 15 + 0)
    assert cycles_of(keys, 2, 1, 17, 17) == (8, 16 + 2 * (30 + 15 + 15 + 0) + 15)


TREES = ["drain=hidden", "dataflow=channel_parallel"]


@pytest.mark.parametrize(
    ("overrides", "cycles"),
    [
        # 20 channels on 16 rows at each of 3 taps, 10 filters on 16 columns, 9 pixels: 6
        # folds, each behind 16 cycles in which weights are loaded. Nothing is skewed.
        ([], 6 * 16),
        (["pipeline_cycles=2", "output_register_cycles=1"], 6 * (16 + 3)),
        # Folds use 16 and 4 rows.
        (["edge_tiles=used_skew"], 3 * 16 + 3 * 4),
        # The first load shows; of the others, what is longer than 9 pixels.
        (["fold_overlap=weight_preload"], 16 + 5 * 7),
        (["fold_overlap=weight_preload", "pipeline_cycles=3"], 16 + 5 * (7 - 3) + 6 * 3),
        (["fold_overlap=weight_preload", "edge_tiles=used_skew"], 16 + 2 * 7),
        (["fold_overlap=full"], 16 + 5 * 7),
        # Overlapped: the delay once.
        (["fold_overlap=full", "pipeline_cycles=3"], 16 + 5 * 7 + 3),
    ],
)
def test_every_key_of_an_array_of_trees_costs_what_it_says(overrides, cycles):
    assert cycles_of([*TREES, *overrides], 1, 9, 10, 20, passes=3) == (6 * 9, cycles)


def test_groups_take_folds_of_their_own():
    one = cycles_of([], 1, 16, 1, 9)
    assert cycles_of([], 5, 16, 1, 9) == (5 * one[0], 5 * one[1])
