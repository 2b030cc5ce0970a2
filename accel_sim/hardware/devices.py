"""The tables of physical facts: DRAM devices, SRAM banks, MAC cells, node scaling.

Each is a file in ``tables/`` that states where its numbers come from. What lies outside
a table is refused, never extrapolated.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.choices import SramCell


@dataclass(frozen=True, slots=True, kw_only=True)
class DramDevice:
    """One channel of a DRAM device under one address map.

    Attributes
    ----------
    read_efficiency_fraction, write_efficiency_fraction
        Of peak, for sequential streams with refresh.
    row_hit_latency_ns
        Of one read alone, its row open.
    row_miss_latency_ns
        Of one read alone, another row open.
    dynamic_low_factor, dynamic_high_factor
        Ends of the band of the energy per access.
    background_low_factor, background_high_factor
        Ends of the band of standby and refresh.
    row_bytes
        Of one bank.
    bank_groups
        As many as banks where the device has none.
    clock_ns
        Of the command bus.
    burst_ns, same_group_burst_ns
        From burst to burst: at least, and within one bank group.
    activation_gap_ns
        From row activation to activation of any banks.
    row_cycle_ns
        From activation to activation of one bank.
    turn_ns
        Lost where a batch of writes interrupts reads.
    refresh_fraction
        Of the time that refresh takes.
    window_efficiency_fraction, window_bursts, window_norm, reorder_bursts, write_batch
        See `accel_sim.timing.dram_windows`.
    """

    device: str
    address_map: str
    peak_GBps: float
    burst_bytes: int
    read_efficiency_fraction: float
    write_efficiency_fraction: float
    row_hit_latency_ns: float
    row_miss_latency_ns: float
    read_activations_per_MB: float
    write_activations_per_MB: float
    activation_nJ: float
    read_pJ_per_bit: float
    write_pJ_per_bit: float
    read_io_pJ_per_bit: float
    write_io_pJ_per_bit: float
    standby_mW: float
    refresh_mW: float
    dynamic_low_factor: float
    dynamic_high_factor: float
    background_low_factor: float
    background_high_factor: float
    row_bytes: int
    banks: int
    bank_groups: int
    clock_ns: float
    burst_ns: float
    same_group_burst_ns: float
    activation_gap_ns: float
    row_cycle_ns: float
    turn_ns: float
    refresh_fraction: float
    window_efficiency_fraction: float
    window_bursts: int
    window_norm: int
    reorder_bursts: int
    write_batch: int


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
        row, down = _bracket(self.sizes_bytes, size_bytes)
        col, right = _bracket(self.widths_bits, width_bits)
        corners = np.log(self.values[row : row + 2, col : col + 2])
        near, far = corners[0] * (1 - down) + corners[1] * down
        read_pJ, write_pJ, leakage_mW, area_mm2 = np.exp(near * (1 - right) + far * right).tolist()
        return SramBank(
            read_pJ=read_pJ, write_pJ=write_pJ, leakage_mW=leakage_mW, area_mm2=area_mm2
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeScaling:
    """Energy of logic at one node: ``a V**2 + b V + c``, in a unit shared by all nodes."""

    node_nm: int
    nominal_supply_V: float
    a: float
    b: float
    c: float

    def energy_factor(self, supply_V: float) -> float:
        """Relative energy per operation."""
        return self.a * supply_V**2 + self.b * supply_V + self.c


def interpolate_node(points: Mapping[int, float], node_nm: int) -> float:
    """Value at a node between others: its logarithm is linear in that of the node.

    Parameters
    ----------
    points
        By node; the smallest and the largest enclose `node_nm`.
    """
    nodes = sorted(points)
    values = [np.log(points[node]) for node in nodes]
    return float(np.exp(np.interp(np.log(node_nm), np.log(nodes), values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MacGrid:
    """A synthesised multiply-accumulate cell over operand widths.

    The accumulator of each is ``activation + weight + 8`` bits wide.

    Attributes
    ----------
    bits
        Widths of either operand, ascending.
    uniform_fJ, cnn_fJ
        float64[activation, weight], with random operands, and with those of a network: half of
        the activations zero, bell-shaped weights.
    clock_pins_fJ, gate_equivalents
        float64[activation, weight], of operands that stand still; of the cell.
    """

    bits: tuple[int, ...]
    uniform_fJ: NDArray[np.float64]
    cnn_fJ: NDArray[np.float64]
    clock_pins_fJ: NDArray[np.float64]
    gate_equivalents: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableConstant:
    """A constant at the node and supply of its source.

    Attributes
    ----------
    cell
        Kind of transistors; ``any`` where the source does not say.
    confidence
        ``high``, ``medium`` or ``low``; the table says what that means.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    node_nm: int
    supply_V: float
    cell: str
    confidence: str
    source: str


