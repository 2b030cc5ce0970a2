"""How near is the model of Eyeriss to what was measured of the chip?

    .venv/bin/python benchmarks/eyeriss.py

The convolutions of AlexNet on `hw_configs/eyeriss_12x14.yaml`, 16 bits, batches of 4: processing
elements in use, time without waiting for DRAM, and what the array reads of and writes to the
global buffer. No factor of efficiency is applied; the one value that is fitted stands under
`fitted` in the machine's file, and the second table shows what it is worth.

The first table takes the tiles that the chip was configured with, so that it judges the model of
the array alone. Those of conv3 follow from its megabytes: we read of 4 channels at a time, with
which the buffer would move 71 MB; with 6, as in conv4 and conv5, it moves the 50 that were
measured.

The buffer's megabytes leave out what DRAM brings to it and fetches from it: the chip's figure for
conv1 is what the array alone reads and writes. The model is 3 to 5 % higher in the others, as it
reads the padding like any other row, which the chip does not fetch.

The third table is what a search for the least energy finds by itself. For conv2 it cuts the 27 rows
of the map in two, puts one of these and two channels on the array where the chip folds all rows
onto it, and so moves fewer partial sums in as much time; for conv3 to conv5 it takes 8 channels at
a time. Megabytes of DRAM are compressed on the chip, and not here.

The last table is the power of the chip alone, layer by layer: measured; with the energies of the
tables; with a factor on clock and control and one on the MAC fitted to these layers, as the
machine's file has them; and with a fit to the other four layers. Power is over the total time that
was measured: clock and leakage cost as much however long a layer takes, and all else are counts,
which do not depend on time either. The model's own time stands beside it: 4 % longer in all, as its
DRAM traffic is not compressed, and 19 % in conv5. The constant for clock
and control is from a fit to these very layers in the first place, so that its factor has to be near
1; what the table tells is whether constant power and energy per MAC carry over from layer to layer.
"""

import csv
from dataclasses import replace
from pathlib import Path

from accel_sim.builtin import TrainedNetwork, find_builtin
from accel_sim.calibration.measured_layers import MeasuredLayer, read_measured_layers
from accel_sim.calibration.power import PowerCalibration, calibrate_power
from accel_sim.hardware.load import load_hardware
from accel_sim.performance import LayerPerformance, run_performance
from quantizer.network.graph import Network

TABLE = Path(__file__).with_name("eyeriss_alexnet.csv")
POWER_TABLE = Path(__file__).with_name("eyeriss_alexnet_power.csv")
BITS = 16
# What the chip works on between two visits of the buffer, by layer.
TILES = {
    "conv1": "{batch: 1, groups: 1, filters: 96, channels: 1, output_rows: 7, output_cols: 55}",
    "conv2": "{batch: 1, groups: 1, filters: 64, channels: 2, output_rows: 27, output_cols: 27}",
    "conv3": "{batch: 4, groups: 1, filters: 64, channels: 6, output_rows: 13, output_cols: 13}",
    "conv4": "{batch: 4, groups: 1, filters: 64, channels: 6, output_rows: 13, output_cols: 13}",
    "conv5": "{batch: 4, groups: 1, filters: 64, channels: 6, output_rows: 13, output_cols: 13}",
}
PINS = (
    "mapping.pin=["
    + ", ".join(f"{{layer: {layer}, tile: {tile}}}" for layer, tile in TILES.items())
    + "]"
)
NEUTRAL = "mac_array.fold_overlap=none"
"""The fitted value as if nobody had fitted it."""


def read_table() -> dict[str, dict[str, float]]:
    """Read what was measured, by layer."""
    lines = TABLE.read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {
        row["layer"]: {key: float(text) for key, text in row.items() if key != "layer"}
        for row in rows
    }


def convolutions() -> Network:
    """Return the convolutions of AlexNet, which are all that was measured."""
    topology = find_builtin("alexnet")
    assert not isinstance(topology, TrainedNetwork)
    network = topology.without_weights()
    kept = tuple(layer for layer in network.layers if layer.name in TILES)
    return replace(network, layers=kept)


def run_layers(*overrides: str) -> tuple[LayerPerformance, ...]:
    """Run the convolutions, every one from DRAM to DRAM."""
    network = convolutions()
    hardware = load_hardware("eyeriss_12x14", ["mapping.residency=none", *overrides])
    bits = dict.fromkeys(network.shapes, BITS), dict.fromkeys(network.constants, BITS)
    return run_performance(hardware, network, *bits)


def processing_ms(layer: LayerPerformance) -> float:
    """Time of a layer without waiting for DRAM."""
    return (layer.cycles.total - layer.cycles.dram_stalls) / 200e3


