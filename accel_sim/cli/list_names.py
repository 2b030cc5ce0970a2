"""``accel-sim list``: what there is to name on the command line."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal

import typer

from accel_sim.cli.console import show

Rows = Iterator[tuple[str, ...]]
"""Titles of the columns, then the rows."""


def list_names(
    kind: Annotated[
        Literal["networks", "machines", "devices", "methods", "operators"] | None,
        typer.Argument(metavar="WHAT", help="Default: all of them."),
    ] = None,
) -> None:
    """List built-in networks, shipped machines, DRAM devices, methods or ONNX operators."""
    from accel_sim.report.layer_table import make_table

    for place, name in enumerate(LISTS if kind is None else (kind,)):
        first, *others = LISTS[name]()
        table = make_table(*first, left=range(len(first)))
        for row in others:
            table.add_row(*row)
        show(*([""] if place else []), table)


def _networks() -> Rows:
    from accel_sim.builtin import TrainedNetwork, builtin_names, find_builtin
    from quantizer.network.onnx_import import load_onnx

    yield "network", "input", "MACs", "parameters", "weights", "images"
    for name in builtin_names():
        builtin = find_builtin(name)
        if isinstance(builtin, TrainedNetwork):
            network, kinds = load_onnx(builtin.onnx_path), ("trained", "shipped, with labels")
        else:
            network, kinds = builtin.without_weights(), ("synthetic", "seeded")
        shape = " x ".join(str(length) for length in network.shapes[network.input])
        yield name, shape, f"{network.macs:,}", f"{network.parameters:,}", *kinds


def _machines() -> Rows:
    from accel_sim.hardware.load import load_hardware, shipped_machines

    yield "machine", "array", "dataflow", "clock", "node"
    for name in shipped_machines():
        machine = load_hardware(name)
        array = machine.mac_array
        yield (
            name,
            f"{array.rows} x {array.cols}",
            array.dataflow,
            f"{machine.clock_MHz:g} MHz",
            f"{machine.technology.node_nm} nm",
        )


def _devices() -> Rows:
    from accel_sim.hardware.devices import dram_devices

    yield "DRAM device", "address_map", "peak per channel"
    for row in dram_devices():
        yield row.device, row.address_map, f"{row.peak_GBps:g} GB/s"


def _methods() -> Rows:
    from quantizer.estimators import Estimator
    from quantizer.step_rules import step_rules

    yield "method", "how the step of a feature map is chosen"
    for rule in step_rules(Estimator.MOMENTS):
        yield rule.name, rule.summary


def _operators() -> Rows:
    from quantizer.network.operators import OPERATORS

    yield "ONNX operator", "supported"
    for entry in OPERATORS:
        yield entry.operator, entry.limits


LISTS: Mapping[str, Callable[[], Rows]] = {
    "networks": _networks,
    "machines": _machines,
    "devices": _devices,
    "methods": _methods,
    "operators": _operators,
}
