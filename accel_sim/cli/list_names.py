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
    from accel_sim.report.as_table import make_table

    for place, name in enumerate(LISTS if kind is None else (kind,)):
        first, *others = LISTS[name]()
        table = make_table(*first, left=range(len(first)))
        for row in others:
            table.add_row(*row)
        show(*([""] if place else []), table)


def _networks() -> Rows:
    from accel_sim.builtin import builtin_networks

    yield "network", "images"
    for network in builtin_networks():
        yield network.name, "shipped: calibration and test"


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
    from quantizer.quantize import METHODS

    yield "method", "feature-map formats by"
    yield from METHODS.items()


def _operators() -> Rows:
    from quantizer.network.onnx_nodes import SUPPORTED_OPERATORS

    yield "ONNX operator", "supported"
    yield from SUPPORTED_OPERATORS.items()


LISTS: Mapping[str, Callable[[], Rows]] = {
    "networks": _networks,
    "machines": _machines,
    "devices": _devices,
    "methods": _methods,
    "operators": _operators,
}
