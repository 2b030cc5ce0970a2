"""From tile to tile of a layer: what each needs anew, and what it leaves."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.timing.code_length import count_coded
from accel_sim.timing.schedule_rules import ScheduleRules
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]

# Operands, as the kernels number them.
IFM, WEIGHTS, PSUM, OFM, N_OPERANDS = 0, 1, 2, 3, 4

# Places of what a tile moves between DRAM and buffers: by operand, and the second operand's part
# of the ifm's.
RESIDUAL, N_PLACES = 4, 5

# Loops over tiles, likewise.
GROUPS, PIXELS, FILTERS, CHANNELS, N_LOOPS = 0, 1, 2, 3, 4


@jit
def advance(loop_order: Counts, trips: Counts, index: Counts, changed: Counts) -> bool:
    """Step to the next tile; tell whether there is one, and in `changed` what differs."""
    changed[:] = 0
    for position in range(N_LOOPS - 1, -1, -1):
        loop = loop_order[position]
        changed[loop] = trips[loop] > 1  # a loop of one trip comes back to the same tile
        if index[loop] + 1 < trips[loop]:
            index[loop] += 1
            return True
        index[loop] = 0
    return False


@jit
def copy_counts(source: Counts, target: Counts) -> None:
    """Copy arrays of one size; Numba would spend seconds on the refusal of any other."""
    for place in range(len(target)):
        target[place] = source[place]


@jit
def fill_loads(
    rules: ScheduleRules,
    index: Counts,
    changed: Counts,
    trips: Counts,
    group_sizes: Counts,
    pixel_sizes: Counts,
    ifm_sizes: Counts,
    filter_sizes: Counts,
    channel_sizes: Counts,
    loads: Counts,
) -> None:
    """Write the bits that a tile needs anew into ``loads``, int64[5]."""
    loads[:] = 0
    groups = group_sizes[index[GROUPS]]
    pixels = pixel_sizes[index[PIXELS]]
    filters = filter_sizes[index[FILTERS]]
    channels = channel_sizes[index[CHANNELS]]
    if changed[GROUPS] or changed[PIXELS] or changed[CHANNELS]:
        residuals = pixels
        if rules.shares_residual:
            residuals = 1 if changed[GROUPS] else 0
        loads[RESIDUAL] = groups * residuals * rules.dram_residual_bits
        loads[IFM] = groups * ifm_sizes[index[PIXELS]] * channels * rules.dram_ifm_bits
        loads[IFM] += loads[RESIDUAL]
    has_weights = rules.channel_weights > 0
    of_channel = filter_sizes[0] * rules.channel_weights * rules.weight_bits
    streams = group_sizes[0] * channel_sizes[0] * of_channel > rules.most_kept_weight_bits
    if has_weights and (changed[GROUPS] or changed[FILTERS] or changed[CHANNELS] or streams):
        # The output stage needs the bias, so it comes with the last channels.
        is_last = index[CHANNELS] == trips[CHANNELS] - 1
        bias_bits = rules.bias_bits if is_last else 0
        weights = channels * rules.channel_weights // rules.blocks
        loads[WEIGHTS] = groups * filters * (weights * rules.weight_bits + bias_bits)
    if index[CHANNELS] > 0 and (changed[GROUPS] or changed[PIXELS] or changed[FILTERS]):
        loads[PSUM] = groups * pixels * filters * rules.psum_bits


@jit
def fill_stores(
    rules: ScheduleRules,
    outputs: int,
    changed: Counts,
    is_last: bool,
    has_next: bool,
    stores: Counts,
) -> None:
    """Write the bits that a tile leaves to be taken away into ``stores``, int64[5].

    Parameters
    ----------
    outputs
        Of the tile.
    changed
        int64[4], what differs in the next tile.
    is_last
        Whether the tile ends the reduction.
    """
    stores[:] = 0
    if has_next and not (changed[GROUPS] or changed[PIXELS] or changed[FILTERS]):
        return
    if is_last:
        stores[OFM] = outputs * rules.dram_ofm_bits
    else:
        stores[PSUM] = outputs * rules.psum_bits


@jit
def count_read(rules: ScheduleRules, loads: Counts, operand: int) -> int:
    """Count the bits that DRAM reads for an operand of a tile."""
    if operand != IFM:
        bits: int = loads[operand]
        return bits
    residual = loads[RESIDUAL]
    of_both: int = count_coded(rules.ifm_code, loads[IFM] - residual)
    of_both += count_coded(rules.residual_code, residual)
    return of_both


@jit
def count_written(rules: ScheduleRules, stores: Counts, operand: int) -> int:
    """Count the bits that DRAM writes for an operand of a tile."""
    bits: int = stores[operand]
    if operand == OFM:
        bits = count_coded(rules.ofm_code, bits)
    return bits
