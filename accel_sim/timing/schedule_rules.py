"""The numbers of a machine and a layer that its schedule runs on.

Named tuples, because Numba reads them.
"""

from typing import NamedTuple

from accel_sim.hardware.buffers import OPERANDS, Buffer
from accel_sim.hardware.choices import Ports
from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.array_axes import array_axes, lay_out_reduction
from accel_sim.mapping.buffer_needs import most_kept_weight_bits
from accel_sim.mapping.coded_maps import AS_THEY_ARE, CodedMaps
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.stored_bits import moved_bits, stored_bits
from accel_sim.timing.code_length import CodeLength, code_length
from accel_sim.timing.dram import dram_timing
from accel_sim.timing.mac_array import ArrayRules, array_rules
from accel_sim.timing.pass_cycles import NetworkRules


class PortRules(NamedTuple):
    """Ports of one buffer.

    Attributes
    ----------
    banks
        That serve the array at one time.
    is_single
        Whether reads and writes share one port.
    is_shared_with_dram
        Whether transfers of the next tile pass the same ports.
    is_shared
        Whether the operand lies in the shared memory.
    """

    port_bits: int
    banks: int
    is_single: bool
    is_shared_with_dram: bool
    is_double_buffered: bool
    is_shared: bool


class ScheduleRules(NamedTuple):
    """All that the schedule of one layer depends on, but its tiles.

    Attributes
    ----------
    is_mac, is_copy
        Whether the layer runs on the array, else on the lanes; whether these only copy.
    taps
        Filter rows times columns.
    channel_weights, blocks
        Weights that a filter has for a channel; of `blocks` filters, one has them.
    taps_together, taps_in_turn, blocks_apart
        See `accel_sim.mapping.array_axes.ReductionLayout`.
    has_passes
        Whether the array takes a tile in passes.
    products_per_pe, filters_per_pe
        What a processing element works on at once: products of one sum, or filters.
    shares_residual
        Whether all outputs of a group read one element of the second operand.
    most_kept_weight_bits
        Weights of a tile that are more than this come anew with every tile.
    dram_ifm_bits, dram_residual_bits, dram_ofm_bits
        Of one element that passes between DRAM and buffers: 0 where the operand stays on chip.
    ifm_code, residual_code, ofm_code
        What DRAM moves of that.
    read_cycles, read_bits, write_cycles, write_bits
        DRAM moves ``read_bits`` in ``read_cycles``, and so for writes.
    """

    is_mac: bool
    is_copy: bool
    array: ArrayRules
    lanes: int
    tile_overhead: int
    taps: int
    channel_weights: int
    blocks: int
    taps_together: int
    taps_in_turn: int
    blocks_apart: int
    has_passes: bool
    network: NetworkRules
    products_per_pe: int
    filters_per_pe: int
    shares_residual: bool
    most_kept_weight_bits: int
    ifm_bits: int
    residual_bits: int
    weight_bits: int
    bias_bits: int
    psum_bits: int
    ofm_bits: int
    ifm_port: PortRules
    weight_port: PortRules
    psum_port: PortRules
    ofm_port: PortRules
    psum_is_in_ofm: bool
    dram_ifm_bits: int
    dram_residual_bits: int
    dram_ofm_bits: int
    ifm_code: CodeLength
    residual_code: CodeLength
    ofm_code: CodeLength
    read_cycles: int
    read_bits: int
    write_cycles: int
    write_bits: int
    latency: int


def schedule_rules(
    nest: LoopNest, hardware: HardwareConfig, coded: CodedMaps = AS_THEY_ARE
) -> ScheduleRules:
    """Resolve a machine for one layer."""
    bits = stored_bits(nest, hardware)
    moved = moved_bits(nest, hardware)
    timing = dram_timing(hardware)
    buffers = hardware.buffers
    ifm, weights, psum, ofm = (name in buffers.shared for name in OPERANDS)
    axes = array_axes(hardware.mac_array.dataflow)
    layout = lay_out_reduction(nest, axes)
    return ScheduleRules(
        is_mac=nest.kind is Kind.MAC,
        is_copy=nest.kind is Kind.COPY,
        array=array_rules(hardware.mac_array),
        lanes=hardware.post_processing.lanes,
        tile_overhead=hardware.mac_array.tile_overhead_cycles,
        taps=nest.filter_rows * nest.filter_cols,
        channel_weights=nest.channel_weights,
        blocks=nest.blocks,
        taps_together=layout.taps_together,
        taps_in_turn=layout.taps_in_turn,
        blocks_apart=layout.blocks_apart,
        has_passes=axes.has_passes and nest.kind is Kind.MAC,
        network=_network_rules(nest, hardware),
        products_per_pe=layout.products_per_pe,
        filters_per_pe=nest.filters_per_pe,
        shares_residual=nest.shares_residual,
        most_kept_weight_bits=most_kept_weight_bits(hardware),
        ifm_bits=bits.ifm,
        residual_bits=bits.residual,
        weight_bits=bits.weight,
        bias_bits=bits.bias,
        psum_bits=bits.psum,
        ofm_bits=bits.ofm,
        ifm_port=_port_rules(buffers.ifm, ifm),
        weight_port=_port_rules(buffers.weights, weights),
        psum_port=_port_rules(buffers.psum_memory, psum),
        ofm_port=_port_rules(buffers.ofm, ofm),
        psum_is_in_ofm=buffers.psum == "in_ofm",
        dram_ifm_bits=moved.ifm,
        dram_residual_bits=moved.residual,
        dram_ofm_bits=moved.ofm,
        ifm_code=code_length(coded.ifm),
        residual_code=code_length(coded.residual),
        ofm_code=code_length(coded.ofm),
        read_cycles=timing.read_cycles_per_bit.numerator,
        read_bits=timing.read_cycles_per_bit.denominator,
        write_cycles=timing.write_cycles_per_bit.numerator,
        write_bits=timing.write_cycles_per_bit.denominator,
        latency=timing.latency_cycles,
    )


def _network_rules(nest: LoopNest, hardware: HardwareConfig) -> NetworkRules:
    networks = hardware.mac_array.networks
    if networks is None or nest.kind is not Kind.MAC:  # lanes are at the ports
        return NetworkRules(0, 0, 0)
    return NetworkRules(networks.ifm_bits, networks.weight_bits, networks.psum_bits)


def _port_rules(buffer: Buffer, is_shared: bool) -> PortRules:
    return PortRules(
        port_bits=buffer.port_bits,
        banks=buffer.array_banks,
        is_single=buffer.ports is Ports.ONE_SHARED,
        is_shared_with_dram=buffer.shares_ports_with_dram,
        is_double_buffered=buffer.double_buffered,
        is_shared=is_shared,
    )
