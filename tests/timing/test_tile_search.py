"""Does the search find what trying everything finds?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.energy.events import (
    UNKNOWN_ACTIVITY,
    LayerEvents,
    count_additions,
    count_macs,
    count_multiplications,
)
from accel_sim.energy.layer_energy import layer_energy
from accel_sim.energy.search_cost import search_cost
from accel_sim.hardware.choices import Along
from accel_sim.hardware.config import DeviceDram
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.access_counts import (
    count_buffer_words,
    count_dram_bits,
    count_dram_bits_by_order,
    count_tiles,
    total_buffer_accesses,
    total_dram_bytes,
)
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.loop_nest import Kind
from accel_sim.mapping.loop_orders import loop_orders
from accel_sim.mapping.tile import Loop
from accel_sim.timing import tile_search
from accel_sim.timing.cycle_bound import (
    bound_busy_cycles,
    bound_cycles,
    count_read_batches,
    count_waits,
    edge_cycles,
)
from accel_sim.timing.dram import dram_timing
from accel_sim.timing.pipeline import device_cycles, device_stream, layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from accel_sim.timing.step_bound import bound_steps
from accel_sim.timing.tile_search import N_RETIMED, search_tiles
from accel_sim.timing.tile_series import cut_tables, tile_series
from accel_sim.timing.uncut_bound import bound_uncut
from tests.mapping.random_layers import (
    DATAFLOWS,
    FOLDING,
    GROUPED,
    LANE_KINDS,
    in_random_mode,
    let_maps_stay,
    random_groups,
    random_machine,
    random_nest,
)
from tests.seeds import seeds

SLOW_DRAM = (
    "dram={model: flat, bandwidth_GBps: 0.2, latency_ns: 20, energy_pJ_per_bit: 8, packing: byte}"
)


def small_case(
    seed, objective, kind=Kind.MAC, dataflow="output_stationary", depthwise="serial", along=None,
    networks=None,
):  # fmt: skip
    """Draw a layer and its machine, with a flat memory in odd cases, a device in others."""
    rng = np.random.default_rng(seed)
    nest = replace(random_nest(rng, kind), batch=1, groups=int(rng.integers(1, 3)))
    if kind is Kind.LOOKUP:
        nest = replace(nest, groups=1)
    overrides = [SLOW_DRAM] if seed % 2 else []
    keys = (
        f"mapping.objective={objective}", f"mac_array.depthwise={depthwise}",
        f"post_processing.lanes={(16, 1, 3)[seed % 3]}",
    )  # fmt: skip
    if networks is not None:
        widths = zip(("ifm_bits", "psum_bits"), networks, strict=True)
        overrides += [f"mac_array.networks.{name}={bits}" for name, bits in widths]
    hardware = random_machine(rng, *overrides, *keys, dataflow=dataflow)
    if depthwise != "serial":
        nest = random_groups(rng)
    if along is not None:
        nest = in_random_mode(rng, nest, along)
    nest = join_groups(nest, hardware.mac_array)
    if seed % 3 == 0:
        nest = let_maps_stay(rng, nest)
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space)
    moved = tuple(count_dram_bits(tiles, order) for order in loop_orders(nest))
    return nest, hardware, space, tiles, moved


def cost_of(nest, hardware):
    constants = energy_constants(hardware)
    return lambda tiles, moved: search_cost(nest, hardware, constants, tiles, moved)


def finalists(nest, space, everything, cost):
    """Give those that a device's addresses decide between: the best, and the best of whole rows.

    Of orders that differ in loops of one tile alone, the first.
    """
    orders = loop_orders(nest)
    different = {}
    for order, candidate in everything:
        tile = space.tile(candidate)
        is_cut = {
            Loop.GROUPS: tile.groups < nest.groups,
            Loop.PIXELS: tile.output_rows < nest.output_rows or tile.output_cols < nest.output_cols,
            Loop.FILTERS: tile.filters < nest.filters,
            Loop.CHANNELS: tile.channels < nest.channels,
        }
        different.setdefault((candidate, *(loop for loop in order if is_cut[loop])), order)
    schedules = [(order, candidate) for (candidate, *_), order in different.items()]

    def rank(one):
        # Energies of the search and of the report add the same terms in another order.
        return float(f"{cost(*everything[one]):.12g}"), *everything[one][::2], orders.index(one[0])

    ranked = sorted(schedules, key=lambda one: (*rank(one), one[1]))
    whole = [one for one in ranked if space.tile(one[1]).output_cols == nest.output_cols]
    return {*ranked[:N_RETIMED], *whole[:N_RETIMED]}


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(10))
def test_search_finds_the_best_of_all(seed, dataflow):
    nest, hardware, space, tiles, moved = small_case(seed, "latency", dataflow=dataflow)
    constants = energy_constants(hardware)
    rules = schedule_rules(nest, hardware)
    sizes = [
        tile_sizes(nest, hardware, space, candidate) for candidate in range(len(space.feasible))
    ]

    def price(cycles, bits, words, candidate):
        """Cycles, energy and bits of one mapping, priced as the report prices it."""
        events = LayerEvents(
            macs=count_macs(nest, UNKNOWN_ACTIVITY, zero_gating=True),
            drained_psums=int(tiles.drained_psums[candidate]),
            additions=count_additions(nest),
            multiplications=count_multiplications(nest),
            dram_bytes=total_dram_bytes(bits, candidate),
            buffer_accesses=total_buffer_accesses(words, candidate),
            cycles=cycles,
        )
        energy_pJ = layer_energy(hardware, constants, events).total.value_pJ
        return cycles, energy_pJ, int((bits.read + bits.write)[candidate])

    def run_with_addresses(order, candidate):
        stream = device_stream(nest, hardware, hardware.dram, space.tile(candidate))
        return device_cycles(rules, stream, sizes[candidate], order).total

    everything, retimed = {}, {}
    for order, bits in zip(loop_orders(nest), moved, strict=True):
        words = count_buffer_words(tiles, bits, hardware.buffers)
        for candidate in range(len(space.feasible)):
            constant = layer_cycles(rules, sizes[candidate], order).total
            everything[order, candidate] = price(constant, bits, words, candidate)
            if isinstance(hardware.dram, DeviceDram):
                exact = run_with_addresses(order, candidate)
                retimed[order, candidate] = price(exact, bits, words, candidate)
    costs = {
        "latency": lambda cycles, energy_pJ, bits: cycles,
        "energy": lambda cycles, energy_pJ, bits: energy_pJ,
        "energy_delay": lambda cycles, energy_pJ, bits: energy_pJ * cycles,
        "dram_bytes": lambda cycles, energy_pJ, bits: bits,
    }
    for objective, cost in costs.items():
        nest, hardware, space, _, _ = small_case(seed, objective, dataflow=dataflow)
        found = search_tiles(nest, hardware, space, cost_of(nest, hardware))
        chosen = (found.loop_order, found.candidate)
        contest = everything
        if retimed:
            contest = {one: retimed[one] for one in finalists(nest, space, everything, cost)}
        assert chosen in contest
        chosen = contest[chosen]
        best = min((cost(*priced), priced[0], priced[2]) for priced in contest.values())
        if objective in ("latency", "dram_bytes"):
            assert (cost(*chosen), chosen[0], chosen[2]) == best
        else:
            # The two add the same terms in another order.
            assert cost(*chosen) == pytest.approx(best[0], rel=1e-12)
        assert found.cycles.total == chosen[0]


@pytest.mark.parametrize("objective", ["latency", "energy_delay"])
@pytest.mark.parametrize("seed", range(6))
def test_the_size_of_blocks_changes_nothing(seed, objective):
    nest, hardware, space, _, _ = small_case(seed, objective)
    assert len(space.feasible) > 3
    whole = search_tiles(nest, hardware, space, cost_of(nest, hardware))
    assert search_tiles(nest, hardware, space, cost_of(nest, hardware), block=3) == whole


@pytest.mark.parametrize(
    ("kind", "dataflow", "depthwise"),
    [
        *((Kind.MAC, dataflow, "serial") for dataflow in DATAFLOWS),
        *((Kind.MAC, *grouped) for grouped in GROUPED),
        *((kind, "output_stationary", "serial") for kind in LANE_KINDS),
    ],
)
@pytest.mark.parametrize("seed", seeds(10, 15))
def test_bounds_are_never_above_the_cycles(seed, kind, dataflow, depthwise):
    objective = ("latency", "energy", "energy_delay", "dram_bytes")[seed % 4]
    case = small_case(seed, objective, kind, dataflow, depthwise)
    check_bounds(*case, np.random.default_rng(seed).integers(0, len(case[2].feasible), 12))


@pytest.mark.parametrize("promising", [1, 20])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", seeds(6, 40))
def test_tiles_that_stay_uncounted_change_nothing(monkeypatch, seed, dataflow, promising):
    """Spaces as small as these are counted as a whole, unless told otherwise."""
    objective = ("latency", "energy", "energy_delay", "dram_bytes")[seed % 4]
    nest, hardware, space, _, _ = small_case(seed, objective, dataflow=dataflow)
    cost = cost_of(nest, hardware)
    found = search_tiles(nest, hardware, space, cost)
    monkeypatch.setattr(tile_search, "_FEW", 0)
    monkeypatch.setattr(tile_search, "_PROMISING", promising)
    assert search_tiles(nest, hardware, space, cost) == found


@pytest.mark.parametrize("networks", [(3, 65536), (24, 65536), (65536, 3), (65536, 24), (8, 8)])
@pytest.mark.parametrize("seed", seeds(5, 30))
def test_bounds_behind_narrow_networks_are_never_above_the_cycles(seed, networks):
    case = small_case(seed, "latency", dataflow="row_stationary", networks=networks)
    check_bounds(*case, np.random.default_rng(seed).integers(0, len(case[2].feasible), 12))


@pytest.mark.parametrize("along", Along)
@pytest.mark.parametrize(
    ("dataflow", "depthwise"), [*((dataflow, "serial") for dataflow in FOLDING), *GROUPED]
)
@pytest.mark.parametrize("seed", seeds(3, 23))
def test_bounds_of_several_multipliers_are_never_above_the_cycles(seed, dataflow, depthwise, along):
    objective = ("latency", "energy", "energy_delay", "dram_bytes")[seed % 4]
    case = small_case(seed, objective, Kind.MAC, dataflow, depthwise, along)
    check_bounds(*case, np.random.default_rng(seed).integers(0, len(case[2].feasible), 12))


@pytest.mark.parametrize("kind", [Kind.MAC, Kind.COPY])
def test_a_tile_that_lies_in_the_padding_waits_for_no_ifm(kind):
    """Of 4 output rows 3 read nothing but padding; the ifm is not double buffered."""
    nest = replace(
        random_nest(np.random.default_rng(0), kind), batch=1, groups=2, filters=2, filter_rows=1,
        filter_cols=1, output_rows=4, output_cols=2, input_rows=1, input_cols=2, stride=(1, 1),
        dilation=(1, 1), pads=(2, 0),
    )  # fmt: skip
    hardware = load_hardware("edge_16x16", [SLOW_DRAM, "buffers.ifm.double_buffered=false"])
    space = enumerate_tiles(nest, hardware)
    everything = np.arange(len(space.feasible))
    tiles = count_tiles(nest, hardware, space)
    moved = tuple(count_dram_bits(tiles, order) for order in loop_orders(nest))
    check_bounds(nest, hardware, space, tiles, moved, everything)


def check_bounds(nest, hardware, space, tiles, moved, chosen):
    busy = bound_busy_cycles(nest, hardware, tiles)
    timing = dram_timing(hardware)
    edges = edge_cycles(nest, hardware, timing, space)
    batches = count_read_batches(nest, space, tiles)
    waits = count_waits(nest, hardware, timing, space, tiles)
    tables = cut_tables(nest, hardware.mac_array, space)
    series = tile_series(nest, hardware, tables, space, tiles)
    costs = cost_of(nest, hardware)(tiles, count_dram_bits_by_order(tiles, loop_orders(nest)))
    is_present = space.grid().any(axis=(2, 3))
    uncut = bound_uncut(nest, hardware, timing, space, is_present, cost_of(nest, hardware))
    rules = schedule_rules(nest, hardware)
    closer = bound_steps(rules, series, busy, loop_orders(nest)) + edges
    for number, (order, bits) in enumerate(zip(loop_orders(nest), moved, strict=True)):
        coarse = bound_cycles(timing, busy, edges, batches, bits, waits)[chosen]
        close = closer[number, chosen]
        for at, candidate in enumerate(chosen):
            sizes = tile_sizes(nest, hardware, space, int(candidate))
            total = layer_cycles(rules, sizes, order).total
            assert coarse[at] <= total
            assert close[at] <= total
            cost = costs.price(costs.fixed[number, candidate], np.array(total))
            groups, batch, _, _, filters, channels = space.feasible[candidate]
            assert uncut[groups, batch, filters, channels] <= cost


def test_the_bound_is_close_to_the_best_mapping():
    """A bound of zero would pass the test above and make the search useless."""
    nest = replace(
        random_nest(np.random.default_rng(0)), batch=1, groups=1, filters=64, channels=64,
        filter_rows=3, filter_cols=3, output_rows=56, output_cols=56, input_rows=56,
        input_cols=56, stride=(1, 1), dilation=(1, 1), pads=(1, 1), ifm_bits=8, weight_bits=8,
        ofm_bits=8,
    )  # fmt: skip
    flat = "{model: flat, bandwidth_GBps: 11.7, latency_ns: 64, energy_pJ_per_bit: 8}"
    hardware = load_hardware("edge_16x16", [f"dram={flat}"])
    space = enumerate_tiles(nest, hardware)
    tiles = count_tiles(nest, hardware, space)
    moved = tuple(count_dram_bits(tiles, order) for order in loop_orders(nest))
    found = search_tiles(nest, hardware, space, cost_of(nest, hardware))
    bits = moved[loop_orders(nest).index(found.loop_order)]
    timing = dram_timing(hardware)
    bound = bound_cycles(
        timing, bound_busy_cycles(nest, hardware, tiles),
        edge_cycles(nest, hardware, timing, space), count_read_batches(nest, space, tiles), bits,
    )  # fmt: skip
    assert bound[found.candidate] > 0.999 * found.cycles.total
