"""``accel-sim list``: what there is to name on the command line."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import typer

from accel_sim.cli.console import show


def list_names(
    kind: Annotated[
        Literal["networks", "machines", "devices", "methods", "operators"] | None,
        typer.Argument(
            metavar="[networks|machines|devices|methods|operators]", help="Default: all of them."
        ),
    ] = None,
) -> None:
    """List built-in networks, shipped machines, DRAM devices, methods or ONNX operators."""
    from accel_sim.report.as_table import make_table

    for name in LISTS if kind is None else (kind,):
        table = make_table(name, "", left=(0, 1))
        for row in LISTS[name]().items():
            table.add_row(*row)
        show(table)


def _networks() -> dict[str, str]:
    from accel_sim.builtin import builtin_networks

    return {
        network.name: f"{network.onnx_path.name}, with images" for network in builtin_networks()
    }


def _machines() -> dict[str, str]:
    from accel_sim.hardware.load import load_hardware, shipped_machines

    machines = {name: load_hardware(name) for name in shipped_machines()}
    return {
        name: f"{machine.mac_array.rows} x {machine.mac_array.cols} "
        f"{machine.mac_array.dataflow}, {machine.clock_MHz:g} MHz, "
        f"{machine.technology.node_nm} nm"
        for name, machine in machines.items()
    }


def _devices() -> dict[str, str]:
    from accel_sim.hardware.devices import dram_devices

    return {f"{row.device}, address_map {row.address_map}": "" for row in dram_devices()}


def _methods() -> dict[str, str]:
    from quantizer.quantize import METHODS

    return dict(METHODS)


def _operators() -> dict[str, str]:
    from quantizer.network.onnx_nodes import SUPPORTED_OPERATORS

    return dict(SUPPORTED_OPERATORS)


LISTS: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "networks": _networks,
    "machines": _machines,
    "devices": _devices,
    "methods": _methods,
    "operators": _operators,
}
