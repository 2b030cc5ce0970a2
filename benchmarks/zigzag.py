"""How do cycles, DRAM traffic and energy of ResNet-18 compare with those that ZigZag expects?

    .venv/bin/python benchmarks/zigzag.py

Layer by layer, on arrays of 32 x 32 and 16 x 16 (`zigzag_32x32.yaml`); ratios below 1 are less
than ZigZag's. Both look for the shortest time, and here, too, every map passes through DRAM. All
that is apart by more than a quarter:

Cycles, 2 to 3 % less in all. Both put channels on the rows, so that the 3 channels of conv1 leave
29 of 32 rows (13 of 16) idle. ZigZag loads its first tile before it computes, in layer1 the whole
map (20,071 cycles); here the first tile is cut small. layer3.0.downsample at 32 x 32 is bound by
DRAM and takes 1.47 times as long: the bytes that ZigZag counts there take 10,804 cycles at 10
bytes per cycle, and its layer 8,845. Its DRAM reads and writes at a time, here they share a bus;
layer4.0.downsample (1.15) is the same.

DRAM bytes. Where computing takes longer than moving, traffic is free, and two searches for time
break such ties differently: at 16 x 16 ZigZag fetches the weights of conv1 787 times and those of
layer2 28 times, and here halos and weights of layers 1 to 3 are fetched more than once for a small
first tile. `least` is what a search for bytes finds: within 1 % of ZigZag's lower figures but for
layer1 (10 % more: two halves of the 256 KiB, where ZigZag has a whole, so that tiles have halos)
and the downsamples (up to 22 %: columns that the stride skips are fetched along).

Energy. DRAM costs the same per bit and differs by its bytes. A MAC costs 0.56 pJ there and 0.46
here (45 nm, the middle of a band from 0.26 to 0.77). Registers: ZigZag reads one of each PE for
every MAC; here weights are read once per fold, and the sums of a column pass a memory at every
tap, at 16 x 16 for half as many channels each (1.6 times). Clock and leakage it leaves out.

Pools and sums, which ZigZag takes to cost nothing, stand apart, as does what residency between
layers saves when time is the objective.
"""

import csv
from dataclasses import fields
from pathlib import Path

from accel_sim.builtin import TrainedNetwork, find_builtin
from accel_sim.energy.constants import energy_constants
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import load_hardware
from accel_sim.performance import DramBytes, LayerPerformance, run_performance
from quantizer.network.graph import Network

FOLDER = Path(__file__).parent
ARRAYS = {
    32: (),
    16: (
        "mac_array.rows=16", "mac_array.cols=16", "buffers.weights.capacity_KiB=32",
        "buffers.ifm.port_bits=128", "buffers.weights.port_bits=128", "buffers.psum.port_bits=256",
        "post_processing.lanes=16",
    ),
}  # fmt: skip
"""Side of the array, and what differs from `zigzag_32x32.yaml`."""


