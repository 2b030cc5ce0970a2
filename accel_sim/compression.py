"""What a schedule costs where DRAM has feature maps in the code of `accel_sim.kernels.zero_rle`.

A schedule is found for maps as they are, so that it depends on no value. Then its transfers
shrink, or grow, by the lengths that were measured, and its cycles and DRAM bytes are counted anew.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from accel_sim.hardware.config import DeviceDram, HardwareConfig
from accel_sim.machine_fit import find_word_lengths
from accel_sim.mapping.coded_maps import CodedMaps, PairCounts
from accel_sim.mapping.layer_nests import name_operands
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.scheduling import LayerSchedule
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.pipeline import cut_tiles, device_cycles, device_stream, layer_cycles
from accel_sim.timing.schedule_rules import schedule_rules
from quantizer.network.graph import Network
from quantizer.network.layers import Concat, Layer
from quantizer.quantized import BitWidths, QuantizedNetwork


def compress_maps(
    hardware: HardwareConfig,
    network: QuantizedNetwork | Network,
    schedules: tuple[LayerSchedule, ...],
    pairs: PairCounts | None,
    bits: BitWidths,
) -> tuple[LayerSchedule, ...]:
    """Charge schedules for codes in place of maps; as they are where the machine has none.

    Parameters
    ----------
    schedules
        From `find_schedules`.
    pairs
        None where nothing was measured: codes are taken to be as long as their maps.
    bits
        Widths of a float network.
    """
    run_bits = hardware.zero_run_bits
    if run_bits is None:
        return schedules
    if pairs is None:
        return tuple(
            replace(schedule, uncompressed_dram_bytes=schedule.dram_bytes) for schedule in schedules
        )
    graph, widths = find_word_lengths(network, bits)
    lengths = _Lengths(
        hardware=hardware,
        network=graph,
        requantized_inputs=widths.requantized_inputs,
        pairs=pairs,
        run_bits=run_bits,
        as_they_are=_find_input(graph, schedules),
    )
    return tuple(
        _compress(hardware, schedule, lengths.of_layer(layer, schedule.nest))
        for layer, schedule in zip(graph.layers, schedules, strict=True)
    )


def _find_input(network: Network, schedules: Sequence[LayerSchedule]) -> frozenset[str]:
    """Names that the network's input goes by: nobody has coded it."""
    names = {network.input}
    for layer, schedule in zip(network.layers, schedules, strict=True):
        keeps_values = schedule.nest.kind is Kind.LAYOUT and not isinstance(layer, Concat)
        if keeps_values and layer.inputs[0] in names:
            names.add(layer.ofm)
    return frozenset(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lengths:
    """Lengths of the codes of one run.

    Attributes
    ----------
    requantized_inputs
        By name of a Concat, the inputs that it reads.
    as_they_are
        Names of maps that have no code.
    """

    hardware: HardwareConfig
    network: Network
    requantized_inputs: Mapping[str, tuple[str, ...]]
    pairs: PairCounts
    run_bits: int
    as_they_are: frozenset[str]

    def of_layer(self, layer: Layer, nest: LoopNest) -> CodedMaps:
        """Find how long the codes are that a layer reads and writes."""
        bits = stored_bits(nest, self.hardware)
        ifm, residual = name_operands(layer, self.network)
        ifms = self.requantized_inputs.get(layer.name) or (ifm,)
        return CodedMaps(
            ifm=self._coded_fraction(ifms, bits.ifm),
            residual=self._coded_fraction((residual,), bits.residual),
            ofm=self._coded_fraction((layer.ofm,), bits.ofm),
        )

    def _coded_fraction(self, names: Sequence[str | None], level_bits: int) -> Fraction:
        """Bits of some codes over those of their maps; a constant (None) is never coded."""
        coded, plain = 0, 0
        for name in names:
            if name is None:
                return Fraction(1)
            own = math.prod(self.network.shapes[name]) * self.pairs.images * level_bits
            plain += own
            if name not in self.as_they_are:
                own = self.pairs.by_map[name] * (self.run_bits + level_bits)
            coded += own
        return Fraction(coded, plain)


def _compress(hardware: HardwareConfig, schedule: LayerSchedule, coded: CodedMaps) -> LayerSchedule:
    moved = schedule.dram_bytes
    return replace(
        schedule,
        coded=coded,
        cycles=_count_cycles(hardware, schedule, coded),
        dram_bytes=replace(
            moved,
            ifm_read=math.ceil(moved.ifm_read * coded.ifm),
            residual_read=math.ceil(moved.residual_read * coded.residual),
            ofm_write=math.ceil(moved.ofm_write * coded.ofm),
        ),
        uncompressed_dram_bytes=moved,
    )


def _count_cycles(
    hardware: HardwareConfig, schedule: LayerSchedule, coded: CodedMaps
) -> LayerCycles:
    nest, mapping = schedule.nest, schedule.mapping
    if mapping is None:
        return schedule.cycles
    rules = schedule_rules(nest, hardware, coded)
    sizes = cut_tiles(nest, hardware, mapping.tile)
    if not isinstance(hardware.dram, DeviceDram):
        return layer_cycles(rules, sizes, mapping.loop_order)
    stream = device_stream(nest, hardware, hardware.dram, mapping.tile, coded)
    cycles = device_cycles(rules, stream, sizes, mapping.loop_order)
    assert cycles is not None  # no limit was given
    return cycles
