"""Are the steps of a layer without gaps, and do they hold all its cycles and bits?"""

import numpy as np
import pytest

from accel_sim.mapping.access_counts import count_dram_bits, count_tiles
from accel_sim.mapping.coded_maps import CodedMaps
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.loop_nest import Kind
from accel_sim.timing.pipeline import layer_cycles, list_steps, tile_sizes
from accel_sim.timing.schedule_kernel import (
    AFTERWARDS_START,
    BUSY_END,
    MEANWHILE_END,
    READ,
    STEP_END,
    STEP_START,
    WRITTEN,
)
from accel_sim.timing.schedule_rules import schedule_rules
from tests.mapping.random_layers import (
    DATAFLOWS,
    let_maps_stay,
    random_codes,
    random_machine,
    random_nest,
)

FLAT = "dram={model: flat, bandwidth_GBps: 1, latency_ns: 80, energy_pJ_per_bit: 8}"


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(8))
def test_steps_hold_all_cycles_and_bits(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng), random_machine(rng, FLAT, dataflow=dataflow)
    if seed % 2:
        nest = let_maps_stay(rng, nest)
    space = enumerate_tiles(nest, hardware)
    candidate = int(rng.integers(len(space.feasible)))
    order = space.orders[int(rng.integers(len(space.orders)))]
    rules, sizes = schedule_rules(nest, hardware), tile_sizes(nest, hardware, space, candidate)
    cycles = layer_cycles(rules, sizes, order)
    steps = list_steps(rules, None, sizes, order)

    tiles = count_tiles(nest, hardware, space.take(np.array([candidate])))
    assert len(steps) == int(tiles.steps[0]) + 2
    assert steps[0, STEP_START] == 0
    assert (steps[1:, STEP_START] == steps[:-1, STEP_END]).all()
    assert steps[-1, STEP_END] == cycles.total
    busy = steps[:, BUSY_END] - steps[:, STEP_START]
    assert busy[0] == busy[-1] == 0
    assert busy.sum() == cycles.total - cycles.dram_stalls
    assert (steps[:, AFTERWARDS_START] == steps[:, [BUSY_END, MEANWHILE_END]].max(axis=1)).all()
    assert (steps[:, AFTERWARDS_START] <= steps[:, STEP_END]).all()
    bits = count_dram_bits(tiles, order)
    assert (steps[:, READ].sum(), steps[:, WRITTEN].sum()) == (
        int(bits.read[0]),
        int(bits.write[0]),
    )


@pytest.mark.parametrize("kind", [Kind.MAC, Kind.POOL, Kind.ADD, Kind.MULTIPLY])
@pytest.mark.parametrize("seed", range(8))
def test_steps_move_codes_in_place_of_maps_and_nothing_else_changes(seed, kind):
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng, kind), random_machine(rng, FLAT)
    space = enumerate_tiles(nest, hardware)
    candidate = int(rng.integers(len(space.feasible)))
    order = space.orders[int(rng.integers(len(space.orders)))]
    sizes, codes = tile_sizes(nest, hardware, space, candidate), random_codes(rng)
    tiles = count_tiles(nest, hardware, space.take(np.array([candidate])))
    bits = count_dram_bits(tiles, order)

    def run(**lengths):
        rules = schedule_rules(nest, hardware, CodedMaps(**lengths))
        steps, cycles = list_steps(rules, None, sizes, order), layer_cycles(rules, sizes, order)
        busy = steps[:, BUSY_END] - steps[:, STEP_START]
        return int(steps[:, READ].sum()), int(steps[:, WRITTEN].sum()), busy.tolist(), cycles

    plain = run()
    for operand, moved in (
        ("ifm", bits.ifm_read), ("residual", bits.residual_read), ("ofm", bits.ofm_write)
    ):  # fmt: skip
        length = getattr(codes, operand)
        read, written, busy, cycles = run(**{operand: length})
        place = 1 if operand == "ofm" else 0
        changed = (read, written)[place] - plain[place]
        # Every tile rounds its part up to a bit.
        expected = int(moved[0]) * (length - 1)
        assert expected <= changed < expected + len(busy)
        assert (read, written)[1 - place] == plain[1 - place]
        assert busy == plain[2]
        assert cycles.total - cycles.dram_stalls == plain[3].total - plain[3].dram_stalls
        if length <= 1:
            assert cycles.total <= plain[3].total
    both = run(ifm=codes.ifm, residual=codes.residual)[0]
    alone = run(ifm=codes.ifm)[0] + run(residual=codes.residual)[0]
    assert both - plain[0] == alone - 2 * plain[0]
