"""Many points over `simulate`: products of machines, overrides and bit widths."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import config_digest
from accel_sim.machine_fit import (
    COSTS_ALONE,
    check_signs,
    check_values,
    find_schedules,
    rebuild_datapath,
)
from accel_sim.report.facts import Datapath
from accel_sim.report.model import RunReport
from accel_sim.scheduling import LayerSchedule, collect_plans
from accel_sim.simulation import assemble_report
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.quantized import BitWidths, QuantizedNetwork

if TYPE_CHECKING:
    from accel_sim.measure import ValueReport

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One machine with what was changed about it, and the widths it runs.

    Attributes
    ----------
    changes
        Value by dotted key, as given; only those that the sweep varies.
    datapath
        Whether the machine runs as it is, or is rebuilt for its operands.
    """

    hardware: HardwareConfig
    changes: Mapping[str, str]
    bits: BitWidths
    datapath: Datapath = Datapath.FIXED

    def machine_for(self, network: QuantizedNetwork | Network) -> HardwareConfig:
        """Give the machine that runs a network here."""
        if self.datapath is Datapath.FIXED:
            return self.hardware
        return rebuild_datapath(self.hardware, network, self.bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusablePoint:
    """A point whose changes make no machine.

    Attributes
    ----------
    machine
        File or name, as given.
    weights, activations
        Widths that were asked for; None for what the machine would have been built for.
    """

    machine: str
    changes: Mapping[str, str]
    weights: int | None
    activations: int | None
    error: InputError


Quantize = Callable[[SweepPoint, Progress], QuantizedNetwork | Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A point and what it gave."""

    point: SweepPoint
    report: RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFailure:
    """A point and why it gave nothing.

    Attributes
    ----------
    error
        An `InputError` if the point cannot be simulated; anything else is a bug.
    """

    point: SweepPoint
    error: Exception


def run_sweep(
    points: Sequence[SweepPoint],
    quantize: Quantize,
    images: ImageSet | None,
    *,
    image_steps: int,
    progress: Progress,
    is_tuned: bool = False,
) -> Iterator[SweepResult]:
    """Simulate every point, in order, until one fails.

    Parameters
    ----------
    quantize, images, image_steps, progress, is_tuned
        Those of `try_points`.

    Raises
    ------
    InputError
        What `simulate` refuses; of values, before the first point runs.
    """
    if images is not None:
        for point in points:
            check_values(point.hardware, otherwise=COSTS_ALONE)
    for outcome in try_points(
        points,
        quantize,
        images,
        image_steps=image_steps,
        progress=progress,
        is_tuned=is_tuned,
    ):
        if isinstance(outcome, SweepFailure):
            raise outcome.error
        yield outcome


def try_points(
    points: Sequence[SweepPoint],
    quantize: Quantize,
    images: ImageSet | None,
    *,
    image_steps: int,
    progress: Progress,
    is_tuned: bool = False,
    is_needed: Callable[[SweepPoint], bool] = lambda point: True,
) -> Iterator[SweepResult | SweepFailure]:
    """Simulate points in order, whichever fail; those of equal integers share one exact run.

    Integers depend on the bit widths, the numeric rules and the signs that the machine
    takes; where accumulators saturate, on the order in which the machine adds as well. Points
    that code feature maps in other ways measure them anew.

    Parameters
    ----------
    quantize
        Gives the network of a point; called once per set of formats.
    images
        None for costs alone.
    image_steps
        Images that one call of `quantize` counts as, in progress.
    progress
        Called with steps done and steps in all, in images.
    is_tuned
        Whether `quantize` chooses formats by the exact run, so that these, too, depend on the
        order of additions that saturate.
    is_needed
        Asked right before a point runs; one that is not needed has no outcome.
    """
    runs = _SharedRuns(
        points, quantize, images, image_steps=image_steps, progress=progress, is_tuned=is_tuned
    )
    for point in points:
        if not is_needed(point):
            continue
        try:
            report = runs.simulate(point)
        except Exception as error:  # a bug in one point must not cost the others, either
            yield SweepFailure(point=point, error=error)
        else:
            yield SweepResult(point=point, report=report)


class _SharedRuns:
    """Simulates points, and keeps the networks and values that several of them share."""

    def __init__(
        self,
        points: Sequence[SweepPoint],
        quantize: Quantize,
        images: ImageSet | None,
        *,
        image_steps: int,
        progress: Progress,
        is_tuned: bool,
    ) -> None:
        self._quantize = quantize
        self._images = images
        self._is_tuned = is_tuned
        self._quantize_steps = image_steps
        self._measure_steps = 0 if images is None else len(images)
        self._done = _Steps(
            total=image_steps * len({self._formats_key(point) for point in points})
            + self._measure_steps * len({self._integers_key(point) for point in points}),
            report=progress,
        )
        self._networks: dict[object, QuantizedNetwork | Network] = {}
        self._values: dict[object, ValueReport | None] = {}

    def simulate(self, point: SweepPoint) -> RunReport:
        started = time.perf_counter()
        if self._images is not None:
            check_values(point.hardware, otherwise=COSTS_ALONE)
        network = self._find_network(point)
        if isinstance(network, QuantizedNetwork):
            check_signs(point.hardware, network)
            network = replace(network, rules=point.hardware.numeric_rules)
        hardware = point.machine_for(network)
        schedules = find_schedules(hardware, network, point.bits)
        return assemble_report(
            hardware,
            network,
            self._images,
            schedules,
            self._find_values(point, network, schedules),
            bits=point.bits,
            explain=False,
            started=started,
            datapath=point.datapath,
        )

    def _find_network(self, point: SweepPoint) -> QuantizedNetwork | Network:
        key = self._formats_key(point)
        if key not in self._networks:
            progress = self._done.of_part(self._quantize_steps)
            self._networks[key] = self._quantize(point, progress)
            self._done = self._done.after(self._quantize_steps)
        return self._networks[key]

    def _find_values(
        self,
        point: SweepPoint,
        network: QuantizedNetwork | Network,
        schedules: tuple[LayerSchedule, ...],
    ) -> "ValueReport | None":
        key = self._integers_key(point)
        if key not in self._values:
            progress = self._done.of_part(self._measure_steps)
            self._values[key] = _measure(
                network, self._images, schedules, point.hardware.zero_run_bits, progress
            )
            self._done = self._done.after(self._measure_steps)
        return self._values[key]

    def _formats_key(self, point: SweepPoint) -> tuple[object, ...]:
        order = _order_key(point) if self._is_tuned else None
        return point.bits, point.hardware.numeric_rules, point.hardware.precision.activations, order

    def _integers_key(self, point: SweepPoint) -> tuple[object, ...]:
        return *self._formats_key(point), point.hardware.zero_run_bits, _order_key(point)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """How far a sweep is."""

    total: int
    report: Progress
    before: int = 0

    def of_part(self, steps: int) -> Progress:
        """Progress of the next part, which counts as so many steps, as that of the sweep."""
        return lambda done, total: self.report(self.before + done * steps // total, self.total)

    def after(self, steps: int) -> "_Steps":
        """Count a part as done."""
        return replace(self, before=self.before + steps)


def _order_key(point: SweepPoint) -> tuple[object, ...] | None:
    """Give what decides the order of additions, where that is part of the result."""
    saturates = point.hardware.precision.accumulator_overflow is Overflow.SAT
    return (config_digest(point.hardware), point.datapath) if saturates else None


def _measure(
    network: QuantizedNetwork | Network,
    images: ImageSet | None,
    schedules: tuple[LayerSchedule, ...],
    zero_run_bits: int | None,
    progress: Progress,
) -> "ValueReport | None":
    if images is None or not isinstance(network, QuantizedNetwork):
        return None
    from accel_sim.measure import measure_values

    return measure_values(
        network,
        images,
        plans=collect_plans(schedules),
        zero_run_bits=zero_run_bits,
        progress=progress,
    )
