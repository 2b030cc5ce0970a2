"""Do published energies lie inside the bands of the energy model, and how wide are these?

    .venv/bin/python benchmarks/published_energy.py

A line for each number of `published_energy.csv`: as published, as the model has it, both ends of
the band, whether the number is inside, and the width of the band (high over low). Then the share
inside and the median width: of operations and of chips, of numbers that a table of the model was
made from, where agreement means little, and of others. No constant was changed for the sake of
this table; what lies outside is a finding.

What the tables do not hold (a supply over 30 % from nominal, a node, a width) is printed with the
reason, and counts neither as inside nor as outside.

Operations are those of a machine at the number's node and supply. A multiplication is the part of
a MAC that grows with the product of the widths; an addition of other than 32 bits is in proportion
to its width. Half zeros are operands of a network, half of whose activations are zero. DRAM is a
sequential stream that is read at full speed: rows, bits, link, and standby and refresh meanwhile. A
quotient of two energies has the low end of one over the high end of the other, and vice versa.

Chips are the chip alone, without DRAM. Eyeriss is its measured layers with their zeros, power over
the time that was measured, without the entries that were fitted to it. Other chips are machines of
as many MACs (`published_energy_machines.csv`; DNPU is a third of it) on one layer of VGG-16 that
fills the array, no operand zero, as energy per MAC: of TOPS/W, or of power over all MACs that the
array could do at its clock. What makes these chips what they are is not modelled: bit-serial
multiplication by tables, which saves UNPU 23 to 54 % of the energy of its array, and multipliers
whose unused bits stand still; an operand narrower than the multiplier saves storage alone here.

What is outside, and why as far as that can be told:

* At 7 and 14 nm logic costs 2.9 to 4.9 times the middle of the band by three sources (ours among
  them), and SRAM 7 times by one: the scaling of nodes makes both too cheap below 20 nm.
* The cell in nangate45 costs 1.39 times the high end, with random operands and with half zeros: the
  end of `mac_8x8_pJ` is what operands of a network cost, and the model takes it for random ones.
* Aladdin's multiplier alone costs 1.2 to 1.8 times the high end of the part of a MAC that
  multiplies. Its 40 nm are 45 in the tables, so that at 40 nm its adder for 1 ns is outside.
* The links of DDR3 (70 pJ per bit) and HBM2 (3.9) are in no value, only in how far bands reach up;
  the 200 MACs of Chen, Emer and Sze stand for a DRAM that is not named.
* KU Leuven and Envision at 16 bits spend 1.2 and 2.2 times the high end. Both are processors with a
  program, which is not modelled, and real TOPS/W count work, not idle multipliers. At 4 bits KU
  Leuven spends 0.8 of the low end: its unused bits stand still.
* DNPU spends 0.46 to 0.67 of the low end, with multipliers of its own kind, and its figures are
  from memory.
"""

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from accel_sim.builtin import TrainedNetwork, find_builtin
from accel_sim.calibration.measured_layers import MeasuredLayer, read_measured_layers
from accel_sim.energy.band import Energy, sum_energies
from accel_sim.energy.constants import energy_constants
from accel_sim.energy.dram import dram_costs, dram_energy
from accel_sim.energy.mac import mac_law
from accel_sim.energy.scaling import scaled_constant
from accel_sim.energy.wires import wire_bit
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.devices import find_dram_device
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.traffic import NO_DRAM_BYTES
from accel_sim.performance import LayerActivity, LayerPerformance, run_performance
from quantizer.errors import InputError
from quantizer.network.graph import Network

