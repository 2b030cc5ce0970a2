"""Words that one tile takes from and gives to the buffers, and what a port makes of them."""

from typing import NamedTuple

from accel_sim.mapping.pass_tables import PassTables
from accel_sim.timing.mac_array import Extents
from accel_sim.timing.schedule_rules import PortRules, ScheduleRules
from quantizer.fixedpoint.jit import jit


class TileWords(NamedTuple):
    """Words of one tile on the array's side.

    Attributes
    ----------
    psum, ofm
        Of every output once, as a partial sum and finished.
    sum_parts
        Times that each output leaves the array in this tile.
    """

    ifm: int
    weights: int
    psum: int
    ofm: int
    sum_parts: int


@jit
def port_cycles(port: PortRules, reads: int, writes: int) -> int:
    """Cycles that a buffer needs for some reads and writes, spread over its banks."""
    accesses = reads + writes if port.is_single else max(reads, writes)
    cycles: int = -(-accesses // port.banks)
    return cycles


@jit
def find_slowest_port(
    rules: ScheduleRules, reads: tuple[int, int, int, int], writes: tuple[int, int, int, int]
) -> tuple[int, int]:
    """Find the operand whose port is the slowest, the first of equals, and its cycles.

    The words of a shared memory add up; they count as those of the operand with most of them.

    Parameters
    ----------
    reads, writes
        Words of one tile by operand, in the order of `tile_walk`.
    """
    ports = (rules.ifm_port, rules.weight_port, rules.psum_port, rules.ofm_port)
    busiest = -1
    shared_reads, shared_writes = 0, 0
    for operand in range(4):
        if ports[operand].is_shared:
            shared_reads += reads[operand]
            shared_writes += writes[operand]
            accesses = reads[operand] + writes[operand]
            if busiest < 0 or accesses > reads[busiest] + writes[busiest]:
                busiest = operand
    slowest, slowest_cycles = 0, 0
    for operand in range(4):
        if operand == busiest:
            cycles = port_cycles(ports[operand], shared_reads, shared_writes)
        elif ports[operand].is_shared:
            cycles = 0
        else:
            cycles = port_cycles(ports[operand], reads[operand], writes[operand])
        if cycles > slowest_cycles:
            slowest, slowest_cycles = operand, cycles
    return slowest, slowest_cycles


@jit
def words(port: PortRules, bits: int) -> int:
    """Port words that hold some bits."""
    return -(-bits // port.port_bits)


@jit
def fold_words(port: PortRules, elements: int, lanes: int, bits: int) -> int:
    """Words that bring an operand to `elements` lanes; no word spans two folds."""
    whole = elements // lanes
    rest = elements - whole * lanes
    total: int = whole * words(port, lanes * bits) + words(port, rest * bits)
    return total


@jit
def array_words(rules: ScheduleRules, groups: int, tile: Extents) -> TileWords:
    """Words of a tile that runs on the array."""
    rows, cols = rules.array.rows, rules.array.cols
    row_folds = tile.passes * -(-tile.rows // rows)
    row_trips = groups * tile.time * tile.passes * -(-tile.cols // cols)
    if rules.array.keeps_sums:
        # Both operands stream; sums leave fold by fold.
        col_trips, sums, sum_parts = groups * tile.time * row_folds, groups * tile.rows, 1
    else:
        # One operand is loaded, row by row; a sum leaves in as many parts as row folds.
        col_trips = groups * tile.rows * tile.passes
        sums, sum_parts = groups * tile.time, row_folds
    blocks = rules.blocks // rules.blocks_apart
    # A processing element takes its operands, and gives its sums, all at once.
    ifm_bits = rules.ifm_bits * rules.products_per_pe
    weight_bits = rules.weight_bits * rules.products_per_pe * rules.filters_per_pe
    psum_bits = rules.psum_bits * rules.filters_per_pe
    ofm_bits = rules.ofm_bits * rules.filters_per_pe
    if rules.array.has_pixels_in_cols:
        ifm = col_trips * fold_words(rules.ifm_port, tile.cols, cols, ifm_bits)
        in_rows = tile.rows // blocks  # a word brings the weights of one block
        weights = row_trips * fold_words(rules.weight_port, in_rows, rows, weight_bits)
    else:
        ifm = row_trips * fold_words(rules.ifm_port, tile.rows, rows, ifm_bits)
        if rules.blocks_apart > 1:
            # A row takes an operand for each block, of which one fold holds all.
            ifm = row_trips * tile.rows * words(rules.ifm_port, rules.blocks * ifm_bits)
        in_cols = tile.cols // blocks
        weights = col_trips * fold_words(rules.weight_port, in_cols, cols, weight_bits)
    psum = sums * fold_words(rules.psum_port, tile.cols, cols, psum_bits)
    ofm = sums * fold_words(rules.ofm_port, tile.cols, cols, ofm_bits)
    return TileWords(ifm, weights, psum, ofm, sum_parts)


@jit
def pass_words(
    tables: PassTables,
    groups: int,
    pixel_tile: int,
    filter_tile: int,
    channel_tile: int,
    pixels: int,
    filters: int,
    channels: int,
) -> TileWords:
    """Words of a tile that runs in passes.

    Parameters
    ----------
    pixel_tile, filter_tile, channel_tile
        Numbers of the tile along the loops; the others are its extents.
    """
    reads = groups * tables.filter_passes[filter_tile] * channels
    return TileWords(
        reads * tables.ifm_words[pixel_tile],
        groups * filters * tables.weight_words[channel_tile],
        groups * pixels * tables.psum_words[filter_tile],
        groups * pixels * tables.ofm_words[filter_tile],
        tables.channel_passes[channel_tile] * tables.row_folds,
    )


@jit
def lane_words(
    rules: ScheduleRules, groups: int, pixels: int, inputs: int, filters: int
) -> TileWords:
    """Words of a tile that runs on the lanes."""
    operands = inputs if rules.is_copy else pixels * rules.taps
    ifm = words(rules.ifm_port, groups * operands * rules.ifm_bits)
    residuals = groups if rules.shares_residual else groups * pixels
    ifm += words(rules.ifm_port, residuals * rules.residual_bits)
    constants = groups * (rules.channel_weights * rules.weight_bits + rules.bias_bits)
    weights = words(rules.weight_port, constants)
    ofm = words(rules.ofm_port, groups * pixels * filters * rules.ofm_bits)
    return TileWords(ifm, weights, 0, ofm, 1)
