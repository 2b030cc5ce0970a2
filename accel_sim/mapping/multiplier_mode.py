"""In which mode a layer uses multipliers that can be several narrow ones."""

from dataclasses import replace

from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.joined_groups import join_groups
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
        in_use = _count_in_use(replace(nest, mode=mode), hardware)
        return -in_use, mode.weight_bits * mode.activation_bits

    return replace(nest, mode=min(holding, key=rank, default=None))


def _count_in_use(nest: LoopNest, hardware: HardwareConfig) -> int:
    """Count the products of a processing element in one cycle, as a layer lies in its mode."""
    joined = join_groups(nest, hardware.mac_array)
    layout = lay_out_reduction(joined, array_axes(hardware.mac_array.dataflow))
    return layout.products_per_pe * joined.filters_per_pe
