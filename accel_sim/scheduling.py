"""Schedules: how each layer of a network runs on a machine, before any value is known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from accel_sim.accumulation import AccumulationPlan, Plans
from accel_sim.energy.constants import EnergyConstants, energy_constants, in_mode
from accel_sim.energy.search_cost import search_cost
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.mapping_options import Pin
from accel_sim.mapping.access_counts import (
    DramBits,
    TileCounts,
    count_buffer_words,
    count_dram_bits,
    count_tiles,
    total_buffer_accesses,
    total_dram_bytes,
)
from accel_sim.mapping.accumulation import plan_accumulation
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.coded_maps import AS_THEY_ARE, CodedMaps
from accel_sim.mapping.enumerate_tiles import check_smallest_tile, enumerate_tiles
from accel_sim.mapping.joined_groups import join_groups
from accel_sim.mapping.layer_nests import OperandWidths, build_loop_nests
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.multiplier_mode import choose_mode
from accel_sim.mapping.pass_tables import map_passes
from accel_sim.mapping.pins import check_pin
from accel_sim.mapping.residency import Stay, find_stays, keep_map
from accel_sim.mapping.row_stationary import check_register_files
from accel_sim.mapping.search_cost import SearchCost
from accel_sim.mapping.tile import LayerMapping
from accel_sim.mapping.traffic import (
    NO_BUFFER_ACCESSES,
    NO_DRAM_BYTES,
    BufferAccesses,
    DramBytes,
)
from accel_sim.timing.layer_cycles import NO_CYCLES, LayerCycles
from accel_sim.timing.tile_search import search_tiles
from quantizer.errors import InputError, nearest
from quantizer.network.graph import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSchedule:
    """How a layer runs and what it moves, whatever the values are.

    Attributes
    ----------
    mapping
        None where the machine does nothing.
    accumulation
        How the array adds up the layer; None off the array.
    coded, uncompressed_dram_bytes
        What cycles and DRAM bytes were charged for in place of feature maps, and the bytes of
        these; None where DRAM has maps as they are.
    """

    nest: LoopNest
    mapping: LayerMapping | None
    accumulation: AccumulationPlan | None
    cycles: LayerCycles
    dram_bytes: DramBytes
    buffer_accesses: BufferAccesses
    drained_psums: int
    coded: CodedMaps = AS_THEY_ARE
    uncompressed_dram_bytes: DramBytes | None = None


def schedule_layers(
    hardware: HardwareConfig,
    network: Network,
    feature_map_bits: Mapping[str, int],
    constant_bits: Mapping[str, int],
    requantized_inputs: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[LayerSchedule, ...]:
    """Find the best schedule of every layer; arguments are those of `run_performance`.

    Knows no value of a feature map, so that a run with values and one without take the same
    schedules, and that values can depend on the order in which the machine adds.

    Raises
    ------
    InputError
        See `lay_out_layers`.
    """
    nests = lay_out_layers(hardware, network, feature_map_bits, constant_bits, requantized_inputs)
    search = _Search(hardware=hardware, constants=energy_constants(hardware))
    for stay in find_stays(network, nests, hardware):
        nests = search.keep_if_better(nests, stay)
    return tuple(search.find(nest).schedule for nest in nests)


def collect_plans(schedules: tuple[LayerSchedule, ...]) -> Plans:
    """Give the accumulation plans of all layers on the array, by name."""
    return {
        schedule.nest.layer: schedule.accumulation
        for schedule in schedules
        if schedule.accumulation is not None
    }


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
        If an operand is wider than the datapath, a product wider than the accumulators, a
        row of a filter longer than a register file, the smallest tile fits no buffer, or a
        pin names no layer or cannot be had.
    """
    widths = OperandWidths(feature_maps=feature_map_bits, constants=constant_bits)
    nests = []
    for alone in build_loop_nests(
        network, widths, hardware.mapping.batch, requantized_inputs or {}
    ):
        check_widths(alone, hardware)
        if alone.kind is Kind.MAC:
            check_register_files(alone, hardware)
        nest = join_groups(choose_mode(alone, hardware), hardware.mac_array)
        if not nest.kind.is_free:
            check_smallest_tile(nest, hardware)
        nests.append(nest)
    by_name = {nest.layer: nest for nest in nests}
    for pin in hardware.mapping.pin:
        if pin.layer not in by_name:
            raise InputError(
                f"mapping.pin: layer {pin.layer!r}",
                f"not in {network.name}{nearest(pin.layer, list(by_name))}",
            )
        check_pin(by_name[pin.layer], hardware, pin)
    return tuple(nests)


