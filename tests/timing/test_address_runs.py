"""Are the runs of a tile the elements that it holds, each once and in its place?"""

from itertools import product

import numpy as np
import pytest

from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.input_extent import Axis, cut_axis, list_positions
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.loop_nest import Kind
from accel_sim.mapping.loop_orders import loop_orders
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.timing import address_runs
from accel_sim.timing.dram_windows import READS, WRITES
from accel_sim.timing.record import as_record
from accel_sim.timing.tensor_layout import most_runs, tile_addresses, tile_positions
from tests.mapping.random_layers import (
    LANE_KINDS,
    as_problem,
    random_groups,
    random_machine,
    random_nest,
)
from tests.oracles.loop_nest_walk import walk
from tests.oracles.tensor_places import tile_elements
from tests.seeds import seeds

ROW_BITS = 4096


def bits_of(runs):
    """Every bit of some runs; none is in two of them, and neighbours are one run."""
    bits = np.concatenate([np.arange(first, first + n) for first, n, _ in runs.tolist()])
    assert len(np.unique(bits)) == len(bits)
    assert not set(runs[:, 0].tolist()) & set((runs[:, 0] + runs[:, 1]).tolist())
    return np.sort(bits)


def bits_of_elements(operand, elements):
    numbers = np.sort(np.array(elements))[:, np.newaxis]
    return (operand.base + numbers * operand.bits + np.arange(operand.bits)).ravel()


def transfers(addresses, positions, index, step, is_new_group):
    """Runs of all that a step moves, and the operand of which each part is."""

    def append(direction, *adds):
        runs = np.zeros((most, 3), np.int64)
        n_runs = 0
        for add in adds:
            n_runs = add(runs, n_runs)
        assert set(runs[:n_runs, 2].tolist()) == {direction}
        return runs[:n_runs]

    addresses, most = as_record(addresses), most_runs(addresses, positions)
    place = address_runs.place_tile(addresses, index)
    if step.loads.get("ifm"):
        runs = append(
            READS,
            lambda *to: address_runs.add_ifm(addresses, positions, place, *to),
            lambda *to: address_runs.add_residual(addresses, place, is_new_group, *to),
        )
        yield step.loads["ifm"], runs, ("ifm", "residual")
    if step.loads.get("weights"):
        runs = append(READS, lambda *to: address_runs.add_weights(addresses, place, *to))
        yield step.loads["weights"], runs, ("weights", "biases")
    if step.loads.get("psum"):
        runs = append(
            READS,
            lambda *to: address_runs.add_outputs(addresses, place, addresses["psum"], READS, *to),
        )
        yield step.loads["psum"], runs, ("psum",)
    if step.stores.get("psum"):
        runs = append(
            WRITES,
            lambda *to: address_runs.add_outputs(addresses, place, addresses["psum"], WRITES, *to),
        )
        yield step.stores["psum"], runs, ("psum",)
    if step.stores.get("ofm"):
        runs = append(
            WRITES,
            lambda *to: address_runs.add_outputs(addresses, place, addresses["ofm"], WRITES, *to),
        )
        yield step.stores["ofm"], runs, ("ofm",)


