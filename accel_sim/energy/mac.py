"""Energy and size of one multiply-accumulate cell."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from math import fsum
from operator import mul

import numpy as np
from numpy.typing import NDArray

from accel_sim.energy.band import Constant
from accel_sim.energy.scaling import scaled_constant
from accel_sim.hardware.choices import Along
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import MAC_GRID_EXTRA_BITS, MacCell, mac_cells, mac_grid
from accel_sim.hardware.precision import MultiplierMode, Precision
from accel_sim.mapping.array_axes import array_axes

LAW_FROM_BITS = 4
"""Narrower operands cost less than the law says."""
GATES_PER_ACCUMULATOR_BIT = 14.8
"""Gate equivalents, nangate45, 8x8 cell with accumulators of 16 to 48 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MacLaw:
    """Energy of a MAC over that of the 8x8 cell with a 24-bit accumulator, without glitches.

    Attributes
    ----------
    per_product_bit
        For each bit of activation times weight: the multiplier.
    per_accumulator_bit
        The adder, and the registers, whose widths grow together.
    """

    per_product_bit: float
    per_accumulator_bit: float

    def relative(self, activation: int, weight: int, accumulator: float) -> float:
        """Energy at these widths."""
        return self.per_product_bit * activation * weight + self.per_accumulator_bit * accumulator


def fit_mac_law(cells: Iterable[MacCell]) -> MacLaw:
    """Fit the law to cells with random operands: least squares of relative errors.

    Parameters
    ----------
    cells
        Of any libraries, among those of each the 8x8 cell of the grid. Operands that the law is
        not for and swept accumulators are left out.
    """
    grid = [cell for cell in cells if cell.is_on_grid]
    units_fJ = {cell.library: cell.uniform_fJ for cell in grid if cell.is_unit}
    products, accumulators = [], []
    for cell in grid:
        if min(cell.activation_bits, cell.weight_bits) >= LAW_FROM_BITS:
            relative = cell.uniform_fJ / units_fJ[cell.library]
            products.append(cell.activation_bits * cell.weight_bits / relative)
            accumulators.append(cell.accumulator_bits / relative)
    # Normal equations of products * p + accumulators * a = 1; their sums round once, anywhere.
    pp, aa = _dot(products, products), _dot(accumulators, accumulators)
    pa, p1, a1 = _dot(products, accumulators), fsum(products), fsum(accumulators)
    determinant = pp * aa - pa * pa
    return MacLaw(
        per_product_bit=(p1 * aa - a1 * pa) / determinant,
        per_accumulator_bit=(a1 * pp - p1 * pa) / determinant,
    )


def _dot(left: list[float], right: list[float]) -> float:
    return fsum(map(mul, left, right))


@cache
def mac_law() -> MacLaw:
    """Law of all libraries of the table: one pair of coefficients for 130, 45 and 7 nm."""
    return fit_mac_law(mac_cells())


def relative_mac_energy(activation: int, weight: int, accumulator: float) -> float:
    """Energy of a MAC over that of the 8x8 cell with a 24-bit accumulator.

    The measured cell, linear between its widths in each as the law is; the law's difference for
    what is not in the table: activations beyond 16 bits, other accumulators.
    """
    grid, law = mac_grid(), mac_law()
    at = grid.bits.index(8)
    inside = min(activation, grid.bits[-1])
    measured = _interpolate(grid.uniform_fJ / grid.uniform_fJ[at, at], inside, weight)
    tabulated = law.relative(inside, weight, inside + weight + MAC_GRID_EXTRA_BITS)
    return measured + law.relative(activation, weight, accumulator) - tabulated


@dataclass(frozen=True, slots=True, kw_only=True)
class MacCosts:
    """What one MAC costs, in pJ.

    Attributes
    ----------
    busy
        With random operands.
    zero
        With an operand that is zero and stops nothing.
    gated
        With operands that stand still.
    """

    busy: Constant
    zero: Constant
    gated: Constant


def mac_costs(
    hardware: HardwareConfig, mode: MultiplierMode | None = None, products_per_pe: int = 1
) -> MacCosts:
    """Resolve what a MAC costs; see `mac_energy`."""
    busy = mac_energy(hardware, mode, products_per_pe)
    zero = zero_fraction(hardware.precision, mode)
    gated = gated_fraction(hardware.precision, mode)
    return MacCosts(
        busy=busy,
        zero=replace(
            busy.scaled(zero, ""),
            source=f"the same, times {zero:.3g}: so much less costs the cell with operands of a "
            "network, half of the activations zero",
        ),
        gated=replace(
            busy.scaled(gated, ""),
            source=f"the same, times {gated:.3g}: clock pins alone, as a zero stops the multiplier",
        ),
    )


