"""The table of shipped machines for hw_configs/README.md."""

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
    psum = "in ofm" if buffers.psum == "in_ofm" else f"{buffers.psum.capacity_KiB:g}"
    sizes = (
        f"{buffers.ifm.capacity_KiB:g} + {buffers.weights.capacity_KiB:g} + {psum} + "
        f"{buffers.ofm.capacity_KiB:g} KiB"
    )
    return (
        machine.name,
        f"{array.rows}x{array.cols} {array.dataflow}",
        array.depthwise.value,
        f"{machine.clock_MHz:g} MHz",
        f"{machine.technology.node_nm} nm",
        f"{precision.weight_bits}/{precision.activation_bits}/{precision.accumulator_bits}",
        sizes,
        _describe_dram(machine.dram),
        machine.mapping.objective.value,
    )


def _describe_dram(dram: Dram) -> str:
    if isinstance(dram, DeviceDram):
        return f"{dram.channels} x {dram.device}"
    return f"{dram.bandwidth_GBps:g} GB/s, {dram.latency_ns:g} ns"
