"""The performance model: what a network costs on a machine, layer by layer.

Mapping gives integer counts; cycles and energy are functions of them. Nothing here
knows a value of a feature map but through its measured activity.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accel_sim.energy.band import Energy
from accel_sim.energy.layer_energy import LayerEnergy
from accel_sim.hardware.config import Dataflow, HardwareConfig
from accel_sim.mapping.tile import LayerMapping, Loop, Tile
from accel_sim.mapping.traffic import Accesses, BufferAccesses, DramBytes
from accel_sim.timing.layer_cycles import Bound, LayerCycles
from quantizer.network.graph import Network

__all__ = [
    "Accesses",
    "Bound",
    "BufferAccesses",
    "Dataflow",
    "DramBytes",
    "Energy",
    "LayerActivity",
    "LayerCycles",
    "LayerEnergy",
    "LayerMapping",
    "LayerPerformance",
    "Loop",
    "Tile",
    "run_performance",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerActivity:
    """What the functional run measured of a layer's operands.

    Attributes
    ----------
    zero_ifm_fraction
        Of the elements of the input feature maps, over all images.
    """

    zero_ifm_fraction: float

    def __post_init__(self) -> None:
        if not 0 <= self.zero_ifm_fraction <= 1:
            raise ValueError(f"expected a fraction, got {self.zero_ifm_fraction}")


UNKNOWN_ACTIVITY = LayerActivity(zero_ifm_fraction=0.0)
"""Taken where nothing was measured: no activation is zero, so nothing is gated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPerformance:
    """Cost of one layer for a whole batch.

    Attributes
    ----------
    op
        Class of the layer: Conv, Dense, Add, ...
    macs
        Multiply-accumulates, padding counted.
    weight_bits
        None where the layer has no weights.
    mapping
        None where the layer costs nothing.
    utilization_fraction
        MACs per cycle and processing element; 0 where there are none.
    """

    name: str
    op: str
    macs: int
    weight_bits: int | None
    ifm_bits: int
    ofm_bits: int
    mapping: LayerMapping | None
    cycles: LayerCycles
    utilization_fraction: float
    dram_bytes: DramBytes
    buffer_accesses: BufferAccesses
    energy: LayerEnergy

    @property
    def bound_by(self) -> Bound:
        """What the layer spends most of its time on."""
        return self.cycles.bound_by


def run_performance(
    hardware: HardwareConfig,
    network: Network,
    feature_map_bits: Mapping[str, int],
    weight_bits: Mapping[str, int],
    bias_bits: int = 16,
    activity: Mapping[str, LayerActivity] | None = None,
    requantized_inputs: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[LayerPerformance, ...]:
    """Cost of every layer of a network, in the order in which they run."""
    raise NotImplementedError