def read_table(side: int) -> list[dict[str, str]]:
    """Read ZigZag's layers on one array in the order in which they run."""
    lines = (FOLDER / "zigzag_resnet18.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [row for row in rows if int(row["array"]) == side]


def load_machine(side: int, *overrides: str) -> HardwareConfig:
    """Load the machine with an array of so many rows and columns."""
    return load_hardware(FOLDER / "zigzag_32x32.yaml", [*ARRAYS[side], *overrides])


def run_layers(hardware: HardwareConfig) -> tuple[LayerPerformance, ...]:
    """Run all layers of ResNet-18."""
    topology = find_builtin("resnet18")
    assert not isinstance(topology, TrainedNetwork)
    network = topology.without_weights()
    return run_performance(hardware, network, *count_bits(network))


def count_bits(network: Network) -> tuple[dict[str, int], dict[str, int]]:
    """Widths of maps and constants: 8 bits, biases 16."""
    biases = {name: 16 if values.ndim == 1 else 8 for name, values in network.constants.items()}
    return dict.fromkeys(network.shapes, 8), biases


def count_bytes(layer: LayerPerformance) -> int:
    """Bytes of a layer over the DRAM bus, both ways."""
    return sum(getattr(layer.dram_bytes, field.name) for field in fields(DramBytes))


def print_layers(side: int) -> None:
    """Print a line per layer, then the sums and what ZigZag leaves out."""
    layers = run_layers(load_machine(side))
    by_bytes = run_layers(load_machine(side, "mapping.objective=dram_bytes"))
    print(
        f"\n{side} x {side}             cycles    ZigZag  ratio"
        "  DRAM bytes     ZigZag  ratio       least"
    )
    rows = read_table(side)
    points = []
    computing = [pair for pair in zip(layers, by_bytes, strict=True) if pair[0].macs]
    for (layer, least), row in zip(computing, rows, strict=True):
        assert (layer.name, layer.macs) == (row["layer"], int(row["macs"])), layer.name
        moved = sum(int(row[key]) for key in ("ifm_bytes", "weights_bytes", "ofm_bytes"))
        points.append(
            (layer.cycles.total, int(row["cycles"]), count_bytes(layer), moved, count_bytes(least))
        )
        print_line(layer.name, points[-1])
    print_line("all", tuple(sum(column) for column in zip(*points, strict=True)))
    others = [layer for layer in layers if not layer.macs]
    cycles, moved = sum(one.cycles.total for one in others), sum(map(count_bytes, others))
    print(f"pools and sums      {cycles:10,}{'':17}{moved:12,}")
    print_energy(side, layers, rows)
    stay = run_layers(load_machine(side, "mapping.residency=auto"))
    kept = sum("ofm" in layer.resident for layer in stay)
    for name, what in (("cycles", lambda one: one.cycles.total), ("DRAM bytes", count_bytes)):
        before, after = sum(map(what, layers)), sum(map(what, stay))
        print(f"with residency between layers, {kept} maps: {after:,} of {before:,} {name}")


def print_line(name: str, point: tuple[int, ...]) -> None:
    """Print cycles here and there, bytes here, there and at least."""
    cycles, their_cycles, moved, their_bytes, least = point
    print(
        f"{name:20}{cycles:10,}{their_cycles:10,} {cycles / their_cycles:6.2f}"
        f"{moved:12,}{their_bytes:11,} {moved / their_bytes:6.2f}{least:12,}"
    )


def print_energy(
    side: int, layers: tuple[LayerPerformance, ...], rows: list[dict[str, str]]
) -> None:
    """Print the energy of all layers that ZigZag counts, by component."""
    constants = energy_constants(load_machine(side))
    here = dict.fromkeys(("mac_pJ", "registers_pJ", "sram_pJ", "dram_pJ", "clock_leakage_pJ"), 0.0)
    for layer in layers:
        if not layer.macs:
            continue
        energy, accesses = layer.energy, layer.buffer_accesses
        here["mac_pJ"] += energy.mac.value_pJ
        here["dram_pJ"] += energy.dram_dynamic.value_pJ
        here["clock_leakage_pJ"] += energy.clock_control.value_pJ + energy.leakage.value_pJ
        sram = sum(
            costs.memory.read.value * used.reads + costs.memory.write.value * used.writes
            for costs, used in ((constants.ifm, accesses.ifm), (constants.ofm, accesses.ofm))
        )
        here["sram_pJ"] += sram
        # Memories of weights and sums stand for the registers of the PEs.
        here["registers_pJ"] += energy.buffers.value_pJ - sram + energy.register_file.value_pJ
    for key, value in here.items():
        there = sum(float(row.get(key, 0)) for row in rows)
        ratio = f"{value / there:6.2f}" if there else ""
        print(f"{key.removesuffix('_pJ'):18}{value / 1e6:10,.1f} uJ{there / 1e6:10,.1f} uJ {ratio}")


def main() -> None:
    """Print both arrays."""
    for side in ARRAYS:
        print_layers(side)


if __name__ == "__main__":
    main()
