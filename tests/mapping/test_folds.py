"""Are the folds those of a walk of the loop nest, each part of the layer in one of them?"""

from itertools import product

import numpy as np
import pytest

from accel_sim.hardware.choices import Along
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.folds import list_folds
from accel_sim.mapping.loop_orders import loop_orders
from accel_sim.mapping.tile import LayerMapping, Loop
from tests.mapping.random_layers import (
    FOLDING,
    as_problem,
    in_random_mode,
    random_machine,
    random_nest,
)
from tests.oracles.loop_nest_walk import walk


@pytest.mark.parametrize("dataflow", FOLDING)
@pytest.mark.parametrize("seed", range(15))
def test_folds_are_those_of_a_walk(seed: int, dataflow: str) -> None:
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng), random_machine(rng, dataflow=dataflow)
    space = enumerate_tiles(nest, hardware)
    candidate = int(rng.integers(len(space.feasible)))
    order = loop_orders(nest)[rng.integers(6)]
    mapping = LayerMapping(
        dataflow=hardware.mac_array.dataflow, tile=space.tile(candidate), loop_order=order
    )
    folds = list(list_folds(nest, mapping, hardware.mac_array))
    axes = array_axes(hardware.mac_array.dataflow)
    walked = walk(as_problem(nest, hardware, space, candidate, order))
    assert [(number, *fold) for number, step in enumerate(walked.steps) for fold in step.folds] == [
        (fold.tile, fold.extent(axes.rows), fold.extent(axes.cols), fold.extent(axes.time))
        for fold in folds
    ]
    visited = [
        (fold.group, *place, k, i)
        for fold in folds
        for place, k, i in product(
            map(tuple, fold.place_pixels().tolist()), fold.filters, fold.reduction
        )
    ]
    everything = product(
        range(nest.groups),
        range(nest.batch),
        range(nest.output_rows),
        range(nest.output_cols),
        range(nest.filters),
        range(nest.reduction),
    )
    assert sorted(visited) == list(everything)


@pytest.mark.parametrize("along", Along)
@pytest.mark.parametrize("dataflow", FOLDING)
@pytest.mark.parametrize("seed", range(5))
def test_folds_hold_what_all_multipliers_take(seed: int, dataflow: str, along: Along) -> None:
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng), random_machine(rng, dataflow=dataflow)
    nest = in_random_mode(rng, nest, along)
    space = enumerate_tiles(nest, hardware)
    candidate = int(rng.integers(len(space.feasible)))
    order = loop_orders(nest)[rng.integers(6)]
    mapping = LayerMapping(
        dataflow=hardware.mac_array.dataflow, tile=space.tile(candidate), loop_order=order
    )
    problem = as_problem(nest, hardware, space, candidate, order)
    at_once = {Loop.FILTERS: problem.filters_at_once, Loop.CHANNELS: problem.products_at_once}
    axes = array_axes(hardware.mac_array.dataflow)
    found = [
        (fold.tile, *(-(-fold.extent(loop) // at_once.get(loop, 1))
                      for loop in (axes.rows, axes.cols, axes.time)))
        for fold in list_folds(nest, mapping, hardware.mac_array)
    ]  # fmt: skip
    walked = walk(problem)
    assert found == [
        (number, *fold) for number, step in enumerate(walked.steps) for fold in step.folds
    ]


@pytest.mark.parametrize("dataflow", FOLDING)
def test_folds_of_one_sum_come_in_its_order(dataflow: str) -> None:
    rng = np.random.default_rng(3)
    nest, hardware = random_nest(rng), random_machine(rng, dataflow=dataflow)
    space = enumerate_tiles(nest, hardware)
    for candidate, order in product(range(0, len(space.feasible), 37), loop_orders(nest)):
        mapping = LayerMapping(
            dataflow=hardware.mac_array.dataflow, tile=space.tile(candidate), loop_order=order
        )
        done: dict[tuple[int, ...], int] = {}
        for fold in list_folds(nest, mapping, hardware.mac_array):
            for place, k in product(map(tuple, fold.place_pixels().tolist()), fold.filters):
                output = (fold.group, *place, k)
                assert done.get(output, 0) == fold.reduction.start
                done[output] = fold.reduction.stop
        assert set(done.values()) == {nest.reduction}
    assert mapping.loop_order[0] is Loop.GROUPS
