"""What a report says about its run, network, numbers and images."""

from dataclasses import dataclass
from enum import StrEnum

from accel_sim.timing.layer_cycles import Bound
from quantizer.quantized import BitWidths, Tuning


class Datapath(StrEnum):
    """Whether operand widths change the machine."""

    FIXED = "fixed"
    """As built: narrow operands save storage and traffic."""
    REBUILT = "rebuilt"
    """As wide as the operands, without modes: narrow operands save arithmetic and area as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Circumstances of a run; no result depends on them."""

    host: str
    kernel_path: str
    threads: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """The network of a run; counts are for one image."""

    name: str
    digest: str
    macs: int
    parameters: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationFacts:
    """The widths that were asked for, and how formats were chosen.

    Attributes
    ----------
    method
        None where no formats were chosen.
    per_channel
        Whether weights and biases were given a fraction length per output channel.
    tuning
        None where formats were not tuned.
    """

    method: str | None
    bits: BitWidths
    per_channel: bool
    tuning: Tuning | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The images behind the values, and their preprocessing."""

    source: str
    count: int
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    layout: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """What twice of one resource would bring, from a second run of the model.

    Attributes
    ----------
    bound_by
        What the network spends most of its time on.
    cycles_fraction
        Of all cycles, spent so.
    key, value
        The changed key of the machine, as ``--set`` takes it.
    cycles
        Of the whole network on that machine.
    """

    bound_by: Bound
    cycles_fraction: float
    key: str
    value: str
    cycles: int