def mac_energy(
    hardware: HardwareConfig, mode: MultiplierMode | None = None, products_per_pe: int = 1
) -> Constant:
    """Energy of one MAC at the widths the datapath is built for, or of a mode, in pJ.

    Operand and accumulator registers are inside. A MAC of an adder tree has `adder_bits` for its
    accumulator.

    Parameters
    ----------
    products_per_pe
        That a processing element adds up before its accumulator.

    Notes
    -----
    A mode costs as much as a cell of its widths that stands alone (our choice): what it takes to
    compose multipliers is left out.
    """
    activation, weight = _port_widths(hardware.precision, mode)
    adders = adder_bits(hardware, mode, products_per_pe)
    relative = relative_mac_energy(activation, weight, adders)
    return scaled_constant("mac_8x8_pJ", hardware).scaled(
        relative,
        f"; times {relative:.3g} for {activation}-bit activations, {weight}-bit weights and "
        f"{_describe_adders(hardware, adders, products_per_pe)} (own synthesis, nangate45)",
    )


def adder_bits(
    hardware: HardwareConfig, mode: MultiplierMode | None = None, products_per_pe: int = 1
) -> float:
    """Bits of adders that a MAC has: its accumulator, or its part of a tree.

    A tree over all products of a column, or of a processing element, has an adder for every
    two terms, a bit wider in each round, and behind it the accumulator.
    """
    array, precision = hardware.mac_array, hardware.precision
    products = products_per_pe * (array.rows if array_axes(array.dataflow).has_trees else 1)
    width = sum(_port_widths(precision, mode))
    bits, terms = precision.accumulator_bits, products
    while terms > 1:
        width += 1
        bits += terms // 2 * width
        terms -= terms // 2
    return bits / products


def gated_fraction(precision: Precision, mode: MultiplierMode | None = None) -> float:
    """Energy of a MAC whose operands stand still, over that of one that computes."""
    grid = mac_grid()
    activation, weight = _port_widths(precision, mode)
    ratio = grid.clock_pins_fJ / grid.uniform_fJ
    return _interpolate(ratio, min(activation, grid.bits[-1]), weight)


def zero_fraction(precision: Precision, mode: MultiplierMode | None = None) -> float:
    """Energy of a MAC with a zero operand that nothing stops, over that of a random one.

    What makes a mix of zeros and random operands cost as much as the operands of a network of
    which half of the activations are zero; no less than where operands stand still. Narrow
    weights of the latter are mostly zero themselves.
    """
    grid = mac_grid()
    activation, weight = _port_widths(precision, mode)
    zeros = np.maximum(2 * grid.cnn_fJ - grid.uniform_fJ, grid.clock_pins_fJ)
    return _interpolate(zeros / grid.uniform_fJ, min(activation, grid.bits[-1]), weight)


def mac_gate_equivalents(hardware: HardwareConfig) -> float:
    """Size of one processing element in two-input NAND gates.

    A mode along filters has an accumulator, or its part of a tree, for each of its filters; the
    adders of one along the reduction are those of the whole multiplier.
    """
    grid, precision = mac_grid(), hardware.precision
    activation, weight = _port_widths(precision, None)
    # One bit beyond the table is one more row of partial products.
    beyond = 1 + max(0, activation - grid.bits[-1]) / grid.bits[-1]
    gates = _interpolate(grid.gate_equivalents, min(activation, grid.bits[-1]), weight)
    adders = adder_bits(hardware) - (activation + weight + MAC_GRID_EXTRA_BITS)
    adders += max(
        (
            (mode.macs_per_pe - 1) * adder_bits(hardware, mode)
            for mode in precision.modes
            if mode.along is Along.FILTERS
        ),
        default=0,
    )
    return gates * beyond + GATES_PER_ACCUMULATOR_BIT * adders


def _port_widths(precision: Precision, mode: MultiplierMode | None) -> tuple[int, int]:
    """Activation and weight inputs of a multiplier, whole or in a mode."""
    built = mode or precision
    return precision.port_bits(built.activation_bits), built.weight_bits


def _describe_adders(hardware: HardwareConfig, adders: float, products_per_pe: int) -> str:
    if products_per_pe > 1 or array_axes(hardware.mac_array.dataflow).has_trees:
        return f"{adders:.3g} bits of an adder tree and its accumulator"
    return f"a {hardware.precision.accumulator_bits}-bit accumulator"


def _interpolate(values: NDArray[np.float64], activation: int, weight: int) -> float:
    bits = mac_grid().bits
    by_weight = [float(np.interp(weight, bits, row)) for row in values]
    return float(np.interp(activation, bits, by_weight))
