"""How near are the laws of energy to tables that they were not made from?

    .venv/bin/python benchmarks/energy.py

MAC: the law is fitted to random operands in two libraries and judged by the third, at random
operands and at those of a network (half of the activations zero, Gaussian weights), which no fit
has seen. Its unit is the 8x8 cell of the library that is judged. Operands of 2 bits show why the
simulator takes narrow ones from its table. Accumulators were swept in one library; they are in no
fit. Between the widths of its table the simulator interpolates: each width is left out in turn, as
activation and as weight, and predicted from those on either side.

SRAM: each size of a grid, and each width, is left out in turn and predicted from the others as the
simulator does between points; the smallest and the largest would be extrapolated, which it
refuses. A node is predicted from those on either side, at every point that they have.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from accel_sim.energy.mac import LAW_FROM_BITS, MacLaw, fit_mac_law
from accel_sim.hardware.choices import SramCell
from accel_sim.hardware.devices import MacCell, MacGrid, mac_cells, mac_grid
from accel_sim.hardware.sram_table import (
    SramBank,
    SramGrid,
    between_nodes,
    full_sram_grid,
    sram_grid,
    sram_grids,
    sram_nodes,
)

Errors = NDArray[np.float64]
"""Prediction over truth, less one."""
OPERANDS = ("uniform_fJ", "cnn_fJ")
"""Energies of random operands, and of those of a network."""
BANK_FIELDS = tuple(field.name for field in fields(SramBank))


@dataclass(frozen=True, slots=True, kw_only=True)
class MacErrors:
    """Errors of a law in the library that its fit has not seen, by name of the energy.

    Attributes
    ----------
    wide, narrow
        Of operands that the law is for, and of those that the table is for.
    swept
        Of other accumulators; empty where none were swept.
    """

    law: MacLaw
    wide: dict[str, Errors]
    narrow: dict[str, Errors]
    swept: dict[str, Errors]


def mac_law_errors(cells: Sequence[MacCell]) -> dict[str, MacErrors]:
    """Errors in each library of the law that is fitted to the others."""
    errors = {}
    for library in dict.fromkeys(cell.library for cell in cells):
        law = fit_mac_law(cell for cell in cells if cell.library != library)
        own = [cell for cell in cells if cell.library == library]
        (unit,) = (cell for cell in own if cell.is_unit)
        wide = [cell for cell in own if narrower_bits(cell) >= LAW_FROM_BITS]
        errors[library] = MacErrors(
            law=law,
            wide=judge(law, unit, [cell for cell in wide if cell.is_on_grid]),
            narrow=judge(law, unit, [cell for cell in own if cell not in wide]),
            swept=judge(law, unit, [cell for cell in wide if not cell.is_on_grid]),
        )
    return errors


def narrower_bits(cell: MacCell) -> int:
    return min(cell.activation_bits, cell.weight_bits)


def judge(law: MacLaw, unit: MacCell, cells: Iterable[MacCell]) -> dict[str, Errors]:
    """Errors of a law, by name of the energy, in which `unit` costs one."""
    return {
        name: np.array(
            [
                law.relative(cell.activation_bits, cell.weight_bits, cell.accumulator_bits)
                * getattr(unit, name)
                / getattr(cell, name)
                - 1
                for cell in cells
            ]
        )
        for name in OPERANDS
    }


def mac_width_errors(grid: MacGrid, name: str) -> dict[int, Errors]:
    """Errors at each width of either operand that is predicted from those on either side."""
    values = getattr(grid, name)
    errors = {}
    for at in range(1, len(grid.bits) - 1):
        bits = np.delete(grid.bits, at)
        found = [
            np.interp(grid.bits[at], bits, np.delete(line, at)) / line[at] - 1
            for line in (*values, *values.T)
        ]
        errors[grid.bits[at]] = np.array(found)
    return errors


def sram_errors(node_nm: int, cell: SramCell, axis: int) -> Errors:
    """Errors of the banks of a grid whose size (axis 0) or width (axis 1) is left out in turn.

    Returns
    -------
    Errors
        float64[points, 4]: the fields of `SramBank`.
    """
    grid, full = sram_grids()[node_nm, cell], full_sram_grid(node_nm)
    errors = []
    for at in range(1, grid.values.shape[axis] - 1):
        points = [grid.sizes_bytes, grid.widths_bits]
        (left_out,) = points[axis][at : at + 1]
        points[axis] = tuple(point for point in points[axis] if point != left_out)
        rest = SramGrid(
            sizes_bytes=points[0], widths_bits=points[1], values=np.delete(grid.values, at, axis)
        )
        points[axis] = (left_out,)
        predicted = (rest if grid is full else rest.fill_in(full)).resample(*points).values
        errors.append((predicted / grid.values.take([at], axis) - 1).reshape(-1, len(BANK_FIELDS)))
    return np.concatenate(errors)


def node_errors(node_nm: int, cell: SramCell) -> Errors:
    """Errors of a node that is predicted from those on either side, as of `sram_errors`."""
    nodes, grid = sram_nodes(cell), sram_grids()[node_nm, cell]
    at = nodes.index(node_nm)
    found = between_nodes(
        node_nm, {node: sram_grid(node, cell) for node in (nodes[at - 1], nodes[at + 1])}
    )
    sizes = tuple(size for size in grid.sizes_bytes if size in found.sizes_bytes)
    widths = tuple(width for width in grid.widths_bits if width in found.widths_bits)
    ratio = found.resample(sizes, widths).values / grid.resample(sizes, widths).values
    return (ratio - 1).reshape(-1, len(BANK_FIELDS))


def percent(errors: Errors) -> str:
    """Mean and largest error as in a cell of a table."""
    if not errors.size:
        return f"{'-':>14}"
    return f"{100 * np.abs(errors).mean():7.1f}{100 * np.abs(errors).max():7.1f}"


def print_line(name: str, columns: Iterable[Errors]) -> None:
    print(f"{name:16}" + "".join(map(percent, columns)))


def print_head(title: str, columns: Iterable[str]) -> None:
    """Print what stands above a table of errors."""
    print(f"\n{title}; mean and largest error in percent")
    print(" " * 16 + "".join(f"{column:>14}" for column in columns))


def print_mac() -> None:
    """Print the tables of the MAC."""
    kinds = {"wide": f"{LAW_FROM_BITS} bits up", "narrow": "narrower", "swept": "accumulators"}
    errors = mac_law_errors(mac_cells())
    for name in OPERANDS:
        print_head(f"MAC law, library left out, {name}", kinds.values())
        for library, of_library in errors.items():
            print_line(library, [getattr(of_library, kind)[name] for kind in kinds])
    print("\nCoefficients per bit of the product, of the accumulator")
    for library, of_library in errors.items():
        law = of_library.law
        print(f"{library:16}{law.per_product_bit:14.5f}{law.per_accumulator_bit:14.5f}")
    print_head("MAC table, width left out", OPERANDS)
    by_name = [mac_width_errors(mac_grid(), name) for name in OPERANDS]
    for bits in by_name[0]:
        print_line(f"{bits} bits", [of_width[bits] for of_width in by_name])


def print_sram() -> None:
    """Print the tables of the SRAM."""
    for axis, what in enumerate(("size", "width")):
        print_head(f"SRAM, {what} left out", BANK_FIELDS)
        for node_nm, cell in sram_grids():
            print_line(f"{node_nm} nm {cell}", sram_errors(node_nm, cell, axis).T)
    print_head("SRAM, node left out", BANK_FIELDS)
    for cell in SramCell:
        for node_nm in sram_nodes(cell)[1:-1]:
            print_line(f"{node_nm} nm {cell}", node_errors(node_nm, cell).T)


SECTIONS: tuple[Callable[[], None], ...] = (print_mac, print_sram)


def main() -> None:
    """Print all tables."""
    for section in SECTIONS:
        section()


if __name__ == "__main__":
    main()
