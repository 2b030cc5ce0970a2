"""In which mode a layer uses multipliers that can be several narrow ones."""

from dataclasses import replace

from accel_sim.hardware.choices import Along, Depthwise
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.loop_nest import Kind, LoopNest


def choose_mode(nest: LoopNest, hardware: HardwareConfig) -> LoopNest:
    """Give a layer the cheapest mode that holds its operands, or the whole multiplier.

    The one of which the layer can use the most products per cycle; of equals the one of the
    narrowest operands, then the first. Groups are not joined yet.
    """
    if nest.kind is not Kind.MAC or nest.weight_bits is None:
        return nest
    holding = [
        mode for mode in hardware.precision.modes if mode.holds(nest.weight_bits, nest.ifm_bits)
    ]

    def rank(mode: MultiplierMode) -> tuple[int, int]:
        used = min(mode.macs_per_pe, _most_in_use(nest, hardware, mode.along))
        return -used, mode.weight_bits * mode.activation_bits

    return replace(nest, mode=min(holding, key=rank, default=None))


def _most_in_use(nest: LoopNest, hardware: HardwareConfig, along: Along) -> int:
    """Products that a group offers to one processing element in one cycle."""
    array = hardware.mac_array
    if along is Along.FILTERS:
        return nest.filters
    if array_axes(array.dataflow).has_trees and array.depthwise is not Depthwise.NATIVE:
        return nest.channels  # trees take one tap at a time
    return nest.reduction