TABLE = Path(__file__).with_suffix(".csv")
MACHINES = Path(__file__).with_name("published_energy_machines.csv")
EYERISS_LAYERS = Path(__file__).with_name("eyeriss_alexnet_power.csv")
OPERATIONS_PER_MAC = 2
"""As those count who state TOPS/W: a multiplication and an addition."""
ACCESSES_PER_MAC = 4
"""Of a register file: both operands and the sum read, the sum written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A row of the table; see the head of the file."""

    group: str
    what: str
    quantity: str
    bits: str
    layer: str
    machine: str
    settings: tuple[str, ...]
    node_nm: str
    supply_V: str
    value: float
    unit: str
    made_table: bool
    confidence: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A published number beside the model's, both in the model's unit.

    Attributes
    ----------
    model
        None where the tables do not hold it.
    reason
        Why they do not.
    """

    row: Published
    published: float
    unit: str
    model: Energy | None
    reason: str = ""

    @property
    def is_inside(self) -> bool:
        """Whether the number lies in the band."""
        model = self.model
        return model is not None and model.low_pJ <= self.published <= model.high_pJ

    @property
    def width(self) -> float:
        """High end of the band over the low one; NaN where there is none."""
        return self.model.high_pJ / self.model.low_pJ if self.model else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many numbers of a group are inside, and the median width of its bands."""

    inside: int
    compared: int
    outside_tables: int
    median_width: float


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table whose lines that begin with ``#`` are for the reader."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def read_published() -> tuple[Published, ...]:
    """Read all published numbers."""
    return tuple(
        Published(
            **{
                **row,
                "settings": tuple(filter(None, row["settings"].split(";"))),
                "value": float(row["value"]),
                "made_table": row["made_table"] == "yes",
            }  # type: ignore[arg-type]
        )
        for row in read_rows(TABLE)
    )


def load_machine(row: Published) -> HardwareConfig:
    """Load the machine of a row; InputError where the tables do not hold it."""
    parts = [part for part in read_rows(MACHINES) if part["chip"] == row.machine]
    (machine,) = {part["machine"] for part in parts}
    technology = {"node_nm": row.node_nm, "supply_V": row.supply_V}
    return load_hardware(
        machine,
        [
            *(part["setting"] for part in parts),
            *row.settings,
            *(f"technology.{key}={value}" for key, value in technology.items() if value),
        ],
    )


# Operations: each gives the energy of the operation that a row is about.


def addition(hardware: HardwareConfig, bits: int) -> Energy:
    return scaled_constant("add_32_pJ", hardware).times(bits / 32)


def multiply(hardware: HardwareConfig, bits: int) -> Energy:
    unit = scaled_constant("mac_8x8_pJ", hardware)
    return unit.times(mac_law().per_product_bit * bits**2)


def mac(hardware: HardwareConfig, _: int) -> Energy:
    return energy_constants(hardware).macs.busy.times(1)


def mac_half_zeros(hardware: HardwareConfig, _: int) -> Energy:
    macs = energy_constants(hardware).macs
    return sum_energies((macs.busy.times(0.5), macs.zero.times(0.5)))


def register_bit(hardware: HardwareConfig, bits: int) -> Energy:
    return scaled_constant("register_bit_pJ", hardware).times(bits)


def compare_bit(hardware: HardwareConfig, bits: int) -> Energy:
    return scaled_constant("compare_bit_pJ", hardware).times(bits)


def register_file(hardware: HardwareConfig, _: int) -> Energy:
    files = energy_constants(hardware).register_files
    assert files is not None
    return files.times(1 / ACCESSES_PER_MAC)


def sram_read(hardware: HardwareConfig, bits: int) -> Energy:
    words = bits / hardware.buffers.memories["ifm"].port_bits
    return energy_constants(hardware).ifm.memory.read.times(words)


def buffer(hardware: HardwareConfig, bits: int) -> Energy:
    words = bits / hardware.buffers.memories["ifm"].port_bits
    way = energy_constants(hardware).ifm.wires.read.times(words)
    return sum_energies((sram_read(hardware, bits), way))


def wire(hardware: HardwareConfig, bits: int) -> Energy:
    return wire_bit(hardware).times(bits)


