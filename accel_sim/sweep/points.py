"""What a sweep consists of: experiments, and points of machine and widths within them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from accel_sim.hardware.config import HardwareConfig
from accel_sim.machine_fit import rebuild_datapath
from accel_sim.report.facts import Datapath
from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.quantized import BitWidths, QuantizedNetwork

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
    bits_file
        Which file gave widths by layer, as the user named it; None if none did.
    experiment
        Which of the experiments of its sweep it belongs to.
    """

    hardware: HardwareConfig
    changes: Mapping[str, str]
    bits: BitWidths
    datapath: Datapath = Datapath.FIXED
    bits_file: str | None = None
    experiment: int = 0

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
    bits_file: str | None = None
    experiment: int = 0


Quantize = Callable[[SweepPoint, Progress], QuantizedNetwork | Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A network, its images, and how its numbers are chosen: what many points share.

    Attributes
    ----------
    images
        None for costs alone.
    quantize
        Gives the network of a point. Where other processes work, it is pickled.
    settings
        All of this that determines results, as JSON values: from `shared_settings`.
    is_quantized
        Whether `quantize` gives integers; a float network has costs alone.
    follows_widths
        Whether all word lengths follow from the widths of a point; those of a file need not.
    is_tuned
        Whether formats are chosen by the exact run, so that these, too, depend on the order of
        additions that saturate.
    image_steps
        Images that one call of `quantize` counts as, in progress.
    """

    network: Network
    images: ImageSet | None
    quantize: Quantize
    settings: Mapping[str, Any]
    is_quantized: bool = True
    follows_widths: bool = True
    is_tuned: bool = False
    image_steps: int = 0
