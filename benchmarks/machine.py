"""How long do mapping, timing and energy of a whole network take?

    .venv/bin/python benchmarks/machine.py

Processor time of one thread, warm, without values: the best of five runs that take turns. Beside
them what peers took for a ResNet-18 of 8 bits on arrays of 32 x 32, processor time on another
computer: ZigZag 3.9.1 48 s; SCALE-Sim 3.0.0, which steps through the cycles, about 150 s.
"""

import time

from accel_sim.builtin import TrainedNetwork, find_builtin
from accel_sim.hardware.load import load_hardware
from accel_sim.simulation import simulate

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
MACHINES = ("iot_8x8", "edge_16x16", "mobile_32x32", "cloud_64x64")
ROUNDS = 5
PEERS_S = {"ZigZag": 48.0, "SCALE-Sim": 150.0}
"""Of resnet18, in seconds of processor time."""


def main() -> None:
    """Print a line per network and machine."""
    cases = []
    for name in NETWORKS:
        topology = find_builtin(name)
        assert not isinstance(topology, TrainedNetwork)
        cases += [(load_hardware(machine), topology.without_weights()) for machine in MACHINES]
    seconds: list[list[float]] = [[] for _ in cases]
    for _ in range(1 + ROUNDS):  # the first compiles
        for (hardware, network), found in zip(cases, seconds, strict=True):
            start = time.process_time()
            simulate(hardware, network)
            found.append(time.process_time() - start)
    print("network       machine       DRAM    seconds  of ZigZag  of SCALE-Sim")
    for (hardware, network), found in zip(cases, seconds, strict=True):
        best = min(found[1:])
        line = f"{network.name:13} {hardware.name:13} {hardware.dram.model:7} {best:7.3f}"
        if network.name == "resnet18":
            line += "".join(f"  1/{other / best:.0f}".rjust(11) for other in PEERS_S.values())
        print(line)


if __name__ == "__main__":
    main()