def dram_read(hardware: HardwareConfig, bits: int) -> Energy:
    """Energy of bits of a stream of 1 MB that is read at full speed."""
    assert hardware.dram.model == "device"
    device = find_dram_device(hardware.dram.device, hardware.dram.address_map)
    moved = replace(NO_DRAM_BYTES, ifm_read=10**6)
    time_us = moved.read / (device.peak_GBps * device.read_efficiency_fraction * 1e3)
    energy = dram_energy(dram_costs(hardware), moved, time_us)
    stream = sum_energies((energy.dynamic, energy.background))
    return scale(stream, bits / (8 * moved.read))


OPERATIONS: Mapping[str, Callable[[HardwareConfig, int], Energy]] = {
    one.__name__: one
    for one in (
        addition, multiply, mac, mac_half_zeros, register_bit, compare_bit, register_file,
        sram_read, buffer, wire, dram_read,
    )
}  # fmt: skip


def scale(energy: Energy, factor: float) -> Energy:
    """Multiply value and ends."""
    return Energy(
        value_pJ=energy.value_pJ * factor,
        low_pJ=energy.low_pJ * factor,
        high_pJ=energy.high_pJ * factor,
    )


def quotient(energy: Energy, other: Energy) -> Energy:
    """Quotient of two energies whose bands know nothing of one another."""
    return Energy(
        value_pJ=energy.value_pJ / other.value_pJ,
        low_pJ=energy.low_pJ / other.high_pJ,
        high_pJ=energy.high_pJ / other.low_pJ,
    )


def operation(row: Published, hardware: HardwareConfig) -> Energy:
    """Energy of an operation in pJ, or a quotient of two."""
    names = row.quantity.split(" / ")
    missing = [name for name in names if name not in OPERATIONS]
    if missing:
        raise InputError(row.what, f"no energy of its own in the model: {missing[0]}")
    energies = [OPERATIONS[name](hardware, int(row.bits)) for name in names]
    return energies[0] if len(energies) == 1 else quotient(*energies)


# Chips.


def chip_power(row: Published, hardware: HardwareConfig) -> Energy:
    """Power in mW of one measured layer of Eyeriss, or of all, over the time that was measured."""
    measured = read_measured_layers(EYERISS_LAYERS)
    network = layers_of("alexnet", [layer.layer for layer in measured])
    activity = {
        layer.layer: LayerActivity(zero_ifm_fraction=layer.zero_ifm_fraction) for layer in measured
    }
    bits = int(row.bits.split("x")[0])
    widths = dict.fromkeys(network.shapes, bits), dict.fromkeys(network.constants, bits)
    priced = {layer.name: layer for layer in run_performance(hardware, network, *widths, activity)}
    chosen = [layer for layer in measured if row.layer in ("", layer.layer)]
    energy = sum_energies(measured_energy(hardware, priced[one.layer], one) for one in chosen)
    return scale(energy, 1e-6 / sum(layer.latency_ms for layer in chosen))  # mW of pJ per ms


def measured_energy(
    hardware: HardwareConfig, layer: LayerPerformance, measured: MeasuredLayer
) -> Energy:
    """Energy of the chip in a layer, its constant power for the time that was measured."""
    energy = layer.energy
    model_ms = layer.cycles.total / hardware.clock_MHz * 1e-3
    constant = sum_energies((energy.clock_control, energy.leakage))
    return sum_energies(
        (
            energy.mac,
            energy.register_file,
            energy.wires,
            energy.buffers,
            energy.post_processing,
            scale(constant, measured.latency_ms / model_ms),
        )
    )


def chip_mac(row: Published, hardware: HardwareConfig) -> Energy:
    """Energy of the chip per MAC of a layer, in pJ."""
    layer = run_layer(row, hardware)
    return scale(layer.energy.chip, 1 / layer.macs)


def run_layer(row: Published, hardware: HardwareConfig) -> LayerPerformance:
    """Run the layer of a chip's row."""
    network = layers_of("vgg16", [row.layer])
    activation_bits, weight_bits = map(int, row.bits.split("x"))
    (layer,) = run_performance(
        hardware,
        network,
        dict.fromkeys(network.shapes, activation_bits),
        dict.fromkeys(network.constants, weight_bits),
    )
    return layer


