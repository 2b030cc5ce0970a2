"""The performance model: what a network costs on a machine, layer by layer.

Mapping gives integer counts; cycles and energy are functions of them. Nothing here
knows a value of a feature map but through its measured activity.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accel_sim.energy.band import Energy
from accel_sim.energy.constants import EnergyConstants, energy_constants, in_mode
from accel_sim.energy.events import (
    UNKNOWN_ACTIVITY,
    LayerActivity,
    LayerEvents,
    count_additions,
    count_macs,
    count_multiplications,
)
from accel_sim.energy.layer_energy import LayerEnergy, layer_energy
from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.loop_nest import Kind, MapOperand
from accel_sim.mapping.tile import LayerMapping, Loop, Tile
from accel_sim.mapping.traffic import Accesses, BufferAccesses, DramBytes
from accel_sim.scheduling import LayerSchedule, schedule_layers
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
    "price_layers",
    "run_performance",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPerformance:
    """Cost of one layer for a whole batch.

    Attributes
    ----------
    op
        Class of the layer: Conv, Dense, Add, ...
    macs
        Multiply-accumulates as `Network.layer_macs` counts them, for the batch.
    weight_bits
        None where the layer has no weights; the entries of a table are none.
    mapping
        None where the layer costs nothing.
    resident
        Operands that stay on chip, whole: DRAM moves nothing of them.
    uncompressed_dram_bytes
        Of feature maps as they are; None where DRAM has them so.
    utilization_fraction
        MACs per cycle, of what all processing elements do in the layer's mode; 0 where there
        are none.
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
    resident: tuple[MapOperand, ...] = ()
    uncompressed_dram_bytes: DramBytes | None = None

    @property
    def macs_per_pe(self) -> int:
        """Products of a processing element in one cycle at most."""
        return 1 if self.mapping is None else self.mapping.macs_per_pe

    @property
    def bound_by(self) -> Bound:
        """What the layer spends most of its time on."""
        return self.cycles.bound_by


def run_performance(
    hardware: HardwareConfig,
    network: Network,
    feature_map_bits: Mapping[str, int],
    constant_bits: Mapping[str, int],
    activity: Mapping[str, LayerActivity] | None = None,
    requantized_inputs: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[LayerPerformance, ...]:
    """Cost of every layer of a network, in the order in which they run.

    Parameters
    ----------
    feature_map_bits, constant_bits
        Widths by name of feature map and of constant, biases among these.
    activity
        By name of layer; `UNKNOWN_ACTIVITY` where there is none.
    requantized_inputs
        By name of a Concat, the inputs that do not share its format.

    Raises
    ------
    InputError
        See `lay_out_layers`.
    """
    schedules = schedule_layers(
        hardware, network, feature_map_bits, constant_bits, requantized_inputs
    )
    return price_layers(hardware, network, schedules, activity)


def price_layers(
    hardware: HardwareConfig,
    network: Network,
    schedules: tuple[LayerSchedule, ...],
    activity: Mapping[str, LayerActivity] | None = None,
) -> tuple[LayerPerformance, ...]:
    """Cost of every layer as it was scheduled; arguments are those of `run_performance`."""
    constants = energy_constants(hardware)
    measured = activity or {}
    return tuple(
        _price(
            schedule,
            network.layer_macs(layer) * hardware.mapping.batch,
            hardware,
            constants,
            measured.get(layer.name, UNKNOWN_ACTIVITY),
        )
        for layer, schedule in zip(network.layers, schedules, strict=True)
    )


def _price(
    schedule: LayerSchedule,
    network_macs: int,
    hardware: HardwareConfig,
    constants: EnergyConstants,
    activity: LayerActivity,
) -> LayerPerformance:
    nest = schedule.nest
    events = LayerEvents(
        macs=count_macs(nest, activity, zero_gating=hardware.mac_array.zero_gating),
        drained_psums=schedule.drained_psums,
        additions=count_additions(nest),
        multiplications=count_multiplications(nest),
        dram_bytes=schedule.dram_bytes,
        buffer_accesses=schedule.buffer_accesses,
        cycles=schedule.cycles.total,
    )
    macs_per_pe = 1 if schedule.mapping is None else schedule.mapping.macs_per_pe
    slots = schedule.cycles.total * hardware.mac_array.rows * hardware.mac_array.cols * macs_per_pe
    return LayerPerformance(
        name=nest.layer,
        op=nest.op,
        macs=network_macs,
        weight_bits=None if nest.kind is Kind.LOOKUP else nest.weight_bits,
        ifm_bits=nest.ifm_bits,
        ofm_bits=nest.ofm_bits,
        mapping=schedule.mapping,
        cycles=schedule.cycles,
        resident=nest.resident_operands,
        # What a transposed convolution crops away is never computed.
        utilization_fraction=min(network_macs, nest.macs) / slots if slots else 0.0,
        dram_bytes=schedule.dram_bytes,
        uncompressed_dram_bytes=schedule.uncompressed_dram_bytes,
        buffer_accesses=schedule.buffer_accesses,
        energy=layer_energy(hardware, in_mode(constants, hardware, nest), events),
    )
