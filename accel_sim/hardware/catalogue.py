"""The table of shipped machines for hw_configs/README.md."""

from accel_sim.hardware.buffers import OPERANDS, Buffers
from accel_sim.hardware.config import DeviceDram, Dram, HardwareConfig
from accel_sim.hardware.load import load_hardware, shipped_machines

HEADER = (
    "machine", "array", "depthwise", "clock", "node", "bits (w/a/acc)", "buffers", "DRAM",
    "objective",
)  # fmt: skip


def machine_table() -> str:
    """Describe all shipped machines as a Markdown table, one row each."""
    rows = [HEADER, tuple("---" for _ in HEADER)]
    rows += [_row(load_hardware(name)) for name in shipped_machines()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(machine: HardwareConfig) -> tuple[str, ...]:
    array, precision, buffers = machine.mac_array, machine.precision, machine.buffers
    return (
        machine.name,
        f"{array.rows}x{array.cols} {array.dataflow}",
        array.depthwise.value,
        f"{machine.clock_MHz:g} MHz",
        f"{machine.technology.node_nm} nm",
        f"{precision.weight_bits}/{precision.activation_bits}/{precision.accumulator_bits}",
        _describe_buffers(buffers),
        _describe_dram(machine.dram),
        machine.mapping.objective.value,
    )


def _describe_buffers(buffers: Buffers) -> str:
    memories, sizes = buffers.memories, []
    for name in OPERANDS:
        if name in memories:
            sizes.append(f"{memories[name].capacity_KiB:g}")
        else:
            sizes.append(f"in {'ofm' if name not in buffers.shared else buffers.shared[0]}")
    return f"{' + '.join(sizes)} KiB"


def _describe_dram(dram: Dram) -> str:
    if isinstance(dram, DeviceDram):
        return f"{dram.channels} x {dram.device}"
    return f"{dram.bandwidth_GBps:g} GB/s, {dram.latency_ns:g} ns"