def layers_of(name: str, kept: Sequence[str]) -> Network:
    """Give a network of some layers of a published one, for costs alone."""
    topology = find_builtin(name)
    assert not isinstance(topology, TrainedNetwork)
    network = topology.without_weights()
    layers = tuple(layer for layer in network.layers if layer.name in kept)
    first, last = layers[0], layers[-1]
    return replace(network, input=first.inputs[0], outputs=(last.ofm,), layers=layers)


CHIPS = {one.__name__: one for one in (chip_power, chip_mac)}


def convert(row: Published, hardware: HardwareConfig | None) -> tuple[float, str]:
    """Published number in the unit that the model's has, and that unit."""
    if row.unit == "TOPS/W":
        return OPERATIONS_PER_MAC / row.value, "pJ/MAC"
    if row.quantity == "chip_mac" and hardware is not None:
        array = hardware.mac_array
        macs_per_us = array.rows * array.cols * hardware.clock_MHz
        return row.value * 1e3 / macs_per_us, "pJ/MAC"  # 1 mW is 1e3 pJ per us
    return row.value, row.unit


def compare(row: Published) -> Comparison:
    """Hold a number against the model."""
    try:
        hardware = load_machine(row)
        calculate = CHIPS.get(row.quantity, operation)
        model = calculate(row, hardware)
    except InputError as error:
        published, unit = convert(row, None)
        return Comparison(row=row, published=published, unit=unit, model=None, reason=error.problem)
    published, unit = convert(row, hardware)
    return Comparison(row=row, published=published, unit=unit, model=model)


def summarise(comparisons: Iterable[Comparison]) -> Summary:
    """Count what is inside, and take the median of widths."""
    every = list(comparisons)
    compared = [one for one in every if one.model is not None]
    return Summary(
        inside=sum(one.is_inside for one in compared),
        compared=len(compared),
        outside_tables=len(every) - len(compared),
        median_width=median(one.width for one in compared) if compared else math.nan,
    )


def summaries(comparisons: Iterable[Comparison]) -> dict[tuple[str, bool], Summary]:
    """Summary of each group, by its name and whether a table was made from its numbers."""
    every = list(comparisons)
    keys = dict.fromkeys((one.row.group, one.row.made_table) for one in every)
    return {
        key: summarise(one for one in every if (one.row.group, one.row.made_table) == key)
        for key in keys
    }


def print_comparison(comparison: Comparison, columns: int) -> None:
    """Print a line of the table."""
    row, model = comparison.row, comparison.model
    place = f"{row.node_nm:>4} {row.supply_V:>5}"
    made = "yes" if row.made_table else "no"
    line = f"{row.what:{columns}}{place} {comparison.published:9.4g}"
    if model is None:
        print(f"{line} {comparison.unit:7}outside the tables: {comparison.reason}")
        return
    inside = "inside" if comparison.is_inside else "OUTSIDE"
    print(
        f"{line} {comparison.unit:7}{model.value_pJ:9.4g}{model.low_pJ:9.4g}{model.high_pJ:9.4g}"
        f"  {inside:8}{comparison.width:5.1f}  {made:4}{row.confidence}"
    )


def main() -> None:
    """Print the table, then shares and widths."""
    comparisons = [compare(row) for row in read_published()]
    columns = max(len(one.row.what) for one in comparisons)
    print(
        f"{'':{columns}}  nm     V published           model      low     high"
        "           width  made trust"
    )
    for comparison in comparisons:
        print_comparison(comparison, columns)
    print()
    for (group, made_table), summary in summaries(comparisons).items():
        kind = "sources of the tables" if made_table else "others"
        print(
            f"{group + 's, ' + kind:36}{summary.inside:3} of {summary.compared:2} inside"
            f" ({summary.inside / summary.compared:4.0%}), median width {summary.median_width:.1f};"
            f" {summary.outside_tables} outside the tables"
        )


if __name__ == "__main__":
    main()