def check_widths(nest: LoopNest, hardware: HardwareConfig) -> None:
    """Refuse operands wider than the datapath, and products wider than the accumulators.

    Raises
    ------
    InputError
        Naming the layer and the ``--set`` that would build what it needs.
    """
    precision = hardware.precision
    for operand, key, bits in datapath_operands(nest):
        built_bits = getattr(precision, key)
        if bits > built_bits:
            raise InputError(
                f"layer {nest.layer!r}",
                f"its {operand} have {bits} bits, the datapath of {hardware.name} {built_bits}; "
                f"--set precision.{key}={bits} builds one that holds them",
            )
    if nest.kind is Kind.MAC:
        product_bits = nest.ifm_bits + (nest.weight_bits or 0)
        if product_bits > precision.accumulator_bits:
            raise InputError(
                f"layer {nest.layer!r}",
                f"one product of {nest.weight_bits}-bit weights and {nest.ifm_bits}-bit "
                f"activations needs {product_bits} bits, the accumulators of {hardware.name} have "
                f"{precision.accumulator_bits}; --set precision.accumulator_bits={product_bits} "
                "builds ones that hold it",
            )


def datapath_operands(nest: LoopNest) -> Iterator[tuple[str, str, int]]:
    """Give what the datapath takes and makes: in words, the key of its width, and its bits."""
    if nest.kind is Kind.HOST:
        return
    yield "activations", "activation_bits", nest.ifm_bits
    yield "outputs", "activation_bits", nest.ofm_bits
    if nest.weight_bits is not None and nest.kind is not Kind.LOOKUP:
        yield "weights", "weight_bits", nest.weight_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """A schedule, and what it is compared by; see `timing.tile_search.Found`."""

    schedule: LayerSchedule
    rank: tuple[float, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """Finds the schedules of one machine; layers of one shape share one."""

    hardware: HardwareConfig
    constants: EnergyConstants
    known: dict[tuple[LoopNest, Pin | None], _Ranked | None] = field(default_factory=dict)

    def find(self, nest: LoopNest) -> _Ranked:
        """Find the best schedule of a layer of which some tile fits."""
        found = self.try_to_find(nest)
        assert found is not None
        return replace(found, schedule=replace(found.schedule, nest=nest))

    def try_to_find(self, nest: LoopNest) -> _Ranked | None:
        """Find the same, for a layer of any name; None if no tile fits."""
        named = [pin for pin in self.hardware.mapping.pin if pin.layer == nest.layer]
        pin = named[0].model_copy(update={"layer": ""}) if named else None
        shape = replace(nest, layer=""), pin
        if shape not in self.known:
            self.known[shape] = _find_schedule(nest, self.hardware, self.constants, pin)
        return self.known[shape]

    def keep_if_better(self, nests: tuple[LoopNest, ...], stay: Stay) -> tuple[LoopNest, ...]:
        """Keep a map on chip unless a layer then has no tile, or all together are worse."""
        kept = keep_map(nests, stay)
        here = slice(stay.first, stay.last + 1)
        after = []
        for nest in kept[here]:
            found = self.try_to_find(nest)
            if found is None:
                return nests
            after.append(found.rank)
        before = [self.find(nest).rank for nest in nests[here]]
        return kept if _sum_ranks(after) <= _sum_ranks(before) else nests


def _sum_ranks(ranks: Sequence[tuple[float, int, int]]) -> tuple[float, ...]:
    return tuple(map(sum, zip(*ranks, strict=True)))


def _find_schedule(
    nest: LoopNest, hardware: HardwareConfig, constants: EnergyConstants, pin: Pin | None
) -> _Ranked | None:
    if nest.kind.is_free:
        free = LayerSchedule(
            nest=nest,
            mapping=None,
            accumulation=None,
            cycles=NO_CYCLES,
            dram_bytes=NO_DRAM_BYTES,
            buffer_accesses=NO_BUFFER_ACCESSES,
            drained_psums=0,
        )
        return _Ranked(schedule=free, rank=(0.0, 0, 0))
    space = enumerate_tiles(nest, hardware, pin)
    if not len(space.fitting):
        return None
    constants = in_mode(constants, hardware, nest)

    def cost(tiles: TileCounts, moved: DramBits) -> SearchCost:
        return search_cost(nest, hardware, constants, tiles, moved)

    found = search_tiles(nest, hardware, space, cost)
    tiles = count_tiles(nest, hardware, space.take(np.array([found.candidate])))
    bits = count_dram_bits(tiles, found.loop_order)
    tile, is_mac = space.tile(found.candidate), nest.kind is Kind.MAC
    has_passes = array_axes(hardware.mac_array.dataflow).has_passes
    schedule = LayerSchedule(
        nest=nest,
        mapping=LayerMapping(
            dataflow=hardware.mac_array.dataflow if is_mac else None,
            tile=tile,
            loop_order=found.loop_order,
            passes=map_passes(nest, hardware, tile) if is_mac and has_passes else None,
            mode=nest.mode,
        ),
        accumulation=plan_accumulation(nest, hardware, tile.channels) if is_mac else None,
        cycles=found.cycles,
        dram_bytes=total_dram_bytes(bits, 0),
        buffer_accesses=total_buffer_accesses(count_buffer_words(tiles, bits, hardware.buffers), 0),
        drained_psums=int(tiles.drained_psums[0]),
    )
    return _Ranked(schedule=schedule, rank=found.rank)
