"""The performance model: what a network costs on a machine, layer by layer.

Mapping gives integer counts; cycles and energy are functions of them. Nothing here
knows a value of a feature map but through its measured activity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from accel_sim.energy.band import Energy
from accel_sim.energy.chip import (
    EnergyConstants,
    LayerEvents,
    count_additions,
    count_multiplications,
    energy_constants,
    layer_energy,
)
from accel_sim.energy.layer_energy import LayerEnergy
from accel_sim.energy.search_cost import search_cost
from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.access_counts import (
    DramBits,
    TileCounts,
    count_buffer_words,
    count_dram_bits,
    count_tiles,
    total_buffer_accesses,
    total_dram_bytes,
)
from accel_sim.mapping.block_diagonal import join_groups
from accel_sim.mapping.layer_nests import OperandWidths, build_loop_nests
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.search_cost import SearchCost
from accel_sim.mapping.tile import LayerMapping, Loop, Tile
from accel_sim.mapping.tile_space import check_smallest_tile, enumerate_tiles
from accel_sim.mapping.traffic import (
    NO_BUFFER_ACCESSES,
    NO_DRAM_BYTES,
    Accesses,
    BufferAccesses,
    DramBytes,
)
from accel_sim.timing.layer_cycles import NO_CYCLES, Bound, LayerCycles
from accel_sim.timing.tile_search import search_tiles
from quantizer.errors import InputError
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
    "lay_out_layers",
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
        Multiply-accumulates as `Network.layer_macs` counts them, for the batch.
    weight_bits
        None where the layer has no weights; the entries of a table are none.
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
    constant_bits: Mapping[str, int],
    activity: Mapping[str, LayerActivity] | None = None,
    requantized_inputs: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[LayerPerformance, ...]:
    """Cost of every layer of a network, in the order in which they run.

    The schedule never depends on `activity`, so that a run with values and one without
    differ in energy only.

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
    nests = lay_out_layers(hardware, network, feature_map_bits, constant_bits, requantized_inputs)
    constants = energy_constants(hardware)
    measured = activity or {}
    # Layers of one shape share one schedule; only the search takes time.
    schedules: dict[LoopNest, _Schedule] = {}
    layers = []
    for layer, nest in zip(network.layers, nests, strict=True):
        shape = replace(nest, layer="")
        if not nest.kind.is_free and shape not in schedules:
            schedules[shape] = _find_schedule(nest, hardware, constants)
        layers.append(
            _price(
                nest,
                network.layer_macs(layer) * hardware.mapping.batch,
                hardware,
                constants,
                schedules.get(shape, _NO_SCHEDULE),
                measured.get(nest.layer, UNKNOWN_ACTIVITY),
            )
        )
    return tuple(layers)


def lay_out_layers(
    hardware: HardwareConfig,
    network: Network,
    feature_map_bits: Mapping[str, int],
    constant_bits: Mapping[str, int],
    requantized_inputs: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[LoopNest, ...]:
    """Lay out every layer as a machine runs it, and refuse what it cannot run.

    Takes no time beside the search for schedules; arguments are those of `run_performance`.

    Raises
    ------
    InputError
        If an operand is wider than the datapath, or the smallest tile fits no buffer.
    """
    widths = OperandWidths(feature_maps=feature_map_bits, constants=constant_bits)
    nests = []
    for alone in build_loop_nests(
        network, widths, hardware.mapping.batch, requantized_inputs or {}
    ):
        check_widths(alone, hardware)
        nest = join_groups(alone, hardware.mac_array)
        if not nest.kind.is_free:
            check_smallest_tile(nest, hardware)
        nests.append(nest)
    return tuple(nests)


def check_widths(nest: LoopNest, hardware: HardwareConfig) -> None:
    """Refuse operands wider than the datapath.

    Raises
    ------
    InputError
        Naming the layer and the ``--set`` that would build what it needs.
    """
    if nest.kind is Kind.HOST:
        return
    precision = hardware.precision
    operands = [
        ("activations", "activation_bits", nest.ifm_bits, precision.activation_bits),
        ("outputs", "activation_bits", nest.ofm_bits, precision.activation_bits),
    ]
    if nest.weight_bits is not None and nest.kind is not Kind.LOOKUP:
        operands.append(("weights", "weight_bits", nest.weight_bits, precision.weight_bits))
    for operand, key, bits, built_bits in operands:
        if bits > built_bits:
            raise InputError(
                f"layer {nest.layer!r}",
                f"its {operand} have {bits} bits, the datapath of {hardware.name} {built_bits}; "
                f"--set precision.{key}={bits} builds one that holds them",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """How a layer runs and what it moves, whatever the values are."""

    mapping: LayerMapping | None
    cycles: LayerCycles
    dram_bytes: DramBytes
    buffer_accesses: BufferAccesses
    drained_psums: int


_NO_SCHEDULE = _Schedule(
    mapping=None,
    cycles=NO_CYCLES,
    dram_bytes=NO_DRAM_BYTES,
    buffer_accesses=NO_BUFFER_ACCESSES,
    drained_psums=0,
)


def _find_schedule(
    nest: LoopNest, hardware: HardwareConfig, constants: EnergyConstants
) -> _Schedule:
    space = enumerate_tiles(nest, hardware)

    def cost(tiles: TileCounts, moved: tuple[DramBits, ...]) -> SearchCost:
        return search_cost(nest, hardware, constants, tiles, moved)

    found = search_tiles(nest, hardware, space, cost)
    tiles = count_tiles(nest, hardware, space, np.array([found.candidate]))
    bits = count_dram_bits(tiles, found.loop_order)
    return _Schedule(
        mapping=LayerMapping(
            dataflow=hardware.mac_array.dataflow if nest.kind is Kind.MAC else None,
            tile=space.tile(found.candidate),
            loop_order=found.loop_order,
        ),
        cycles=found.cycles,
        dram_bytes=total_dram_bytes(bits, 0),
        buffer_accesses=total_buffer_accesses(count_buffer_words(tiles, bits, hardware.buffers), 0),
        drained_psums=int(tiles.drained_psums[0]),
    )


def _price(
    nest: LoopNest,
    network_macs: int,
    hardware: HardwareConfig,
    constants: EnergyConstants,
    schedule: _Schedule,
    activity: LayerActivity,
) -> LayerPerformance:
    gated_macs = 0.0
    if hardware.mac_array.zero_gating:
        gated_macs = nest.macs * activity.zero_ifm_fraction + nest.off_diagonal_macs
    events = LayerEvents(
        macs=nest.macs + nest.off_diagonal_macs,
        gated_macs=gated_macs,
        drained_psums=schedule.drained_psums,
        additions=count_additions(nest),
        multiplications=count_multiplications(nest),
        dram_bytes=schedule.dram_bytes,
        buffer_accesses=schedule.buffer_accesses,
        cycles=schedule.cycles.total,
    )
    slots = schedule.cycles.total * hardware.mac_array.rows * hardware.mac_array.cols
    return LayerPerformance(
        name=nest.layer,
        op=nest.op,
        macs=network_macs,
        weight_bits=None if nest.kind is Kind.LOOKUP else nest.weight_bits,
        ifm_bits=nest.ifm_bits,
        ofm_bits=nest.ofm_bits,
        mapping=schedule.mapping,
        cycles=schedule.cycles,
        # What a transposed convolution crops away is never computed.
        utilization_fraction=min(network_macs, nest.macs) / slots if slots else 0.0,
        dram_bytes=schedule.dram_bytes,
        buffer_accesses=schedule.buffer_accesses,
        energy=layer_energy(hardware, constants, events),
    )
