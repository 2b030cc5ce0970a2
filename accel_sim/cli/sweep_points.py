"""The points of a sweep: every combination of the values along its axes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import TYPE_CHECKING

from accel_sim.cli.inputs import DEFAULT_METHOD, FormatRequest
from accel_sim.cli.points import check_points
from accel_sim.cli.sweep_studies import Study
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.hardware.config import HardwareConfig
    from accel_sim.report.facts import Datapath
    from accel_sim.sweep.points import SweepPoint, UnusablePoint
    from quantizer.bits_file import GivenBits


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What a sweep combines.

    Attributes
    ----------
    machines
        Files or names.
    studies
        Those of one network one after another.
    changes
        Values by dotted key of the machine.
    given
        Contents of bits files; None for none.
    weights, activations
        Widths; None for what the machine is built for.
    """

    machines: Sequence[str]
    studies: Sequence[Study]
    changes: Mapping[str, Sequence[str]]
    given: "Sequence[GivenBits | None]"
    weights: Sequence[int | None]
    activations: Sequence[int | None]
    datapath: "Datapath"

    @property
    def varied(self) -> tuple[str, ...]:
        """Columns of a point, besides machine, network and widths, that have several values."""
        keys = tuple(key for key, values in self.changes.items() if len(values) > 1)
        return (*keys, *self._varied_numbers)

    @property
    def _varied_numbers(self) -> tuple[str, ...]:
        several = {
            "method": len({study.numbers.method for study in self.studies}) > 1,
            "estimator": len({study.numbers.estimator for study in self.studies}) > 1,
            "bits_file": len(self.given) > 1,
        }
        return tuple(column for column, is_varied in several.items() if is_varied)

    def columns(
        self, changes: Mapping[str, str], study: Study, given: "GivenBits | None"
    ) -> dict[str, str | None]:
        """Give what a table shows of a point besides machine, network and widths."""
        method = study.numbers.method or DEFAULT_METHOD
        numbers = {
            "method": method,
            "estimator": study.numbers.estimator,
            "bits_file": None if given is None else given.source,
        }
        return {**changes, **{column: numbers[column] for column in self._varied_numbers}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A point, and how tables name it.

    Attributes
    ----------
    machine
        Its name; of a point without one, that of the others of the same file.
    columns
        What was changed about the machine, and what else varies, by column.
    """

    point: "SweepPoint | UnusablePoint"
    machine: str
    network: str
    columns: Mapping[str, str | None]


def combine(axes: Axes) -> Iterator[Combination]:
    """Give every combination, the last axis fastest: machine, network, changes, numbers, widths.

    Raises
    ------
    InputError
        If no combination of changes makes a machine of one of the files.
    """
    networks = [
        list(group) for _, group in groupby(enumerate(axes.studies), lambda pair: pair[1].network)
    ]
    for name in axes.machines:
        machines = _make_machines(name, axes.changes)
        usual = next(made.name for _, made in machines if not isinstance(made, InputError))
        for studies, (changes, machine) in product(networks, machines):
            for (experiment, study), given, *widths in product(
                studies, axes.given, axes.weights, axes.activations
            ):
                point = _make_point(
                    name, machine, changes, given, widths, study.numbers, axes.datapath
                )
                yield Combination(
                    point=replace(point, experiment=experiment),
                    machine=usual if isinstance(machine, InputError) else machine.name,
                    network=study.network,
                    columns=axes.columns(changes, study, given),
                )


def _make_machines(
    name: str, changes: Mapping[str, Sequence[str]]
) -> "list[tuple[dict[str, str], HardwareConfig | InputError]]":
    """Give every combination of changes, and the machine that it makes of a file."""
    from accel_sim.hardware.load import load_hardware

    machines: list[tuple[dict[str, str], HardwareConfig | InputError]] = []
    for values in product(*changes.values()):
        chosen = dict(zip(changes, values, strict=True))
        try:
            overrides = [f"{key}={value}" for key, value in chosen.items()]
            machines.append((chosen, load_hardware(name, overrides)))
        except InputError as error:
            machines.append((chosen, error))
    if all(isinstance(machine, InputError) for _, machine in machines):
        _, first = machines[0]
        assert isinstance(first, InputError)
        raise first
    return machines


def _make_point(
    name: str,
    machine: "HardwareConfig | InputError",
    changes: Mapping[str, str],
    given: "GivenBits | None",
    widths: Sequence[int | None],
    numbers: FormatRequest,
    datapath: "Datapath",
) -> "SweepPoint | UnusablePoint":
    from accel_sim.simulation import choose_bits
    from accel_sim.sweep.points import SweepPoint, UnusablePoint

    weights, activations = widths
    file = None if given is None else given.source
    if isinstance(machine, InputError):
        return UnusablePoint(
            machine=name,
            changes=changes,
            weights=weights,
            activations=activations,
            bits_file=file,
            error=machine,
        )
    bits = choose_bits(
        machine,
        weights=weights,
        activations=activations,
        inputs=numbers.input_bits,
        biases=numbers.bias_bits,
        given=given,
        datapath=datapath,
    )
    return SweepPoint(
        hardware=machine, changes=changes, bits=bits, bits_file=file, datapath=datapath
    )


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


def check_all_points(points: "Sequence[SweepPoint]", studies: Sequence[Study]) -> None:
    """Refuse points that their machine cannot run, before any image does."""
    for index, study in enumerate(studies):
        own = [point for point in points if point.experiment == index]
        check_points(own, study.workload, study.numbers)
