"""The table of SRAM banks, and what a bank between its points costs.

Machines with banks outside it are refused by `accel_sim.hardware.limits`.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.choices import SramCell
from accel_sim.hardware.devices import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class SramBank:
    """Energy of one access of a bank's full width, its leakage and its area."""

    read_pJ: float
    write_pJ: float
    leakage_mW: float
    area_mm2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SramGrid:
    """Banks of one node and cell over sizes and widths.

    Attributes
    ----------
    sizes_bytes, widths_bits
        Ascending.
    values
        float64[size, width, 4]: the fields of `SramBank`.
    """

    sizes_bytes: tuple[int, ...]
    widths_bits: tuple[int, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.values.setflags(write=False)

    def interpolate(self, size_bytes: int, width_bits: int) -> SramBank:
        """Bank of any size and width inside the grid, exact at its points.

        Bilinear in the logarithms of size, width and value.
        """
        read_pJ, write_pJ, leakage_mW, area_mm2 = self._at(size_bytes, width_bits).tolist()
        return SramBank(
            read_pJ=read_pJ, write_pJ=write_pJ, leakage_mW=leakage_mW, area_mm2=area_mm2
        )

    def resample(self, sizes_bytes: tuple[int, ...], widths_bits: tuple[int, ...]) -> "SramGrid":
        """Return the grid over other points inside it."""
        values = [[self._at(size, width) for width in widths_bits] for size in sizes_bytes]
        return SramGrid(sizes_bytes=sizes_bytes, widths_bits=widths_bits, values=np.array(values))

    def fill_in(self, other: "SramGrid") -> "SramGrid":
        """Add the points that another grid has inside this one's ranges.

        What is interpolated is the ratio to the other grid: steps of the energy, where banks are
        cut another way, lie near the same sizes and widths in both.
        """
        ratios = SramGrid(
            sizes_bytes=self.sizes_bytes,
            widths_bits=self.widths_bits,
            values=self.values / other.resample(self.sizes_bytes, self.widths_bits).values,
        )
        sizes = _within(other.sizes_bytes, self.sizes_bytes)
        widths = _within(other.widths_bits, self.widths_bits)
        values = other.resample(sizes, widths).values * ratios.resample(sizes, widths).values
        return SramGrid(sizes_bytes=sizes, widths_bits=widths, values=values)

    def _at(self, size_bytes: int, width_bits: int) -> NDArray[np.float64]:
        row, down = _bracket(self.sizes_bytes, size_bytes)
        col, right = _bracket(self.widths_bits, width_bits)
        corners = np.log(self.values[row : row + 2, col : col + 2])
        near, far = corners[0] * (1 - down) + corners[1] * down
        return np.asarray(np.exp(near * (1 - right) + far * right))


def sram_bank(node_nm: int, cell: SramCell, size_bytes: int, width_bits: int) -> SramBank:
    """Bank at a node of the table or between two; ValueError where there is none."""
    return sram_grid(node_nm, cell).interpolate(size_bytes, width_bits)


@cache
def sram_grid(node_nm: int, cell: SramCell) -> SramGrid:
    """Grid at a node of the table or between two; ValueError where there is none."""
    grids = {}
    for node in sram_nodes_beside(node_nm, cell):
        grid, full = sram_grids()[node, cell], full_sram_grid(node)
        grids[node] = grid if grid is full else grid.fill_in(full)
    return grids[node_nm] if node_nm in grids else between_nodes(node_nm, grids)


def between_nodes(node_nm: int, grids: dict[int, SramGrid]) -> SramGrid:
    """Grid between those of two nodes, over the sizes and widths that both have.

    Logarithms of the values are linear in that of the node.
    """
    (below, low), (above, high) = sorted(grids.items())
    points = (
        tuple(size for size in low.sizes_bytes if size in high.sizes_bytes),
        tuple(width for width in low.widths_bits if width in high.widths_bits),
    )
    part = np.log(node_nm / below) / np.log(above / below)
    logs = [np.log(grid.resample(*points).values) for grid in (low, high)]
    return SramGrid(
        sizes_bytes=points[0],
        widths_bits=points[1],
        values=np.exp(logs[0] * (1 - part) + logs[1] * part),
    )


def sram_nodes_beside(node_nm: int, cell: SramCell) -> tuple[int, ...]:
    """Find the node in the table, or those on either side; ValueError where there is none."""
    nodes = sram_nodes(cell)
    if node_nm in nodes:
        return (node_nm,)
    if not nodes[0] < node_nm < nodes[-1]:
        raise ValueError(f"expected {nodes[0]} to {nodes[-1]} nm for {cell} SRAM, got {node_nm}")
    above = int(np.searchsorted(nodes, node_nm))
    return nodes[above - 1 : above + 1]


def sram_nodes(cell: SramCell) -> tuple[int, ...]:
    """Nodes at which a cell is in the table, ascending."""
    return tuple(sorted(node for node, its_cell in sram_grids() if its_cell is cell))


@cache
def sram_grids() -> dict[tuple[int, SramCell], SramGrid]:
    """Grid of each (node_nm, cell), as it is in the table."""
    rows = list(read_table("sram.csv"))
    grids = {}
    for key in dict.fromkeys((int(row["node_nm"]), SramCell(row["cell"])) for row in rows):
        points = {
            (int(row["size_bytes"]), int(row["width_bits"])): [
                float(row[name]) for name in ("read_pJ", "write_pJ", "leakage_mW", "area_mm2")
            ]
            for row in rows
            if (int(row["node_nm"]), SramCell(row["cell"])) == key
        }
        sizes = tuple(sorted({size for size, _ in points}))
        widths = tuple(sorted({width for _, width in points}))
        values = np.array([[points[size, width] for width in widths] for size in sizes])
        grids[key] = SramGrid(sizes_bytes=sizes, widths_bits=widths, values=values)
    return grids


def full_sram_grid(node_nm: int) -> SramGrid:
    """Grid with the most points that is nearest to a node, of any cell."""
    grids = sram_grids()
    most = max(grid.values.size for grid in grids.values())
    full = {node: grid for (node, _), grid in grids.items() if grid.values.size == most}
    return full[min(full, key=lambda node: abs(np.log(node / node_nm)))]


SMALLEST_SCALED_FROM_NM = 22
"""SRAM of nodes below the tables is this node's, scaled as logic is."""


def sram_table_node(node_nm: int) -> int:
    """Node whose SRAM table serves a machine of `node_nm`."""
    tabulated = {node for node, _ in sram_grids()}
    return SMALLEST_SCALED_FROM_NM if node_nm < min(tabulated) else node_nm


def _within(points: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    """Points that lie in the range of others."""
    return tuple(point for point in points if others[0] <= point <= others[-1])


def _bracket(points: tuple[int, ...], value: int) -> tuple[int, float]:
    """Index of the cell of a grid that holds a value, and how far into it, in logarithms."""
    index = min(max(int(np.searchsorted(points, value, side="right")) - 1, 0), len(points) - 2)
    low, high = np.log(points[index]), np.log(points[index + 1])
    return index, float((np.log(value) - low) / (high - low))
