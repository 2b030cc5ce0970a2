"""The points of a sweep: every combination of machines, changes and widths."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from accel_sim.cli.inputs import FormatRequest
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.hardware.config import HardwareConfig
    from accel_sim.report.facts import Datapath
    from accel_sim.sweep.points import SweepPoint, UnusablePoint
    from quantizer.bits_file import GivenBits


def combine(
    hardware: Sequence[str],
    changes: Mapping[str, Sequence[str]],
    weights: Sequence[int | None],
    activations: Sequence[int | None],
    numbers: FormatRequest,
    given: "GivenBits | None",
    datapath: "Datapath",
) -> "Iterator[SweepPoint | UnusablePoint]":
    """Give every combination of machines, changes and widths, in this order.

    Parameters
    ----------
    changes
        Values by dotted key of the machine.
    given
        Content of a bits file.

    Raises
    ------
    InputError
        If no combination of changes makes a machine of one of the files.
    """
    from accel_sim.hardware.load import load_hardware
    from accel_sim.simulation import choose_bits
    from accel_sim.sweep.points import SweepPoint, UnusablePoint

    for name in hardware:
        combinations = [
            dict(zip(changes, values, strict=True)) for values in product(*changes.values())
        ]
        machines: list[HardwareConfig | InputError] = []
        for chosen in combinations:
            try:
                overrides = [f"{key}={value}" for key, value in chosen.items()]
                machines.append(load_hardware(name, overrides))
            except InputError as error:
                machines.append(error)
        if all(isinstance(machine, InputError) for machine in machines):
            first = machines[0]
            assert isinstance(first, InputError)
            raise first
        for chosen, machine in zip(combinations, machines, strict=True):
            for weight_width, activation_width in product(weights, activations):
                if isinstance(machine, InputError):
                    yield UnusablePoint(
                        machine=name,
                        changes=chosen,
                        weights=weight_width,
                        activations=activation_width,
                        error=machine,
                    )
                    continue
                bits = choose_bits(
                    machine,
                    weights=weight_width,
                    activations=activation_width,
                    inputs=numbers.input_bits,
                    biases=numbers.bias_bits,
                    given=given,
                    datapath=datapath,
                )
                yield SweepPoint(hardware=machine, changes=chosen, bits=bits, datapath=datapath)


def require_machines(points: "Sequence[SweepPoint | UnusablePoint]") -> "list[SweepPoint]":
    """Give the points if each has a machine.

    Raises
    ------
    InputError
        Why the first that has none does not.
    """
    from accel_sim.sweep.points import UnusablePoint

    usable = []
    for point in points:
        if isinstance(point, UnusablePoint):
            raise point.error
        usable.append(point)
    return usable
