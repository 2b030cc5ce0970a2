"""A closer bound on a layer's cycles: each kind of step by itself.

Steps differ by which loop over tiles advances after them. All steps of one kind load the
same operands, so the sum over them of ``max(compute, load)`` is bounded by the larger of
two sums, and each of those is a product over the loops.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.mapping.tile import LOOP_NUMBERS, LoopOrder
from accel_sim.timing import tile_series as of
from accel_sim.timing.mac_array import ArrayRules
from accel_sim.timing.record import as_record
from accel_sim.timing.schedule_kernel import is_double_buffered
from accel_sim.timing.schedule_rules import ScheduleRules
from accel_sim.timing.tile_walk import CHANNELS, FILTERS, GROUPS, IFM, N_LOOPS, OFM, PIXELS, WEIGHTS
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]

N_SETS = 1 << N_LOOPS
"""Sets of loops, a bit for each."""


class Factors(NamedTuple):
    """Which quantity of the tiles along each loop a product takes."""

    groups: int
    pixels: int
    filters: int
    channels: int


STEPS = Factors(of.GROUP_TRIPS, of.PIXEL_TRIPS, of.FILTER_TRIPS, of.CHANNEL_TRIPS)
IFM_ELEMENTS = Factors(of.GROUPS, of.INPUTS, of.FILTER_TRIPS, of.CHANNELS)
RESIDUALS = Factors(of.GROUPS, of.PIXELS, of.FILTER_TRIPS, of.CHANNEL_TRIPS)
CHANNELS_OF_FILTERS = Factors(of.GROUPS, of.PIXEL_TRIPS, of.FILTERS, of.CHANNELS)
OUTPUTS = Factors(of.GROUPS, of.PIXELS, of.FILTERS, of.LAST_CHANNELS)
PASS_CYCLES = Factors(of.GROUPS, of.BEATS, of.FILTER_PLACES, of.REDUCTION)
PASS_IFM_WORDS = Factors(of.GROUPS, of.IFM_WORDS, of.FILTER_PASSES, of.CHANNELS)
PASS_PSUM_WORDS = Factors(of.GROUPS, of.PIXELS, of.PSUM_WORDS, of.SUM_PARTS)
PRODUCTS = Factors(of.GROUPS, of.PIXELS, of.FILTER_PLACES, of.REDUCTION)


class Kind(NamedTuple):
    """Steps of one kind.

    Before a loop advances, all loops inside it stand at their last tile; after, when the load
    is due, at their first. Those outside it stand anywhere.

    Attributes
    ----------
    loop
        That advances; -1 for the very last step.
    outside
        Set of loops.
    """

    loop: int
    outside: int


def bound_steps(
    rules: ScheduleRules,
    series: Counts,
    all_busy: Counts,
    orders: Sequence[LoopOrder],
) -> Counts:
    """Bound the cycles from the first computation to the last.

    Parameters
    ----------
    series
        int64[n, quantity, 3], from `tile_series.tile_series`.
    all_busy
        int64[n], from `cycle_bound.bound_busy_cycles`.

    Returns
    -------
    int64[order, n]
    """
    numbers = np.array([[LOOP_NUMBERS[loop] for loop in order] for order in orders], np.int64)
    bounds = np.empty((len(orders), len(series)), np.int64)
    _bound_tiles(as_record(rules), series, all_busy, numbers, bounds)
    return bounds


@jit
def _bound_tiles(
    rules: ScheduleRules,
    all_series: Counts,
    all_busy: Counts,
    orders: Counts,
    bounds: Counts,
) -> None:
    """Fill ``bounds``, int64[order, n].

    Parameters
    ----------
    orders
        int64[order, 4], loops from outermost to innermost.
    """
    # By the loop that advances and the set of those outside it, whatever their order.
    overlapped = np.zeros((N_LOOPS, N_SETS), np.int64)
    apart = np.zeros((N_LOOPS, N_SETS), np.int64)
    for tile in range(len(all_series)):
        series = all_series[tile]
        for loop in range(N_LOOPS):
            for outside in range(N_SETS):
                if not outside >> loop & 1:
                    kind = Kind(loop, outside)
                    overlapped[loop, outside], apart[loop, outside] = _bound_kind(
                        rules, series, kind
                    )
        last = _busy(rules, series, Kind(-1, 0))
        for number in range(len(orders)):
            outside = 0
            all_overlapped, all_apart = last, 0
            for position in range(N_LOOPS):
                loop = orders[number, position]
                all_overlapped += overlapped[loop, outside]
                all_apart += apart[loop, outside]
                outside |= 1 << loop
            # What nothing hides adds to all computation, however it is spread over the steps.
            bounds[number, tile] = max(all_overlapped, all_busy[tile]) + all_apart


@jit
def _bound_kind(rules: ScheduleRules, series: Counts, kind: Kind) -> tuple[int, int]:
    """Cycles of all steps of a kind at least, and of transfers apart from their computation."""
    if series[kind.loop, of.TOTAL] == 1:
        return 0, 0
    ifm, weights = 0, 0
    if _is_new(series, kind, 1 << GROUPS | 1 << PIXELS | 1 << CHANNELS):
        elements = _sum_steps(series, IFM_ELEMENTS, kind, of.FIRST)
        ifm = elements * rules.dram_ifm_bits
    residual = 0
    if not rules.shares_residual and _is_new(series, kind, 1 << GROUPS | 1 << PIXELS):
        residual = _sum_steps(series, RESIDUALS, kind, of.FIRST) * rules.dram_residual_bits
    if _is_new(series, kind, 1 << GROUPS | 1 << FILTERS | 1 << CHANNELS):
        channels = _sum_steps(series, CHANNELS_OF_FILTERS, kind, of.FIRST)
        weights = channels * rules.channel_weights * rules.weight_bits // rules.blocks
    # A tile that lies in the padding reads no ifm; then only one batch is sure.
    has_inputs = residual > 0 or series[of.LEAST_INPUTS, of.TOTAL] > 0
    steps = _sum_steps(series, STEPS, kind, of.FIRST)
    hidden, apart = 0, 0
    for is_hidden in (True, False):
        bits = 0
        if is_double_buffered(rules, IFM) == is_hidden:
            bits += ifm + residual
        has_weights = weights > 0 and is_double_buffered(rules, WEIGHTS) == is_hidden
        if has_weights:
            bits += weights
        if bits == 0:
            continue
        batches = steps if has_weights or has_inputs else 1
        cycles = bits * rules.read_cycles // rules.read_bits + batches * rules.latency
        if is_hidden:
            hidden = cycles
        else:
            apart = cycles
    if not is_double_buffered(rules, OFM):
        stored = _sum_steps(series, OUTPUTS, kind, of.LAST) * rules.dram_ofm_bits
        apart += stored * rules.write_cycles // rules.write_bits
    return max(_busy(rules, series, kind), hidden), apart


@jit
def _busy(rules: ScheduleRules, series: Counts, kind: Kind) -> int:
    """Cycles that array and lanes work in the steps of one kind, ports left out."""
    elements = _sum_steps(series, OUTPUTS, kind, of.LAST)
    array = 0
    if not rules.is_mac:
        elements *= rules.taps
    elif rules.has_passes:
        array = _sum_steps(series, PASS_CYCLES, kind, of.LAST)
        if rules.network.ifm_bits > 0:
            words = _sum_steps(series, PASS_IFM_WORDS, kind, of.LAST)
            array = max(array, words * rules.ifm_port.port_bits // rules.network.ifm_bits)
            words = _sum_steps(series, PASS_PSUM_WORDS, kind, of.LAST)
            array = max(array, words * rules.psum_port.port_bits // rules.network.psum_bits)
    else:
        array = _array_busy(rules.array, series, kind)
    steps = _sum_steps(series, STEPS, kind, of.LAST)
    busy: int = steps * rules.tile_overhead + max(array, elements // rules.lanes)
    return busy


@jit
def _lay_on_axes(array: ArrayRules, groups: int, rows: int, cols: int, time: int) -> Factors:
    """Take quantities along rows, along columns and in time."""
    if array.keeps_sums:
        return Factors(groups, rows, cols, time)
    if array.has_pixels_in_cols:
        return Factors(groups, cols, time, rows)
    return Factors(groups, time, cols, rows)


@jit
def _array_busy(array: ArrayRules, series: Counts, kind: Kind) -> int:
    """Cycles that the array works in the steps of one kind."""
    _, along_pixels, along_filters, along_channels = PRODUCTS
    along_rows, along_cols, along_time = along_channels, along_filters, along_pixels
    trips = of.PIXEL_TRIPS
    if array.keeps_sums:
        along_rows, along_time, trips = along_pixels, along_channels, of.CHANNEL_TRIPS
    elif array.has_pixels_in_cols:
        along_cols, along_time, trips = along_pixels, along_filters, of.FILTER_TRIPS
    steps = _sum_steps(series, STEPS, kind, of.LAST)
    every_fold = _lay_on_axes(array, of.GROUPS, of.ROW_FOLDS, of.COL_FOLDS, trips)
    folds = _sum_steps(series, every_fold, kind, of.LAST)
    drained_rows, skew = folds * array.rows, folds * (array.rows + array.cols - 2)
    least_rows, least_cols = array.rows, array.cols
    if array.has_used_skew:
        used_rows = _lay_on_axes(array, of.GROUPS, along_rows, of.COL_FOLDS, trips)
        used_cols = _lay_on_axes(array, of.GROUPS, of.ROW_FOLDS, along_cols, trips)
        drained_rows = _sum_steps(series, used_rows, kind, of.LAST)
        skew = drained_rows + _sum_steps(series, used_cols, kind, of.LAST) - 2 * folds
        # Every tile pays at least that of the last, which is the smallest.
        least_rows = min(least_rows, series[of.ROW_ELEMENTS, of.LAST])
        least_cols = min(least_cols, series[along_cols, of.LAST])
    last_skew = least_rows + least_cols - 2
    if array.has_trees:
        skew, last_skew = 0, 0
    time = _lay_on_axes(array, of.GROUPS, of.ROW_FOLDS, of.COL_FOLDS, along_time)
    busy: int = _sum_steps(series, time, kind, of.LAST)
    shows_preload = not (array.keeps_sums or array.is_overlapped or array.hides_preload)
    if array.drains_rows or shows_preload:
        busy += drained_rows
    elif not array.keeps_sums:
        preload = steps * least_rows
        if array.is_overlapped or array.has_trees:
            # No more of a load hides than the longest fold before it takes.
            longest = series[along_time, of.FIRST] + (0 if array.is_overlapped else array.delay)
            shown = max(0, drained_rows - folds * longest)
            first_loads = steps * min(least_rows, series[along_time, of.LAST])
            preload = max(preload, first_loads + shown)
        busy += preload
    if not array.is_overlapped:
        busy += skew + folds * array.delay
        return busy
    busy += steps * (last_skew + array.delay)
    if array.keeps_sums and not array.drains_rows:
        busy += (folds - steps) * max(0, array.rows - series[of.REDUCTION, of.FIRST])
    return busy


@jit
def _sum_steps(series: Counts, factors: Factors, kind: Kind, edge: int) -> int:
    """Sum of a product of quantities over the steps of one kind.

    Parameters
    ----------
    edge
        At which tile the loops inside stand: `LAST` before the step, `FIRST` after it.
    """
    product: int = _along(series, factors.groups, kind, GROUPS, edge)
    product *= _along(series, factors.pixels, kind, PIXELS, edge)
    product *= _along(series, factors.filters, kind, FILTERS, edge)
    product *= _along(series, factors.channels, kind, CHANNELS, edge)
    return product


@jit
def _along(series: Counts, quantity: int, kind: Kind, loop: int, edge: int) -> int:
    """Sum a quantity over the tiles along one loop at which steps of a kind stand."""
    total: int = series[quantity, of.TOTAL]
    at_edge: int = series[quantity, edge]
    if loop == kind.loop:
        return total - at_edge
    return total if kind.outside >> loop & 1 else at_edge


@jit
def _is_new(series: Counts, kind: Kind, loops: int) -> bool:
    """Whether any of a set of loops over more than one tile advanced or began anew."""
    for loop in range(N_LOOPS):
        if loops >> loop & 1 and not kind.outside >> loop & 1 and series[loop, of.TOTAL] > 1:
            return True
    return False
