"""How the lanes use the buffers: port words, in closed form."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_counts import ArrayCounts
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.stored_bits import stored_bits

Counts = NDArray[np.int64]


def count_lanes(
    nest: LoopNest,
    hardware: HardwareConfig,
    inputs: Counts,
    pixel_tiles: Counts,
    filter_tiles: Counts,
) -> ArrayCounts:
    """Count what the lanes take from and give to the buffers.

    Every tile reads each of its operands once: an ifm that is written in several places,
    and a scale, a table or a second operand that many outputs share, too.

    Parameters
    ----------
    inputs
        int64[n], elements of the ifm that the tiles bring in, halos counted in each.
    pixel_tiles, filter_tiles
        int64[n], number of tiles of each loop.
    """
    bits, buffers = stored_bits(nest, hardware), hardware.buffers
    operands = np.full_like(inputs, nest.outputs // nest.filters * nest.reduction)
    if nest.kind is Kind.COPY:
        operands = inputs  # what pads a map is written without being read
    constants = nest.groups * (nest.channel_weights * bits.weight + bits.bias)
    residuals = nest.residual_elements * (pixel_tiles if nest.shares_residual else 1)
    zeros = np.zeros_like(pixel_tiles)
    return ArrayCounts(
        row_folds=zeros,
        col_folds=zeros,
        ifm_reads=-(-operands * filter_tiles * bits.ifm // buffers.ifm.port_bits)
        + -(-residuals * bits.residual // buffers.ifm.port_bits),
        weight_reads=-(-constants * pixel_tiles // buffers.weights.port_bits),
        psum=zeros,
        ofm_writes=zeros + -(-nest.outputs * bits.ofm // buffers.ofm.port_bits),
        sum_parts=zeros,
    )
