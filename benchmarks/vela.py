"""How do cycles on micro_8x16 compare with those that Vela expects of an Ethos-U55-128?

    .venv/bin/python benchmarks/vela.py REFERENCE_DATA

Layer by layer, on the ResNet of MLPerf Tiny: ratios below 1 are layers that the model takes to
be faster. Vela's figures are estimates, too. Where they are apart:

* Up to 16 channels: Vela takes the taps of a filter four at a time, so that 9 cost as much as 12.
* Sums: Vela takes one and a half cycles per element to bring two operands to one format, a lane
  here half a cycle.
* Pools: Vela takes 0.67 to 0.77 cycles per element, in the networks of MLPerf Tiny and on every
  Ethos-U55 of 64 MACs and more, a lane here half a cycle.
* With memory: Vela reads the weights from a flash of 1 byte per cycle, here they share the 8
  bytes per cycle of the maps.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from accel_sim.hardware.load import load_hardware
from accel_sim.performance import LayerPerformance, run_performance
from quantizer.network.onnx_import import load_onnx

TABLE = Path(__file__).with_name("vela_resnet8.csv")


def read_table() -> list[dict[str, str]]:
    """Read Vela's layers in the order in which they run."""
    lines = TABLE.read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def run_layers(onnx: Path) -> list[LayerPerformance]:
    """Run the layers that take any time, with 8-bit operands and 32-bit biases."""
    network = load_onnx(onnx)
    biases = {name: 32 if values.ndim == 1 else 8 for name, values in network.constants.items()}
    layers = run_performance(
        load_hardware("micro_8x16"), network, dict.fromkeys(network.shapes, 8), biases
    )
    return [layer for layer in layers if layer.cycles.total]


def print_line(name: str, operator: str, cycles: Sequence[int]) -> None:
    """Print a layer: cycles here, those of Vela's unit alone, those with its memories."""
    macs, here, alone, with_memory = cycles
    print(
        f"{name:10}{operator:14}{macs:11,}{here:9,}{alone:9,} {here / alone:6.2f}"
        f"{with_memory:13,} {here / with_memory:6.2f}"
    )


def main() -> None:
    """Print one line per layer, then the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    layers = run_layers(parser.parse_args().folder / "networks" / "resnet8_cifar10.onnx")
    print("layer     operator             MACs     here     Vela  ratio  with memory  ratio")
    points = []
    for layer, vela in zip(layers, read_table(), strict=True):
        macs, alone, with_memory = (int(vela[key]) for key in ("macs", "npu_cycles", "op_cycles"))
        if layer.macs:
            assert layer.macs == macs, f"{layer.name} is not Vela's layer"
        points.append((macs, layer.cycles.total, alone, with_memory))
        print_line(layer.name, vela["operator"], points[-1])
    print_line("all", "", [sum(column) for column in zip(*points, strict=True)])


if __name__ == "__main__":
    main()
