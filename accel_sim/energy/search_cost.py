"""The objective of the search for tiles, in numbers."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.energy.constants import EnergyConstants, idle_energy_pJ
from accel_sim.energy.events import (
    UNKNOWN_ACTIVITY,
    count_additions,
    count_macs,
    count_multiplications,
)
from accel_sim.hardware.choices import Objective
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.access_counts import DramBits, TileCounts, count_buffer_words
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.search_cost import SearchCost


def search_cost(
    nest: LoopNest,
    hardware: HardwareConfig,
    constants: EnergyConstants,
    tiles: TileCounts,
    moved: DramBits,
) -> SearchCost:
    """Turn ``mapping.objective`` into a cost for each loop order and tile.

    Energy is that of `accel_sim.energy.layer_energy` at its table values, with no zero among the
    operands, so that a schedule never depends on the values that run through it.

    Parameters
    ----------
    moved
        Bits over the DRAM bus under each loop order, int64[order, n] each.
    """
    objective = hardware.mapping.objective
    match objective:
        case Objective.LATENCY:
            fixed = np.zeros(moved.read.shape)
            return SearchCost(fixed=fixed, per_cycle=1.0, is_times_cycles=False)
        case Objective.DRAM_BYTES:
            fixed = (moved.read + moved.write).astype(np.float64)
            return SearchCost(fixed=fixed, per_cycle=0.0, is_times_cycles=False)
        case Objective.ENERGY | Objective.ENERGY_DELAY:
            return SearchCost(
                fixed=_fixed_energy_pJ(nest, hardware, constants, tiles, moved),
                per_cycle=idle_energy_pJ(hardware, constants),
                is_times_cycles=objective is Objective.ENERGY_DELAY,
            )


def _fixed_energy_pJ(
    nest: LoopNest,
    hardware: HardwareConfig,
    constants: EnergyConstants,
    tiles: TileCounts,
    bits: DramBits,
) -> NDArray[np.float64]:
    """Energy that does not depend on time, float64[order, n]."""
    words = count_buffer_words(tiles, bits, hardware.buffers)
    macs = count_macs(nest, UNKNOWN_ACTIVITY, zero_gating=hardware.mac_array.zero_gating)
    register_files = 0.0 if constants.register_files is None else constants.register_files.value
    energy_pJ: NDArray[np.float64] = (
        macs.computed * register_files
        + (macs.busy + count_multiplications(nest)) * constants.macs.busy.value
        + macs.zero * constants.macs.zero.value
        + macs.gated * constants.macs.gated.value
        + count_additions(nest) * constants.addition.value
        + tiles.drained_psums * constants.drained_psum.value
        + words.ifm_reads * constants.ifm.read_pJ
        + words.ifm_writes * constants.ifm.write_pJ
        + words.weight_reads * constants.weights.read_pJ
        + words.weight_writes * constants.weights.write_pJ
        + words.psum_reads * constants.psum.read_pJ
        + words.psum_writes * constants.psum.write_pJ
        + words.ofm_reads * constants.ofm.read_pJ
        + words.ofm_writes * constants.ofm.write_pJ
        + bits.read * constants.dram.read_pJ_per_bit
        + bits.write * constants.dram.write_pJ_per_bit
    )
    return energy_pJ
