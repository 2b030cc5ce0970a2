"""Does a machine's plan add as the machine does, product by product?"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from accel_sim.accumulation import AccumulationPlan, Adder
from accel_sim.hardware.choices import Along
from accel_sim.hardware.load import load_hardware
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.mapping.accumulation import plan_accumulation
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.loop_nest import LoopNest
from tests.accumulation_plans import for_oracle
from tests.mapping.random_layers import DATAFLOWS, FOLDING, in_random_mode, random_nest
from tests.oracles import additions

SATURATING = ["precision.accumulator_overflow=saturate", "precision.accumulator_bits=16"]


def machine(dataflow: str, rows: int, *overrides: str):
    keys = [f"mac_array.dataflow={dataflow}", f"mac_array.rows={rows}"]
    if dataflow != "output_stationary":
        keys.append("mac_array.drain=hidden")
    if dataflow == "row_stationary":
        # As many channels of 3 taps as the others have rows.
        words = f"{{ifm_words: {3 * rows}, weight_words: {3 * rows}, psum_words: 4}}"
        keys.append(f"mac_array.register_files={words}")
        keys.append("mac_array.networks={ifm_bits: 64, weight_bits: 64, psum_bits: 64}")
    return load_hardware("edge_16x16", [*keys, *SATURATING, *overrides])


def walk(dataflow: str, products, extents, tile: int, rows: int, at_once: int = 1):
    if dataflow == "output_stationary":
        return additions.output_stationary(products, extents, tile, 16, at_once=at_once)
    if dataflow == "channel_parallel":
        # A tree takes one tap of a channel only.
        many = rows * min(at_once, extents[0])
        return additions.channel_parallel(products, extents, tile, 16, many)
    if dataflow == "row_stationary":
        # As evenly as can be in as many parts as it takes.
        most = 3 * rows // extents[2]
        of_pe = -(-tile // -(-tile // most))
        return additions.row_stationary(products, extents, tile, 16, of_pe)
    return additions.weight_stationary(products, extents, tile, 16, rows, at_once=at_once)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(30))
def test_a_plan_is_what_the_machine_does(dataflow: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    nest = random_nest(rng)
    extents = (nest.channels, nest.filter_rows, nest.filter_cols)
    rows = int(rng.integers(1, 12))
    clamps = 0
    for tile in range(1, nest.channels + 1):
        plan = plan_accumulation(nest, machine(dataflow, rows), tile)
        places = product(*(range(extent) for extent in extents))
        products = {place: int(rng.choice([-(2**15), 2**15 - 1])) for place in places}
        found = additions.run_plan(for_oracle(plan), products, extents)
        assert found == walk(dataflow, products, extents, tile, rows)
        clamps += found[1]
    assert clamps or nest.reduction < 6


@pytest.mark.parametrize("dataflow", FOLDING)
@pytest.mark.parametrize("seed", range(20))
def test_a_plan_of_several_multipliers_is_what_the_machine_does(dataflow: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    nest = in_random_mode(rng, random_nest(rng), Along.REDUCTION)
    assert nest.mode is not None
    extents = (nest.channels, nest.filter_rows, nest.filter_cols)
    rows = int(rng.integers(1, 6))
    at_once = nest.mode.macs_per_pe
    clamps = 0
    for tile in range(1, nest.channels + 1):
        plan = plan_accumulation(nest, machine(dataflow, rows), tile)
        places = product(*(range(extent) for extent in extents))
        products = {place: int(rng.choice([-(2**15), 2**15 - 1])) for place in places}
        found = additions.run_plan(for_oracle(plan), products, extents)
        assert found == walk(dataflow, products, extents, tile, rows, at_once)
        clamps += found[1]
    assert clamps or nest.reduction < 12


@pytest.mark.parametrize("dataflow", FOLDING)
def test_filters_on_one_processing_element_have_sums_of_their_own(dataflow: str) -> None:
    rng = np.random.default_rng(0)
    alone = deep_nest(12, 3)
    many = in_random_mode(rng, alone, Along.FILTERS)
    hardware = machine(dataflow, 4)
    if dataflow != "channel_parallel":
        assert plans_by_tile(many, hardware) == plans_by_tile(alone, hardware)
    narrow = replace(many, mode=many.mode.model_copy(update={"weight_bits": 4}))
    first, second = (plans_by_tile(nest, hardware)[0].levels for nest in (alone, narrow))
    assert [level.loops for level in first] == [level.loops for level in second]


def test_a_tile_that_cuts_what_is_multiplied_at_once_changes_the_plan() -> None:
    """4 products at once of 3 taps: only tiles of 4 and 8 of 12 channels leave them whole."""
    mode = MultiplierMode(weight_bits=4, activation_bits=4, macs_per_pe=4, along=Along.REDUCTION)
    nest = replace(deep_nest(12, 3), mode=mode)
    *parts, whole = plans_by_tile(nest, machine("output_stationary", 4))
    assert [tile + 1 for tile, plan in enumerate(parts) if plan == whole] == [4, 8]
    fixed = machine("output_stationary", 4, "mapping.reduction=fixed")
    assert enumerate_tiles(nest, fixed).channels.tolist() == [12, 8, 4]


@pytest.mark.parametrize("activations", ["signed", "unsigned", "either"])
@pytest.mark.parametrize("dataflow", FOLDING)
def test_a_tree_of_a_mode_is_as_wide_as_its_largest_sum(dataflow: str, activations: str) -> None:
    hardware = machine(dataflow, 8, f"precision.activations={activations}")
    mode = MultiplierMode(weight_bits=4, activation_bits=2, macs_per_pe=5, along=Along.REDUCTION)
    plan = plan_accumulation(replace(deep_nest(12, 3), mode=mode), hardware, 12)
    tree = plan.levels[0]
    terms = 5 * (8 if dataflow == "channel_parallel" else 1)
    largest_activation = 2 if activations == "signed" else 3
    assert tree.range[0] <= -8 * largest_activation * terms
    assert 8 * 2 * terms <= tree.range[1]
    assert (tree.saturates, tree.adder) == (False, Adder.TREE)
    assert tree.bits <= 4 + 3 + 6


def plans_by_tile(nest: LoopNest, hardware) -> list[AccumulationPlan]:
    return [plan_accumulation(nest, hardware, tile) for tile in range(1, nest.channels + 1)]


def deep_nest(channels: int, taps: int) -> LoopNest:
    nest = random_nest(np.random.default_rng(0))
    return replace(
        nest, groups=1, channels=channels, filter_rows=1, filter_cols=taps, output_cols=1,
        input_cols=taps, stride=(1, 1), dilation=(1, 1), pads=(0, 0),
    )  # fmt: skip


def test_an_output_stationary_machine_has_one_plan_however_it_tiles() -> None:
    plans = plans_by_tile(deep_nest(12, 3), machine("output_stationary", 4))
    assert len(set(plans)) == 1


@pytest.mark.parametrize("dataflow", ["weight_stationary", "input_stationary"])
def test_plans_differ_where_a_tile_cuts_a_fold(dataflow: str) -> None:
    """Folds of 4 products, channels of 3: only tiles of 4 and 8 of 12 channels end on a fold."""
    *parts, whole = plans_by_tile(deep_nest(12, 3), machine(dataflow, 4))
    assert [tile + 1 for tile, plan in enumerate(parts) if plan == whole] == [4, 8]
    assert len(set(parts)) == 10


def test_plans_differ_where_a_tile_cuts_a_tree() -> None:
    """Trees of 4 channels: tiles of 4 and 8 of 12 leave them whole."""
    *parts, whole = plans_by_tile(deep_nest(12, 3), machine("channel_parallel", 4))
    assert [tile + 1 for tile, plan in enumerate(parts) if plan == whole] == [4, 8]
    assert len(set(parts)) == 10


@pytest.mark.parametrize("activations", ["signed", "unsigned", "either"])
@pytest.mark.parametrize("rows", [1, 7, 8, 9])
def test_a_tree_is_as_wide_as_its_largest_sum(rows: int, activations: str) -> None:
    hardware = machine("channel_parallel", rows, f"precision.activations={activations}")
    tree, accumulator = plan_accumulation(deep_nest(12, 3), hardware, 12).levels
    largest_activation = 128 if activations == "signed" else 255
    low, high = tree.range
    assert low <= -128 * largest_activation * rows
    assert 128 * 128 * rows <= high
    assert (tree.saturates, tree.adder, accumulator.bits) == (False, Adder.TREE, 16)


@pytest.mark.parametrize("seed", range(15))
def test_a_tree_of_an_own_group_takes_its_products_as_they_stream(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 12))
    hardware = machine("channel_parallel", rows, "mac_array.depthwise=native")
    alone = replace(random_nest(rng), groups=6, filters=2)
    joined = join_groups(alone, hardware.mac_array)
    assert joined.blocks_are_apart
    extents = (alone.channels, alone.filter_rows, alone.filter_cols)
    places = product(*(range(extent) for extent in extents))
    products = {place: int(rng.choice([-(2**14), 2**14 - 1])) for place in places}
    plan = plan_accumulation(joined, hardware, joined.channels)
    assert additions.run_plan(for_oracle(plan), products, extents) == (
        additions.trees_of_any_products(products, extents, 16, rows)
    )


@pytest.mark.parametrize(
    ("dataflow", "sizes"),
    [
        ("output_stationary", [12, 6, 4, 3, 2, 1]),
        # 12, 6, 4, 3, 2 and 1 rounded up to whole folds of 4 products of 3 taps.
        ("weight_stationary", [12, 8, 4]),
        ("input_stationary", [12, 8, 4]),
        # The same: whole trees of 4 channels.
        ("channel_parallel", [12, 8, 4]),
        # Elements that keep 4 channels each.
        ("row_stationary", [12, 8, 4]),
    ],
)
def test_a_fixed_reduction_is_cut_only_where_no_sum_can_tell(
    dataflow: str, sizes: list[int]
) -> None:
    nest, fixed = deep_nest(12, 3), machine(dataflow, 4, "mapping.reduction=fixed")
    offered = enumerate_tiles(nest, fixed).channels
    assert offered.tolist() == sizes
    assert len({plan_accumulation(nest, fixed, int(size)) for size in offered}) == 1
    free = machine(dataflow, 4)
    assert enumerate_tiles(nest, free).channels.tolist() == [12, 6, 4, 3, 2, 1]


@pytest.mark.parametrize("dataflow", FOLDING)
def test_blocks_side_by_side_are_one_fold(dataflow: str) -> None:
    """What an output meets of other blocks is zero, which no sum notices."""
    hardware = machine(dataflow, 16, "mac_array.depthwise=block_diagonal")
    alone = replace(deep_nest(1, 3), groups=6, filters=1)
    joined = join_groups(alone, hardware.mac_array)
    assert joined.blocks > 1
    rng = np.random.default_rng(0)
    extents = (1, 1, 3)
    for _ in range(20):
        products = {(0, 0, s): int(rng.integers(-(2**15), 2**15)) for s in range(3)}
        found = additions.run_plan(
            for_oracle(plan_accumulation(joined, hardware, joined.channels)), products, extents
        )
        assert found == walk(dataflow, products, extents, 1, 16)