@cache
def dram_devices() -> tuple[DramDevice, ...]:
    """All DRAM devices, in the table's order."""
    fields = DramDevice.__annotations__
    return tuple(
        DramDevice(**{name: fields[name](value) for name, value in row.items()})
        for row in _read_table("dram.csv")
    )


def find_dram_device(device: str, address_map: str) -> DramDevice:
    """Device of that name under that address map; KeyError where there is none."""
    for candidate in dram_devices():
        if (candidate.device, candidate.address_map) == (device, address_map):
            return candidate
    raise KeyError(device, address_map)


@cache
def sram_grids() -> dict[tuple[int, SramCell], SramGrid]:
    """Grid of each (node_nm, cell)."""
    rows = list(_read_table("sram.csv"))
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


SRAM_FROM_NM = 22
"""Smallest node of the SRAM tables; memories of smaller ones are scaled from it."""


def sram_bank(node_nm: int, cell: SramCell, size_bytes: int, width_bits: int) -> SramBank:
    """Bank at a node of the tables, or between two of them."""
    return sram_grids()[node_nm, cell].interpolate(size_bytes, width_bits)


@cache
def node_scalings() -> dict[int, NodeScaling]:
    """Scaling of each node, by its nanometres."""
    return {
        int(row["node_nm"]): NodeScaling(
            node_nm=int(row["node_nm"]),
            nominal_supply_V=float(row["nominal_supply_V"]),
            a=float(row["a"]),
            b=float(row["b"]),
            c=float(row["c"]),
        )
        for row in _read_table("node_scaling.csv")
    }


@cache
def mac_grid() -> MacGrid:
    """Read the MAC cell in nangate45, the one library measured at every pair of widths."""
    rows = [row for row in _read_table("mac.csv") if row["library"] == "nangate45_typ"]
    by_widths = {(int(row["activation_bits"]), int(row["weight_bits"])): row for row in rows}
    bits = tuple(sorted({activation for activation, _ in by_widths}))

    def grid(name: str) -> NDArray[np.float64]:
        return np.array([[float(by_widths[a, w][name]) for w in bits] for a in bits])

    return MacGrid(
        bits=bits,
        uniform_fJ=grid("uniform_fJ"),
        cnn_fJ=grid("cnn_fJ"),
        clock_pins_fJ=grid("clock_pins_fJ"),
        gate_equivalents=grid("gate_equivalents"),
    )


@cache
def gate_areas_um2() -> dict[int, float]:
    """Area of a gate equivalent (a NAND of two inputs) of each library, by its node, ascending."""
    areas: dict[int, float] = {}
    for row in _read_table("mac.csv"):
        areas.setdefault(
            int(row["node_nm"]), float(row["area_um2"]) / float(row["gate_equivalents"])
        )
    return dict(sorted(areas.items()))


@cache
def table_constants() -> dict[str, TableConstant]:
    """Constants by name."""
    return {
        row["name"]: TableConstant(
            name=row["name"],
            unit=row["unit"],
            value=float(row["value"]),
            low=float(row["low"]),
            high=float(row["high"]),
            node_nm=int(row["node_nm"]),
            supply_V=float(row["supply_V"]),
            cell=row["cell"],
            confidence=row["confidence"],
            source=row["source"],
        )
        for row in _read_table("constants.csv")
    }


def _bracket(points: tuple[int, ...], value: int) -> tuple[int, float]:
    """Index of the cell of a grid that holds a value, and how far into it, in logarithms."""
    index = min(max(int(np.searchsorted(points, value, side="right")) - 1, 0), len(points) - 2)
    low, high = np.log(points[index]), np.log(points[index + 1])
    return index, float((np.log(value) - low) / (high - low))


def _read_table(name: str) -> Iterator[dict[str, str]]:
    """Rows of a file in ``tables/``; lines that begin with ``#`` tell its provenance."""
    text = (resources.files("accel_sim.hardware") / "tables" / name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return iter(csv.DictReader(lines))
