"""Energy and size of one multiply-accumulate cell."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.energy.band import Constant
from accel_sim.energy.scaling import scaled_constant
from accel_sim.hardware.config import HardwareConfig, Precision
from accel_sim.hardware.devices import mac_grid
from accel_sim.mapping.array_axes import array_axes

# Energy relative to the 8x8 cell with a 24-bit accumulator: 0.0097 per bit of activation
# times weight and 0.0140 per bit of accumulator, one pair of coefficients for three
# libraries (45, 7 and 130 nm), glitch-free: within 6 % from 4 bits up.
ENERGY_PER_PRODUCT_BIT = 0.0097
ENERGY_PER_ACCUMULATOR_BIT = 0.0140
GATES_PER_ACCUMULATOR_BIT = 14.8
"""Gate equivalents, nangate45, 8x8 cell with accumulators of 16 to 48 bits."""


def mac_energy(hardware: HardwareConfig) -> Constant:
    """Energy of one MAC at the widths the datapath is built for, in pJ.

    The measured cell between its table points, linear in both widths; beyond 16 bits of
    activation, and for another accumulator, by the law above. Operand and accumulator
    registers are inside. A MAC of an adder tree has `adder_bits` for its accumulator.
    """
    precision = hardware.precision
    activation, weight = precision.activation_port_bits, precision.weight_bits
    grid = mac_grid()
    widest = grid.bits[-1]
    at = grid.bits.index(8)
    relative = _interpolate(
        grid.uniform_fJ / grid.uniform_fJ[at, at], min(activation, widest), weight
    )
    relative += ENERGY_PER_PRODUCT_BIT * max(0, activation - widest) * weight
    relative += ENERGY_PER_ACCUMULATOR_BIT * _extra_adder_bits(hardware)
    cell = scaled_constant("mac_8x8", hardware.technology)
    return Constant(
        name="mac",
        unit="pJ",
        value=cell.value * relative,
        low=cell.low * relative,
        high=cell.high * relative,
        source=f"{cell.source}; times {relative:.3g} for {activation}x{weight} bits and "
        f"{_describe_adders(hardware)} (own synthesis, nangate45)",
    )


def adder_bits(hardware: HardwareConfig) -> float:
    """Bits of adders that a MAC has: its accumulator, or its part of a column's tree.

    A tree over ``rows`` products has an adder for every two terms, a bit wider in each
    round, and behind it the column's accumulator.
    """
    precision, rows = hardware.precision, hardware.mac_array.rows
    if not array_axes(hardware.mac_array.dataflow).has_trees:
        return precision.accumulator_bits
    width = precision.activation_port_bits + precision.weight_bits
    bits, terms = precision.accumulator_bits, rows
    while terms > 1:
        width += 1
        bits += terms // 2 * width
        terms -= terms // 2
    return bits / rows


def gated_fraction(precision: Precision) -> float:
    """Energy of a MAC whose operands stand still, over that of one that computes."""
    grid = mac_grid()
    activation = min(precision.activation_port_bits, grid.bits[-1])
    ratio = grid.clock_pins_fJ / grid.uniform_fJ
    return _interpolate(ratio, activation, precision.weight_bits)


def mac_gate_equivalents(hardware: HardwareConfig) -> float:
    """Size of one MAC cell in two-input NAND gates."""
    grid, precision = mac_grid(), hardware.precision
    activation = precision.activation_port_bits
    # One bit beyond the table is one more row of partial products.
    beyond = 1 + max(0, activation - grid.bits[-1]) / grid.bits[-1]
    gates = _interpolate(
        grid.gate_equivalents, min(activation, grid.bits[-1]), precision.weight_bits
    )
    return gates * beyond + GATES_PER_ACCUMULATOR_BIT * _extra_adder_bits(hardware)


def _extra_adder_bits(hardware: HardwareConfig) -> float:
    """Bits of adders beyond those of the table's cells, activation + weight + 8."""
    precision = hardware.precision
    cell_bits = precision.activation_port_bits + precision.weight_bits + 8
    return adder_bits(hardware) - cell_bits


def _describe_adders(hardware: HardwareConfig) -> str:
    if array_axes(hardware.mac_array.dataflow).has_trees:
        return f"{adder_bits(hardware):.3g} bits of an adder tree and its accumulator"
    return f"a {hardware.precision.accumulator_bits}-bit accumulator"


def _interpolate(values: NDArray[np.float64], activation: int, weight: int) -> float:
    bits = mac_grid().bits
    by_weight = [float(np.interp(weight, bits, row)) for row in values]
    return float(np.interp(activation, bits, by_weight))
