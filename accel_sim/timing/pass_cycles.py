"""Cycles of one tile that runs in passes over a row-stationary array."""

from typing import NamedTuple

from accel_sim.mapping.pass_tables import PassTables
from accel_sim.timing.mac_array import ArrayRules
from quantizer.fixedpoint.jit import jit


class NetworkRules(NamedTuple):
    """Bits that reach the PEs in a cycle; 0 where ports lead to the array."""

    ifm_bits: int
    weight_bits: int
    psum_bits: int


class PassCycles(NamedTuple):
    """Cycles of a tile: those with products, and all others."""

    compute: int
    fill_drain: int


@jit
def pass_cycles(
    array: ArrayRules,
    network: NetworkRules,
    tables: PassTables,
    groups: int,
    pixel_tile: int,
    filter_tile: int,
    channel_tile: int,
    weights: int,
    weight_bits: int,
) -> PassCycles:
    """Cycles of a tile.

    For each output a PE adds up the products of its rows, a product a cycle; then its one adder
    takes the sum of the PE below. A pass ends when the last sum has run up its column. Before
    a tile's first pass its weights are loaded; those of later passes may come meanwhile.

    Parameters
    ----------
    pixel_tile, filter_tile, channel_tile
        Numbers of the tile along the loops.
    weights
        Of all groups of the tile.
    """
    steps = groups * tables.beats[pixel_tile] * tables.row_folds * tables.filter_steps[filter_tile]
    compute: int = steps * tables.channel_steps[channel_tile] * tables.filter_cols
    channel_passes = tables.channel_passes[channel_tile]
    sums = steps * channel_passes
    passes = groups * tables.filter_passes[filter_tile] * channel_passes * tables.row_folds
    chain = tables.chain if array.has_used_skew else array.rows
    fill = (1 if array.is_overlapped else passes) * (chain - 1 + array.delay)
    load = -(-weights * weight_bits // network.weight_bits)
    if array.is_overlapped or array.hides_preload:
        first = -(-min(weights, tables.first_weights) * weight_bits // network.weight_bits)
        load = first + max(0, load - first - compute - sums - fill)
    return PassCycles(compute, sums + fill + load)


@jit
def network_cycles(words: int, port_bits: int, network_bits: int) -> int:
    """Cycles in which some words of a port pass a network, whole, if there is one."""
    if network_bits == 0:
        return 0
    cycles: int = -(-words * port_bits // network_bits)
    return cycles
