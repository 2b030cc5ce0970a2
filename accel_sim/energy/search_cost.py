"""The objective of the search for tiles, in numbers."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.energy.chip import (
    EnergyConstants,
    count_additions,
    count_multiplications,
    idle_energy_pJ,
    off_diagonal_mac,
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

    Energy is that of `accel_sim.energy.chip` at its table values, with no zero among the
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
    psum = constants.psum or constants.ofm
    register_files = 0.0 if constants.register_files is None else constants.register_files.value
    energy_pJ: NDArray[np.float64] = (
        nest.macs * register_files
        + (nest.macs + count_multiplications(nest)) * constants.mac.value
        + nest.off_diagonal_macs * off_diagonal_mac(hardware, constants).value
        + count_additions(nest) * constants.addition.value
        + tiles.drained_psums * constants.drained_psum.value
        + words.ifm_reads * constants.ifm.read.value
        + words.ifm_writes * constants.ifm.write.value
        + words.weight_reads * constants.weights.read.value
        + words.weight_writes * constants.weights.write.value
        + words.psum_reads * psum.read.value
        + words.psum_writes * psum.write.value
        + words.ofm_reads * constants.ofm.read.value
        + words.ofm_writes * constants.ofm.write.value
        + bits.read * constants.dram_read.value
        + bits.write * constants.dram_write.value
    )
    return energy_pJ