def check_layer(rng, nest, hardware):
    space = enumerate_tiles(nest, hardware)
    candidate = int(rng.integers(0, len(space.feasible)))
    orders = loop_orders(nest)
    problem = as_problem(
        nest, hardware, space, candidate, orders[int(rng.integers(0, len(orders)))]
    )
    bits = stored_bits(nest, hardware)
    tile = space.tile(candidate)
    addresses, positions = tile_addresses(nest, tile, bits, ROW_BITS), tile_positions(nest, tile)
    tensors = ("ifm", "residual", "weights", "biases", "psum", "ofm")
    assert all(getattr(addresses, name).base % ROW_BITS == 0 for name in tensors)
    names = {"weights": "weight", "biases": "bias"}
    trips = {
        "groups": -(-nest.groups // problem.tile["groups"]),
        "pixels": -(-nest.batch // problem.tile["batch"])
        * -(-nest.output_rows // problem.tile["output_rows"])
        * -(-nest.output_cols // problem.tile["output_cols"]),
        "filters": -(-nest.filters // problem.tile["filters"]),
        "channels": -(-nest.channels // problem.tile["channels"]),
    }
    visits = list(product(*(range(trips[loop]) for loop in problem.order)))
    steps = walk(problem).steps
    group_before = None
    for visit, step in zip(visits, steps, strict=True):
        at = dict(zip(problem.order, visit, strict=True))
        index = np.array([at[loop] for loop in ("groups", "pixels", "filters", "channels")])
        is_new_group = at["groups"] != group_before
        group_before = at["groups"]
        elements = tile_elements(problem, at)
        if problem.shares_residual and not is_new_group:
            elements["residual"] = []
        if not step.is_last:
            elements["bias"] = []
        for n_bits, runs, operands in transfers(addresses, positions, index, step, is_new_group):
            assert runs[:, 1].sum() == n_bits
            expected = [
                bits_of_elements(getattr(addresses, name), elements[names.get(name, name)])
                for name in operands
            ]
            np.testing.assert_array_equal(bits_of(runs), np.sort(np.concatenate(expected)))
            assert runs[:, 0].max() < addresses.end


@pytest.mark.parametrize("seed", seeds(25, 200))
def test_runs_are_the_bits_of_the_tile_on_the_array(seed):
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng), random_machine(rng)
    check_layer(rng, nest, hardware)


@pytest.mark.parametrize("seed", seeds(8, 50))
def test_runs_are_the_bits_of_the_tile_of_groups_side_by_side(seed):
    rng = np.random.default_rng(seed)
    keys = ("mac_array.depthwise=block_diagonal", "mac_array.rows=24", "mac_array.cols=9")
    hardware = random_machine(rng, *keys)
    check_layer(rng, join_groups(random_groups(rng), hardware.mac_array), hardware)


@pytest.mark.parametrize("kind", LANE_KINDS)
@pytest.mark.parametrize("seed", seeds(4, 40))
def test_runs_are_the_bits_of_the_tile_on_the_lanes(kind, seed):
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng, kind), random_machine(rng)
    check_layer(rng, nest, hardware)


def test_tensors_follow_one_another_without_overlap():
    rng = np.random.default_rng(0)
    for kind in Kind:
        if kind.is_free:
            continue
        nest, hardware = random_nest(rng, kind), random_machine(rng)
        tile = enumerate_tiles(nest, hardware).tile(0)
        one = tile_addresses(nest, tile, stored_bits(nest, hardware), ROW_BITS)
        bases = [one.ifm, one.residual, one.weights, one.biases, one.psum, one.ofm]
        starts = [operand.base for operand in bases]
        assert starts == sorted(starts)
        assert one.end >= starts[-1] + nest.outputs * one.ofm.bits


@pytest.mark.parametrize("seed", range(40))
def test_positions_are_those_that_a_cut_counts(seed):
    rng = np.random.default_rng(seed)
    axis = Axis(
        outputs=int(rng.integers(1, 9)), inputs=int(rng.integers(1, 20)),
        taps=int(rng.integers(1, 5)), stride=int(rng.integers(1, 4)),
        dilation=int(rng.integers(1, 4)), pad=int(rng.integers(0, 5)),
    )  # fmt: skip
    for size in range(1, axis.outputs + 1):
        listed, cut = list_positions(axis, size), cut_axis(axis, size)
        pieces = np.split(listed.place, listed.begin[1:-1])
        assert [len(piece) for piece in pieces] == cut.touched.tolist()
        spans = [piece[-1] - piece[0] + 1 if len(piece) else 0 for piece in pieces]
        assert spans == cut.span.tolist()
