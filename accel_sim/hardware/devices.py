"""The tables of physical facts: DRAM devices, MAC cells, node scaling, constants.

Each is a file in ``tables/`` that states where its numbers come from. What lies outside
a table is refused, never extrapolated. SRAM banks: see `accel_sim.hardware.sram_table`.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray


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
    if node_nm in points:
        return points[node_nm]
    below = max(node for node in points if node < node_nm)
    above = min(node for node in points if node > node_nm)
    part = math.log(node_nm / below) / math.log(above / below)
    low, high = math.log(points[below]), math.log(points[above])
    return math.exp(low * (1 - part) + high * part)


MAC_GRID_EXTRA_BITS = 8
"""Of the accumulators of a grid's cells, beyond activation and weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MacCell:
    """One synthesised multiply-accumulate cell.

    Attributes
    ----------
    uniform_fJ, cnn_fJ
        Energy of one MAC, without glitches: of random operands, and of operands as in a network
        (half of the activations zero, Gaussian weights).
    clock_pins_fJ
        Energy of a cycle in which no operand changes.
    gate_equivalents
        Size in two-input NAND gates.
    """

    library: str
    node_nm: int
    activation_bits: int
    weight_bits: int
    accumulator_bits: int
    area_um2: float
    gate_equivalents: float
    uniform_fJ: float
    cnn_fJ: float
    clock_pins_fJ: float

    @property
    def is_on_grid(self) -> bool:
        """Whether the accumulator is as wide as those of a grid."""
        operands = self.activation_bits + self.weight_bits
        return self.accumulator_bits == operands + MAC_GRID_EXTRA_BITS

    @property
    def is_unit(self) -> bool:
        """Whether this is the 8x8 cell that energies are relative to, with a 24-bit accumulator."""
        return self.is_on_grid and self.activation_bits == self.weight_bits == 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MacGrid:
    """A synthesised multiply-accumulate cell over operand widths.

    The accumulator of each is ``activation + weight + 8`` bits wide.

    Attributes
    ----------
    bits
        Widths of either operand, ascending.
    uniform_fJ, cnn_fJ, clock_pins_fJ, gate_equivalents
        float64[activation, weight], as of a `MacCell`.
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
        for row in read_table("dram.csv")
    )


def find_dram_device(device: str, address_map: str) -> DramDevice:
    """Device of that name under that address map; KeyError where there is none."""
    for candidate in dram_devices():
        if (candidate.device, candidate.address_map) == (device, address_map):
            return candidate
    raise KeyError(device, address_map)


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
        for row in read_table("node_scaling.csv")
    }


@cache
def mac_cells() -> tuple[MacCell, ...]:
    """All cells, in the table's order."""
    fields = MacCell.__annotations__
    return tuple(
        MacCell(**{name: field(row[name]) for name, field in fields.items()})
        for row in read_table("mac.csv")
    )


@cache
def mac_grid() -> MacGrid:
    """Cells in nangate45, the one library measured at every pair of widths."""
    cells = {
        (cell.activation_bits, cell.weight_bits): cell
        for cell in mac_cells()
        if cell.library == "nangate45_typ" and cell.is_on_grid
    }
    bits = tuple(sorted({activation for activation, _ in cells}))

    def grid(name: str) -> NDArray[np.float64]:
        return np.array([[getattr(cells[a, w], name) for w in bits] for a in bits])

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
    cells = [cell for cell in mac_cells() if cell.is_unit]
    areas = {cell.node_nm: cell.area_um2 / cell.gate_equivalents for cell in cells}
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
        for row in read_table("constants.csv")
    }


def read_table(name: str) -> Iterator[dict[str, str]]:
    """Rows of a file in ``tables/``; lines that begin with ``#`` tell its provenance."""
    text = (resources.files("accel_sim.hardware") / "tables" / name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return iter(csv.DictReader(lines))