def dram_MB(layer: LayerPerformance) -> float:
    """Megabytes over the link to DRAM."""
    return (layer.dram_bytes.read + layer.dram_bytes.write) / 1e6


def buffer_MB(layer: LayerPerformance) -> float:
    """Megabytes that the array reads of and writes to the buffer, without those of DRAM."""
    accesses = layer.buffer_accesses
    used = (accesses.ifm, accesses.weights, accesses.psum, accesses.ofm)
    words = sum(one.reads + one.writes for one in used)
    return words * 8 / 1e6 - dram_MB(layer)  # words of 64 bits


def print_layers(title: str, *overrides: str) -> None:
    """Print a line per layer, then the sums."""
    print(f"\n{title}")
    print(
        "          PEs  chip   ms    chip           nn_dataflow   buffer MB   chip"
        "          DRAM MB  chip, packed"
    )
    table = read_table()
    sums = [0.0] * 7
    for layer in run_layers(*overrides):
        row = table[layer.name]
        assert layer.mapping is not None
        assert layer.mapping.passes is not None
        point = [
            processing_ms(layer), row["processing_ms"], row["nn_dataflow_ms"],
            buffer_MB(layer), row["buffer_MB"], dram_MB(layer), row["dram_MB"],
        ]  # fmt: skip
        sums = [before + value for before, value in zip(sums, point, strict=True)]
        pes = f"{layer.mapping.passes.mapped_pes:5}{row['mapped_pes']:6.0f}"
        print_line(layer.name, pes, point)
    print_line("all", " " * 11, sums)


def print_line(name: str, pes: str, point: list[float]) -> None:
    """Print time, buffer and DRAM of a layer beside those measured."""
    ms, chip_ms, peer_ms, buffer, chip_buffer, dram, chip_dram = point
    peer, chip = peer_ms / chip_ms - 1, buffer / chip_buffer - 1
    print(
        f"{name:6}{pes}{ms:8.2f}{chip_ms:7.1f} {ms / chip_ms - 1:+7.1%} {peer:+11.1%}"
        f"{buffer:12.1f}{chip_buffer:8.1f} {chip:+7.1%}{dram:10.2f}{chip_dram:8.1f}"
    )


def calibrate(*overrides: str) -> PowerCalibration:
    """Fit both factors to the power of the layers."""
    hardware = load_hardware("eyeriss_12x14", ["mapping.residency=none", *overrides])
    return calibrate_power(hardware, convolutions(), read_measured_layers(POWER_TABLE))


def average_mW(layers: tuple[MeasuredLayer, ...], powers_mW: tuple[float, ...]) -> float:
    """Power of all layers together, over the time that was measured."""
    times = [layer.latency_ms for layer in layers]
    energy_uJ = sum(power * time for power, time in zip(powers_mW, times, strict=True))
    return energy_uJ / sum(times)


def print_power() -> None:
    """Print the power of each layer, then of all."""
    calibration = calibrate()
    print("\nPower of the chip in mW, and what is off")
    print("           ms    chip    mW chip     tables         fitted       left out")
    measured = tuple(layer.measured for layer in calibration.layers)
    rows = [
        (layer.before_mW, layer.after_mW, layer.left_out_mW, layer.measured.power_mW)
        for layer in calibration.layers
    ]
    for layer, row in zip(calibration.layers, rows, strict=True):
        print_powers(layer.measured.layer, layer.model_latency_ms, layer.measured.latency_ms, row)
    columns = zip(*rows, strict=True)
    before, after, left_out, chip = (average_mW(measured, column) for column in columns)
    print_powers(
        "all",
        sum(layer.model_latency_ms for layer in calibration.layers),
        sum(layer.latency_ms for layer in measured),
        (before, after, left_out, chip),
    )
    for factor in calibration.factors:
        low, high = min(factor.left_out), max(factor.left_out)
        print(
            f"{factor.constant.name:18}times {factor.value:.3f}, {low:.3f} to {high:.3f} left out"
        )


def print_powers(
    name: str, model_ms: float, chip_ms: float, powers: tuple[float, float, float, float]
) -> None:
    """Print times and powers of a layer; the measured one stands last in `powers`."""
    *models, chip = powers
    shown = "".join(f"{power:8.1f} {power / chip - 1:+6.1%}" for power in models)
    print(f"{name:6}{model_ms:7.1f}{chip_ms:8.1f}{chip:10.1f}{shown}")


def main() -> None:
    """Print all tables."""
    print_layers("Tiles of the chip", PINS)
    print_layers(f"The same, {NEUTRAL}", PINS, NEUTRAL)
    print_layers("Tiles that a search for energy finds")
    print_power()


if __name__ == "__main__":
    main()
