"""What tiles take in the memories on chip."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.buffers import Buffer, OperandName
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.stored_bits import BITS_PER_BYTE, moved_bits, stored_bits
from accel_sim.mapping.tile_space import TileSpace

MORE_THAN_ANY = 1 << 62


def streams_weights(hardware: HardwareConfig) -> bool:
    """Whether the weights of a tile of MACs need not fit their buffer.

    On a row-stationary array the weights of a pass move on to the elements, and leave a buffer
    of their own for those of the next.
    """
    has_passes = array_axes(hardware.mac_array.dataflow).has_passes
    return has_passes and "weights" not in hardware.buffers.shared


def most_kept_weight_bits(hardware: HardwareConfig) -> int:
    """Most weights of a tile that stay in their buffer from tile to tile.

    If those of a tile are more, every tile brings its own.
    """
    if not streams_weights(hardware):
        return MORE_THAN_ANY
    return hardware.buffers.weights.tile_bytes * BITS_PER_BYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bits that tiles take in a memory, over all combinations.

    Attributes
    ----------
    operand
        What lies there, in words.
    name
        Key of the buffer that describes the memory.
    room_bits
        What the memory has for one tile.
    """

    operand: str
    name: OperandName
    buffer: Buffer
    room_bits: int
    bits: NDArray[np.int64]


def needed_bits(nest: LoopNest, hardware: HardwareConfig, space: TileSpace) -> tuple[Need, ...]:
    """Bits that tiles take in each memory, feasible or not."""
    buffers = hardware.buffers
    needs: dict[OperandName, Need] = {}
    for operand, bits in _tile_bits(nest, hardware, space).items():
        key = buffers.memory_key(operand)
        if key in needs:
            before = needs[key]
            joined = f"{before.operand} and {operand}"
            needs[key] = replace(before, operand=joined, bits=before.bits + bits)
            continue
        buffer = buffers.memories[key]
        resident_bytes = nest.resident_bytes if key == buffers.memory_key("ifm") else 0
        room_bits = buffer.tile_bytes_beside(resident_bytes) * BITS_PER_BYTE
        needs[key] = Need(operand=operand, name=key, buffer=buffer, room_bits=room_bits, bits=bits)
    return tuple(needs.values())


def _tile_bits(
    nest: LoopNest, hardware: HardwareConfig, space: TileSpace
) -> dict[OperandName, NDArray[np.int64]]:
    """Bits of the tiles of each operand that has any; maps that stay have none."""
    bits, moved = stored_bits(nest, hardware), moved_bits(nest, hardware)
    groups = space.groups[:, None, None, None, None, None]
    batch = space.batch[None, :, None, None, None, None]
    input_rows, output_rows = (
        np.array([getattr(cut, name).max() for cut in space.rows])[None, None, :, None, None, None]
        for name in ("touched", "outputs")
    )
    input_cols, output_cols = (
        np.array([getattr(cut, name).max() for cut in space.cols])[None, None, None, :, None, None]
        for name in ("span", "outputs")
    )
    filters = space.filters[None, None, None, None, :, None]
    channels = space.channels[None, None, None, None, None, :]
    pixels = groups * batch * output_rows * output_cols
    residual = (groups if nest.shares_residual else pixels) * moved.residual
    outputs = pixels * filters
    tile_bits: dict[OperandName, NDArray[np.int64]] = {
        "ifm": groups * batch * input_rows * input_cols * channels * moved.ifm + residual
    }
    keeps_partial_sums = channels < nest.channels
    if nest.kind is Kind.MAC and not array_axes(hardware.mac_array.dataflow).keeps_sums:
        axes = array_axes(hardware.mac_array.dataflow)
        layout = lay_out_reduction(nest, axes)
        in_rows = layout.count_places(channels // layout.blocks_apart)
        keeps_partial_sums |= (in_rows > hardware.mac_array.rows) | (layout.taps_in_turn > 1)
        # All sums of a pass leave the array, whether it is the last of them or not.
        keeps_partial_sums |= axes.has_passes
    if nest.has_weights and not (nest.kind is Kind.MAC and streams_weights(hardware)):
        of_filter = channels * nest.channel_weights // nest.blocks * bits.weight + bits.bias
        tile_bits["weights"] = groups * filters * of_filter
    if hardware.buffers.psum == "in_ofm":
        widest = np.where(keeps_partial_sums, np.maximum(bits.psum, moved.ofm), moved.ofm)
        tile_bits["ofm"] = outputs * widest
    else:
        tile_bits["psum"] = np.where(keeps_partial_sums, outputs * bits.psum, 0)
        tile_bits["ofm"] = outputs * moved.ofm
    return tile_bits
